package digitalriver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// file is a File of Digital River.
type file struct {
	ID          string     `json:"id"`
	CreatedTime string     `json:"createdTime"`
	FileName    string     `json:"fileName"`
	Links       []fileLink `json:"links,omitempty"`
	Purpose     string     `json:"purpose"`
	Title       string     `json:"title,omitempty"`
	Size        int64      `json:"size"`
	Type        string     `json:"type,omitempty"`
	URL         string     `json:"url"`
	LiveMode    bool       `json:"liveMode"`
}

// shownLinks is the maximum number of links in a file object.
const shownLinks = 10

// wireFile converts a file, with its newest links if the key may read links.
func wireFile(c compat.Call, f sluice.File) (file, error) {
	var links sluice.List[sluice.Link]
	if c.Caller().Key.Grants(sluice.LinksRead) {
		var err error
		filter, page := service.LinkFilter{FileID: f.ID}, sluice.Page{Limit: shownLinks}
		links, err = c.Service().Links.List(c.Request().Context(), c.Caller(), filter, page)
		if err != nil {
			return file{}, err
		}
	}
	return withLinks(c, f, links.Data)
}

func withLinks(c compat.Call, f sluice.File, links []sluice.Link) (file, error) {
	out := file{
		ID: f.ID, CreatedTime: moment(f.Created), FileName: f.Filename, Purpose: f.Purpose, Title: f.Title,
		Size: f.Size, Type: compat.ShortType(f), LiveMode: f.Ledger.Mode.Live(),
		URL: c.Service().PublicURL() + prefix + "/files/" + f.ID + "/content",
	}
	for _, l := range links {
		shown, err := wireLink(c, l, c.Service().Now())
		if err != nil {
			return file{}, err
		}
		out.Links = append(out.Links, shown)
	}
	return out, nil
}

