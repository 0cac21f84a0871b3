package console

import (
	"encoding/hex"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/sentence"
	"sluice/internal/service"
)

func (s *site) mountFiles() {
	s.page("GET /files", sluice.FilesRead, (*visit).listFiles)
	s.page("POST /files", sluice.FilesWrite, (*visit).upload)
	s.page("GET /files/upload", sluice.FilesWrite, (*visit).showUpload)
	s.page("GET /files/{id}", sluice.FilesRead, (*visit).showFile)
	s.page("POST /files/{id}/hold", sluice.FilesWrite, (*visit).holdFile)
	s.page("GET /files/{id}/delete", sluice.FilesWrite, (*visit).askDeleteFile)
	s.page("POST /files/{id}/delete", sluice.FilesWrite, (*visit).deleteFile)
	s.page("GET /files/{id}/share", sluice.LinksWrite, (*visit).showShare)
	s.page("POST /files/{id}/share", sluice.LinksWrite, (*visit).share)
}

var _ = flash(map[string]string{
	"file-uploaded": "The file was uploaded.", "files-uploaded": "The files were uploaded.",
	"file-held":         "The file is on hold. It cannot be deleted until it is released.",
	"file-released":     "The hold was released.",
	"file-deleted":      "The file was deleted, and its links have ended. The log keeps its story.",
	"link-ended":        "The link was ended. It opens no more.",
	"link-ended-unsaid": "The link was ended. It opens no more. The reason could not be kept.",
})

// fileParams are the parameters that filter files. All but q, from, to, least and most are those of the API.
var fileParams = []string{
	"q", "purpose", "title", "type", "linked_resource", "status", "from", "to", "least", "most",
}

// fileList is the page with the list of files.
type fileList struct {
	Form     *fields
	Upload   uploadForm
	Files    []sluice.File
	Pages    pager
	Purposes []sluice.Purpose
	Filtered bool
	Open     bool // whether the filters that are shown on demand are used
	Now      time.Time
}

func (v *visit) listFiles() error {
	q := v.r.URL.Query()
	if id := strings.TrimSpace(q.Get("q")); strings.HasPrefix(id, sluice.PrefixFile) {
		if f, err := v.svc.Files.Get(v.r.Context(), v.caller, id); err == nil {
			return v.redirect(v.path("/files/" + f.ID))
		}
	}
	p := fileList{
		Form: newFields(q, fileParams...), Upload: v.newUploadForm(nil), Purposes: v.svc.Purposes(),
		Filtered: isFiltered(q, fileParams...), Open: isFiltered(q, fileParams[2:]...), Now: v.svc.Now(),
	}
	p.Form.prefix = "by-"
	var invalid sluice.Invalid
	filter, page := fileFilter(q, &invalid), pageOf(q)
	list, err := sluice.List[sluice.File]{}, invalid.Err()
	if err == nil {
		list, err = v.svc.Files.List(v.r.Context(), v.caller, filter, page)
	}
	if err != nil && !p.Form.fail("The list cannot be shown", err) {
		return err
	}
	p.Files = list.Data
	p.Pages = pagerOf(v.r, page, list, func(f sluice.File) string { return f.ID })
	return v.render("files", p)
}

var isDigest = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// fileFilter reads the filter of a list of files. What is searched for is a SHA-256 digest if it looks like one, and
// otherwise a name.
func fileFilter(q url.Values, v *sluice.Invalid) service.FileFilter {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f := service.FileFilter{
		Purpose: get("purpose"), Title: get("title"), Type: get("type"), Created: days(q, v),
		Size: sluice.Range[int64]{GTE: megabytes(get("least"), "least", v), LTE: megabytes(get("most"), "most", v)},
	}
	switch text := get("q"); {
	case isDigest.MatchString(text):
		f.SHA256 = new(sluice.Digest)
		_, _ = hex.Decode(f.SHA256[:], []byte(text))
	default:
		f.Filename = text
	}
	if text := get("linked_resource"); text != "" {
		kind, id, _ := strings.Cut(text, ":")
		if kind == "" || id == "" {
			v.Add("linked_resource", "invalid", "this has the form type:id, such as invoice:4711")
		}
		f.Linked = &sluice.Resource{Type: kind, ID: id}
	}
	if get("status") == "deleted" {
		f.Status = service.DeletedFiles
	}
	return f
}

// megabytes reads a size in megabytes.
func megabytes(text, name string, v *sluice.Invalid) *int64 {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
	if err != nil || n < 0 || n > 1e9 || math.IsNaN(n) {
		v.Add(name, "invalid", "this is a number of megabytes, such as 1.5")
		n = 0
	}
	size := int64(n * 1e6)
	return &size
}

// told is an entry of a story.
type told struct {
	Sentence sentence.Sentence
	Time     time.Time
	Seq      int64
	Path     string // of the page of the entry
}

// story is what happened to a file or a link, newest first.
type story struct {
	Entries []told
	More    bool   // whether there is more
	Log     string // the address of all of it in the log
}

