package jsoninput_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/internal/jsoninput"
)

func TestCheckJSON(t *testing.T) {
	for _, test := range []struct{ document, params string }{
		{`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}`, ""},
		{`{"a":1,"a":1}`, "a"},
		{`{"a":1,"\u0061":1}`, "a"},
		{`{"m":{"k":1,"k":2},"l":[{},{"x":1,"x":1,"x":1}]}`, "m.k l.1.x l.1.x"},
		{`{"a":"\ud83d\ude00 \u00e9 \\ud800"}`, ""},
		{`{"a":"x\ud83d"}`, "a"},
		{`{"a":"\udc00","b":["\ud83dx","\ud83d\ud83d","\ud83d\u0041"]}`, "a b.0 b.1 b.2"},
		{`{"\ud800":1}`, "\uFFFD"},
		{`"\ud83d"`, ""},
		{`[`, ""}, {``, ""}, {`{"a":1}{"a":1}`, ""}, {"\xff", ""},
	} {
		var got []string
		for _, f := range jsoninput.CheckJSON([]byte(test.document)) {
			got = append(got, f.Param)
		}
		if strings.Join(got, " ") != test.params {
			t.Errorf("%s: %q, want %q", test.document, got, test.params)
		}
	}
	if len(jsoninput.CheckJSON([]byte(`"\ud83d"`))) != 1 {
		t.Error("no fault in a document that is one string")
	}
}

func TestPlainIntegers(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "-1": "-1", "3.0": "3", "1795850000.0": "1795850000", "1.79585e9": "1795850000", "1E+3": "1000",
		"-2.50e1": "-25",
		"0.0":     "0", "-0.0": "0", "0e400": "0", "1000e-3": "1", "10e-1": "1", "0.001e3": "1",
		"9007199254740993.0":      "9007199254740993",
		"9.223372036854775807e18": "9223372036854775807", "-9.223372036854775808e18": "-9223372036854775808",
		"1.5": "1.5", "1e-3": "1e-3", "0.5e0": "0.5e0", "1e-400": "1e-400", "12e-1": "12e-1", "5e-1": "5e-1",
		"9223372036854775808": "!", "9.223372036854775808e18": "!", "1e400": "!", "-1e19": "!",
		"1e99999999999999999999": "!", "1.5e300": "!",
	} {
		plain, faults := jsoninput.PlainIntegers([]byte(`{"m": {"n" : [` + number + ` ,"1.0"]}}`))
		if want == "!" {
			if len(faults) != 1 || faults[0].Param != "m.n.0" || faults[0].Code != "out_of_range" {
				t.Errorf("%s: %+v", number, faults)
			}
			continue
		}
		if string(plain) != `{"m": {"n" : [`+want+` ,"1.0"]}}` || len(faults) > 0 {
			t.Errorf("%s: %s, %+v", number, plain, faults)
		}
	}
}

func FuzzStrictJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1.0,"\ud800",{"b":1e5}]}`, `[-0.0]`, `"\\u"`, `{"a":{"a":1,"a":[]}}`, `1e-1`, `{"\ud83d":0}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		jsoninput.CheckJSON(data)
		plain, _ := jsoninput.PlainIntegers(data)
		if json.Valid(data) != json.Valid(plain) {
			t.Errorf("%q became %q", data, plain)
		}
		var before, after any
		if json.Unmarshal(data, &before) != nil || json.Unmarshal(plain, &after) != nil {
			return
		}
		a, _ := json.Marshal(before)
		b, _ := json.Marshal(after)
		if strings.ReplaceAll(string(a), "-0", "0") != strings.ReplaceAll(string(b), "-0", "0") {
			t.Errorf("%s became %s", a, b)
		}
	})
}
