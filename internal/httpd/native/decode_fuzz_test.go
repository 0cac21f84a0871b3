package native

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sluice/internal/httpd/contract"
)

// FuzzDecodeBody compares validation with decoding: encoding/json reads every body without failures, and every failure
// names its place.
func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, `7`, `{"a":`, `{"filename":"a","title":null,"metadata":{"a":"b","c":null},"held":true}`,
		`{"linked_resources":[{"type":"a","id":"1"}]}`, `{"expires_in_seconds":"none","expires_at":1e3,"max_downloads":0}`,
		`{"expires_at":9007199254740993.5}`, `{"name":"n","scopes":["a"],"expires_at":-1.0,"max_link_lifetime":3.0}`,
		`{"file_ids":["a",null],"file_id":1,"Name":"n"}`, `{"overlap_seconds":9223372036854775807}`, `{"reason":"\ud83d"}`,
	} {
		f.Add([]byte(seed))
	}
	var bodies []reflect.Type
	for _, rt := range Routes() {
		if rt.Input != nil {
			if body, _ := contract.Body(rt.Input); body != nil {
				bodies = append(bodies, body.Go)
			}
		}
	}
	if len(bodies) < 8 {
		f.Fatalf("only %d operations have a body", len(bodies))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, body := range bodies {
			into := reflect.New(body)
			faults := decodeBody(data, contract.Of(body), into.Interface())
			for _, fault := range faults {
				if fault.Code == "" || fault.Message == "" || strings.ContainsAny(fault.Message, "\x00\n") {
					t.Errorf("%s as %s: %+v", data, body, fault)
				}
			}
			if len(faults) > 0 {
				continue
			}
			if !json.Valid(data) {
				t.Errorf("%q is a %s", data, body)
			}
			again, err := json.Marshal(into.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if faults := decodeBody(again, contract.Of(body), reflect.New(body).Interface()); len(faults) > 0 {
				t.Errorf("%s as %s is written as %s: %+v", data, body, again, faults)
			}
		}
	})
}
