package native

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/httpd/contract"
)

// fault is a failure of the value at a path. Its message begins with the path and never shows the value, which may be
// a secret.
func fault(at, code, message string) sluice.FieldError {
	return sluice.FieldError{Param: httpd.Clean(at), Code: code, Message: httpd.Clean(at) + message}
}

// check returns the failures of a decoded JSON value of type t. The path of a whole document is "".
func check(t *contract.Type, at string, value any) []sluice.FieldError {
	if value == nil && t.Nullable {
		return nil
	}
	switch t.Kind {
	case contract.Text:
		return checkText(t, at, value)
	case contract.Integer:
		return checkInteger(t, at, value)
	case contract.Boolean:
		if _, ok := value.(bool); !ok {
			return mistyped(at, "a boolean", value)
		}
	case contract.Lifetime:
		if n, ok := value.(float64); value != api.EndlessName && (!ok || n != math.Trunc(n)) {
			return mistyped(at, `a whole number of seconds or "`+api.EndlessName+`"`, value)
		}
	case contract.List:
		return checkList(t, at, value)
	case contract.Map, contract.Object:
		return checkObject(t, at, value)
	}
	return nil
}

func checkText(t *contract.Type, at string, value any) []sluice.FieldError {
	text, ok := value.(string)
	switch {
	case !ok:
		return mistyped(at, "a string", value)
	case t.Enum != nil && !slices.Contains(t.Enum, text):
		choices := strings.Join(t.Enum, ", ")
		return []sluice.FieldError{fault(at, "invalid", " must be one of "+choices)}
	}
	return nil
}

func checkInteger(t *contract.Type, at string, value any) (faults []sluice.FieldError) {
	n, ok := value.(float64)
	if !ok || n != math.Trunc(n) {
		faults = mistyped(at, "an integer", value)
	}
	if ok && t.Minimum != nil && n < *t.Minimum {
		faults = append(faults, fault(at, "out_of_range", " must be at least "+number(*t.Minimum)))
	}
	if ok && t.Maximum != nil && n > *t.Maximum {
		faults = append(faults, fault(at, "out_of_range", " must be at most "+number(*t.Maximum)))
	}
	return faults
}

func checkList(t *contract.Type, at string, value any) (faults []sluice.FieldError) {
	list, ok := value.([]any)
	if !ok {
		return mistyped(at, "an array", value)
	}
	for i, element := range list {
		faults = append(faults, check(t.Elem, fmt.Sprintf("%s[%d]", at, i), element)...)
	}
	return faults
}

// checkObject checks the members of an object. A null member counts as absent where it may be absent.
func checkObject(t *contract.Type, at string, value any) (faults []sluice.FieldError) {
	object, ok := value.(map[string]any)
	if !ok && at == "" {
		return []sluice.FieldError{{Code: "invalid", Message: "the body must be a JSON object"}}
	}
	if !ok {
		return mistyped(at, "an object", value)
	}
	if at != "" {
		at += "."
	}
	known := map[string]bool{}
	for _, m := range t.Members {
		known[m.Name] = true
		member, given := object[m.Name]
		switch {
		case !given && m.Required:
			faults = append(faults, fault(m.Name, "required", " is required"))
		case given && (member != nil || m.Required):
			faults = append(faults, check(m.Type, at+m.Name, member)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch {
		case t.Kind == contract.Map:
			faults = append(faults, check(t.Elem, at+name, object[name])...)
		case !known[name]:
			param := httpd.Clean(at + name)
			faults = append(faults, sluice.FieldError{
				Param: param, Code: "unknown", Message: fmt.Sprintf("unknown member %q", param),
			})
		}
	}
	return faults
}

// number formats a bound, without an exponent.
func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// mistyped is the failure of a value of the wrong type.
func mistyped(at, wanted string, value any) []sluice.FieldError {
	return []sluice.FieldError{fault(at, "invalid", " must be "+wanted+", not "+kindOf(value))}
}

// kindOf names the type of a decoded JSON value.
func kindOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		if value != math.Trunc(value) {
			return "a fraction"
		}
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