func listFiles(c compat.Call) error {
	p := query(c)
	span := p.span()
	filter := service.FileFilter{
		Created: p.created(), IDs: p.ids(), Filename: p.text("fileName"), Title: p.text("title"), Purposes: purposes,
		Size: compat.Range(p.Form, "size", "a number of bytes", bytes),
	}
	if name := p.text("purpose"); name != "" {
		filter.Purposes = []string{p.purpose(name)}
	}
	if short := p.text("type"); short != "" {
		filter.Types = compat.MediaTypes(short)
	}
	if err := p.done(); err != nil {
		return err
	}
	l, err := c.Service().Files.List(c.Request().Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return cursor(err)
	}
	out, err := pageOf(l, func(f sluice.File) (file, error) { return wireFile(c, f) })
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

func bytes(text string) (first, last int64, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, n, err == nil && n >= 0
}

// purpose adds a failure unless name is a purpose of Digital River.
func (p params) purpose(name string) string {
	if !slices.Contains(purposes, name) {
		p.invalid.Add("purpose", "invalid", "purpose must be one of %s", strings.Join(purposes, ", "))
	}
	return name
}

// visible returns the file in the path. It is not found if it has a purpose that
// Digital River does not know or, unless deleted is set, if it was deleted.
func visible(c compat.Call, deleted bool) (sluice.File, error) {
	r := c.Request()
	id := r.PathValue("id")
	f, err := c.Service().Files.Get(r.Context(), c.Caller(), id)
	if err == nil && (!slices.Contains(purposes, f.Purpose) || !f.Active() && !deleted) {
		err = sluice.Errorf(sluice.CodeNotFound, "")
	}
	return f, noSuch(err, "file")
}

func getFile(c compat.Call) error {
	if err := query(c).done(); err != nil {
		return err
	}
	f, err := visible(c, false)
	if err != nil {
		return err
	}
	out, err := wireFile(c, f)
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

func getContent(c compat.Call) error {
	if err := query(c).done(); err != nil {
		return err
	}
	f, err := visible(c, false)
	if err != nil {
		return err
	}
	if err := c.Deliver(f.ID); err != nil {
		return noSuch(err, "file")
	}
	return nil
}

// deleteFile requires files:read too.
func deleteFile(c compat.Call) error {
	if _, err := c.Body(compat.MaxBody); err != nil {
		return err
	}
	f, err := visible(c, true) // a repeated request finds the file deleted
	if err != nil {
		return err
	}
	if _, err := c.Service().Files.Delete(c.Request().Context(), c.Caller(), f.ID, nil); err != nil {
		return noSuch(err, "file")
	}
	return c.Answer(204, nil)
}

func createFile(c compat.Call) error {
	var created service.CreatedFile
	var err error
	if compat.IsJSON(c.Request()) {
		created, err = createEncoded(c)
	} else {
		v := &sluice.Invalid{}
		created, err = c.Upload(&upload{params: params{compat.NewForm(v), v}})
	}
	if err != nil {
		return err
	}
	// A repeated request gets the same response, whatever changed since.
	var links []sluice.Link
	if created.Link != nil {
		links = []sluice.Link{*created.Link}
	}
	out, err := withLinks(c, created.File, links)
	if err != nil {
		return err
	}
	return c.Answer(201, out)
}

// maxEncoded is the maximum length of the body of a JSON upload in bytes. The body is
// held in memory; larger files need a form.
const maxEncoded = 16 << 20

// createEncoded stores a file that is encoded in a JSON object.
func createEncoded(c compat.Call) (created service.CreatedFile, err error) {
	p, o, err := body(c, maxEncoded)
	if err != nil {
		return created, err
	}
	n := service.NewFile{Purpose: p.purpose(p.required(o, "purpose")), Filename: p.required(o, "fileName")}
	n.Title, _ = o.Text("title", "string")
	content := p.required(o, "file")
	if text, given := o.Text("linkExpiresTime", "string"); given {
		n.Link = &service.NewLink{Expires: expiry(p.invalid, "linkExpiresTime", text)}
	}
	if err := p.finished(o); err != nil {
		return created, err
	}
	sniffed := &compat.Sniffer{Content: decode(strings.NewReader(content))}
	return c.Service().Files.Create(
		c.Request().Context(), c.Caller(), n.Purpose, sniffed,
		func() (service.NewFile, error) {
			n.Type = sniffed.MediaType("", n.Filename)
			return n, nil
		},
	)
}

// decoder decodes base64 (RFC 4648 section 4), with or without line breaks.
type decoder struct{ r io.Reader }

func decode(r io.Reader) io.Reader { return decoder{base64.NewDecoder(base64.StdEncoding, r)} }

func (d decoder) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || err == io.ErrUnexpectedEOF {
		var v sluice.Invalid
		v.Add("file", badFormat, "file is not valid base64 or is truncated")
		err = v.Err()
	}
	return n, err
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
		u.params.invalid.Add(clip(name), "too_long", "%s is longer than %d bytes", clip(name), maxField)
		return
	}
	u.fields = append(u.fields, [2]string{name, value})
	u.params.Add(name, value)
}

// Open stores a part with a file name as it is, and decodes base64 in one without.
func (u *upload) Open(part *compat.Part) (purpose string, content io.Reader, err error) {
	p := u.params
	if part == nil {
		p.invalid.Add("file", "required", "file is required")
		u.required("purpose")
		return "", nil, p.invalid.Err()
	}
	u.part = *part
	if !part.Named {
		u.part.Content, u.part.Type = decode(part.Content), "" // the declared type is that of the base64 text
	}
	u.content = &compat.Sniffer{Content: u.part.Content}
	if p.Has("purpose") {
		purpose = p.purpose(u.required("purpose"))
	}
	return purpose, u.content, p.invalid.Err()
}

func (u *upload) required(name string) string {
	text, _ := u.params.Text(name)
	if text == "" {
		u.params.invalid.Add(name, "required", "%s is required", name)
	}
	return text
}

func (u *upload) Describe() (service.NewFile, error) {
	p := u.params
	n := service.NewFile{Filename: p.text("fileName"), Purpose: u.required("purpose")}
	if n.Purpose != "" {
		p.purpose(n.Purpose)
	}
	switch {
	case n.Filename != "":
	case u.part.Named:
		n.Filename = u.part.Filename
	default:
		u.required("fileName")
	}
	n.Title, _ = p.Text("title")
	if text := p.text("linkExpiresTime"); text != "" {
		n.Link = &service.NewLink{Expires: expiry(p.invalid, "linkExpiresTime", text)}
	}
	n.Type = u.content.MediaType(u.part.Type, n.Filename)
	return n, p.done()
}

// Said implements compat.Upload.
func (u *upload) Said() string {
	said, err := json.Marshal(u.fields)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(said)
}
