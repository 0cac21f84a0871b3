package stripego

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v83"
)

var ctx = context.Background()

func upload(t *testing.T, c *stripe.Client, name, content, purpose string) *stripe.File {
	t.Helper()
	f, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{
		FileReader: strings.NewReader(content), Filename: stripe.String(name), Purpose: stripe.String(purpose),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func link(t *testing.T, c *stripe.Client, p *stripe.FileLinkCreateParams) *stripe.FileLink {
	t.Helper()
	l, err := c.V1FileLinks.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func get(t *testing.T, url, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.SetBasicAuth(key, "")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// collect drains an auto-paging list.
func collect[T any](t *testing.T, list stripe.Seq2[T, error], id func(T) string) (ids []string) {
	t.Helper()
	list(func(one T, err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id(one))
		return true
	})
	return ids
}

// wantIDs reports where two lists differ.
func wantIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	same := 0
	for same < min(len(got), len(want)) && got[same] == want[same] {
		same++
	}
	t.Errorf("%s: %d objects, want %d; the first %d are the same", what, len(got), len(want), same)
}

func fileID(f *stripe.File) string     { return f.ID }
func linkID(l *stripe.FileLink) string { return l.ID }

// TestFilesAndLinks uses files and links like an application. The library does not
// support a base URL with a path, so its header selects the adapter.
func TestFilesAndLinks(t *testing.T) {
	p := start(t, "--no-rate-limit", "--max-link-lifetime", "none")
	walk(t, p, client(p.url, p.key))
}

func walk(t *testing.T, p *process, c *stripe.Client) {
	before := time.Now().Unix()
	f := upload(t, c, "evidence.pdf", "%PDF-1.7 hello", "dispute_evidence")
	want := stripe.File{
		ID: f.ID, Object: "file", Created: f.Created, Filename: "evidence.pdf",
		Purpose: stripe.FilePurposeDisputeEvidence, Size: 14, Type: "pdf",
		URL: p.url + "/compat/stripe/v1/files/" + f.ID + "/contents",
	}
	checkFile(t, f, want)
	if f.Created < before || f.Created > time.Now().Unix() || !strings.HasPrefix(f.ID, "file_") {
		t.Errorf("created %d, id %s", f.Created, f.ID)
	}
	if r := f.LastResponse; r.StatusCode != 200 || !strings.HasPrefix(r.RequestID, "req_") ||
		r.Header.Get("Stripe-Version") != stripe.APIVersion {
		t.Errorf("response: %d %s %v", r.StatusCode, r.RequestID, r.Header)
	}
	got, err := c.V1Files.Retrieve(ctx, f.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkFile(t, got, want)
	if status, body := get(t, f.URL, p.key); status != 200 || body != "%PDF-1.7 hello" {
		t.Errorf("contents: %d %q", status, body)
	}

	// A link without expiry, and one with.
	endless := link(t, c, &stripe.FileLinkCreateParams{File: stripe.String(f.ID)})
	if endless.ExpiresAt != 0 || endless.Expired || endless.File.ID != f.ID || endless.Livemode ||
		len(endless.Metadata) != 0 ||
		endless.Object != "file_link" {
		t.Errorf("the link is %+v", endless)
	}
	if status, body := get(t, endless.URL, ""); status != 200 || body != "%PDF-1.7 hello" {
		t.Errorf("the link gives %d %q", status, body)
	}
	at := time.Now().Unix() + 3600
	l := link(t, c, &stripe.FileLinkCreateParams{
		File: stripe.String(f.ID), ExpiresAt: stripe.Int64(at),
		Metadata: map[string]string{"order": "6735", "a.b": "ü"},
	})
	if l.ExpiresAt != at || l.Expired || !maps.Equal(l.Metadata, map[string]string{"order": "6735", "a.b": "ü"}) {
		t.Errorf("the link is %+v", l)
	}

	read, err := c.V1FileLinks.Retrieve(
		ctx, l.ID,
		&stripe.FileLinkRetrieveParams{Expand: []*string{stripe.String("file")}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if read.URL != l.URL || read.File.Filename != "evidence.pdf" || read.File.Size != 14 ||
		len(read.File.Links.Data) != 2 {
		t.Errorf("expanded: %+v", read.File)
	}
	if got, _ = c.V1Files.Retrieve(ctx, f.ID, nil); len(got.Links.Data) != 2 || got.Links.HasMore ||
		got.Links.Data[0].ID != l.ID ||
		got.Links.URL != "/v1/file_links?file="+f.ID {
		t.Errorf("the file's links are %+v", got.Links)
	}
	checkUpdates(t, c, l, at)
}

func checkUpdates(t *testing.T, c *stripe.Client, l *stripe.FileLink, at int64) {
	t.Helper()
	update := func(p *stripe.FileLinkUpdateParams) *stripe.FileLink {
		t.Helper()
		got, err := c.V1FileLinks.Update(ctx, l.ID, p)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := update(&stripe.FileLinkUpdateParams{Metadata: map[string]string{"order": "", "new": "1"}})
	if !maps.Equal(got.Metadata, map[string]string{"a.b": "ü", "new": "1"}) || got.ExpiresAt != at || got.URL != l.URL {
		t.Errorf("merged: %+v", got)
	}
	p := &stripe.FileLinkUpdateParams{}
	p.AddExtra("metadata", "")
	if got = update(p); len(got.Metadata) != 0 {
		t.Errorf("cleared: %v", got.Metadata)
	}
	if got = update(&stripe.FileLinkUpdateParams{ExpiresAt: stripe.Int64(at + 100*24*3600)}); got.ExpiresAt != at+100*24*3600 {
		t.Errorf("later: %d", got.ExpiresAt)
	}
	p = &stripe.FileLinkUpdateParams{}
	p.AddExtra("expires_at", "")
	if got = update(p); got.ExpiresAt != 0 || got.Expired {
		t.Errorf("never: %+v", got)
	}
	got = update(&stripe.FileLinkUpdateParams{ExpiresAtNow: stripe.Bool(true)})
	if !got.Expired || got.ExpiresAt == 0 || got.ExpiresAt > time.Now().Unix() {
		t.Errorf("ended: %+v", got)
	}
	if status, _ := get(t, l.URL, ""); status != http.StatusGone {
		t.Errorf("the URL of an expired link responds with %d", status)
	}
	if got, err := c.V1FileLinks.Retrieve(ctx, l.ID, nil); err != nil || !got.Expired {
		t.Errorf("read again: %+v, %v", got, err)
	}
	_, err := c.V1FileLinks.Update(ctx, l.ID, &stripe.FileLinkUpdateParams{ExpiresAt: stripe.Int64(at)})
	wantError(t, err, 400, stripe.ErrorTypeInvalidRequest, "", "")
}

func checkFile(t *testing.T, got *stripe.File, want stripe.File) {
	t.Helper()
	links := got.Links
	plain := *got
	plain.Links, plain.APIResource = nil, stripe.APIResource{}
	if fmt.Sprintf("%+v", plain) != fmt.Sprintf("%+v", want) {
		t.Errorf("the file is %+v\nwant %+v", plain, want)
	}
	if links == nil || links.HasMore {
		t.Errorf("its links are %+v", links)
	}
}

// TestUploadWithLink creates the link in the same request.
func TestUploadWithLink(t *testing.T) {
	p := start(t, "--no-rate-limit", "--max-link-lifetime", "none")
	c := client(p.url, p.key)
	at := time.Now().Unix() + 600
	for _, create := range []bool{true, false} {
		f, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{
			FileReader: strings.NewReader("a,b\n"), Filename: stripe.String("a.csv"),
			Purpose: stripe.String("finance_report_run"),
			FileLinkData: &stripe.FileCreateFileLinkDataParams{
				Create:    stripe.Bool(create),
				ExpiresAt: stripe.Int64(at),
				Metadata:  map[string]string{"k": "v"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !create {
			if len(f.Links.Data) != 0 {
				t.Errorf("got a link that was not requested: %+v", f.Links.Data)
			}
			continue
		}
		if len(f.Links.Data) != 1 || f.Links.Data[0].ExpiresAt != at || f.Links.Data[0].Metadata["k"] != "v" ||
			f.Type != "csv" {
			t.Fatalf("%+v", f.Links)
		}
		if status, body := get(t, f.Links.Data[0].URL, ""); status != 200 || body != "a,b\n" {
			t.Errorf("the link gives %d %q", status, body)
		}
	}
}

// TestLists pages through more objects than fit on two pages, in both directions and
// with every filter.
func TestLists(t *testing.T) {
	p := start(t, "--no-rate-limit", "--max-link-lifetime", "none")
	c := client(p.url, p.key)
	const count = 255
	var files, links []string
	for i := range count {
		purpose := "dispute_evidence"
		if i%2 == 1 {
			purpose = "tax_document_user_upload"
		}
		files = append(files, upload(t, c, fmt.Sprintf("%d.txt", i), "x", purpose).ID)
	}
	for range count {
		links = append(links, link(t, c, &stripe.FileLinkCreateParams{File: stripe.String(files[0])}).ID)
	}
	slices.Reverse(files)
	slices.Reverse(links)
	hundred := stripe.ListParams{Limit: stripe.Int64(100)}
	wantIDs(t, "files", collect(t, c.V1Files.List(ctx, &stripe.FileListParams{ListParams: hundred}), fileID), files)
	wantIDs(t, "files, ten at a time", collect(t, c.V1Files.List(ctx, nil), fileID), files)
	wantIDs(
		t, "links",
		collect(t, c.V1FileLinks.List(ctx, &stripe.FileLinkListParams{ListParams: hundred}), linkID),
		links,
	)

	// Backwards, the library yields the oldest objects first.
	back := func(from string) stripe.ListParams {
		return stripe.ListParams{Limit: stripe.Int64(100), EndingBefore: stripe.String(from)}
	}
	oldestFirst := slices.Clone(files[:count-1])
	slices.Reverse(oldestFirst)
	wantIDs(
		t, "files backwards",
		collect(t, c.V1Files.List(ctx, &stripe.FileListParams{ListParams: back(files[count-1])}), fileID),
		oldestFirst,
	)
	oldestFirst = slices.Clone(links[:count-1])
	slices.Reverse(oldestFirst)
	wantIDs(
		t, "links backwards",
		collect(t, c.V1FileLinks.List(ctx, &stripe.FileLinkListParams{ListParams: back(links[count-1])}), linkID),
		oldestFirst,
	)

	single := stripe.ListParams{Limit: stripe.Int64(3), StartingAfter: stripe.String(files[4]), Single: true}
	wantIDs(
		t, "one page",
		collect(t, c.V1Files.List(ctx, &stripe.FileListParams{ListParams: single}), fileID),
		files[5:8],
	)

	var evidence []string
	for i := 0; i < count; i += 2 {
		evidence = append(evidence, files[i])
	}
	wantIDs(
		t, "purpose",
		collect(
			t,
			c.V1Files.List(
				ctx,
				&stripe.FileListParams{ListParams: hundred, Purpose: stripe.String("dispute_evidence")},
			),
			fileID,
		),
		evidence,
	)
	checkTimes(t, p, c, files, links)
}

// checkTimes filters lists by creation time and by expired.
func checkTimes(t *testing.T, p *process, c *stripe.Client, files, links []string) {
	t.Helper()
	wait()
	young := upload(t, c, "young.txt", "x", "selfie")
	youngLink := link(
		t, c,
		&stripe.FileLinkCreateParams{File: stripe.String(young.ID), ExpiresAt: stripe.Int64(young.Created + 2)},
	)
	want := func(what string, got []string, want ...string) {
		t.Helper()
		wantIDs(t, what, got, want)
	}
	byFile := func(p stripe.FileListParams) []string { return collect(t, c.V1Files.List(ctx, &p), fileID) }
	byLink := func(p stripe.FileLinkListParams) []string { return collect(t, c.V1FileLinks.List(ctx, &p), linkID) }
	hundred := stripe.ListParams{Limit: stripe.Int64(100)}

	want("created", byFile(stripe.FileListParams{Created: stripe.Int64(young.Created)}), young.ID)
	want(
		"created[gte]",
		byFile(stripe.FileListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: young.Created}}),
		young.ID,
	)
	want(
		"created[gt]",
		byFile(stripe.FileListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThan: young.Created}}),
	)
	want(
		"created[lt]",
		byFile(
			stripe.FileListParams{
				ListParams:   hundred,
				CreatedRange: &stripe.RangeQueryParams{LesserThan: young.Created},
			},
		),
		files...)
	all := append([]string{young.ID}, files...)
	want(
		"created[lte]",
		byFile(
			stripe.FileListParams{
				ListParams:   hundred,
				CreatedRange: &stripe.RangeQueryParams{LesserThanOrEqual: young.Created},
			},
		),
		all...)

	want("file", byLink(stripe.FileLinkListParams{File: stripe.String(young.ID)}), youngLink.ID)
	want("created of links", byLink(stripe.FileLinkListParams{Created: stripe.Int64(youngLink.Created)}), youngLink.ID)
	want("expired, before", byLink(stripe.FileLinkListParams{Expired: stripe.Bool(true)}))
	time.Sleep(2 * time.Second)
	want("expired", byLink(stripe.FileLinkListParams{Expired: stripe.Bool(true)}), youngLink.ID)
	want("not expired", byLink(stripe.FileLinkListParams{ListParams: hundred, Expired: stripe.Bool(false)}), links...)

	// A link whose key was revoked counts as expired.
	id, secret := p.newKey(t)
	orphan := link(t, client(p.url, secret), &stripe.FileLinkCreateParams{File: stripe.String(young.ID)})
	revoke(t, p, id)
	want(
		"not expired, of a revoked key",
		byLink(stripe.FileLinkListParams{File: stripe.String(young.ID), Expired: stripe.Bool(false)}),
	)
	if l, err := c.V1FileLinks.Retrieve(ctx, orphan.ID, nil); err != nil || !l.Expired {
		t.Errorf("the link of a revoked key: %+v, %v", l, err)
	}

	expanded := &stripe.FileLinkListParams{File: stripe.String(young.ID), Expand: []*string{stripe.String("data.file")}}
	c.V1FileLinks.List(ctx, expanded)(func(l *stripe.FileLink, err error) bool {
		if err != nil || l.File.Filename != "young.txt" || l.File.Purpose != stripe.FilePurposeSelfie {
			t.Errorf("expanded in a list: %+v, %v", l, err)
		}
		return true
	})
}

func wantError(t *testing.T, err error, status int, kind stripe.ErrorType, code stripe.ErrorCode, param string) {
	t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		t.Errorf("%v is not a stripe.Error", err)
		return
	}
	if e.HTTPStatusCode != status || e.Type != kind || e.Code != code || e.Param != param {
		t.Errorf(
			"status %d, type %s, code %q, param %q (%s)\nwant   %d, type %s, code %q, param %q", e.HTTPStatusCode,
			e.Type, e.Code, e.Param, e.Msg, status, kind, code, param,
		)
	}
	if e.Msg == "" || !strings.Contains(e.DocURL, "/docs/errors/") || !strings.HasPrefix(e.RequestID, "req_") {
		t.Errorf("message %q, doc_url %q, request id %q", e.Msg, e.DocURL, e.RequestID)
	}
	var invalid *stripe.InvalidRequestError
	var again *stripe.IdempotencyError
	if errors.As(err, &invalid) != (kind == stripe.ErrorTypeInvalidRequest) ||
		errors.As(err, &again) != (kind == stripe.ErrorTypeIdempotency) {
		t.Errorf("%s is raised as %T", kind, e.Err)
	}
	if status != 429 && e.LastResponse.Header.Get("Stripe-Should-Retry") != "false" {
		t.Error("the response does not tell the client not to retry")
	}
}

func TestErrors(t *testing.T) {
	p := start(t, "--no-rate-limit")
	c := client(p.url, p.key)
	f := upload(t, c, "a.txt", "x", "dispute_evidence")
	hour := stripe.Int64(time.Now().Unix() + 3600)
	l := link(t, c, &stripe.FileLinkCreateParams{File: stripe.String(f.ID), ExpiresAt: hour})
	const bad = stripe.ErrorTypeInvalidRequest
	for name, fails := range map[string]struct {
		call        func() error
		status      int
		code, param string
	}{
		"no such file": {func() error { _, err := c.V1Files.Retrieve(ctx, "file_none", nil); return err }, 404, "resource_missing", "id"},
		"no such link": {func() error { _, err := c.V1FileLinks.Retrieve(ctx, "link_none", nil); return err }, 404, "resource_missing", "id"},
		"link to no file": {func() error {
			_, err := c.V1FileLinks.Create(ctx, &stripe.FileLinkCreateParams{File: stripe.String("file_none"), ExpiresAt: hour})
			return err
		}, 404, "resource_missing", "file"},
		"file missing": {func() error { _, err := c.V1FileLinks.Create(ctx, &stripe.FileLinkCreateParams{}); return err }, 400, "parameter_missing", "file"},
		"unknown parameter": {func() error {
			p := &stripe.FileLinkCreateParams{File: stripe.String(f.ID), ExpiresAt: hour}
			p.AddExtra("colour", "red")
			_, err := c.V1FileLinks.Create(ctx, p)
			return err
		}, 400, "parameter_unknown", "colour"},
		"in the past": {func() error {
			_, err := c.V1FileLinks.Create(ctx, &stripe.FileLinkCreateParams{File: stripe.String(f.ID), ExpiresAt: stripe.Int64(1)})
			return err
		}, 400, "", "expires_at"},
		"a link without end by a key that may not": {func() error {
			_, err := c.V1FileLinks.Create(ctx, &stripe.FileLinkCreateParams{File: stripe.String(f.ID)})
			return err
		}, 400, "", "expires_at"},
		"an update without end by a key that may not": {func() error {
			p := &stripe.FileLinkUpdateParams{}
			p.AddExtra("expires_at", "")
			_, err := c.V1FileLinks.Update(ctx, l.ID, p)
			return err
		}, 400, "", "expires_at"},
		"no purpose": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{FileReader: strings.NewReader("x"), Filename: stripe.String("a")})
			return err
		}, 400, "parameter_missing", "purpose"},
		"unknown purpose": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{FileReader: strings.NewReader("x"), Filename: stripe.String("a"), Purpose: stripe.String("fun")})
			return err
		}, 400, "", "purpose"},
		"no file": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{Purpose: stripe.String("dispute_evidence")})
			return err
		}, 400, "parameter_missing", "file"},
		"of a type its purpose does not allow": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{FileReader: strings.NewReader("x"), Filename: stripe.String("a.txt"), Purpose: stripe.String("business_logo")})
			return err
		}, 400, "", "file"},
		"larger than its purpose allows": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{
				FileReader: strings.NewReader(strings.Repeat("x", 30<<20)), Filename: stripe.String("a.png"),
				Purpose: stripe.String("business_logo"),
			})
			return err
		}, 400, "", "file"},
		"link of an upload without end": {func() error {
			_, err := c.V1Files.Create(ctx, &stripe.FileCreateParams{
				FileReader: strings.NewReader("x"), Filename: stripe.String("a"),
				Purpose:      stripe.String("dispute_evidence"),
				FileLinkData: &stripe.FileCreateFileLinkDataParams{Create: stripe.Bool(true)},
			})
			return err
		}, 400, "", "file_link_data[expires_at]"},
		"too large a limit": {func() error { return page(c, stripe.ListParams{Limit: stripe.Int64(101)}) }, 400, "parameter_invalid_integer", "limit"},
		"no such cursor":    {func() error { return page(c, stripe.ListParams{StartingAfter: stripe.String("file_none")}) }, 400, "resource_missing", "starting_after"},
		"both cursors": {func() error {
			return page(c, stripe.ListParams{StartingAfter: stripe.String(f.ID), EndingBefore: stripe.String(f.ID)})
		}, 400, "parameters_exclusive", "starting_after"},
		"not to be expanded": {func() error {
			_, err := c.V1Files.Retrieve(ctx, f.ID, &stripe.FileRetrieveParams{Expand: []*string{stripe.String("owner")}})
			return err
		}, 400, "", "expand"},
		"wrong key": {func() error { return page(client(p.url, "sk_test_wrong"), stripe.ListParams{}) }, 401, "", ""},
		"long value": {func() error {
			_, err := c.V1FileLinks.Update(ctx, l.ID, &stripe.FileLinkUpdateParams{Metadata: map[string]string{"k": strings.Repeat("x", 501)}})
			return err
		}, 400, "", "metadata[k]"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, fails.call(), fails.status, bad, stripe.ErrorCode(fails.code), fails.param)
		})
	}
	_, reader := p.newKey(t, "--scopes", "files:read")
	_, err := client(p.url, reader).V1FileLinks.Retrieve(ctx, l.ID, nil)
	wantError(t, err, 403, bad, "", "")
	if f, err := client(p.url, reader).V1Files.Retrieve(ctx, f.ID, nil); err != nil || f.Links != nil {
		t.Errorf("file for a key that may not read links: %+v, %v", f, err)
	}
}

