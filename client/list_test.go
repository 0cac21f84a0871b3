package client_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"sluice"
	"sluice/api"
	"sluice/client"
	"sluice/sluicetest"
)

func TestListsFetchAllPages(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	want := []string{s.Key.ID}
	for range 230 {
		k, _ := s.NewKey(t, s.Ledger(sluice.Test))
		want = append(want, k.ID)
	}
	c := newClient(t, s.URL, s.Secret)
	keys := func(p api.Page) (ids []string) {
		t.Helper()
		for k, err := range c.Keys(ctx, p) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, k.ID)
		}
		return ids
	}
	for _, limit := range []int{0, 1 + len(want)/7, 100} {
		if got := keys(api.Page{Limit: limit, Before: want[0]}); !slices.Equal(got, want[1:]) {
			t.Errorf("pages of %d: %d keys upwards", limit, len(got))
		}
		newest := slices.Clone(want)
		slices.Reverse(newest)
		if got := keys(api.Page{Limit: limit}); !slices.Equal(got, newest) {
			t.Errorf("pages of %d: %d keys", limit, len(got))
		}
		if got := keys(api.Page{Limit: limit, After: newest[5]}); !slices.Equal(got, newest[6:]) {
			t.Errorf("pages of %d: %d keys after one", limit, len(got))
		}
	}
	n := 0
	for range c.Entries(ctx, api.EntryQuery{EntryFilter: api.EntryFilter{Action: string(sluice.KeyCreated)}}) {
		n++
	}
	if n != len(want) {
		t.Errorf("%d entries of %d", n, len(want))
	}
}

// A list fetches only the pages that are read, and ends at its first error.
func TestListsEnd(t *testing.T) {
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"object": "list", "data": [{"id": "file_1"}, {"id": "file_2"}], "has_more": true}`))
	})
	for range c.Files(context.Background(), api.FileQuery{}) {
		break
	}
	if asked.Load() != 1 {
		t.Errorf("%d requests", asked.Load())
	}
	asked.Store(0)
	var ids []string
	var last error
	for f, err := range c.Files(context.Background(), api.FileQuery{}) {
		if last = err; err == nil {
			ids = append(ids, f.ID)
		}
	}
	want := []string{"file_1", "file_2"}
	if !slices.Equal(ids, want) || sluice.CodeOf(last) != sluice.CodeForbidden || asked.Load() != 2 {
		t.Errorf("%q, %v after %d requests", ids, last, asked.Load())
	}
}

// fill sets every field of a query to a value that the API accepts.
func fill(v reflect.Value, values map[string]string) {
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Tag.Get("query")
		switch {
		case v.Type().Field(i).Anonymous:
			fill(f, values)
		case f.Kind() == reflect.Int:
			f.SetInt(7)
		case f.Kind() == reflect.Slice:
			f.Set(reflect.ValueOf([]string{values["ids"], values["ids"]}))
		default:
			f.SetString(values[name])
		}
	}
}

// The server knows the names of all parameters that the client sends: it refuses unknown ones.
func TestServerKnowsQueryParameters(t *testing.T) {
	ctx := context.Background()
	s := sluicetest.NewServer(t)
	f := linked(t, s, []byte("content"), api.NewLink{})
	c := newClient(t, s.URL, s.Secret)
	ranges := map[string]string{"starting_after": "", "ending_before": ""}
	for _, name := range []string{"created", "expires_at", "size"} {
		ranges[name+"[gte]"], ranges[name+"[lte]"] = "1", "4000000000"
		ranges[name+"[gt]"], ranges[name+"[lt]"] = "1", "4000000000"
	}
	with := func(more map[string]string) map[string]string {
		for name, value := range ranges {
			if more[name] == "" {
				more[name] = value
			}
		}
		return more
	}
	var fq api.FileQuery
	fill(reflect.ValueOf(&fq).Elem(), with(map[string]string{
		"ids": f.ID, "purpose": "report", "filename": "f.bin", "type": f.Type, "sha256": f.SHA256, "status": "active",
	}))
	if list, err := c.FilePage(ctx, fq); err != nil || len(list.Data) != 1 {
		t.Errorf("files: %+v, %v", list, err)
	}
	fq = api.FileQuery{Title: "x", LinkedResource: "case:7"}
	if list, err := c.FilePage(ctx, fq); err != nil || len(list.Data) != 0 {
		t.Errorf("files: %+v, %v", list, err)
	}
	var lq client.LinkQuery
	fill(reflect.ValueOf(&lq).Elem(), with(map[string]string{
		"ids": f.Link.ID, "file_id": f.ID, "expired": "false", "revoked": "false",
	}))
	if list, err := c.LinkPage(ctx, lq); err != nil || len(list.Data) != 1 || list.Data[0].ID != f.Link.ID {
		t.Errorf("links: %+v, %v", list, err)
	}
	for l, err := range c.Links(ctx, client.LinkQuery{FileID: f.ID}) {
		if err != nil || l.ID != f.Link.ID {
			t.Errorf("links of the file: %+v, %v", l, err)
		}
	}
	first, err := c.EntryPage(ctx, api.EntryQuery{EntryFilter: api.EntryFilter{Action: "link.created"}})
	if err != nil || len(first.Data) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	e := first.Data[0]
	var eq api.EntryQuery
	fill(reflect.ValueOf(&eq).Elem(), with(map[string]string{
		"ids": e.ID, "file_id": f.ID, "link_id": f.Link.ID, "key_id": s.Key.ID, "action": e.Action, "outcome": "allowed",
		"request_id": e.Request.ID,
	}))
	if list, err := c.EntryPage(ctx, eq); err != nil || len(list.Data) != 1 {
		t.Errorf("entries: %+v, %v", list, err)
	}
	if got, err := c.Entry(ctx, e.ID); err != nil || got.ID != e.ID || got.Link == nil {
		t.Errorf("entry: %+v, %v", got, err)
	}
	_, err = c.FilePage(ctx, api.FileQuery{Page: api.Page{Limit: 101}})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Code != sluice.CodeValidation {
		t.Errorf("a page of 101: %v", err)
	}
}
