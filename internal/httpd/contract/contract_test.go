package contract_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/api"
	"sluice/internal/httpd/contract"
)

type inner struct {
	Second int64 `json:"second" minimum:"1"`
}

type sample struct {
	inner
	First    string               `json:"first" enum:"a,b" doc:"The first"`
	Left     *string              `json:"left,omitempty"`
	Null     *string              `json:"null"`
	Change   api.Optional[string] `json:"change,omitzero"`
	List     []string             `json:"list" nullable:"false"`
	Map      map[string]*string   `json:"map,omitempty"`
	Lifetime *api.Lifetime        `json:"lifetime,omitempty"`
}

func TestOf(t *testing.T) {
	type row struct {
		name               string
		kind               contract.Kind
		required, nullable bool
	}
	want := []row{
		{
			"first", contract.Text, true, false,
		}, {"left", contract.Text, false, false}, {"null", contract.Text, true, true},
		{
			"change", contract.Text, false, true,
		}, {"list", contract.List, true, false}, {"map", contract.Map, false, false},
		{"lifetime", contract.Lifetime, false, false}, {"second", contract.Integer, true, false},
	}
	var got []row
	s := contract.Of(reflect.TypeFor[sample]())
	for _, m := range s.Members {
		got = append(got, row{m.Name, m.Type.Kind, m.Required, m.Type.Nullable})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	first, keyed, second := s.Members[0], s.Members[5].Type, s.Members[7].Type
	if first.Doc != "The first" || !slices.Equal(first.Type.Enum, []string{"a", "b"}) || !keyed.Elem.Nullable ||
		*second.Minimum != 1 {
		t.Errorf("%+v %+v %+v", first, keyed, second)
	}
}

func TestParams(t *testing.T) {
	type page struct {
		Limit int `query:"limit" default:"10" maximum:"100"`
	}
	type input struct {
		page
		ID   string   `path:"id"`
		IDs  []string `query:"ids"`
		Need string   `query:"need" required:"true"`
		Body *sample
	}
	v := reflect.New(reflect.TypeFor[input]()).Elem()
	var got []string
	for _, p := range contract.Params(v.Type()) {
		got = append(got, strings.TrimSpace(p.In+" "+p.Name+" "+p.Default))
		if p.Required != (p.Name == "id" || p.Name == "need") || !v.FieldByIndex(p.Index).IsValid() {
			t.Errorf("%+v", p)
		}
	}
	if want := []string{"query limit 10", "path id", "query ids", "query need"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if body, required := contract.Body(v.Type()); body.Go != reflect.TypeFor[sample]() || required {
		t.Errorf("%+v %t", body, required)
	}
}

// TestMistakes checks that unsupported types panic when the server starts.
func TestMistakes(t *testing.T) {
	for name, mistake := range map[string]func(){
		"a float": func() {
			contract.Of(reflect.TypeFor[struct {
				F float64 `json:"f"`
			}]())
		},
		"a parameter that is a map": func() {
			contract.Params(reflect.TypeFor[struct {
				M map[string]string `query:"m"`
			}]())
		},
		"a minimum that is no number": func() {
			contract.Params(reflect.TypeFor[struct {
				N int `query:"n" minimum:"one"`
			}]())
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			mistake()
		})
	}
}
