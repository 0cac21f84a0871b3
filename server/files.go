package server

import (
	"context"
	"net/http"

	"sluice"
	"sluice/api"
)

func (s *Server) listFiles(ctx context.Context, c *call, in *api.FileQuery) (*listed[api.File], error) {
	var v sluice.Invalid
	filter := sluice.FileFilter{Purpose: in.Purpose, IDs: ids(in.IDs, &v), Created: timeRange(in.Created, &v)}
	page := pageOf(in.Page, &v)
	if err := v.Err(); err != nil {
		return nil, err
	}
	l, err := s.svc.Files(ctx, c.caller, filter, page)
	if err != nil {
		return nil, err
	}
	return list(c, page, l, func(f sluice.File) string { return f.ID }, wireFile)
}

func (s *Server) getFile(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.File], error) {
	f, err := s.svc.File(ctx, c.caller, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := wireFile(c, f)
	return &body[api.File]{out}, err
}

func (s *Server) deleteFile(ctx context.Context, c *call, in *struct {
	ID string `path:"id"`
}) (*body[api.Deleted], error) {
	if err := s.svc.DeleteFile(ctx, c.caller, in.ID); err != nil {
		return nil, err
	}
	return &body[api.Deleted]{api.Deleted{ID: in.ID, Object: "file", Deleted: true}}, nil
}

func (s *Server) listPurposes(_ context.Context, c *call, _ *struct{}) (*listed[api.Purpose], error) {
	all := sluice.List[sluice.Purpose]{Data: s.svc.Purposes()}
	return list(c, sluice.Page{}, all, func(p sluice.Purpose) string { return p.Name }, wirePurpose)
}

// createFile stores the file of a form. It streams: the bytes go to their place
// as they come, and of an upload that fails nothing is kept.
func (s *Server) createFile(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	f, err := s.upload(c, w, r)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	out, err := wireFile(c, f)
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.header.Set("Location", s.svc.PublicURL()+"/v1/files/"+f.ID)
	answer(w, http.StatusCreated, "application/json", out)
}

func (s *Server) upload(c *call, w http.ResponseWriter, r *http.Request) (sluice.File, error) {
	if err := checkQuery(r.URL, nil); err != nil {
		return sluice.File{}, err
	}
	in, stop := s.flowing(w, r)
	defer stop()
	form, err := openForm(in, r.Header.Get("Content-Type"))
	if err != nil {
		return sluice.File{}, err
	}
	content, err := form.untilFile()
	if err != nil {
		return sluice.File{}, err
	}
	// A peer that leaves breaks the body. One that has sent all of it may end
	// its side of the connection, which cancels the context.
	return s.svc.CreateFile(context.WithoutCancel(r.Context()), c.caller, form.purpose, content, form.describe)
}
