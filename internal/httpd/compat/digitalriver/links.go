package digitalriver

import (
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// fileLink is a FileLink of Digital River. A link that never expires, which only other
// APIs can make, has no expiresTime.
type fileLink struct {
	ID          string            `json:"id"`
	CreatedTime string            `json:"createdTime"`
	Expired     bool              `json:"expired"`
	ExpiresTime string            `json:"expiresTime,omitempty"`
	FileID      string            `json:"fileId"`
	LiveMode    bool              `json:"liveMode"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	URL         string            `json:"url"`
}

// wireLink converts a link as of a time. A revoked link is shown as expired.
func wireLink(c compat.Call, l sluice.Link, at time.Time) (fileLink, error) {
	u, err := c.Service().Links.URL(l)
	if err != nil {
		return fileLink{}, err
	}
	out := fileLink{
		ID: l.ID, CreatedTime: moment(l.Created), Expired: l.Expired(at) || !l.Revoked.IsZero(),
		FileID: l.FileID, LiveMode: l.Ledger.Mode.Live(), Metadata: l.Metadata, URL: u,
	}
	if !l.Expires.IsZero() {
		out.ExpiresTime = moment(l.Expires)
	}
	return out, nil
}

func answerLink(c compat.Call, status int, l sluice.Link, at time.Time) error {
	out, err := wireLink(c, l, at)
	if err != nil {
		return err
	}
	return c.Answer(status, out)
}

func listLinks(c compat.Call) error {
	p := query(c)
	span := p.span()
	filter := service.LinkFilter{Created: p.created(), IDs: p.ids(), FileID: p.text("fileId"), Over: p.flag("expired")}
	if err := p.done(); err != nil {
		return err
	}
	now := c.Service().Now()
	l, err := c.Service().Links.List(c.Request().Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return noFile(cursor(err))
	}
	out, err := pageOf(l, func(l sluice.Link) (fileLink, error) { return wireLink(c, l, now) })
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

// maxMetadata is the maximum number of pairs in Digital River's metadata.
const maxMetadata = 20

func createLink(c compat.Call) error {
	p, o, err := body(c, compat.MaxBody)
	if err != nil {
		return err
	}
	link := service.NewLink{FileID: p.required(o, "fileId")}
	if text := p.required(o, "expiresTime"); text != "" {
		link.Expires = expiry(p.invalid, "expiresTime", text)
	}
	if o.Has("metadata") {
		link.Metadata = o.Pairs("metadata")
	}
	if len(link.Metadata) > maxMetadata {
		p.invalid.Add(
			"metadata", "too_many", "metadata has %d pairs; at most %d are allowed", len(link.Metadata), maxMetadata,
		)
	}
	if err := p.finished(o); err != nil {
		return err
	}
	l, err := c.Service().Links.Mint(c.Request().Context(), c.Caller(), link)
	if err != nil {
		return noFile(err)
	}
	return answerLink(c, 201, l, l.Updated)
}

func getLink(c compat.Call) error {
	if err := query(c).done(); err != nil {
		return err
	}
	r := c.Request()
	now := c.Service().Now()
	l, err := c.Service().Links.Get(r.Context(), c.Caller(), "", r.PathValue("id"))
	if err != nil {
		return noSuch(err, "file link")
	}
	return answerLink(c, 200, l, now)
}

func updateLink(c compat.Call) error {
	p, o, err := body(c, compat.MaxBody)
	if err != nil {
		return err
	}
	var change service.LinkChange
	if text := p.required(o, "expiresTime"); text != "" {
		expires := expiry(p.invalid, "expiresTime", text)
		change.Expires = &expires
	}
	if err := p.finished(o); err != nil {
		return err
	}
	r := c.Request()
	l, err := c.Service().Links.Update(r.Context(), c.Caller(), "", r.PathValue("id"), nil, change)
	if err != nil {
		return noSuch(err, "file link")
	}
	return answerLink(c, 200, l, l.Updated)
}

func deleteLink(c compat.Call) error {
	if _, err := c.Body(compat.MaxBody); err != nil {
		return err
	}
	r := c.Request()
	if _, err := c.Service().Links.Revoke(r.Context(), c.Caller(), "", r.PathValue("id"), nil); err != nil {
		return noSuch(err, "file link")
	}
	return c.Answer(204, nil)
}
