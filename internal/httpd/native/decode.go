package native

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/contract"
	"sluice/internal/jsoninput"
)

// maxFaults limits the failures that one answer lists.
const maxFaults = 50

// input is what an operation reads from a request: parameters in the path and the query, and a JSON body.
type input struct {
	params       []contract.Param
	body         *contract.Type // nil for none
	bodyRequired bool
	bodyField    []int
}

// inputOf describes the struct that holds the input of an operation.
func inputOf(t reflect.Type) input {
	in := input{params: contract.Params(t)}
	if f, ok := t.FieldByName("Body"); ok {
		in.bodyField = f.Index
		in.body, in.bodyRequired = contract.Body(t)
	}
	return in
}

// decode reads a request into the struct that inputOf described. The error lists every failure.
func (in input) decode(c *call, r *http.Request, into reflect.Value) error {
	r.URL = c.UpgradeQuery(r.URL)
	query, err := checkQuery(r.URL, in.params)
	if err != nil {
		return err
	}
	if in.body == nil {
		return invalid(in.decodeParams(r, query, into))
	}
	if err := checkContentType(r); err != nil {
		return err
	}
	faults := in.decodeParams(r, query, into)
	data, err := readBody(r)
	switch {
	case err != nil:
		return err
	case len(data) > 0:
		faults = append(faults, decodeBody(data, in.body, into.FieldByIndex(in.bodyField).Addr().Interface())...)
	case in.bodyRequired && len(faults) == 0:
		return sluice.Errorf(sluice.CodeValidation, "a body is required")
	}
	return invalid(faults)
}

// invalid is the error that lists faults by parameter; nil when there are none.
func invalid(faults []sluice.FieldError) error {
	slices.SortStableFunc(faults, func(a, b sluice.FieldError) int { return strings.Compare(a.Param, b.Param) })
	var v sluice.Invalid
	for _, f := range faults[:min(len(faults), maxFaults)] {
		v.Add(f.Param, f.Code, "%s", f.Message)
	}
	return v.Err()
}

// checkQuery parses a query. It refuses unknown, empty and repeated parameters.
func checkQuery(u *url.URL, params []contract.Param) (url.Values, error) {
	if u.RawQuery == "" {
		return nil, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, sluice.Errorf(sluice.CodeValidation, "the query of the URL is malformed")
	}
	var v sluice.Invalid
	for _, name := range slices.Sorted(maps.Keys(query)) {
		i := slices.IndexFunc(params, func(p contract.Param) bool { return p.In == "query" && p.Name == name })
		switch values := query[name]; {
		case i < 0:
			v.Add(httpd.Clean(name), "unknown", "unknown query parameter %q", httpd.Clean(name))
		case slices.Contains(values, ""):
			v.Add(name, "invalid", "%s must not be empty", name)
		case len(values) > 1 && params[i].Type.Kind != contract.List:
			v.Add(name, "invalid", "%s is given more than once", name)
		}
	}
	return query, v.Err()
}

// refuseQuery refuses all parameters.
func refuseQuery(u *url.URL) error {
	_, err := checkQuery(u, nil)
	return err
}

// decodeParams sets the fields that hold parameters.
func (in input) decodeParams(r *http.Request, query url.Values, into reflect.Value) (faults []sluice.FieldError) {
	for _, p := range in.params {
		values := query[p.Name]
		if p.In == "path" {
			values = []string{r.PathValue(p.Name)}
		}
		if len(values) == 0 && p.Default != "" {
			values = []string{p.Default}
		}
		if len(values) > 0 {
			faults = append(faults, decodeParam(p, values, into.FieldByIndex(p.Index))...)
		} else if p.Required {
			faults = append(faults, fault(p.Name, "invalid", " is required"))
		}
	}
	return faults
}

// decodeParam sets one field. Parameters are strings, integers and lists of strings.
func decodeParam(p contract.Param, values []string, field reflect.Value) []sluice.FieldError {
	switch p.Type.Kind {
	case contract.List:
		field.Set(reflect.ValueOf(values))
		return nil
	case contract.Integer:
		n, err := strconv.ParseInt(values[0], 10, 64)
		if err != nil {
			return []sluice.FieldError{fault(p.Name, "invalid", " must be an integer")}
		}
		field.SetInt(n)
		return check(p.Type, p.Name, float64(n))
	}
	field.SetString(values[0])
	return check(p.Type, p.Name, values[0])
}

// checkContentType accepts JSON, and requests without a Content-Type.
func checkContentType(r *http.Request) error {
	if err := httpd.CheckEncoding(r); err != nil {
		return err
	}
	declared := r.Header.Get("Content-Type")
	if declared == "" || r.ContentLength == 0 {
		return nil
	}
	if t, _, err := mime.ParseMediaType(declared); err != nil || t != "application/json" {
		return sluice.Errorf(sluice.CodeUnsupportedType, "the body must be application/json")
	}
	return nil
}

// readBody reads a JSON body to its end.
func readBody(r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, httpd.MaxBody+1))
	var timeout net.Error
	switch {
	case len(data) > httpd.MaxBody:
		return nil, sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", httpd.MaxBody)
	case errors.As(err, &timeout) && timeout.Timeout():
		seconds := int(httpd.BodyTimeout.Seconds())
		return nil, sluice.Errorf(sluice.CodeValidation, "the body did not arrive within %d seconds", seconds)
	case err != nil:
		return nil, sluice.Wrap(sluice.CodeValidation, "the body ended early", err)
	}
	return data, nil
}

// decodeBody decodes a JSON document of type t into v, a pointer, and returns its failures.
func decodeBody(data []byte, t *contract.Type, v any) []sluice.FieldError {
	var document any
	if err := decodeJSON(data, &document); err != nil {
		return jsonFaults(err)
	}
	if faults := check(t, "", document); len(faults) > 0 {
		return faults
	}
	return jsonFaults(decodeJSON(data, v))
}

// ambiguousJSON lists what makes a JSON document ambiguous or unreadable.
type ambiguousJSON []sluice.FieldError

func (a ambiguousJSON) Error() string { return a[0].Message }

var errNotUTF8 = errors.New("the body is not UTF-8")

// decodeJSON decodes a JSON document into v, a pointer. Integers may have an exponent or a fraction of zero.
func decodeJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	faults := jsoninput.CheckJSON(data)
	plain, tooLarge := jsoninput.PlainIntegers(data)
	if faults = append(faults, tooLarge...); len(faults) > 0 {
		return ambiguousJSON(faults)
	}
	return json.Unmarshal(plain, v)
}

// jsonFaults returns the failures in an error of decodeJSON.
func jsonFaults(err error) []sluice.FieldError {
	if err == nil {
		return nil
	}
	if ambiguous, ok := errors.AsType[ambiguousJSON](err); ok {
		list := slices.Clone(ambiguous[:min(len(ambiguous), maxFaults)])
		for i, f := range list {
			list[i].Param, list[i].Message = httpd.Clean(f.Param), strings.Replace(f.Message, f.Param, httpd.Clean(f.Param), 1)
		}
		return list
	}
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		// A number such as 9007199254740993.5. The path of a member of an embedded struct includes that struct.
		name := mistyped.Field[strings.LastIndexByte(mistyped.Field, '.')+1:]
		return []sluice.FieldError{fault(name, "invalid", " must be an integer")}
	}
	message := err.Error()
	if !errors.Is(err, errNotUTF8) {
		message = "the body is not JSON: " + message
	}
	return []sluice.FieldError{{Code: "invalid", Message: message}}
}
