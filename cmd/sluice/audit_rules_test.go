package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// A server that believes an edited row writes what contradicts its log. verify finds it, in a folder and on the server,
// and tells that the log is what was signed.
func TestAuditVerifyReplaysTheLog(t *testing.T) {
	s := sluicetest.NewServer(t)
	s.Tampered = true
	caller := service.Caller{Ledger: s.Key.Ledger, Key: s.Key,
		Actor: sluice.Actor{Type: sluice.ActorKey, ID: s.Key.ID, Name: s.Key.Name}}
	created, err := s.Files.Create(t.Context(), caller, "", strings.NewReader("hello"), func() (service.NewFile, error) {
		return service.NewFile{Purpose: "export", Filename: "a.txt", Link: &service.NewLink{}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	open := func(want int) {
		t.Helper()
		url, err := s.Links.URL(*created.Link)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Fatalf("the link answers %s, want %d", res.Status, want)
		}
	}
	open(http.StatusOK)
	db := openBeside(t, s.Service)
	var seal []byte // with the seal of the earlier row, the server believes it
	if err := db.QueryRow("SELECT seal FROM link WHERE id = $1", created.Link.ID).Scan(&seal); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Links.Revoke(t.Context(), caller, "", created.Link.ID, nil); err != nil {
		t.Fatal(err)
	}
	open(http.StatusGone)
	dir := exportLog(t, s)
	const none = "rules       no entry contradicts an earlier one\n"
	if out, _ := audit(t, s, 0, "verify", dir); !strings.Contains(out, none) {
		t.Errorf("prints %s", out)
	}

	sqlRun(t, db, "UPDATE link SET revoked = NULL, ended = '', seal = $2 WHERE id = $1", created.Link.ID, seal)
	s.Restart(t)
	open(http.StatusOK)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Checkpoint(t)
	dir = filepath.Join(t.TempDir(), "log")
	audit(t, s, 0, "export", dir)
	says := regexp.MustCompile(`(?m)^rules       1 finding\nentry \d+ \(aud_\w+\): the link ` + created.Link.ID +
		` was redeemed after entry \d+ revoked it$`)
	for _, where := range []string{dir, s.URL} {
		out, errs := audit(t, s, exitFailed, "verify", where)
		if !says.MatchString(out) || !strings.Contains(out, "match the signed checkpoint") ||
			!strings.Contains(errs, "is what was signed, and 1 finding contradicts the rules of the log") {
			t.Errorf("prints %s%s", out, errs)
		}
		out, _ = audit(t, s, exitFailed, "verify", where, "--json")
		var v verified
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatal(err)
		}
		if v.OK || v.Fault != nil || v.Found != 1 || len(v.Findings) != 1 || v.Findings[0].Rule != "revoked" {
			t.Errorf("prints %s", out)
		}
	}
}
