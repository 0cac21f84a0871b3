package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice"
)

// fact is a row of the cover.
type fact struct{ name, value string }

// filterNames are the words for what can be asked for. The page script has the same words.
var filterNames = map[string]string{
	"action": "action", "client_ip": "client address", "created[gt]": "after", "created[gte]": "from",
	"created[lt]": "before", "created[lte]": "until", "file_id": "file", "ids": "entries", "key_id": "API key",
	"link_id": "link", "outcome": "outcome", "person_id": "person", "recipient": "recipient", "request_id": "request",
}

// actorNames are the words for who asked.
var actorNames = map[sluice.ActorType]string{
	sluice.ActorKey: "API key", sluice.ActorCLI: "the operator, on the command line",
	sluice.ActorPerson: "person",
}

// facts returns the facts of the cover. They follow from the entry of the report and from the checkpoint.
func (l *late) facts() []fact {
	e := l.made.entry
	asked := "every entry of the log"
	part := sluice.ReportPart{}
	if e.Report != nil {
		part = *e.Report
	}
	if len(part.Filter) > 0 {
		var terms []string
		for _, name := range slices.Sorted(maps.Keys(part.Filter)) {
			value := part.Filter[name]
			if value == "" {
				value = "(erased)"
			}
			word, ok := filterNames[name]
			if !ok {
				word = name
			}
			terms = append(terms, word+" "+value)
		}
		asked = strings.Join(terms, "; ")
	}
	actor, ok := actorNames[e.Actor.Type]
	if !ok {
		actor = string(e.Actor.Type)
	}
	for _, s := range []string{e.Actor.Name, e.Actor.Email, e.Actor.ID, e.Actor.Issuer} {
		if s != "" {
			actor += ", " + s
		}
	}
	list := []fact{
		{"Asked for", asked},
		{"Made", moment(e.Time)},
		{"Made by", actor},
		{"Entries", number(part.Entries)},
		{"Recorded as", fmt.Sprintf("entry %d of the log, %s", l.made.seq, e.ID)},
		{"Log", l.head.Origin},
		{"Entries of the log", number(l.head.Size)},
		{"Root of the log", base64Of(l.head.Root[:])},
		{"Key of the log", l.key},
	}
	if l.key != l.log.FirstKey {
		list = append(list, fact{"Key at its beginning", l.log.FirstKey})
	}
	return list
}

// coverOf returns the facts of the cover in HTML.
func coverOf(l *late) string {
	var b strings.Builder
	for _, f := range l.facts() {
		b.WriteString("<div><dt>" + text(f.name) + "</dt><dd>" + text(f.value) + "</dd></div>")
	}
	return b.String()
}
