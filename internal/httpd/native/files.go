package native

import (
	"context"
	"encoding/hex"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

func (s *face) listFiles(ctx context.Context, c *call, in *api.FileQuery) (*listed[api.File], error) {
	var v sluice.Invalid
	filter := service.FileFilter{
		Purpose: in.Purpose, Filename: in.Filename, Title: in.Title, Type: in.Type,
		SHA256: sha256Of(in.SHA256, &v), Size: sizes(in.Size, &v), Linked: resource(in.LinkedResource, &v),
		IDs: ids(in.IDs, &v), Created: created(in.Created, &v),
	}
	if in.Status == api.StatusDeleted {
		filter.Status = service.DeletedFiles
	}
	page := pageOf(in.Page, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Files.List(ctx, c.Caller, filter, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(f sluice.File) string { return f.ID }, wireFile)
}

func sha256Of(text string, v *sluice.Invalid) *sluice.Digest {
	if text == "" {
		return nil
	}
	var d sluice.Digest
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(d) {
		v.Add("sha256", "invalid", "sha256 must be %d hexadecimal digits", 2*len(d))
	}
	copy(d[:], raw)
	return &d
}

func resource(text string, v *sluice.Invalid) *sluice.Resource {
	if text == "" {
		return nil
	}
	kind, id, _ := strings.Cut(text, ":")
	if kind == "" || id == "" {
		v.Add("linked_resource", "invalid", "linked_resource must have the form type:id")
	}
	return &sluice.Resource{Type: kind, ID: id}
}

func (s *face) getFile(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*object[api.File], error) {
	f, err := s.svc.Files.Get(ctx, c.Caller, in.ID)
	return fileAnswer(c, f, err)
}

func (s *face) updateFile(ctx context.Context, c *call, in *struct {
	ID   string `path:"id"`
	Body api.FileChange
}) (*object[api.File], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	change := service.FileChange{
		Filename: in.Body.Filename, Title: textChange(in.Body.Title), Metadata: in.Body.Metadata, Held: in.Body.Held,
	}
	if in.Body.LinkedResources != nil {
		linked := resources(*in.Body.LinkedResources)
		change.Linked = &linked
	}
	f, err := s.svc.Files.Update(ctx, c.Caller, in.ID, want, change)
	return fileAnswer(c, f, err)
}

func (s *face) deleteFile(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Deleted], error) {
	want, err := c.Precondition()
	if err != nil {
		return nil, err
	}
	d, err := s.svc.Files.Delete(ctx, c.Caller, in.ID, want)
	return deletedAnswer("file", d, err)
}

func (s *face) listPurposes(_ context.Context, c *call, _ *struct{}) (*listed[api.Purpose], error) {
	all := sluice.List[sluice.Purpose]{Data: s.svc.Purposes()}
	return list(c, sluice.Page{}, all, func(p sluice.Purpose) string { return p.Name }, wirePurpose)
}

func fileAnswer(c *call, f sluice.File, err error) (*object[api.File], error) {
	if err != nil {
		return nil, err
	}
	out, err := wireFile(c, f)
	if err != nil {
		return nil, err
	}
	return single(c, f.Version(), out)
}

func deletedAnswer(kind string, d service.Deleted, err error) (*body[api.Deleted], error) {
	return &body[api.Deleted]{api.Deleted{ID: d.ID, Object: kind, Deleted: true}}, err
}

func resources(list []api.Resource) []sluice.Resource {
	linked := make([]sluice.Resource, len(list))
	for i, r := range list {
		linked[i] = sluice.Resource(r)
	}
	return linked
}

// textChange is the new value of a text: "" for null, nil for no change.
func textChange(o api.Optional[string]) *string {
	value, set := o.Get()
	if set && value == nil {
		value = new(string)
	}
	return value
}
