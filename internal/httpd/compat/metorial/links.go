package metorial

import (
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// fileLink is a file link object of Metorial.
type fileLink struct {
	Object    string  `json:"object"`
	ID        string  `json:"id"`
	FileID    string  `json:"file_id"`
	URL       string  `json:"url"`
	CreatedAt string  `json:"created_at"`
	ExpiresAt *string `json:"expires_at"` // null: never
}

// wireLink converts a link. A revoked link is shown as expired at that time; no other
// member could say so.
func wireLink(c compat.Call, l sluice.Link) (any, error) {
	u, err := c.Service().Links.URL(l)
	if err != nil {
		return nil, err
	}
	out := fileLink{Object: "file.file_link", ID: l.ID, FileID: l.FileID, URL: u, CreatedAt: moment(l.Created)}
	expires := l.Expires
	if !l.Revoked.IsZero() && (expires.IsZero() || l.Revoked.Before(expires)) {
		expires = l.Revoked
	}
	if !expires.IsZero() {
		text := moment(expires)
		out.ExpiresAt = &text
	}
	return out, nil
}

func answerLink(c compat.Call, l sluice.Link) error {
	out, err := wireLink(c, l)
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

// listLinks lists the links of the file in the path, of the file in the query, or of
// all files.
func listLinks(c compat.Call) error {
	p := query(c)
	span := p.span(true)
	r := c.Request()
	filter := service.LinkFilter{FileID: r.PathValue("file")}
	if filter.FileID == "" {
		filter.FileID, _ = p.Text("file_id")
	}
	if err := p.invalid.Err(); err != nil {
		return err
	}
	l, err := c.Service().Links.List(r.Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return noSuch(cursor(err, span), fileEntity, filter.FileID)
	}
	out, err := pageOf(span, l, func(l sluice.Link) (any, error) { return wireLink(c, l) })
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

func createLink(c compat.Call) error {
	var v sluice.Invalid
	body, err := compat.ReadObject(c, compat.MaxBody, &v)
	if err != nil {
		return err
	}
	r := c.Request()
	link := service.NewLink{FileID: r.PathValue("file")}
	if link.FileID == "" {
		if link.FileID, _ = body.Text("file_id", "string"); link.FileID == "" && v.Err() == nil {
			v.Add("file_id", "required", "file_id is required")
		}
	}
	if expires := expiresAt(body, &v); expires != nil {
		link.Expires = *expires
	} else {
		forever := sluice.Forever
		link.Lifetime = &forever
	}
	if err := v.Err(); err != nil {
		return err
	}
	l, err := c.Service().Links.Mint(r.Context(), c.Caller(), link)
	if err != nil {
		return noSuch(err, fileEntity, link.FileID)
	}
	return answerLink(c, l)
}

// expiresAt reads the expiry of a link. It returns nil if it was not given.
func expiresAt(body *compat.Object, v *sluice.Invalid) *time.Time {
	text, given := body.Text("expires_at", "date")
	if !given {
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		v.Add("expires_at", compat.Mistyped("date", "string"), "expires_at must be %s", wantMoment)
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

func getLink(c compat.Call) error {
	r := c.Request()
	file, id := r.PathValue("file"), r.PathValue("link")
	l, err := c.Service().Links.Get(r.Context(), c.Caller(), file, id)
	if err != nil {
		return noLink(c, err)
	}
	return answerLink(c, l)
}

func updateLink(c compat.Call) error {
	var v sluice.Invalid
	body, err := compat.ReadObject(c, compat.MaxBody, &v)
	if err != nil {
		return err
	}
	change := service.LinkChange{Expires: expiresAt(body, &v)}
	if err := v.Err(); err != nil {
		return err
	}
	r := c.Request()
	l, err := c.Service().Links.Update(r.Context(), c.Caller(), r.PathValue("file"), r.PathValue("link"), nil, change)
	if err != nil {
		return noLink(c, err)
	}
	return answerLink(c, l)
}

// deleteLink responds with the link as it was.
func deleteLink(c compat.Call) error {
	if _, err := c.Body(compat.MaxBody); err != nil {
		return err
	}
	r := c.Request()
	l, err := c.Service().Links.End(r.Context(), c.Caller(), r.PathValue("file"), r.PathValue("link"))
	if err != nil {
		return noLink(c, err)
	}
	return answerLink(c, l)
}

// noLink adds entity and id to a not_found error: those of the file in the path if that
// does not exist, otherwise those of the link.
func noLink(c compat.Call, err error) error {
	r := c.Request()
	if sluice.CodeOf(err) == sluice.CodeNotFound && r.PathValue("file") != "" &&
		c.Caller().Key.Grants(sluice.FilesRead) {
		if _, err := theFile(c); err != nil {
			return err
		}
	}
	return noSuch(err, linkEntity, r.PathValue("link"))
}
