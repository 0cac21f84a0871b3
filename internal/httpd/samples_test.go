package httpd_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/api"
)

// sample is a program in testdata/seeds, and how to run it.
type sample struct {
	file    string
	program []string // gets the path of the file
	probe   []string // succeeds when the program can run
	install string   // a Debian package
	// correct fixes what stops the sample from running at all.
	correct func(string) string
	// key is the text in the sample that a header with a key replaces.
	key, withKey string
	refused      string // its output when it is refused
}

const (
	sampleKey  = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
	sampleHost = "https://api.mattermode.com"
)

var samples = []sample{
	{
		file: "curl.sh", program: []string{"sh"}, probe: []string{"curl", "--version"}, install: "curl",
		refused: `"status":401`,
		key:     `-H "Content-Type: application/json"`,
		withKey: `-H "Content-Type: application/json" -H "Authorization: Bearer ` + sampleKey + `"`,
	},
	{
		file: "fetch.mjs", program: []string{"node"}, probe: []string{"node", "--version"}, install: "nodejs",
		key:     `"Content-Type": "application/json"`,
		withKey: `"Content-Type": "application/json", "Authorization": "Bearer ` + sampleKey + `"`,
	},
	goSample,
	{file: "requests-key.py", program: []string{"python3"}, probe: []string{"python3", "-c", "import requests"},
		install: "python3-requests", refused: "401 Client Error"},
	{file: "curl-key.sh", program: []string{"sh"}, probe: []string{"curl", "--version"}, install: "curl",
		refused: `"status":401`},
	{file: "fetch-key.mjs", program: []string{"node"}, probe: []string{"node", "--version"}, install: "nodejs",
		refused: "Matter API 401:"},
}

var goSample = sample{
	file: "nethttp.go.txt", program: []string{"go", "run"}, probe: []string{"go", "version"}, install: "golang-go",
	refused: "401 Unauthorized",
	key:     `req.Header.Add("Content-Type", "application/json")`,
	withKey: `req.Header.Add("Content-Type", "application/json"); req.Header.Add("Authorization", "Bearer ` + sampleKey +
		`")`,
	correct: renamed,
}

// renamed renames the second variable body of the sample in Go.
func renamed(text string) string {
	text = strings.Replace(text, "body, _ := ioutil", "answer, _ := ioutil", 1)
	return strings.Replace(text, "string(body)", "string(answer)", 1)
}

// need skips a test without its program, or fails it where all tests must run.
func (s sample) need(t *testing.T) {
	t.Helper()
	err := exec.Command(s.probe[0], s.probe[1:]...).Run()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: %v", strings.Join(s.probe, " "), err)
	default:
		t.Skipf("%s needs the Debian package %s, or its like: %s: %v", s.file, s.install, strings.Join(s.probe, " "), err)
	}
}

// run runs the sample against c with the id of a file in place of the one on the page, and returns its output.
func (s sample) run(t *testing.T, c client, file, text string) (printed string, err error) {
	t.Helper()
	text = strings.NewReplacer(sampleHost, c.URL, "{id}", file, "file_Y9rJpN4k", file).Replace(text)
	if s.correct != nil {
		text = s.correct(text)
	}
	path := filepath.Join(t.TempDir(), strings.TrimSuffix(s.file, ".txt"))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program[0], append(s.program[1:], path)...)
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// answered waits until the server has logged n requests for links of a file with a status. A program may end before
// that.
func (c client) answered(t *testing.T, status string, n int) {
	t.Helper()
	line := "route=/v1/files/{id}/links status=" + status + " "
	for end := time.Now().Add(time.Minute); strings.Count(c.Log.String(), line) != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not tell of %d requests answered with %s", n, status)
		}
	}
}

// linksOf returns the links of a file.
func (c client) linksOf(t *testing.T, file string) []api.Link {
	t.Helper()
	return read[api.List[api.Link]](t, c.ask(t, "GET", "/v1/files/"+file+"/links?limit=100", "").want(t, 200)).Data
}

var linkURL = regexp.MustCompile(`http://[0-9.:]+/l/[0-9A-Za-z_-]+`)

// TestSamples runs the code samples of the page that the native API grew from. It changes the host, the file and the
// key in them, and the name of a variable in the one that does not compile as printed. Samples that send no key are
// refused until they do.
func TestSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			s.need(t)
			source, err := os.ReadFile(filepath.Join("testdata", "seeds", s.file))
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t)
			f := c.upload(t, "a.txt", "text/plain", "hello")

			printed, _ := s.run(t, c, f.ID, string(source))
			c.answered(t, "401", 1)
			if links := c.linksOf(t, f.ID); len(links) > 0 || !strings.Contains(printed, s.refused) {
				t.Fatalf("without a key of ours: %d links, and printed was:\n%s", len(links), printed)
			}

			text := string(source)
			if s.key != "" {
				if strings.Contains(text, sampleKey) || strings.Count(text, s.key) != 1 {
					t.Fatal("the sample is not one without a key")
				}
				text = strings.Replace(text, s.key, s.withKey, 1)
			}
			text = strings.ReplaceAll(text, sampleKey, c.secret)
			printed, err = s.run(t, c, f.ID, text)
			if err != nil {
				t.Fatalf("%v\n%s", err, printed)
			}
			links := c.linksOf(t, f.ID)
			if len(links) != 1 {
				t.Fatalf("%d links, want the one that was asked for\n%s", len(links), printed)
			}
			now := c.Clock.Now().Unix()
			want := api.Link{
				ID: links[0].ID, Object: "file_link", FileID: f.ID, URL: links[0].URL, ExpiresAt: ptr(now + 3600),
				Metadata:    map[string]string{},
				Disposition: "attachment", AllowedIPs: []string{}, Created: now, Updated: now,
				AllowedRecipients: []string{}, Verification: "none", Page: "auto",
			}
			if diff := cmp.Diff(want, links[0]); diff != "" {
				t.Error(diff)
			}
			if s.refused != "" && linkURL.FindString(printed) != want.URL { // one sample prints nothing
				t.Errorf("printed was not the link's URL:\n%s", printed)
			}
			if got := c.get(t, want.URL).want(t, 200); string(got.body) != "hello" {
				t.Errorf("downloaded %q", got.body)
			}

			if s.key == "" { // the sample sends an Idempotency-Key
				again, err := s.run(t, c, f.ID, text)
				if err != nil || linkURL.FindString(again) != want.URL || len(c.linksOf(t, f.ID)) != 1 {
					t.Errorf("run again: %v\n%s", err, again)
				}
			}
		})
	}
}

// TestSampleInGo checks that the sample in Go needs its correction.
func TestSampleInGo(t *testing.T) {
	s := goSample
	s.need(t)
	s.correct = nil
	source, err := os.ReadFile(filepath.Join("testdata", "seeds", s.file))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t)
	printed, err := s.run(t, c, sluice.PrefixFile+"none", string(source))
	if err == nil || !strings.Contains(printed, "no new variables on left side of :=") {
		t.Errorf("as printed it compiles: %v\n%s", err, printed)
	}
}
