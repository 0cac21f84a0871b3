package console

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice"
	"sluice/internal/sentence"
)

// fields is a form as a page shows it: what someone typed, and what is wrong with it. Its fields have the names of the
// parameters of the API.
type fields struct {
	values   url.Values
	names    []string // of the fields that the page has
	prefix   string   // of the ids of the fields, where a page has two forms
	problems map[string]string
	first    string   // the first field with a problem
	others   []string // problems of no field
	title    string   // what failed; "" if nothing did
}

// newFields makes a form with some values and no problems.
func newFields(values url.Values, names ...string) *fields {
	if values == nil {
		values = url.Values{}
	}
	return &fields{values: values, names: names, problems: map[string]string{}}
}

// fail adds what is wrong, and reports whether a form can say it. An error that is not about the input is for a page
// of its own.
func (f *fields) fail(title string, err error) bool {
	e, ok := errors.AsType[*sluice.Error](err)
	if !ok || !slices.Contains(aboutInput, e.Code) {
		return false
	}
	f.title = title
	list := e.Fields
	if len(list) == 0 {
		list = []sluice.FieldError{{Param: e.Param, Message: e.Detail}}
	}
	for _, p := range list {
		name, ok := f.nameOf(p.Param)
		switch {
		case !ok:
			f.others = append(f.others, inWords(p))
		case f.problems[name] == "":
			f.problems[name] = inWords(p)
		}
	}
	for _, name := range f.names {
		if f.first == "" && f.problems[name] != "" {
			f.first = name
		}
	}
	return true
}

// aboutInput are the errors that the person who filled in a form can do something about.
var aboutInput = []sluice.Code{
	sluice.CodeValidation, sluice.CodeDigestMismatch, sluice.CodeTooLarge, sluice.CodeUnsupportedType,
	sluice.CodeForbidden, sluice.CodeFileHeld, sluice.CodePreconditionFailed, sluice.CodeLinkExpired,
	sluice.CodeLinkRevoked, sluice.CodeConflict,
}

// nameOf finds the field of a parameter: that of its name, or that of the list or object that it lies in.
func (f *fields) nameOf(param string) (name string, ok bool) {
	if param == "recipient" {
		param = "recipient.email"
	}
	for param != "" {
		if slices.Contains(f.names, param) {
			return param, true
		}
		param = param[:max(0, strings.LastIndexByte(param, '.'))]
	}
	return "", false
}

// words are the names of parameters as people say them.
var words = strings.NewReplacer(
	"expires_in_seconds is", "the lifetime in seconds is", "expires_at", "this time", "allowed_recipients", "the list",
	"max_downloads", "the number of downloads", "recipient.name", "the name", "recipient.email", "the address",
	"notify.email", "the address", "linked_resources", "the list", "notify.on", "the list",
)

// inWords is a problem as a sentence.
func inWords(p sluice.FieldError) string {
	message := words.Replace(p.Message)
	if p.Code == "required" && p.Param == "reason" {
		message = strings.TrimSuffix(message, " reason") + " a reason"
	}
	return full(message)
}

// full makes a sentence of a message of the service.
func full(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	message = string(unicode.ToUpper(first)) + message[size:]
	if !strings.HasSuffix(message, ".") {
		message += "."
	}
	return sentence.Visible(strings.Replace(message, "is visible to this key", "is visible to you", 1))
}

// Failed reports whether something is wrong; Title says what failed, and Elsewhere what no field says.
func (f *fields) Failed() bool        { return f.title != "" }
func (f *fields) Title() string       { return f.title }
func (f *fields) Elsewhere() []string { return f.others }

// Get is the value of a field. Has reports whether it has a value among others.
func (f *fields) Get(name string) string { return f.values.Get(name) }

// Has reports whether a field has a value, as of several boxes with one name.
func (f *fields) Has(name, value string) bool { return slices.Contains(f.values[name], value) }

// Problem is what is wrong with a field, or "".
func (f *fields) Problem(name string) string { return f.problems[name] }

// field is one field of a form in a template.
type field struct {
	ID, Name, Type     string
	Label, Hint        string
	Value, Problem     string
	Example, Complete  string
	Most, Rows         int
	Optional, Required bool
	Focus, Ticked      bool
}

// Field is a field with a label and an explanation, which may be "".
func (f *fields) Field(name, label, hint string) field {
	return field{
		ID: f.prefix + strings.ReplaceAll(name, ".", "-"), Name: name, Type: "text", Label: label, Hint: hint,
		Value: f.Get(name), Problem: f.problems[name], Focus: name == f.first, Rows: 3,
	}
}

// Tick is a box to tick, which sends a value.
func (f *fields) Tick(name, value, label string) field {
	t := f.Field(name, label, "")
	t.ID, t.Type, t.Ticked = t.ID+"-"+value, value, f.Has(name, value)
	return t
}

// DescribedBy lists the ids of the texts that explain the field (WAI-ARIA 1.2, aria-describedby).
func (d field) DescribedBy() string {
	var ids []string
	if d.Problem != "" {
		ids = append(ids, d.ID+"-wrong")
	}
	if d.Hint != "" {
		ids = append(ids, d.ID+"-hint")
	}
	return strings.Join(ids, " ")
}

// As sets the type of an input, May its largest length, Like an example, In the number of rows of an area.
func (d field) As(kind string) field {
	d.Type = kind
	if kind == "password" { // it is not sent back
		d.Value = ""
	}
	return d
}
func (d field) May(most int) field        { d.Most = most; return d }
func (d field) Like(example string) field { d.Example = example; return d }
func (d field) In(rows int) field         { d.Rows = rows; return d }
func (d field) Fill(with string) field    { d.Complete = with; return d }
func (d field) Maybe() field              { d.Optional = true; return d }
func (d field) Must(need bool) field      { d.Required, d.Optional = need, !need; return d }
