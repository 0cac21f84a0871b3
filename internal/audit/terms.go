package audit

import (
	"time"

	"sluice"
	"sluice/ledger"
)

// IndexTerms are the index terms of an entry: the values that it can be looked up by.
// A term that the entry lacks is "".
type IndexTerms struct {
	ID, KeyID, FileID, LinkID, RequestID string
	Action                               sluice.Action
	Outcome                              sluice.Outcome
}

// IndexTermsOf returns the index terms of an entry.
func IndexTermsOf(e sluice.Entry) IndexTerms {
	t := IndexTerms{ID: e.ID, KeyID: e.KeyID(), Action: e.Action, Outcome: e.Outcome}
	if e.File != nil {
		t.FileID = e.File.ID
	}
	if e.Link != nil {
		t.LinkID = e.Link.ID
	}
	if e.Request != nil {
		t.RequestID = e.Request.ID
	}
	return t
}

// IndexTerms returns the index terms and the time of a sealed entry. It takes about a
// tenth of the time of Open. If the leaf is damaged, it returns what precedes the
// damage.
func (s SealedEntry) IndexTerms() (t IndexTerms, at time.Time) {
	var actor, actorType string
	hasKey := false
	for name, value := range ledger.Members(s.Leaf) {
		switch string(name) {
		case "action":
			t.Action = sluice.Action(ledger.Text(value))
		case "actor":
			actor, actorType = textOf(value, "id"), textOf(value, "type")
		case "file":
			t.FileID = textOf(value, "id")
		case "id":
			t.ID = ledger.Text(value)
		case "key":
			t.KeyID, hasKey = textOf(value, "id"), true
		case "link":
			t.LinkID = textOf(value, "id")
		case "outcome":
			t.Outcome = sluice.Outcome(ledger.Text(value))
		case "request":
			t.RequestID = textOf(value, "id")
		case "time":
			at, _ = time.Parse(EntryTime, ledger.Text(value))
		}
	}
	if !hasKey && sluice.ActorType(actorType) == sluice.ActorKey {
		t.KeyID = actor
	}
	return t, at
}

// textOf returns the text of a member of an object, or "".
func textOf(object []byte, member string) string {
	for name, value := range ledger.Members(object) {
		if string(name) == member {
			return ledger.Text(value)
		}
	}
	return ""
}
