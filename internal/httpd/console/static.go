package console

import (
	"embed"
	"io/fs"
	"path"

	"sluice/internal/brand"
	"sluice/internal/httpd/look"
	"sluice/internal/verifier"
)

//go:embed static
var staticFiles embed.FS

// newStatic makes the folder of the style sheets and modules of the pages.
func newStatic(b brand.Brand) *look.Folder {
	files := map[string][]byte{"base.css": []byte(look.Sheet(b.Accent)), "verifier.mjs": verifier.Source}
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path.Base(name)], err = staticFiles.ReadFile(name)
		}
		return err
	})
	if err != nil {
		panic(err) // they are embedded
	}
	return look.NewFolder("/console/static/", files)
}
