// Package sentence says in plain English what an entry of the log records. The console and the reports of the log use
// the same words.
package sentence

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"sluice"
	"sluice/internal/text"
)

// Sentence is an entry in words. All texts in it are [Visible].
type Sentence struct {
	Parts []Part // joined, they are the sentence, with a full stop
	Facts []Fact // what else the entry records and a reader wants to know
	Tone  Tone
}

// Part is a piece of a sentence.
type Part struct {
	Kind Kind
	Text string
	ID   string // of the object; "" if the entry has none
}

// Kind says what a Part names. The kind of the words between is "".
type Kind string

// The kinds of parts.
const (
	Actor   Kind = "actor" // ID is that of the key, if a key acted
	Address Kind = "address"
	File    Kind = "file"
	Link    Kind = "link"
	Key     Kind = "key"
	Session Kind = "session"
	Entry   Kind = "entry"
)

// Fact is something that an entry records beside the sentence, such as the reason of a link.
type Fact struct{ Name, Text string }

// String is the fact in one line.
func (f Fact) String() string { return f.Name + ": " + f.Text }

// Tone says how a reader may take an entry. The tones are the classes of the style sheet.
type Tone string

// The tones. "" is for what is neither.
const (
	Good Tone = "good" // a file reached someone
	Warn Tone = "warn" // something was ended or deleted
	Bad  Tone = "bad"  // something was refused or is wrong
	Info Tone = "info" // something new
)

