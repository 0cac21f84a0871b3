package native

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// Limits of the fields of an upload, in bytes.
const (
	maxField     = 4 << 10 // a string
	maxAddresses = 8 << 10 // a list of networks or e-mail addresses
)

// fields describe the file of an upload. They come as the parts of a form, or in the query beside a raw body.
type fields struct {
	upgrade  func(name, value string) (string, string) // converts from an earlier version of the API; nil for none
	seen     map[string]bool
	invalid  sluice.Invalid
	purpose  string
	title    string
	filename string
	metadata sluice.Metadata
	linked   []api.Resource
	link     *api.NewLink // nil when the upload asks for no link
}

func newFields() fields {
	return fields{seen: map[string]bool{}, metadata: sluice.Metadata{}}
}

// fieldLimit is the longest value of a field, in bytes.
func fieldLimit(name string) int64 {
	switch name {
	case "metadata", "linked_resources", "link[metadata]", "link[message]", "link[terms]":
		return httpd.MaxBody
	case "link[allowed_ips]", "link[allowed_recipients]":
		return maxAddresses
	}
	return maxField
}

// set sets one field. It adds failures to f.invalid.
func (f *fields) set(name, value string) {
	if f.upgrade != nil {
		name, value = f.upgrade(name, value)
	}
	param := fieldParam(name)
	again := f.seen[name]
	f.seen[name] = true
	switch limit := fieldLimit(name); {
	case int64(len(value)) > limit:
		f.invalid.Add(param, "too_long", "%s is longer than %d bytes", param, limit)
		return
	case again:
		f.invalid.Add(param, "invalid", "%s is given more than once", param)
		return
	}
	if key, ok := element(name, "metadata"); ok {
		addPair(&f.metadata, "metadata.", key, value, &f.invalid)
		return
	}
	if member, ok := strings.CutPrefix(name, "link["); ok && strings.HasSuffix(name, "]") {
		f.setLink(strings.TrimSuffix(member, "]"), param, value)
		return
	}
	switch name {
	case "purpose":
		f.purpose = value
	case "title":
		f.title = value
	case "filename":
		f.filename = value
	case "metadata":
		addPairs(&f.metadata, "metadata", value, &f.invalid)
	case "linked_resources":
		f.setResources(value)
	default:
		f.invalid.Add(param, "unknown", "unknown field %q", httpd.Clean(name))
	}
}

// fieldParam is the name of a field in failures, which has dots.
func fieldParam(name string) string {
	if strings.Contains(name, "[") && strings.HasSuffix(name, "]") {
		name = strings.NewReplacer("][", ".", "[", ".").Replace(strings.TrimSuffix(name, "]"))
	}
	return httpd.Clean(name)
}

// element returns the key of a field that is one element of a map: name[key].
func element(field, name string) (key string, ok bool) {
	key, ok = strings.CutPrefix(field, name+"[")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, "]")
}

// setLink sets one member of the link to mint with the file.
func (f *fields) setLink(member, param, value string) {
	if f.link == nil {
		f.link = &api.NewLink{}
	}
	if key, ok := strings.CutPrefix(member, "metadata]["); ok {
		addPair((*sluice.Metadata)(&f.link.Metadata), "link.metadata.", key, value, &f.invalid)
		return
	}
	switch member {
	case "expires_in_seconds":
		seconds, ok := api.ParseLifetime(value)
		if !ok {
			f.invalid.Add(param, "invalid", "%s must be an integer or none", param)
		}
		f.link.ExpiresInSeconds = &seconds
	case "expires_at":
		f.link.ExpiresAt = f.integer(param, value)
	case "max_downloads":
		f.link.MaxDownloads = f.integer(param, value)
	case "reason":
		f.link.Reason = value
	case "password":
		f.link.Password = &value
	case "allowed_ips":
		f.link.AllowedIPs = commaList(value)
	case "disposition":
		f.link.Disposition = value
	case "filename":
		f.link.Filename = value
	case "metadata":
		addPairs((*sluice.Metadata)(&f.link.Metadata), "link.metadata", value, &f.invalid)
	default:
		if !f.setAccess(member, param, value) {
			f.invalid.Add(param, "unknown", "unknown field %q", param)
		}
	}
}

