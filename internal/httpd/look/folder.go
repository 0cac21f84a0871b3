package look

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"

	"sluice"
	"sluice/internal/httpd"
)

// Folder serves embedded files, such as style sheets and modules. The address of each contains a digest of all, so a
// browser keeps a file for good, and a module may import another by a relative path. It is safe for concurrent use.
type Folder struct {
	prefix string
	digest string
	files  map[string]file
}

type file struct {
	data            []byte
	mediaType, etag string
}

// NewFolder makes a folder for the paths below prefix, which begins and ends with a slash. It serves the files by
// name. It panics if a name has no extension of a known media type.
func NewFolder(prefix string, files map[string][]byte) *Folder {
	f := &Folder{prefix: prefix, files: map[string]file{}}
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		fmt.Fprintf(all, "%s %x\n", name, sum)
		f.files[name] = file{files[name], mediaType(name), `"` + hex.EncodeToString(sum[:16]) + `"`}
	}
	f.digest = hex.EncodeToString(all.Sum(nil)[:8])
	return f
}

func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".mjs", ".js": // what the system says of these differs
		return "text/javascript; charset=utf-8"
	default:
		if kind := mime.TypeByExtension(ext); kind != "" {
			return kind
		}
		panic("look: no media type is known for " + name)
	}
}

// Path is the address of a file. It panics if there is none of that name.
func (f *Folder) Path(name string) string {
	if _, ok := f.files[name]; !ok {
		panic("look: there is no file " + name)
	}
	return f.prefix + f.digest + "/" + name
}

// Mount registers the files with a server.
func (f *Folder) Mount(s *httpd.Server) {
	s.HandlePage("GET "+f.prefix+"{digest}/{name}", f.serve)
}

// serve answers with a file. A page of another version, which names another digest, gets the file of this one, which
// its browser must not keep.
func (f *Folder) serve(w http.ResponseWriter, r *http.Request) {
	c := httpd.CallOf(r.Context())
	c.Guard()
	found, ok := f.files[r.PathValue("name")]
	if !ok {
		c.Miss(c.Record(w), r,
			sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path"))
		return
	}
	c.Header.Set("Cache-Control", "no-cache")
	if r.PathValue("digest") == f.digest {
		c.Header.Set("Cache-Control", "public, max-age=31536000, immutable") // RFC 8246
	}
	c.Header.Set("ETag", found.etag)
	if c.Unchanged(found.etag) {
		c.Record(w).WriteHeader(http.StatusNotModified)
		return
	}
	httpd.Send(c.Record(w), http.StatusOK, found.mediaType, found.data)
}
