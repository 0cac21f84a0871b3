// Bare serves a folder with net/http and http.ServeContent only. It shows the
// cost of HTTP in Go without Sluice.
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
		// Set a type, so that http.ServeContent does not read the file to
		// detect one.
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", info.ModTime(), f)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}
