// Bare serves the files of a folder with net/http and http.ServeContent, and
// does nothing else: what it costs is what HTTP in Go costs.
package main

import (
	"flag"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	dir := flag.String("dir", ".", "folder with the files")
	flag.Parse()
	http.HandleFunc("/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(filepath.Join(*dir, filepath.Base(r.PathValue("name"))))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, "no such file", http.StatusInternalServerError)
			return
		}
		// Without a type, http.ServeContent would look into the file.
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", info.ModTime(), f)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}
