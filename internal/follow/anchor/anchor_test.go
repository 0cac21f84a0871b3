package anchor_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/follow/anchor"
	"sluice/ledger"
)

func texts(t *testing.T, r io.Reader) (all []string) {
	t.Helper()
	for text, err := range anchor.Texts(r) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

func TestAppendFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "anchor")
	want := []string{"one\n\n— sig\n", "two\n"}
	for _, text := range want {
		if err := anchor.AppendFile(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(name)
	if err != nil || string(whole) != "one\n\n— sig\n---\ntwo\n---\n" {
		t.Fatalf("the file contains %q, %v", whole, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := texts(t, bytes.NewReader(whole)); !slices.Equal(got, want) {
		t.Errorf("read back %q", got)
	}
}

// Wherever a crash truncated the file, a text that is appended later is read in full.
func TestAppendAfterCrash(t *testing.T) {
	whole := "one\n\n— sig\n---\ntwo\n\n— sig\n---\n"
	for cut := range len(whole) + 1 {
		name := filepath.Join(t.TempDir(), "anchor")
		if err := os.WriteFile(name, []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := anchor.AppendFile(name, []byte("three\n")); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := texts(t, bytes.NewReader(left))
		if got[len(got)-1] != "three\n" || cut >= len("one\n\n— sig\n---\n") && got[0] != "one\n\n— sig\n" {
			t.Errorf("cut at %d: %q", cut, got)
		}
		if !strings.HasPrefix(string(left), whole[:cut]) {
			t.Errorf("cut at %d: the content before became %q", cut, left)
		}
	}
}

func TestAppendToNoFile(t *testing.T) {
	if err := anchor.AppendFile(t.TempDir(), []byte("x\n")); err == nil {
		t.Error("appended to a folder")
	}
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("x", 10_000) + "\n"
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"one\n", []string{"one\n"}},
		{"one\n---\ntwo", []string{"one\n", "two"}},
		{"---\n---\none\n---\n", []string{"one\n"}},
		{"one---\n---x\n ---\n---\n", []string{"one---\n---x\n ---\n"}},
		{long + "---\n" + long, []string{long, long}},
		{strings.Repeat("y", 4096) + "---\n", []string{strings.Repeat("y", 4096) + "---\n"}},
	} {
		if got := texts(t, strings.NewReader(c.in)); !slices.Equal(got, c.want) {
			t.Errorf("%.60q: got %.60q", c.in, got)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestTextsRefusesWhatIsTooLong(t *testing.T) {
	for _, err := range anchor.Texts(endless{}) {
		if !errors.Is(err, ledger.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	}
}

func TestPost(t *testing.T) {
	elsewhere := httptest.NewServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }),
	)
	defer elsewhere.Close()
	var got string
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(body)
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/made":
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer ts.Close()
	for path, good := range map[string]bool{"/": true, "/made": true, "/moved": false, "/broken": false} {
		err := anchor.Post(context.Background(), ts.URL+path+"?token=hush", []byte("note"))
		if (err == nil) != good || got != "POST text/plain; charset=utf-8 note" {
			t.Errorf("%s: %v, sent %q", path, err, got)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("the error contains the secret: %v", err)
		}
	}
	ts.Close()
	if err := anchor.Post(context.Background(), ts.URL+"/?token=hush", nil); err == nil ||
		strings.Contains(err.Error(), "hush") {
		t.Errorf("without a server: %v", err)
	}
}

// cosignerKey returns the verifier key of a witness (C2SP tlog-cosignature) that
// never signs.
func cosignerKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const name = "witness.example/w1"
	raw := append([]byte{4}, public...)
	id := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(raw))
}

// Responses that violate the protocol are errors.
func TestWitnessThatAnswersWrongly(t *testing.T) {
	skey, _, err := ledger.GenerateKey(rand.Reader, "log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ledger.NewSigner(skey, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	note, err := signer.Sign(0, ledger.EmptyRoot())
	if err != nil {
		t.Fatal(err)
	}
	const size = "text/x.tlog.size"
	for _, c := range []struct {
		name    string
		status  int
		kind    string
		body    string
		refused bool
	}{
		{"no cosignature", 200, "text/plain", "", false},
		{"stranger's cosignature", 200, "text/plain", string(note[bytes.Index(note, []byte("—")):]), false},
		{"longer log", 409, size, "9\n", true},
		{"another log of this size", 409, size, "0\n", true},
		{"no size", 409, "text/plain", "3\n", false},
		{"malformed size", 409, size, "three\n", false},
		{"negative size", 409, size, "-3\n", false},
		{"proof does not hold", 422, "text/plain", "", true},
		{"unknown log", 404, "text/plain", "", false},
		{"unknown key", 403, "text/plain", "", false},
		{"defect", 500, "text/plain", "", false},
		{"redirect", 307, "text/plain", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				if r.URL.Path != "/w/add-checkpoint" {
					t.Errorf("request to %s", r.URL.Path)
				}
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer ts.Close()
			w, err := anchor.NewWitness(cosignerKey(t) + " " + ts.URL + "/w/")
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Show(
				context.Background(), note, 0, 0,
				func(int64, int64) ([]ledger.Hash, error) { return nil, nil },
			)
			if err == nil || errors.Is(err, anchor.ErrRefused) != c.refused || asked > 2 {
				t.Errorf("%d requests: %v", asked, err)
			}
		})
	}
}
