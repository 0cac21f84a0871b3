// Package contract reads what the struct tags of the wire types say. The decoder of the native API holds requests
// to it, and the OpenAPI document is made from it, so that the two cannot differ.
//
// The tags are: json for a member of a body, path or query for a parameter, doc for its description, and required,
// default, enum, minimum, maximum and nullable. Any other type of a field is a mistake, and Of and Params panic.
package contract

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"sluice/api"
)

// Kind is what a value is on the wire.
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

// Type is what a value must be.
type Type struct {
	Kind             Kind
	Nullable         bool
	Minimum, Maximum *float64
	Enum             []string
	Go               reflect.Type
	Elem             *Type    // of a List or a Map
	Members          []Member // of an Object, those of the struct itself before those of embedded ones
}

// Member is one member of an object.
type Member struct {
	Name, Doc string
	Required  bool
	Type      *Type
}

// Param is one parameter in the path or the query of a request.
type Param struct {
	Member
	In      string // path or query
	Default string
	Index   []int // of its field, as in reflect.Value.FieldByIndex
}

// optionals are the types that stand for a value, null, or no change.
var optionals = map[reflect.Type]reflect.Type{
	reflect.TypeFor[api.Optional[api.Lifetime]](): reflect.TypeFor[*api.Lifetime](),
	reflect.TypeFor[api.Optional[int64]]():        reflect.TypeFor[*int64](),
	reflect.TypeFor[api.Optional[string]]():       reflect.TypeFor[*string](),
}

// Of gives what a value of a Go type must be.
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
		panic(fmt.Sprintf("%s has no form on the wire", t))
	}
	return w
}

// members are the members of a struct.
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
			m.Type.Nullable = false // it is left out
		}
		list = append(list, m)
	}
	return append(list, embedded...)
}

// fields are the exported and the embedded fields of a struct.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); (f.IsExported() || f.Anonymous) && !yield(f) {
				return
			}
		}
	}
}

// typeOfField is the type of a field, with what its tags add.
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
		panic(fmt.Sprintf("%s of %s is no number", tag, f.Name))
	}
	return &n
}

// Params are the parameters that the fields of a struct stand for.
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
			panic(fmt.Sprintf("the parameter %s is no text, integer or list of texts", p.Name))
		}
		list = append(list, p)
	}
	return list
}

// Body gives the type of the JSON body that a struct asks for in its field Body, nil for none. It is required
// unless the field is a pointer.
func Body(t reflect.Type) (body *Type, required bool) {
	f, ok := t.FieldByName("Body")
	if !ok {
		return nil, false
	}
	return Of(f.Type), f.Type.Kind() != reflect.Pointer
}
