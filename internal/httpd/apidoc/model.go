package apidoc

import (
	"encoding/json"
)

// The types of this file are the parts of an OpenAPI 3.1 document that ours uses. Members are ordered by name, like in
// the document.

// document is the whole document.
type document struct {
	Components components           `json:"components"`
	Info       info                 `json:"info"`
	OpenAPI    string               `json:"openapi"`
	Paths      map[string]*pathItem `json:"paths"`
	Servers    []server             `json:"servers"`
	Tags       []tag                `json:"tags"`
}

type info struct {
	Description string  `json:"description"`
	License     license `json:"license"`
	Title       string  `json:"title"`
	Version     string  `json:"version"`
}

type license struct {
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
}

type server struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

type tag struct {
	Description string `json:"description"`
	Name        string `json:"name"`
}

type components struct {
	Examples        map[string]*example       `json:"examples"`
	Headers         map[string]*param         `json:"headers"`
	Responses       map[string]*response      `json:"responses"`
	Schemas         map[string]*schema        `json:"schemas"`
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type example struct {
	Ref     string `json:"$ref,omitempty"`
	Summary string `json:"summary,omitempty"`
	Value   any    `json:"value,omitempty"`
}

type securityScheme struct {
	BearerFormat string `json:"bearerFormat,omitempty"`
	Description  string `json:"description"`
	In           string `json:"in,omitempty"`
	Name         string `json:"name,omitempty"`
	Scheme       string `json:"scheme,omitempty"`
	Type         string `json:"type"`
}

type pathItem struct {
	Delete *operation `json:"delete,omitempty"`
	Get    *operation `json:"get,omitempty"`
	Patch  *operation `json:"patch,omitempty"`
	Post   *operation `json:"post,omitempty"`
	Put    *operation `json:"put,omitempty"`
}

// of returns the field for the operation of a method.
func (p *pathItem) of(method string) **operation {
	return map[string]**operation{
		"DELETE": &p.Delete, "GET": &p.Get, "PATCH": &p.Patch, "POST": &p.Post, "PUT": &p.Put,
	}[method]
}

type operation struct {
	Description string                `json:"description"`
	OperationID string                `json:"operationId"`
	Parameters  []*param              `json:"parameters,omitempty"`
	RequestBody *requestBody          `json:"requestBody,omitempty"`
	Responses   map[string]*response  `json:"responses"`
	Security    []map[string][]string `json:"security"`
	Summary     string                `json:"summary"`
	Tags        []string              `json:"tags"`

	Method string `json:"-"`
	Path   string `json:"-"`
}

// param is a parameter or a response header.
type param struct {
	Ref         string                `json:"$ref,omitempty"`
	Content     map[string]*mediaType `json:"content,omitempty"`
	Description string                `json:"description,omitempty"`
	Example     any                   `json:"example,omitempty"`
	Explode     *bool                 `json:"explode,omitempty"`
	In          string                `json:"in,omitempty"`
	Name        string                `json:"name,omitempty"`
	Required    bool                  `json:"required,omitempty"`
	Schema      *schema               `json:"schema,omitempty"`
}

type requestBody struct {
	Content  map[string]*mediaType `json:"content"`
	Required bool                  `json:"required,omitempty"`
}

type response struct {
	Ref         string                `json:"$ref,omitempty"`
	Content     map[string]*mediaType `json:"content,omitempty"`
	Description string                `json:"description,omitempty"`
	Headers     map[string]*param     `json:"headers,omitempty"`
}

type mediaType struct {
	Example  any                 `json:"example,omitempty"`
	Examples map[string]*example `json:"examples,omitempty"`
	Schema   *schema             `json:"schema,omitempty"`
}

// The types of schemas.
const (
	typeArray   = "array"
	typeBoolean = "boolean"
	typeInteger = "integer"
	typeObject  = "object"
	typeString  = "string"
)

// schemaPrefix is the prefix of references to schemas.
const schemaPrefix = "#/components/schemas/"

// schema is a JSON Schema (draft 2020-12).
type schema struct {
	Ref                  string             `json:"$ref,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // false, or a *schema
	ContentMediaType     string             `json:"contentMediaType,omitempty"`
	Default              any                `json:"default,omitempty"`
	Description          string             `json:"description,omitempty"`
	Enum                 []any              `json:"enum,omitempty"`
	Examples             []any              `json:"examples,omitempty"`
	Format               string             `json:"format,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	MaxItems             *int               `json:"maxItems,omitempty"`
	MaxLength            *int               `json:"maxLength,omitempty"`
	MaxProperties        *int               `json:"maxProperties,omitempty"`
	Maximum              *float64           `json:"maximum,omitempty"`
	MinItems             *int               `json:"minItems,omitempty"`
	MinLength            *int               `json:"minLength,omitempty"`
	Minimum              *float64           `json:"minimum,omitempty"`
	Not                  *schema            `json:"not,omitempty"`
	OneOf                []*schema          `json:"oneOf,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	PatternProperties    map[string]*schema `json:"patternProperties,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	Required             []string           `json:"required,omitempty"`
	Type                 string             `json:"-"`
	Types                any                `json:"type,omitempty"` // set from Type and Nullable
	UniqueItems          bool               `json:"uniqueItems,omitempty"`

	Nullable bool `json:"-"`
}

// MarshalJSON encodes a nullable schema with two types.
func (s *schema) MarshalJSON() ([]byte, error) {
	type plain schema
	shown := plain(*s)
	if s.Nullable && s.Type != "" {
		shown.Types = []string{s.Type, "null"}
	} else if s.Type != "" {
		shown.Types = s.Type
	}
	return json.Marshal(shown)
}