// tell reads the story that a filter selects, if the person may read the log. file is the file that it is about; rest
// is the query of all of it in the log. How downloads ended is told with the downloads, and not by the entries that
// recorded it; the reason of a link is told once.
func (v *visit) tell(filter service.EntryFilter, file, rest string) (s story, err error) {
	if !v.caller.Grants(sluice.AuditRead) {
		return s, nil
	}
	list, err := v.svc.Entries.List(v.r.Context(), v.caller, filter, sluice.Page{Limit: 2 * pageSize})
	reasons := map[[2]string]bool{} // of the links that were told
	for _, e := range slices.Backward(list.Data) {
		if e.Action == sluice.LinkDelivered {
			continue
		}
		t := told{sentence.Of(e), e.Time, e.Seq, v.path("/log/" + e.ID)}
		for i, part := range t.Sentence.Parts {
			if part.Kind == sentence.File && part.ID == file {
				t.Sentence.Parts[i] = sentence.Part{Text: "this file"}
			}
		}
		t.Sentence.Facts = slices.DeleteFunc(t.Sentence.Facts, func(f sentence.Fact) bool {
			return f.Name == "Browser" || f.Name == "Reason" && reasons[[2]string{e.Link.ID, f.Text}]
		})
		if e.Link != nil {
			reasons[[2]string{e.Link.ID, sentence.Visible(e.Link.Reason)}] = true
		}
		s.Entries = append(s.Entries, t)
	}
	slices.Reverse(s.Entries)
	s.More, s.Log = list.More, v.path("/log?"+rest)
	return s, err
}

// filePage is the page of a file.
type filePage struct {
	File     sluice.File
	Purpose  sluice.Purpose // the zero Purpose if it is not configured any more
	Form     *fields
	Links    linkRows
	More     bool // whether there are more links
	Story    story
	Now      time.Time
	Retained bool // it may not be deleted yet
	Shareable
}

// Shareable says whether links to a file can be made.
type Shareable struct{ WhyNot string }

func (v *visit) showFile() error {
	f, err := v.svc.Files.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.filePage(200, f, newFields(nil))
}

// filePage answers with the page of a file. form is that of a change that failed, or empty.
func (v *visit) filePage(status int, f sluice.File, form *fields) (err error) {
	now := v.svc.Now()
	p := filePage{
		File: f, Purpose: v.purpose(f), Form: form, Now: now, Retained: now.Before(f.Expires),
		Shareable: Shareable{v.whyNotShared(f)},
	}
	if v.caller.Grants(sluice.LinksRead) {
		list, err := v.svc.Links.List(v.r.Context(), v.caller, service.LinkFilter{FileID: f.ID},
			sluice.Page{Limit: 10})
		if err != nil {
			return err
		}
		p.More = list.More
		for _, l := range list.Data {
			p.Links.Rows = append(p.Links.Rows, v.linkRow(l, &f, now))
		}
	}
	p.Story, err = v.tell(service.EntryFilter{FileID: f.ID}, f.ID, url.Values{"file_id": {f.ID}}.Encode())
	if err != nil {
		return err
	}
	return v.show(status, "file", p)
}

// purpose is the purpose of a file; the zero Purpose if it is not configured.
func (v *visit) purpose(f sluice.File) sluice.Purpose {
	return v.svc.Links.Limits().Purposes[f.Purpose]
}

// whyNotShared says why nobody may make links to a file; "" if they may.
func (v *visit) whyNotShared(f sluice.File) string {
	switch p := v.purpose(f); {
	case !f.Active():
		return "The file is deleted."
	case p.Name == "":
		return "The purpose " + f.Purpose + " is not configured on this server."
	case !p.Linkable:
		return "Files of this purpose are not shared by links."
	}
	return ""
}

// version is the precondition that an object is still as the person saw it.
func version(form url.Values) service.Precondition {
	if seen := form.Get("version"); seen != "" {
		return service.Precondition{seen}
	}
	return nil
}

func (v *visit) holdFile() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	id, held := v.r.PathValue("id"), form.Get("held") == "true"
	_, err = v.svc.Files.Update(v.r.Context(), v.caller, id, version(form), service.FileChange{Held: &held})
	if err != nil {
		return v.fileFailed(id, err)
	}
	code := "file-released"
	if held {
		code = "file-held"
	}
	return v.redirect(did(v.path("/files/"+id), code))
}

// fileFailed answers a change of a file that failed with its page, if a page of the file can say why.
func (v *visit) fileFailed(id string, err error) error {
	form := newFields(nil)
	f, found := v.svc.Files.Get(v.r.Context(), v.caller, id)
	if found != nil || !form.fail("The file was not changed", err) {
		return err
	}
	return v.filePage(v.call.Problem(v.r.Context(), err).Status, f, form)
}

// deletion is the page that asks whether a file is to be deleted.
type deletion struct {
	File  sluice.File
	Links int  // that end with it
	More  bool // at least that many
}

func (v *visit) askDeleteFile() error {
	f, err := v.svc.Files.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := deletion{File: f}
	if v.caller.Grants(sluice.LinksRead) {
		over := false
		list, err := v.svc.Links.List(v.r.Context(), v.caller, service.LinkFilter{FileID: f.ID, Over: &over},
			sluice.Page{Limit: sluice.MaxPageSize})
		if err != nil {
			return err
		}
		p.Links, p.More = len(list.Data), list.More
	}
	return v.render("delete", p)
}

func (v *visit) deleteFile() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if _, err := v.svc.Files.Delete(v.r.Context(), v.caller, id, version(form)); err != nil {
		return v.fileFailed(id, err)
	}
	return v.redirect(did(v.path("/files/"+id), "file-deleted"))
}
