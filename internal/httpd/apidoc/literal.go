package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A value of JSON in the order of its document: an object with its members, an array, or a scalar as JSON text.
type node struct {
	object, array bool
	members       []member
	elements      []node
	scalar        string
}

type member struct {
	name  string
	value node
}

// parsed returns the tree of a value's JSON.
func parsed(v any) node {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // it depends on no input
	}
	d := json.NewDecoder(&b)
	d.UseNumber()
	return parse(d)
}

func parse(d *json.Decoder) (n node) {
	switch t := next(d).(type) {
	case json.Delim:
		n.object, n.array = t == '{', t == '['
		for d.More() {
			if n.object {
				name := next(d).(string)
				n.members = append(n.members, member{name, parse(d)})
			} else {
				n.elements = append(n.elements, parse(d))
			}
		}
		next(d)
	case nil:
		n.scalar = "null"
	case string:
		n.scalar = quoted(t)
	default:
		n.scalar = fmt.Sprint(t)
	}
	return n
}

func next(d *json.Decoder) json.Token {
	t, err := d.Token()
	if err != nil {
		panic(err) // it depends on no input
	}
	return t
}

// quoted returns a string literal that JSON, JavaScript and Python share.
func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text has a JSON form
	return strings.TrimSpace(b.String())
}

// notation is how a language writes the values of JSON.
type notation struct {
	name   func(string) string // of a member
	scalar map[string]string   // words that differ from those of JSON
	indent string
	comma  string // after the last element of several lines
}

var isIdentifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var (
	inJavaScript = notation{indent: "  ", comma: ",", name: func(name string) string {
		if isIdentifier.MatchString(name) {
			return name
		}
		return quoted(name)
	}}
	inJSON   = notation{indent: "  ", name: quoted}
	inPython = notation{
		indent: "    ", comma: ",", name: quoted,
		scalar: map[string]string{"null": "None", "true": "True", "false": "False"},
	}
)

// write returns a value as a literal whose first line stands behind at.
func (n notation) write(v node, at string) string {
	var lines []string
	switch {
	case v.object:
		for _, m := range v.members {
			lines = append(lines, n.name(m.name)+": "+n.write(m.value, at+n.indent))
		}
		return n.enclosed("{", "}", lines, at)
	case v.array:
		for _, element := range v.elements {
			lines = append(lines, n.write(element, at+n.indent))
		}
		if short := "[" + strings.Join(lines, ", ") + "]"; len(short) < 60 && !strings.Contains(short, "\n") {
			return short
		}
		return n.enclosed("[", "]", lines, at)
	}
	if word := n.scalar[v.scalar]; word != "" {
		return word
	}
	return v.scalar
}

func (n notation) enclosed(begin, end string, lines []string, at string) string {
	if len(lines) == 0 {
		return begin + end
	}
	inner := "\n" + at + n.indent
	return begin + inner + strings.Join(lines, ","+inner) + n.comma + "\n" + at + end
}

// goLiteral returns an expression in Go for a value, without its zero fields.
func goLiteral(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return fmt.Sprintf("%d*time.Second", int64(d.Seconds()))
	}
	switch v.Kind() {
	case reflect.Pointer:
		return goPointer(v)
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		text := fmt.Sprint(v.Interface())
		if v.Kind() == reflect.String {
			text = strconv.Quote(v.String())
		}
		if v.Type().PkgPath() != "" || v.Kind() == reflect.Int64 {
			return v.Type().String() + "(" + text + ")"
		}
		return text
	case reflect.Slice:
		var elements []string
		for i := range v.Len() {
			elements = append(elements, goElement(v.Index(i)))
		}
		return v.Type().String() + "{" + strings.Join(elements, ", ") + "}"
	case reflect.Map:
		return goMap(v)
	case reflect.Struct:
		return goStruct(v)
	}
	panic("no literal for " + v.Type().String())
}

// goElement returns an element of a slice, whose type is that of the slice.
func goElement(v reflect.Value) string {
	return strings.TrimPrefix(goLiteral(v), v.Type().String())
}

func goPointer(v reflect.Value) string {
	if v.IsNil() {
		return "nil"
	}
	literal := goLiteral(v.Elem())
	if k := v.Elem().Kind(); k == reflect.Struct || k == reflect.Slice {
		return "&" + literal
	}
	return "new(" + literal + ")"
}

func goMap(v reflect.Value) string {
	lines := []string{v.Type().String() + "{"}
	for _, key := range sortedKeys(v) {
		lines = append(lines, strconv.Quote(key.String())+": "+goLiteral(v.MapIndex(key))+",")
	}
	return strings.Join(append(lines, "}"), "\n")
}

func goStruct(v reflect.Value) string {
	if optional := v.MethodByName("Get"); optional.IsValid() { // an api.Optional
		name, arg, _ := strings.Cut(v.Type().String(), ".Optional[")
		if value := optional.Call(nil)[0]; !value.IsNil() {
			return name + ".Some(" + goLiteral(value.Elem()) + ")"
		}
		return name + ".Null[" + arg + "()"
	}
	var fields []string
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && !v.Field(i).IsZero() {
			literal := goLiteral(v.Field(i))
			if k := v.Field(i).Kind(); k == reflect.Int || k == reflect.Int64 {
				literal = fmt.Sprint(v.Field(i).Interface()) // the field has the type
			}
			fields = append(fields, f.Name+": "+literal)
		}
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "\n") {
		return v.Type().String() + "{" + fields[0] + "}"
	}
	return v.Type().String() + "{\n" + strings.Join(append(fields, "}"), ",\n")
}