// page reads the first page of files.
func page(c *stripe.Client, p stripe.ListParams) (err error) {
	c.V1Files.List(ctx, &stripe.FileListParams{ListParams: p})(func(_ *stripe.File, failed error) bool {
		err = failed
		return false
	})
	return err
}

func TestIdempotency(t *testing.T) {
	p := start(t, "--no-rate-limit", "--max-link-lifetime", "none")
	c := client(p.url, p.key)
	create := func(content string) (*stripe.File, error) {
		params := &stripe.FileCreateParams{
			FileReader: strings.NewReader(content),
			Filename:   stripe.String("a.txt"),
			Purpose:    stripe.String("selfie"),
		}
		params.SetIdempotencyKey("upload-1")
		return c.V1Files.Create(ctx, params)
	}
	first, err := create("one")
	if err != nil {
		t.Fatal(err)
	}
	again, err := create("one")
	if err != nil || again.ID != first.ID || string(again.LastResponse.RawJSON) != string(first.LastResponse.RawJSON) {
		t.Fatalf("%s\n%s\n%v", again.LastResponse.RawJSON, first.LastResponse.RawJSON, err)
	}
	if h := again.LastResponse.Header; h.Get("Idempotent-Replayed") != "true" ||
		h.Get("Original-Request") != first.LastResponse.RequestID ||
		first.LastResponse.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("headers %v", h)
	}
	_, err = create("two")
	wantError(t, err, 400, stripe.ErrorTypeIdempotency, "", "")

	mint := func(file string) (*stripe.FileLink, error) {
		params := &stripe.FileLinkCreateParams{File: stripe.String(file)}
		params.SetIdempotencyKey("link-1")
		return c.V1FileLinks.Create(ctx, params)
	}
	one, err := mint(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	two, err := mint(first.ID)
	if err != nil || string(one.LastResponse.RawJSON) != string(two.LastResponse.RawJSON) {
		t.Errorf("%s\n%s\n%v", one.LastResponse.RawJSON, two.LastResponse.RawJSON, err)
	}
	_, err = mint("file_none")
	wantError(t, err, 400, stripe.ErrorTypeIdempotency, "", "")
	end := func(now bool) (*stripe.FileLink, error) {
		params := &stripe.FileLinkUpdateParams{ExpiresAtNow: stripe.Bool(now)}
		params.SetIdempotencyKey("end-1")
		return c.V1FileLinks.Update(ctx, one.ID, params)
	}
	ended, err := end(true)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := end(true); err != nil || string(again.LastResponse.RawJSON) != string(ended.LastResponse.RawJSON) {
		t.Errorf("ended again: %v", err)
	}
	if list := collect(t, c.V1FileLinks.List(ctx, nil), linkID); len(list) != 1 {
		t.Errorf("got the links %q", list)
	}
}

// TestRateLimit sends requests faster than a test key may.
func TestRateLimit(t *testing.T) {
	p := start(t)
	c := client(p.url, p.key)
	var mu sync.Mutex
	var limited error
	var wg sync.WaitGroup
	for range 60 {
		wg.Go(func() {
			if err := page(c, stripe.ListParams{}); err != nil {
				mu.Lock()
				limited = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if limited == nil {
		t.Fatal("sixty concurrent requests all succeeded")
	}
	wantError(t, limited, 429, stripe.ErrorTypeInvalidRequest, stripe.ErrorCodeRateLimit, "")
	var e *stripe.Error
	if errors.As(limited, &e); e.LastResponse.Header.Get("Retry-After") == "" {
		t.Errorf("headers %v", e.LastResponse.Header)
	}
}
