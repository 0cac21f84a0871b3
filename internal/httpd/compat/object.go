package compat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/jsoninput"
)

// Object holds the members of a JSON object (RFC 8259) in the body of a request. It
// is read like a Form.
type Object struct {
	members map[string]json.RawMessage
	asked   map[string]bool
	invalid *sluice.Invalid
}

// ReadObject reads a body of at most limit bytes with one JSON object. An empty body
// is an object without members. Failures of members are added to v.
func ReadObject(c Call, limit int64, v *sluice.Invalid) (*Object, error) {
	data, err := c.Body(limit)
	if err != nil {
		return nil, err
	}
	if len(data) > 0 && !IsJSON(c.Request()) {
		return nil, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be application/json")
	}
	return parseObject(data, v)
}

func parseObject(data []byte, v *sluice.Invalid) (*Object, error) {
	o := &Object{asked: map[string]bool{}, invalid: v}
	if len(data) == 0 {
		return o, nil
	}
	if err := json.Unmarshal(data, &o.members); err != nil || !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return nil, sluice.Errorf(sluice.CodeValidation, "the body must be a JSON object")
	}
	for _, f := range jsoninput.CheckJSON(data) {
		v.Add(clip(f.Param), f.Code, "%s", clip(f.Message))
	}
	return o, nil
}

// IsJSON reports whether a request declares its body as application/json.
func IsJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// Text returns a member that is a string, and whether it was given. For any other
// type it adds a failure with the code of Mistyped(want, …).
func (o *Object) Text(name, want string) (text string, given bool) {
	o.asked[name] = true
	raw, given := o.members[name]
	if !given {
		return "", false
	}
	if kindOf(raw) != "string" || json.Unmarshal(raw, &text) != nil {
		o.invalid.Add(name, Mistyped(want, kindOf(raw)), "%s must be a %s, not %s", name, want, kindOf(raw))
		return "", false
	}
	return text, true
}

// Pairs returns a member that is a flat map. Its values are strings; numbers and
// booleans are returned as they are written in the body.
func (o *Object) Pairs(name string) map[string]string {
	o.asked[name] = true
	raw, given := o.members[name]
	if !given {
		return nil
	}
	var members map[string]json.RawMessage
	if kindOf(raw) != "object" || json.Unmarshal(raw, &members) != nil {
		o.invalid.Add(name, Mistyped("object", kindOf(raw)), "%s must be an object, not %s", name, kindOf(raw))
		return nil
	}
	pairs := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		value := members[key]
		var text string
		switch kind := kindOf(value); kind {
		case "string":
			if err := json.Unmarshal(value, &text); err != nil {
				o.invalid.Add(name+"."+clip(key), "invalid", "%s is not a valid string", clip(key))
			}
		case "number", "boolean":
			text = string(value)
		default:
			o.invalid.Add(name+"."+clip(key), Mistyped("string", kind),
				"the value of %s must be a string, not %s", clip(key), kind)
		}
		pairs[key] = text
	}
	return pairs
}

// Unknown returns the sorted names of the members that were not read.
func (o *Object) Unknown() (names []string) {
	for name := range o.members {
		if !o.asked[name] {
			names = append(names, clip(name))
		}
	}
	slices.Sort(names)
	return names
}

// Has reports whether the object has a member, even if it is null.
func (o *Object) Has(name string) bool {
	_, given := o.members[name]
	return given
}

func kindOf(raw json.RawMessage) string {
	switch {
	case len(raw) == 0 || raw[0] == 'n':
		return "null"
	case raw[0] == '"':
		return "string"
	case raw[0] == '{':
		return "object"
	case raw[0] == '[':
		return "array"
	case raw[0] == 't' || raw[0] == 'f':
		return "boolean"
	}
	return "number"
}

const mistyped = "type:"

// Mistyped returns the code of the failure that a value has another type than wanted.
func Mistyped(want, got string) string { return fmt.Sprintf("%s%s:%s", mistyped, want, got) }

// IsMistyped parses a code of Mistyped.
func IsMistyped(code string) (want, got string, ok bool) {
	rest, ok := strings.CutPrefix(code, mistyped)
	want, got, _ = strings.Cut(rest, ":")
	return want, got, ok
}
