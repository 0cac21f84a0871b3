package compat

import (
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
)

// Sniffer passes content on and notes how it begins, for the clients that
// declare application/octet-stream whatever they send.
type Sniffer struct {
	Content io.Reader
	head    []byte
}

// sniffed is how much http.DetectContentType looks at.
const sniffed = 512

func (s *Sniffer) Read(p []byte) (int, error) {
	n, err := s.Content.Read(p)
	s.head = append(s.head, p[:min(n, sniffed-len(s.head))]...)
	return n, err
}

// MediaType is what to store of content that was read: the type that was
// declared when it says something, "" when the Service can tell by the name,
// else what the content looks like.
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
