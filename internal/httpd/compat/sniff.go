package compat

import (
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// Sniffer reads content and keeps its beginning, to detect the media type for clients
// that always declare application/octet-stream.
type Sniffer struct {
	Content io.Reader
	head    []byte
}

// sniffed is the number of bytes that http.DetectContentType considers.
const sniffed = 512

func (s *Sniffer) Read(p []byte) (int, error) {
	n, err := s.Content.Read(p)
	s.head = append(s.head, p[:min(n, sniffed-len(s.head))]...)
	return n, err
}

// MediaType returns the media type to store once the content was read: the declared
// type unless it is application/octet-stream, "" if the Service can derive it from
// the name, otherwise the detected type.
func (s *Sniffer) MediaType(declared, filename string) string {
	t, _, err := mime.ParseMediaType(declared)
	if err == nil && t != "application/octet-stream" {
		return declared
	}
	if mime.TypeByExtension(strings.ToLower(path.Ext(filename))) != "" || len(s.head) == 0 {
		return ""
	}
	return http.DetectContentType(s.head)
}