// String is the sentence.
func (s Sentence) String() string {
	var b strings.Builder
	for _, p := range s.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Of puts an entry into words. An action or refusal that this version does not know is named as it is.
func Of(e sluice.Entry) Sentence {
	p := phrase{"{who} did {action}", ""}
	if known, ok := phrases[e.Action]; ok {
		p = known
	}
	s := Sentence{Tone: p.tone}
	s.fill(e, p.words)
	if e.Outcome == sluice.Refused {
		s.Tone = Bad
		s.words(", because " + why(e.Refusal))
	}
	s.words(ending(e))
	s.words(".")
	s.Facts = factsOf(e)
	return s
}

// words adds words to the sentence.
func (s *Sentence) words(text string) {
	if last := len(s.Parts) - 1; last >= 0 && s.Parts[last].Kind == "" {
		s.Parts[last].Text += text
	} else if text != "" {
		s.Parts = append(s.Parts, Part{Text: text})
	}
}

// fill adds the words of a phrase. A name in braces stands for what the entry has.
func (s *Sentence) fill(e sluice.Entry, words string) {
	for words != "" {
		before, rest, _ := strings.Cut(words, "{")
		s.words(before)
		name, after, ok := strings.Cut(rest, "}")
		if ok {
			s.add(named(e, name))
		}
		words = after
	}
}

func (s *Sentence) add(p Part) {
	if p.Kind == "" {
		s.words(p.Text)
		return
	}
	s.Parts = append(s.Parts, p)
}

// named is what a name in a phrase stands for. An entry that lacks it, as a redacted one may, gets general words.
func named(e sluice.Entry, name string) Part {
	switch name {
	case "who":
		return who(e)
	case "file":
		return filePart(e.File)
	case "size":
		if e.File != nil {
			return Part{Text: english.Size(e.File.Size)}
		}
		return Part{Text: "size unknown"}
	case "link":
		if e.Link != nil {
			return Part{Link, Visible(e.Link.ID), e.Link.ID}
		}
		return Part{Text: "of a file"}
	case "key":
		if e.Key != nil {
			return Part{Key, quoted(cmp.Or(e.Key.Name, e.Key.ID)), e.Key.ID}
		}
		return Part{Text: "of someone"}
	case "recipient":
		return recipient(e)
	case "session":
		if e.Session != nil {
			return Part{Session, Visible(e.Session.ID), e.Session.ID}
		}
		return Part{Text: "of someone"}
	case "entry":
		if e.Subject != nil {
			return Part{Entry, "entry " + english.Number(e.Subject.Seq), e.Subject.ID}
		}
		return Part{Text: "an entry"}
	}
	return Part{Text: counted(e, name)}
}

// counted is what a name in a phrase stands for that names no object.
func counted(e sluice.Entry, name string) string {
	switch name {
	case "downloads":
		switch {
		case len(e.Deliveries) == 1:
			return "a download"
		case len(e.Deliveries) > 1:
			return Count(int64(len(e.Deliveries)), "download")
		case e.File != nil:
			return "a download of " + filePart(e.File).Text
		}
		return "downloads"
	case "reported":
		if e.Report != nil {
			return Count(e.Report.Entries, "entry")
		}
		return "entries"
	case "lost":
		if e.Rollback != nil {
			return Count(e.Rollback.WasSize-e.Rollback.Size, "entry")
		}
		return "entries"
	case "exported":
		return cmp.Or(Visible(e.Export), "entries")
	case "mail":
		if e.Mail != nil {
			return cmp.Or(mails[e.Mail.Kind], "the mail "+Visible(e.Mail.Kind)+" about")
		}
		return "a mail about"
	case "damage":
		if e.File != nil && e.File.Found != nil {
			return cmp.Or(damages[e.File.Found.Problem], "have the problem "+Visible(string(e.File.Found.Problem)))
		}
		return "are damaged"
	case "fields":
		if e.Subject != nil && len(e.Subject.Fields) > 0 {
			return Visible(strings.Join(e.Subject.Fields, ", "))
		}
		return "personal fields"
	case "erased":
		return erased(e.Erasure)
	case "lossy":
		if e.Erasure != nil && e.Erasure.Erased != nil {
			return Count(e.Erasure.Erased.Entries, "entry")
		}
		return "entries"
	case "action":
		return Visible(string(e.Action))
	}
	return "{" + name + "}"
}

// erased is what an erasure erases. The log does not have the address of a person.
func erased(p *sluice.ErasurePart) string {
	if p == nil {
		return "personal fields"
	}
	fields := make([]string, len(p.Fields))
	for i, field := range p.Fields {
		fields[i] = string(field)
	}
	whose := map[sluice.ErasedBy]string{
		sluice.ErasedByRecipient: "one recipient", sluice.ErasedByClientIP: "one client address",
		sluice.ErasedByFile: "the file", sluice.ErasedByLink: "the link", sluice.ErasedByKey: "the API key",
	}[p.By]
	text := strings.Join(fields, ", ") + " of " + cmp.Or(whose, string(p.By))
	if p.Object != "" {
		text += " " + p.Object
	}
	return Visible(text)
}

// filePart names a file by its name, or by its id where that is all that is known.
func filePart(f *sluice.FilePart) Part {
	if f == nil {
		return Part{Text: "a file"}
	}
	return Part{File, quoted(cmp.Or(f.Filename, f.ID)), f.ID}
}

// who is the party that acted. The bearer of a link is known by the address that was proved, if one was.
func who(e sluice.Entry) Part {
	a := e.Actor
	switch a.Type {
	case sluice.ActorKey:
		return Part{Actor, "The API key " + quoted(cmp.Or(a.Name, a.ID)), a.ID}
	case sluice.ActorBearer:
		r := e.Recipient
		switch {
		case r != nil && r.Email == "" && isErased(e, "/recipient/email"):
			return Part{Actor, "Someone whose address was erased", ""}
		case r == nil || r.Email == "" || e.Action == sluice.LinkCodeSent || e.Outcome == sluice.Refused:
			return Part{Actor, "Someone with the link", ""}
		case r.Verification != "" || e.Action == sluice.LinkVerified:
			return Part{Actor, Visible(r.Email) + ", proven by e-mail,", ""}
		}
		return Part{Actor, Visible(r.Email), ""}
	case sluice.ActorCLI:
		return Part{Actor, "The operator", ""}
	case sluice.ActorSystem:
		return Part{Actor, "Sluice", ""}
	}
	return Part{Actor, person(a), ""}
}

// person names a person who signed in. A name alone could be taken for that of another party, such as the operator.
func person(a sluice.Actor) string {
	switch {
	case a.Email != "" && a.Name != "":
		return Visible(a.Name + " (" + a.Email + ")")
	case a.Email != "":
		return Visible(a.Email)
	}
	return "The " + Visible(cmp.Or(string(a.Type), "actor")) + " " + quoted(cmp.Or(a.Name, a.ID))
}

// recipient is the person that something was sent to.
func recipient(e sluice.Entry) Part {
	if r := e.Recipient; r != nil && r.Email != "" {
		return Part{Address, Visible(r.Email), ""}
	}
	if isErased(e, "/recipient/email") {
		return Part{Text: "someone whose address was erased"}
	}
	return Part{Text: "its recipient"}
}

func isErased(e sluice.Entry, field string) bool { return slices.Contains(e.Redacted, field) }

// ending says how a download went, as far as the entry knows.
func ending(e sluice.Entry) string {
	d := e.Delivery
	switch {
	case d == nil:
		return ""
	case d.Returned:
		return "; Sluice failed, so the download is not counted"
	case d.Mode == sluice.DeliveredByRedirect:
		return "; the store of the bytes was to send them"
	case d.Status == 304 || d.Status == 412 || d.Status == 416:
		return "; no bytes were asked for that were not there already" // RFC 9110 sections 13.1 and 14.2
	case d.Sent == nil:
		return ""
	case d.Sent.Complete && d.Status == 206:
		return "; all bytes of a part (" + english.Size(d.Sent.Bytes) + ") were sent"
	case d.Sent.Complete:
		return "; all bytes were sent"
	}
	return "; it stopped after " + english.Size(d.Sent.Bytes)
}

// why is the rule that refused.
func why(r sluice.Refusal) string {
	if words, ok := refusals[r]; ok {
		return words
	}
	if scope, ok := strings.CutPrefix(string(r), "missing_scope:"); ok {
		return "the scope " + Visible(scope) + " is missing"
	}
	return cmp.Or(Visible(string(r)), "a rule forbids it")
}

// EndReason is the metadata of a link in which the console says why it was ended.
const EndReason = "end_reason"

// factsOf are the facts of an entry that its sentence does not say.
func factsOf(e sluice.Entry) (facts []Fact) {
	add := func(name, text string) {
		if text != "" {
			facts = append(facts, Fact{name, Visible(text)})
		}
	}
	if l := e.Link; l != nil {
		add("Reason", l.Reason)
		if e.Action == sluice.LinkEnded {
			add("Ended because", l.Metadata[EndReason])
		}
	}
	if e.Action == sluice.LinkCreated || e.Action == sluice.LinkUpdated {
		addLink(add, e.Link)
	}
	if k := e.Key; k != nil && isAboutKey(e.Action) {
		addKey(add, *k)
	}
	if f := e.File; f != nil && e.Action == sluice.FileUpdated {
		add("Changed", changes(f.Before))
	}
	if r := e.Recipient; r != nil && (e.Outcome == sluice.Refused || e.Action == sluice.LinkMailFailed) {
		add("Address", r.Email)
	}
	if e.Mail != nil {
		add("Problem", e.Mail.Problem)
	}
	if e.Report != nil {
		for _, name := range slices.Sorted(maps.Keys(e.Report.Filter)) {
			add("Asked for "+Visible(name), e.Report.Filter[name])
		}
	}
	if e.AcceptedTerms != "" {
		add("Accepted terms", "SHA-256 "+e.AcceptedTerms)
	}
	if r := e.Request; r != nil {
		add("From", r.ClientIP)
		add("Browser", r.UserAgent)
	}
	if e.Repeats > 0 {
		add("Alike before it", Count(e.Repeats, "refusal"))
	}
	if len(e.Redacted) > 0 {
		add("Erased later", strings.Join(e.Redacted, ", "))
	}
	if len(e.Damaged) > 0 {
		add("Altered in the database", strings.Join(e.Damaged, ", "))
	}
	return facts
}

func addLink(add func(name, text string), l *sluice.LinkPart) {
	if l == nil {
		return
	}
	if a := l.Access; a != nil {
		add("For", cmp.Or(a.Recipient.Email, strings.Join(a.Allowed, ", ")))
	}
	if l.Expires.IsZero() {
		add("Ends", "never")
	} else {
		add("Ends", moment(l.Expires))
	}
	if lim := l.Limits; lim != nil && lim.MaxDownloads > 0 {
		add("At most", Count(lim.MaxDownloads, "download"))
	}
	add("Changed", changes(l.Before))
}

func isAboutKey(a sluice.Action) bool {
	return a == sluice.KeyCreated || a == sluice.KeyUpdated || a == sluice.KeyRotated || a == sluice.KeyEnded
}

func addKey(add func(name, text string), k sluice.KeyPart) {
	add("Changed", changes(k.Before))
	r := k.Rights
	if r == nil {
		return
	}
	scopes := make([]string, len(r.Scopes))
	for i, scope := range r.Scopes {
		scopes[i] = string(scope)
	}
	add("Scopes", strings.Join(scopes, ", "))
	if !r.Expires.IsZero() {
		add("Expires", moment(r.Expires))
	}
	if !r.OldExpires.IsZero() {
		add("Its old secret works until", moment(r.OldExpires))
	}
}

// changes names what a change replaced.
func changes(b sluice.Before) string {
	return strings.Join(slices.Sorted(maps.Keys(b)), ", ")
}

// moment is a time to the second in UTC.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC" }

// english has the numbers and sizes of the sentences.
var english = text.For("en", "")

// Count is a number of things, such as "3 downloads".
func Count(n int64, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "y") && !strings.HasSuffix(thing, "ay"):
		return english.Number(n) + " " + strings.TrimSuffix(thing, "y") + "ies"
	}
	return english.Number(n) + " " + thing + "s"
}

// Visible shows a text of someone else as it is. Characters that would be invisible, end the line or change the order
// of the text around them become their code points, such as [U+202E]: a file name can otherwise look like another.
func Visible(s string) string {
	if !strings.ContainsFunc(s, isHidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isHidden(r) {
			fmt.Fprintf(&b, "[U+%04X]", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isHidden(r rune) bool {
	return r != '\u200c' && r != '\u200d' && // joiners of letters and emoji
		(unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point,
			unicode.Variation_Selector) || r == '\u2800' || r == unicode.ReplacementChar)
}

// quoted is a name that someone chose, such as that of a file. A name that could be taken for words of the sentence is
// in quotation marks, which it cannot end by itself.
func quoted(name string) string {
	name = Visible(name)
	if !strings.ContainsFunc(name, endsName) {
		return name
	}
	return "“" + strings.NewReplacer("“", "[U+201C]", "”", "[U+201D]").Replace(name) + "”"
}

func endsName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@#~", r)
}
