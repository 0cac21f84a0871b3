package apidoc

import (
	"reflect"
	"strings"

	"sluice/api"
	"sluice/internal/httpd/contract"
)

// schemaOf returns the schema of a Go type. It adds the schemas of structs to the components of the document.
func (d *document) schemaOf(t reflect.Type) *schema { return d.schema(contract.Of(t)) }

func (d *document) schema(t *contract.Type) *schema {
	s := &schema{Nullable: t.Nullable, Minimum: t.Minimum, Maximum: t.Maximum}
	for _, value := range t.Enum {
		s.Enum = append(s.Enum, value)
	}
	switch t.Kind {
	case contract.Text:
		s.Type = typeString
	case contract.Integer:
		s.Type, s.Format = typeInteger, "int64"
	case contract.Boolean:
		s.Type = typeBoolean
	case contract.Lifetime:
		return lifetime()
	case contract.List:
		s.Type, s.Items = typeArray, d.schema(t.Elem)
	case contract.Map:
		s.Type, s.AdditionalProperties = typeObject, d.schema(t.Elem)
	case contract.Object:
		name := schemaName(t.Go)
		if d.Components.Schemas[name] == nil {
			d.Components.Schemas[name] = d.objectSchema(t)
		}
		return &schema{Ref: schemaPrefix + name}
	}
	return s
}

func (d *document) objectSchema(t *contract.Type) *schema {
	s := &schema{Type: typeObject, AdditionalProperties: false, Properties: map[string]*schema{}}
	for _, m := range t.Members {
		member := d.schema(m.Type)
		member.Description = m.Doc
		s.Properties[m.Name] = member
		if m.Required {
			s.Required = append(s.Required, m.Name)
		}
	}
	return s
}

// schemaName returns the name of a struct; for List[File] it is ListFile.
func schemaName(t reflect.Type) string {
	name, of, _ := strings.Cut(strings.TrimSuffix(t.Name(), "]"), "[")
	return name + of[strings.LastIndexByte(of, '.')+1:]
}

// lifetime returns the schema of a lifetime.
func lifetime() *schema {
	return &schema{OneOf: []*schema{
		{Type: typeInteger, Format: "int64", Nullable: true},
		{Type: typeString, Enum: []any{api.EndlessName}},
	}}
}