// setAccess sets a member of the link that is about people, and reports whether there is such a member.
func (f *fields) setAccess(member, param, value string) bool {
	switch member {
	case "recipient][email", "recipient][name":
		if f.link.Recipient == nil {
			f.link.Recipient = &api.Recipient{}
		}
		if member == "recipient][email" {
			f.link.Recipient.Email = value
		} else {
			f.link.Recipient.Name = value
		}
	case "notify][email", "notify][on":
		if f.link.Notify == nil {
			f.link.Notify = &api.Notify{}
		}
		if member == "notify][email" {
			f.link.Notify.Email = value
		} else {
			f.link.Notify.On = commaList(value)
		}
	case "allowed_recipients":
		f.link.AllowedRecipients = commaList(value)
	case "verification":
		f.link.Verification = value
	case "send":
		send, err := strconv.ParseBool(value)
		if err != nil {
			f.invalid.Add(param, "invalid", "%s must be true or false", param)
		}
		f.link.Send = send
	case "message":
		f.link.Message = value
	case "terms":
		f.link.Terms = value
	case "page":
		f.link.Page = value
	case "language":
		f.link.Language = value
	default:
		return false
	}
	return true
}

// commaList splits a list with commas.
func commaList(value string) (list []string) {
	for element := range strings.SplitSeq(value, ",") {
		list = append(list, strings.TrimSpace(element))
	}
	return list
}

func (f *fields) integer(param, value string) *int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		f.invalid.Add(param, "invalid", "%s must be an integer", param)
	}
	return &n
}

// setResources sets the linked resources from a JSON array.
func (f *fields) setResources(value string) {
	var list []map[string]string
	err := decodeJSON([]byte(value), &list)
	if ambiguous("linked_resources", err, &f.invalid) {
		return
	}
	if err != nil || list == nil {
		f.invalid.Add("linked_resources", "invalid", "linked_resources must be a JSON array of objects with type and id")
		return
	}
	for i, r := range list {
		for _, name := range slices.Sorted(maps.Keys(r)) {
			if name != "type" && name != "id" {
				param := "linked_resources." + strconv.Itoa(i) + "." + httpd.Clean(name)
				f.invalid.Add(param, "unknown", "unknown member %q", param)
				return
			}
		}
		f.linked = append(f.linked, api.Resource{Type: r["type"], ID: r["id"]})
	}
}

// ambiguous adds the failures of ambiguous JSON in a field, and reports whether err is about that.
func ambiguous(param string, err error, v *sluice.Invalid) bool {
	faults, ok := errors.AsType[ambiguousJSON](err)
	if !ok {
		return false
	}
	for _, f := range faults[:min(len(faults), maxFaults)] {
		v.Add(param+"."+httpd.Clean(f.Param), f.Code, "%s.%s", param, httpd.Clean(f.Message))
	}
	return true
}

// addPairs adds metadata from a JSON object.
func addPairs(m *sluice.Metadata, param, value string, v *sluice.Invalid) {
	var pairs map[string]*string
	err := decodeJSON([]byte(value), &pairs)
	if ambiguous(param, err, v) {
		return
	}
	if err != nil || pairs == nil {
		v.Add(param, "invalid", "%s must be a JSON object with string values", param)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		if pairs[key] == nil {
			v.Add(param+"."+httpd.Clean(key), "invalid", "%s must be a string", param+"."+httpd.Clean(key))
			continue
		}
		addPair(m, param+".", key, *pairs[key], v)
	}
}

func addPair(m *sluice.Metadata, prefix, key, value string, v *sluice.Invalid) {
	param := prefix + httpd.Clean(key)
	if _, taken := (*m)[key]; taken {
		v.Add(param, "invalid", "%s is given more than once", param)
		return
	}
	if *m == nil {
		*m = sluice.Metadata{}
	}
	(*m)[key] = value
}

// file returns the description of the file, once all fields are set.
func (f *fields) file(mediaType string) (service.NewFile, error) {
	n := service.NewFile{
		Purpose: f.purpose, Filename: f.filename, Title: f.title, Type: mediaType,
		Metadata: f.metadata, Linked: resources(f.linked),
	}
	if f.link != nil {
		link := newLink("link.", *f.link, &f.invalid)
		n.Link = &link
	}
	return n, f.invalid.Err()
}

// said is everything in the fields, for a fingerprint.
func (f *fields) said() string {
	all, err := json.Marshal([]any{f.purpose, f.filename, f.title, f.metadata, f.linked, f.link})
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return string(all)
}
