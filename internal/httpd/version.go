package httpd

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"sluice"
	"sluice/internal/jsoninput"
)

// versions lists the versions of the native API, oldest first. The code implements the last one. The next change that
// could break a client adds one entry, which converts to and from the version before it, and changes
// sluice.APIVersion.
var versions = []version{
	{name: sluice.APIVersion},
}

// version is one version of the API: how to convert requests from, and answers to, the version before it. A nil
// function converts nothing.
type version struct {
	name string // the day it was made, YYYY-MM-DD

	// body converts the JSON body of a request for an operation from the version before into this version.
	body func(operation string, body map[string]any)
	// param converts a query parameter or a field of an upload in the same way.
	param func(operation, name, value string) (string, string)
	// answer converts an object of an answer, at any depth, into the version before. kind is its member object, or
	// "problem".
	answer func(kind string, object map[string]any)
}

// speak sets the version of a request and its answer: the one in Sluice-Version, or else the one of the key. A key
// with a version that this server does not know, because a newer server made it, gets the newest.
func (c *Call) speak(r *http.Request) error {
	all := c.server.versions
	pinned, ok := findVersion(all, c.Caller.Key.Version)
	if !ok {
		pinned = len(all) - 1
	}
	c.version = pinned
	values := r.Header.Values("Sluice-Version")
	if len(values) > 0 {
		asked, ok := findVersion(all, values[0])
		if !ok || len(values) > 1 {
			c.Header.Set("Sluice-Version", all[pinned].name)
			var v sluice.Invalid
			v.Add("Sluice-Version", "invalid", "there is no version %q of this API; the newest is %s",
				Clean(values[0]), all[len(all)-1].name)
			return v.Err()
		}
		c.version = asked
	}
	c.Header.Set("Sluice-Version", all[c.version].name)
	return nil
}

func findVersion(all []version, name string) (int, bool) {
	i := slices.IndexFunc(all, func(v version) bool { return v.name == name })
	return i, i >= 0
}

// later lists the versions after the one of the request, oldest first.
func (c *Call) later() []version {
	if c.Caller.Key.ID == "" {
		return nil
	}
	return c.server.versions[c.version+1:]
}

// upgradeBody converts a JSON body to the newest version. It leaves a body that is no JSON object, or is ambiguous,
// for validation to refuse.
func (c *Call) upgradeBody(body []byte) []byte {
	if len(c.later()) == 0 || !utf8.Valid(body) || !json.Valid(body) || len(jsoninput.CheckJSON(body)) > 0 {
		return body
	}
	var doc map[string]any
	if err := decodeNumbers(body, &doc); err != nil || doc == nil {
		return body
	}
	for _, v := range c.later() {
		if v.body != nil {
			v.body(c.operation, doc)
		}
	}
	upgraded, err := encode(doc)
	if err != nil {
		return body
	}
	return upgraded
}

// UpgradeParam converts a parameter to the newest version.
func (c *Call) UpgradeParam(name, value string) (string, string) {
	for _, v := range c.later() {
		if v.param != nil {
			name, value = v.param(c.operation, name, value)
		}
	}
	return name, value
}

// UpgradeQuery converts every parameter of a query to the newest version.
func (c *Call) UpgradeQuery(u *url.URL) *url.URL {
	if len(c.later()) == 0 || u.RawQuery == "" {
		return u
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return u
	}
	upgraded := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			upgraded.Add(c.UpgradeParam(name, value))
		}
	}
	newest := *u
	newest.RawQuery = upgraded.Encode()
	return &newest
}

// downgrade converts an answer to the version of the request.
func (c *Call) downgrade(answer any) (any, error) {
	if len(c.later()) == 0 {
		return answer, nil
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := decodeNumbers(data, &doc); err != nil {
		return nil, err
	}
	for _, v := range slices.Backward(c.later()) {
		if v.answer != nil {
			v.each(doc)
		}
	}
	return doc, nil
}

// each applies answer to every object in doc, innermost first.
func (v version) each(doc any) {
	switch doc := doc.(type) {
	case []any:
		for _, element := range doc {
			v.each(element)
		}
	case map[string]any:
		for name, member := range doc {
			if name != "metadata" { // the caller's own
				v.each(member)
			}
		}
		if kind, ok := doc["object"].(string); ok {
			v.answer(kind, doc)
		} else if _, ok := doc["doc_url"]; ok {
			v.answer("problem", doc)
		}
	}
}

// decodeNumbers decodes JSON without changing how numbers are written.
func decodeNumbers(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v)
}
