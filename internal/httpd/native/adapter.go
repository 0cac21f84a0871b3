package native

import (
	"io"
	"net/http"

	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// StoreForm stores the file of a multipart form as it comes in, within the limits of a form of the native API. The
// adapter of a vendor's API reads the fields.
func StoreForm(c *httpd.Call, w http.ResponseWriter, r *http.Request, to compat.Upload) (service.CreatedFile, error) {
	return (&call{c}).store(w, r, func(in *flow) (upload, error) {
		if err := httpd.CheckEncoding(r); err != nil {
			return nil, err
		}
		p, err := openParts(in, r.Header.Get("Content-Type"), to.Set, to.Limit)
		return &adapterForm{p, to}, err
	})
}

// adapterForm is an upload whose form an adapter reads.
type adapterForm struct {
	parts parts
	to    compat.Upload
}

func (u *adapterForm) open() (purpose string, content io.Reader, err error) {
	if err := u.parts.read(); err != nil {
		return "", nil, err
	}
	if u.parts.found == nil {
		return u.to.Open(nil)
	}
	return u.to.Open(&compat.Part{
		Filename: u.parts.name, Named: u.parts.named,
		Type: u.parts.found.Header.Get("Content-Type"), Content: u.parts.content(),
	})
}

func (u *adapterForm) describe() (service.NewFile, error) {
	if err := u.parts.read(); err != nil {
		return service.NewFile{}, err
	}
	return u.to.Describe()
}

func (u *adapterForm) said() string { return u.to.Said() }
