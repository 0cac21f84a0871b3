// Package contract reads the constraints in the struct tags of the wire types. The native API checks requests against
// them, and the OpenAPI document is generated from them, so the two cannot differ.
//
// The tags are: json for a member of a body, path or query for a parameter, doc for its description, and required,
// default, enum, minimum, maximum and nullable. Of and Params panic on a field of an unsupported type.
package contract

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"sluice/api"
)

// Kind is the kind of a value on the wire.
type Kind int

// The kinds of values.
const (
	Any Kind = iota
	Text
	Integer
	Boolean
	Lifetime // an integer, or api.EndlessName
	List
	Map // an object with any members
	Object
)

// Type describes the valid values of a member or parameter.
type Type struct {
	Kind             Kind
	Nullable         bool
	Minimum, Maximum *float64
	Enum             []string
	Go               reflect.Type
	Elem             *Type    // of a List or a Map
	Members          []Member // of an Object; members of the struct itself precede those of embedded structs
}

// Member is a member of an object.
type Member struct {
	Name, Doc string
	Required  bool
	Type      *Type
}

// Param is a parameter in the path or the query of a request.
type Param struct {
	Member
	In      string // path or query
	Default string
	Index   []int // index of its field for reflect.Value.FieldByIndex
}

// optionals maps the types with the states value, null and unset to plain types.
var optionals = map[reflect.Type]reflect.Type{
	reflect.TypeFor[api.Optional[api.Lifetime]](): reflect.TypeFor[*api.Lifetime](),
	reflect.TypeFor[api.Optional[int64]]():        reflect.TypeFor[*int64](),
	reflect.TypeFor[api.Optional[string]]():       reflect.TypeFor[*string](),
	reflect.TypeFor[api.Optional[api.Notify]]():   reflect.TypeFor[*api.Notify](),
}

// Of returns the Type of a Go type.
func Of(t reflect.Type) *Type {
	if inner, ok := optionals[t]; ok {
		t = inner
	}
	isPointer := t.Kind() == reflect.Pointer
	if isPointer {
		t = t.Elem()
	}
	w := &Type{Go: t, Nullable: isPointer}
	if t == reflect.TypeFor[api.Lifetime]() {
		w.Kind = Lifetime
		return w
	}
	switch t.Kind() {
	case reflect.Interface:
		w.Kind = Any
	case reflect.String:
		w.Kind = Text
	case reflect.Int, reflect.Int64:
		w.Kind = Integer
	case reflect.Bool:
		w.Kind = Boolean
	case reflect.Slice:
		w.Kind, w.Elem, w.Nullable = List, Of(t.Elem()), true
	case reflect.Map:
		w.Kind, w.Elem, w.Nullable = Map, Of(t.Elem()), false
	case reflect.Struct:
		w.Kind, w.Members, w.Nullable = Object, members(t), false
	default:
		panic(fmt.Sprintf("type %s is not supported on the wire", t))
	}
	return w
}

// members returns the members of a struct.
func members(t reflect.Type) (list []Member) {
	var embedded []Member
	for f := range fields(t) {
		if f.Anonymous {
			embedded = append(embedded, members(f.Type)...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := Member{Name: name, Doc: f.Tag.Get("doc"), Required: options == "", Type: typeOfField(f)}
		if f.Type.Kind() == reflect.Pointer && options != "" {
			m.Type.Nullable = false // omitted instead of null
		}
		list = append(list, m)
	}
	return append(list, embedded...)
}

// fields yields the exported and the embedded fields of a struct.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && !yield(f) {
				return
			}
		}
	}
}

// typeOfField returns the type of a field with the constraints of its tags.
func typeOfField(f reflect.StructField) *Type {
	t := Of(f.Type)
	t.Minimum, t.Maximum = number(f, "minimum"), number(f, "maximum")
	if list := f.Tag.Get("enum"); list != "" {
		t.Enum = strings.Split(list, ",")
	}
	if text, ok := f.Tag.Lookup("nullable"); ok {
		t.Nullable = text == "true"
	}
	return t
}

func number(f reflect.StructField, tag string) *float64 {
	text, ok := f.Tag.Lookup(tag)
	if !ok {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("%s of %s is not a number", tag, f.Name))
	}
	return &n
}

// Params returns the parameters described by the fields of a struct.
func Params(t reflect.Type) (list []Param) {
	for f := range fields(t) {
		if f.Anonymous {
			for _, p := range Params(f.Type) {
				p.Index = append(append([]int{}, f.Index...), p.Index...)
				list = append(list, p)
			}
			continue
		}
		p := Param{Default: f.Tag.Get("default"), Index: f.Index}
		p.Doc, p.Required = f.Tag.Get("doc"), f.Tag.Get("required") == "true"
		if name, ok := f.Tag.Lookup("path"); ok {
			p.Name, p.In, p.Required = name, "path", true
		} else if name, ok := f.Tag.Lookup("query"); ok {
			p.Name, p.In = name, "query"
		} else {
			continue
		}
		p.Type = typeOfField(f)
		if k := p.Type.Kind; k != Text && k != Integer && (k != List || p.Type.Elem.Kind != Text) {
			panic(fmt.Sprintf("parameter %s must be a text, an integer or a list of texts", p.Name))
		}
		list = append(list, p)
	}
	return list
}

// Body returns the type of a struct's field Body, which describes a JSON body, or nil if it has none. The body is
// required unless the field is a pointer.
func Body(t reflect.Type) (body *Type, required bool) {
	f, ok := t.FieldByName("Body")
	if !ok {
		return nil, false
	}
	return Of(f.Type), f.Type.Kind() != reflect.Pointer
}
