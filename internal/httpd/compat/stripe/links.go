package stripe

import (
	"time"

	"sluice"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// fileLink is the object of https://docs.stripe.com/api/file_links/object.
type fileLink struct {
	ID        string            `json:"id"`
	Object    string            `json:"object"`
	Created   int64             `json:"created"`
	Expired   bool              `json:"expired"`
	ExpiresAt *int64            `json:"expires_at"` // null: never
	File      any               `json:"file"`       // an id, or a file
	Livemode  bool              `json:"livemode"`
	Metadata  map[string]string `json:"metadata"`
	URL       string            `json:"url"`
}

// wireLink converts a link as of a time. A revoked link is shown as expired.
func wireLink(c compat.Call, l sluice.Link, at time.Time, ex expansion) (fileLink, error) {
	u, err := c.Service().Links.URL(l)
	if err != nil {
		return fileLink{}, err
	}
	out := fileLink{
		ID: l.ID, Object: "file_link", Created: l.Created.Unix(), Expired: l.Expired(at) || !l.Revoked.IsZero(),
		File: l.FileID, Livemode: l.Ledger.Mode.Live(), Metadata: l.Metadata, URL: u,
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	if !l.Expires.IsZero() {
		expires := l.Expires.Unix()
		out.ExpiresAt = &expires
	}
	if inner, expand := ex["file"]; expand {
		f, err := c.Service().Files.Get(c.Request().Context(), c.Caller(), l.FileID)
		if err != nil {
			return fileLink{}, err
		}
		if out.File, err = wireFile(c, f, inner); err != nil {
			return fileLink{}, err
		}
	}
	return out, nil
}

func answerLink(c compat.Call, l sluice.Link, at time.Time, ex expansion) error {
	out, err := wireLink(c, l, at, ex)
	if err != nil {
		return err
	}
	return c.Answer(200, out)
}

// expiry reads the expiry of a new link. By default it never expires.
func (p params) expiry(link *service.NewLink, full string) {
	text, given := p.Text("expires_at")
	if !given {
		forever := sluice.Forever
		link.Lifetime = &forever
		return
	}
	link.Expires = p.moment(full, text)
}

func createLink(c compat.Call) error {
	p, err := body(c)
	if err != nil {
		return err
	}
	link := service.NewLink{FileID: p.required("file"), Metadata: p.metadata()}
	p.expiry(&link, "expires_at")
	ex := p.expand("file_link")
	if err := p.done(); err != nil {
		return err
	}
	l, err := c.Service().Links.Mint(c.Request().Context(), c.Caller(), link)
	if err != nil {
		return noSuch(err, "file", link.FileID, "file")
	}
	return answerLink(c, l, l.Updated, ex)
}

func getLink(c compat.Call) error {
	p := query(c)
	ex := p.expand("file_link")
	if err := p.done(); err != nil {
		return err
	}
	r := c.Request()
	id := r.PathValue("id")
	l, err := c.Service().Links.Get(r.Context(), c.Caller(), "", id)
	if err != nil {
		return noSuch(err, "file link", id, "id")
	}
	return answerLink(c, l, c.Service().Now(), ex)
}

func updateLink(c compat.Call) error {
	p, err := body(c)
	if err != nil {
		return err
	}
	var change service.LinkChange
	p.change(&change)
	ex := p.expand("file_link")
	if err := p.done(); err != nil {
		return err
	}
	r := c.Request()
	id := r.PathValue("id")
	l, err := c.Service().Links.Update(r.Context(), c.Caller(), "", id, nil, change)
	if err != nil {
		return noSuch(err, "file link", id, "id")
	}
	return answerLink(c, l, l.Updated, ex)
}

// change reads the changes to a link.
func (p params) change(ch *service.LinkChange) {
	switch text, given := p.Text("expires_at"); {
	case !given:
	case text == "now":
		ch.ExpireNow = true
	case text == "":
		forever := sluice.Forever
		ch.Lifetime = &forever
	default:
		expires := p.moment("expires_at", text)
		ch.Expires = &expires
	}
	pairs, given := p.Map("metadata")
	ch.ClearMetadata = given && pairs == nil
	if given && !ch.ClearMetadata {
		ch.Metadata = map[string]*string{}
		for key, value := range pairs {
			ch.Metadata[key] = &value
		}
	}
}

func listLinks(c compat.Call) error {
	p := query(c)
	span, ex := p.span(), p.expand("links")
	p.bound(span, "file_link", ex["data"])
	filter := service.LinkFilter{FileID: p.text("file"), Created: p.created(), Over: p.flag("expired", "expired")}
	if err := p.done(); err != nil {
		return err
	}
	l, err := c.Service().Links.List(c.Request().Context(), c.Caller(), filter, span.Page())
	if err != nil {
		return noSuch(noCursor(err, "file link", span), "file", filter.FileID, "file")
	}
	now := c.Service().Now()
	out := list{Object: "list", Data: []any{}, HasMore: l.More, URL: "/v1/file_links"}
	for _, one := range l.Data {
		shown, err := wireLink(c, one, now, ex["data"])
		if err != nil {
			return err
		}
		out.Data = append(out.Data, shown)
	}
	return c.Answer(200, out)
}
