package service

import (
	"context"
	"errors"
	"io"
	"strings"

	"sluice"
	"sluice/internal/audit"
)

// pdfSignature begins the bytes of every PDF (ISO 32000-2 section 7.5.2).
const pdfSignature = "%PDF-"

// validateInline refuses an inline link to a file that browsers never show in place. pdf says that the bytes of the
// file begin like a PDF.
func validateInline(v *sluice.Invalid, d sluice.Disposition, mediaType string, pdf bool) {
	switch {
	case d != sluice.Inline:
	case !sluice.ShowsInline(mediaType):
		v.Add("disposition", "invalid", "files of type %s are saved, never shown in place; inline is for %s",
			audit.Clip(mediaType, 80), strings.Join(sluice.InlineTypes(), ", "))
	case isPDF(mediaType) && !pdf:
		v.Add("disposition", "invalid",
			"no browser shows this file in place: its type is %s, but its bytes do not begin with %s",
			audit.Clip(mediaType, 80), pdfSignature)
	}
}

func isPDF(mediaType string) bool {
	essence, _, _ := strings.Cut(mediaType, ";")
	return strings.TrimSpace(essence) == "application/pdf"
}

// findPDFs notes which of some files begin like a PDF, if the link is to show one. It reads their first bytes outside
// of the Update, because the bytes of a file never change. A file that is missing is left to the Update.
func (s *Links) findPDFs(ctx context.Context, c Caller, p *pending, fileIDs ...string) error {
	if p.new.Disposition != sluice.Inline {
		return nil
	}
	var declared []string
	err := s.read(ctx, c, sluice.LinksWrite, func(r Reader) error {
		declared = declared[:0]
		for _, id := range fileIDs {
			switch f, err := r.File(c.Ledger, id); {
			case err == nil && isPDF(f.Type):
				declared = append(declared, id)
			case err != nil && sluice.CodeOf(err) != sluice.CodeNotFound:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range declared {
		begins, err := s.beginsAsPDF(ctx, id)
		if err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
			return err
		}
		p.setPDF(id, begins)
	}
	return nil
}

// beginsAsPDF reports whether the stored bytes of a file begin like a PDF.
func (s *Links) beginsAsPDF(ctx context.Context, id string) (bool, error) {
	content, err := s.blobs.Open(ctx, id)
	if err != nil {
		return false, err
	}
	defer content.Close()
	var first start
	if _, err := io.CopyN(&first, content, int64(len(first.bytes))); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return first.isPDF(), nil
}

// start keeps the first bytes of what is written to it.
type start struct {
	bytes [len(pdfSignature)]byte
	n     int
}

func (s *start) Write(p []byte) (int, error) {
	s.n += copy(s.bytes[s.n:], p)
	return len(p), nil
}

func (s *start) isPDF() bool { return string(s.bytes[:s.n]) == pdfSignature }
