package stripe

import (
	"encoding/json"
	"io"
	"slices"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// file is the object of https://docs.stripe.com/api/files/object.
type file struct {
	ID        string  `json:"id"`
	Object    string  `json:"object"`
	Created   int64   `json:"created"`
	ExpiresAt *int64  `json:"expires_at"`
	Filename  string  `json:"filename"`
	Links     *list   `json:"links"` // null for a key that may not read links
	Purpose   string  `json:"purpose"`
	Size      int64   `json:"size"`
	Title     *string `json:"title"`
	Type      *string `json:"type"`
	URL       string  `json:"url"`
}

// shownLinks is the maximum number of links in a file object.
const shownLinks = 10

// wireFile converts a file, with its newest links if the key may read links.
func wireFile(c compat.Call, f sluice.File, ex expansion) (file, error) {
	if !c.Caller().Key.Grants(sluice.LinksRead) {
		return bareFile(c, f), nil
	}
	r := c.Request()
	filter, page := service.LinkFilter{FileID: f.ID}, sluice.Page{Limit: shownLinks}
	links, err := c.Service().Links.List(r.Context(), c.Caller(), filter, page)
	if err != nil {
		return file{}, err
	}
	return withLinks(c, f, links, ex)
}

func withLinks(c compat.Call, f sluice.File, links sluice.List[sluice.Link], ex expansion) (file, error) {
	out := bareFile(c, f)
	out.Links = &list{Object: "list", Data: []any{}, HasMore: links.More, URL: "/v1/file_links?file=" + f.ID}
	for _, l := range links.Data {
		shown, err := wireLink(c, l, c.Service().Now(), ex["links"]["data"])
		if err != nil {
			return file{}, err
		}
		out.Links.Data = append(out.Links.Data, shown)
	}
	return out, nil
}

func bareFile(c compat.Call, f sluice.File) file {
	out := file{
		ID: f.ID, Object: "file", Created: f.Created.Unix(), Filename: f.Filename, Purpose: f.Purpose, Size: f.Size,
		Title: textOrNull(f.Title), Type: textOrNull(compat.ShortType(f)),
		URL: c.Service().PublicURL() + prefix + "/v1/files/" + f.ID + "/contents",
	}
	if !f.Expires.IsZero() {
		at := f.Expires.Unix()
		out.ExpiresAt = &at
	}
	return out
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func getFile(c compat.Call) error {
	p := query(c)
	ex := p.expand("file")
	if err := p.done(); err != nil {
		return err
	}
	r := c.Request()
	id := r.PathValue("id")
	f, err := c.Service().Files.Get(r.Context(), c.Caller(), id)
	if err == nil && !f.Active() {
		err = sluice.Errorf(sluice.CodeNotFound, "")
	}
	if err != nil {
		return noSuch(err, "file", id, "id")
	}
	out, err := wireFile(c, f, ex)
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

func getContents(c compat.Call) error {
	if err := query(c).done(); err != nil {
		return err
	}
	id := c.Request().PathValue("id")
	if err := c.Deliver(id); err != nil {
		return noSuch(err, "file", id, "id")
	}
	return nil
}

func listFiles(c compat.Call) error {
	p := query(c)
	span, filter, ex := p.span(), service.FileFilter{Created: p.created()}, p.expand("files")
	p.bound(span, "file", ex["data"])
	if filter.Purpose = p.text("purpose"); filter.Purpose != "" {
		p.purpose(c, filter.Purpose)
	}
	if err := p.done(); err != nil {
		return err
	}
	l, err := c.Service().Files.List(c.Request().Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return noCursor(err, "file", span)
	}
	out := list{Object: "list", Data: []any{}, HasMore: l.More, URL: "/v1/files"}
	for _, f := range l.Data {
		shown, err := wireFile(c, f, ex["data"])
		if err != nil {
			return err
		}
		out.Data = append(out.Data, shown)
	}
	return c.Answer(200, out)
}

// purpose adds a failure unless name is a configured purpose.
func (p params) purpose(c compat.Call, name string) {
	known := func(one sluice.Purpose) bool { return one.Name == name }
	if !slices.ContainsFunc(c.Service().Purposes(), known) {
		p.invalid.Add("purpose", "invalid", "unknown purpose %q", clip(name))
	}
}

func createFile(c compat.Call) error {
	v := &sluice.Invalid{}
	created, err := c.Upload(&upload{params: params{compat.ParseForm(c.Request().URL.RawQuery, v), v}})
	if err != nil {
		return err
	}
	// A repeated request gets the same response, whatever changed since.
	var links sluice.List[sluice.Link]
	if created.Link != nil {
		links.Data = []sluice.Link{*created.Link}
	}
	out, err := withLinks(c, created.File, links, nil)
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

// upload is a form that creates a file.
type upload struct {
	params  params
	fields  [][2]string // in the order of the form
	part    compat.Part
	content *compat.Sniffer
}

// maxField is the maximum length of a field in bytes.
const maxField = 4 << 10

func (u *upload) Limit(string) int64 { return maxField }

func (u *upload) Set(name, value string) {
	if len(value) > maxField {
		u.params.invalid.Add(name, "too_long", "%s is longer than %d bytes", clip(name), maxField)
		return
	}
	u.fields = append(u.fields, [2]string{name, value})
	u.params.Add(name, value)
}

func (u *upload) Open(part *compat.Part) (purpose string, content io.Reader, err error) {
	p := u.params
	if part == nil {
		p.invalid.Add("file", "required", "the form must have a part named file")
		p.required("purpose")
		return "", nil, p.invalid.Err()
	}
	u.part, u.content = *part, &compat.Sniffer{Content: part.Content}
	if p.Has("purpose") {
		purpose = p.required("purpose")
	}
	return purpose, u.content, p.invalid.Err()
}

func (u *upload) Describe() (service.NewFile, error) {
	p := u.params
	n := service.NewFile{Filename: u.part.Filename, Purpose: p.required("purpose")}
	p.expand("file")
	if p.Has("file_link_data") {
		n.Link = u.link()
	}
	n.Type = u.content.MediaType(u.part.Type, n.Filename)
	return n, p.done()
}

// link returns the link to create with the file, or nil.
func (u *upload) link() *service.NewLink {
	p := params{u.params.Members("file_link_data"), u.params.invalid}
	const full = "file_link_data"
	create := p.flag("create", full+"[create]")
	if create == nil {
		p.invalid.Add(full+"[create]", "required", "%s[create] is required", full)
	}
	link := &service.NewLink{Metadata: p.metadata()}
	p.expiry(link, full+"[expires_at]")
	if create == nil || !*create {
		return nil
	}
	return link
}

// Said implements compat.Upload.
func (u *upload) Said() string {
	said, err := json.Marshal(u.fields)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(said)
}
