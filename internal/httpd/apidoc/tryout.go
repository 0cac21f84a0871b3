package apidoc

import (
	"fmt"
	"strings"

	"sluice/internal/httpd"
)

// tryForm is a form that sends a request from the page.
type tryForm struct {
	Keyed  bool
	Fields []tryField // those that are required
	More   []tryField
	JSON   string // example of a body
	Lines  int    // of the example
	File   bool   // whether a part of the form is a file
	Raw    bool   // whether the body is a file
}

type tryField struct {
	Name, In, Example string // In is path, query, header or form
	Value             string // what the field holds at first
	Required          bool
	Secret            bool
}

// At returns the field with the id that it has in the form of an operation.
func (f tryField) At(operation string) placedField {
	return placedField{f, operation + "-" + strings.NewReplacer("[", "-", "]", "").Replace(f.Name)}
}

type placedField struct {
	tryField
	ID string
}

// untried are the operations without a try-out: their pages are documents, or a test key cannot use them.
var untried = map[string]bool{"getMetrics": true, "showReference": true, "showPage": true, "explainError": true}

// tryFormOf returns the form of an operation, or nil for none.
func tryFormOf(op *operation, rt httpd.Route) *tryForm {
	if untried[rt.Operation] {
		return nil
	}
	f := &tryForm{Keyed: rt.Scope != httpd.Public}
	for _, p := range op.Parameters {
		if strings.HasSuffix(p.Description, ifRaw) || strings.HasSuffix(p.Name, "-Digest") || p.Name == "Sluice-Version" {
			continue
		}
		field := tryField{Name: p.Name, In: p.In, Example: exampleText(p), Required: p.Required}
		if field.Required {
			if p.Name == "purpose" {
				field.Value = field.Example
			}
			f.Fields = append(f.Fields, field)
		} else {
			f.More = append(f.More, field)
		}
	}
	if op.RequestBody == nil {
		return f
	}
	switch content := op.RequestBody.Content; {
	case content["application/json"] != nil:
		f.JSON = inJSON.write(parsed(content["application/json"].Example), "")
		f.Lines = min(12, strings.Count(f.JSON, "\n")+1)
	case content["application/x-www-form-urlencoded"] != nil:
		f.Fields = append(f.Fields, tryField{Name: "password", In: "form", Secret: true})
	case content["multipart/form-data"] != nil:
		f.File = true
		for _, field := range uploadFields {
			f.addUploadField(field)
		}
	default:
		f.Raw = true
	}
	return f
}

func (f *tryForm) addUploadField(field uploadField) {
	text := fmt.Sprint(field.example)
	if field.json {
		text = strings.Join(strings.Fields(inJSON.write(parsed(field.example), "")), " ")
	}
	if field.name == "purpose" {
		f.Fields = append(f.Fields, tryField{Name: field.name, In: "form", Example: text, Value: text, Required: true})
		return
	}
	f.More = append(f.More, tryField{Name: field.name, In: "form", Example: text})
}

// exampleText returns the example of a parameter as the text of a field.
func exampleText(p *param) string {
	if p.Content != nil {
		return strings.Join(strings.Fields(inJSON.write(parsed(p.Content["application/json"].Example), "")), " ")
	}
	if list, ok := p.Example.([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(p.Example)
}
