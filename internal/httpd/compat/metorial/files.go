package metorial

import (
	"encoding/json"
	"io"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// file is a file object of Metorial. The last three members are the names in its older
// documentation.
type file struct {
	Object    string  `json:"object"`
	ID        string  `json:"id"`
	Status    string  `json:"status"`
	FileName  string  `json:"file_name"`
	FileSize  int64   `json:"file_size"`
	FileType  string  `json:"file_type"`
	Title     *string `json:"title"`
	Purpose   purpose `json:"purpose"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`

	Name     string `json:"name"`
	Size     int64  `json:"size"`
	MimeType string `json:"mime_type"`
}

type purpose struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

func wireFile(c compat.Call, f sluice.File) file {
	out := file{
		Object: "file", ID: f.ID, Status: "active", FileName: f.Filename, FileSize: f.Size, FileType: f.Type,
		CreatedAt: moment(f.Created), UpdatedAt: moment(f.Updated),
		Name: f.Filename, Size: f.Size, MimeType: f.Type,
	}
	out.Purpose, _ = purposeOf(c, f.Purpose)
	if !f.Active() {
		out.Status = "deleted"
	}
	if f.Title != "" {
		out.Title = &f.Title
	}
	return out
}

func listFiles(c compat.Call) error {
	p := query(c)
	span := p.span(false)
	filter := service.FileFilter{
		IDs: p.several("id"), Purposes: p.several("purpose"),
		Created: compat.Range(p.Form, "created_at", wantMoment, millisecond),
	}
	for _, name := range filter.Purposes {
		if _, known := purposeOf(c, name); !known {
			p.invalid.Add("purpose", "invalid", "unknown purpose")
		}
	}
	if err := p.invalid.Err(); err != nil {
		return err
	}
	l, err := c.Service().Files.List(c.Request().Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return cursor(err, span)
	}
	out, err := pageOf(span, l, func(f sluice.File) (any, error) { return wireFile(c, f), nil })
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

func getFile(c compat.Call) error {
	f, err := theFile(c)
	if err != nil {
		return err
	}
	return c.Answer(200, wireFile(c, f))
}

// theFile returns the file in the path, even if it is deleted.
func theFile(c compat.Call) (sluice.File, error) {
	r := c.Request()
	id := r.PathValue("file")
	f, err := c.Service().Files.Get(r.Context(), c.Caller(), id)
	return f, noSuch(err, fileEntity, id)
}

func updateFile(c compat.Call) error {
	var v sluice.Invalid
	body, err := compat.ReadObject(c, compat.MaxBody, &v)
	if err != nil {
		return err
	}
	var change service.FileChange
	if title, given := body.Text("title", "string"); given {
		change.Title = &title
	}
	if err := v.Err(); err != nil {
		return err
	}
	r := c.Request()
	id := r.PathValue("file")
	f, err := c.Service().Files.Update(r.Context(), c.Caller(), id, nil, change)
	if err != nil {
		return noSuch(err, fileEntity, id)
	}
	return c.Answer(200, wireFile(c, f))
}

// deleteFile responds with the deleted file, so it requires files:read too.
func deleteFile(c compat.Call) error {
	if _, err := c.Body(compat.MaxBody); err != nil {
		return err
	}
	f, err := theFile(c)
	if err != nil {
		return err
	}
	if _, err := c.Service().Files.Delete(c.Request().Context(), c.Caller(), f.ID, nil); err != nil {
		return noSuch(err, fileEntity, f.ID)
	}
	return getFile(c)
}

func createFile(c compat.Call) error {
	v := &sluice.Invalid{}
	created, err := c.Upload(&upload{params: params{compat.NewForm(v), v}})
	if err != nil {
		return err
	}
	return c.Answer(200, wireFile(c, created.File))
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
	switch {
	case name != "purpose" && name != "title": // other fields are ignored
	case len(value) > maxField:
		u.params.invalid.Add(name, "too_long", "%s is longer than %d bytes", name, maxField)
	default:
		u.fields = append(u.fields, [2]string{name, value})
		u.params.Add(name, value)
	}
}

func (u *upload) Open(part *compat.Part) (purpose string, content io.Reader, err error) {
	p := u.params
	if part == nil {
		p.invalid.Add("file", "required", "the form must have a part named file")
		u.purpose()
		return "", nil, p.invalid.Err()
	}
	u.part, u.content = *part, &compat.Sniffer{Content: part.Content}
	if p.Has("purpose") {
		purpose = u.purpose()
	}
	return purpose, u.content, p.invalid.Err()
}

func (u *upload) purpose() string {
	name, _ := u.params.Text("purpose")
	if name == "" {
		u.params.invalid.Add("purpose", "required", "purpose is required")
	}
	return name
}

func (u *upload) Describe() (service.NewFile, error) {
	n := service.NewFile{Filename: u.part.Filename, Purpose: u.purpose()}
	n.Title, _ = u.params.Text("title")
	n.Type = u.content.MediaType(u.part.Type, n.Filename)
	return n, u.params.invalid.Err()
}

// Said implements compat.Upload.
func (u *upload) Said() string {
	said, err := json.Marshal(u.fields)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(said)
}
