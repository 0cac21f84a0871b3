//go:build unix

package sluicetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// OIDC is a real OpenID Connect provider for one test. It ends with the test process, even if that is killed. Its
// client has the id OIDCClient and the secret OIDCSecret.
type OIDC struct {
	Issuer string
	people map[string]map[string]any
	file   string
}

// The client of an OIDC.
const (
	OIDCClient = "sluice"
	OIDCSecret = "secret"
)

// NewOIDC starts a provider that sends browsers back to the console of any server on loopback. It knows nobody.
// If it cannot be built, the test is skipped, or fails if CI=true.
func NewOIDC(t testing.TB) *OIDC {
	t.Helper()
	tool, err := oidcTool()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("the OpenID Connect provider of the tests could not be built (%v): "+
			"run go build -C tools/oidc with network access", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	address := FreeAddress(t)
	dir := t.TempDir()
	p := &OIDC{
		Issuer: "http://" + address + "/", people: map[string]map[string]any{}, file: filepath.Join(dir, "people"),
	}
	p.write(t)
	cmd := exec.Command("sh", "-c", `"$0" "$@" >>log 2>&1 & read -r nothing; kill -9 $!; wait $!`, tool,
		"-listen", address, "-people", p.file)
	cmd.Dir = dir
	input, err := cmd.StdinPipe() // EOF ends the provider
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(p.Issuer + ".well-known/openid-configuration")
		if err == nil {
			resp.Body.Close()
			return p
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("the OpenID Connect provider does not listen: %v\n%s", err, log)
		}
	}
}

// oidcTool builds the provider from the module that pins its version and returns its path. The Go build cache keeps
// it.
var oidcTool = sync.OnceValues(func() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sluice").Output() // also from another module
	if err != nil {
		return "", err
	}
	tool := exec.Command("go", "tool", "-n", "oidc")
	tool.Dir = filepath.Join(strings.TrimSpace(string(root)), "tools", "oidc")
	out, err := tool.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
})

// SetPerson adds a person, or changes what the provider says of them. The id is the subject and the user name; the
// password is "verysecure". Further claims, such as groups, may be nil.
func (p *OIDC) SetPerson(t testing.TB, id, name, email string, claims map[string]any) {
	t.Helper()
	p.people[id] = map[string]any{
		"ID": id, "Username": id, "Password": "verysecure", "FirstName": name, "Email": email, "EmailVerified": true,
		"Claims": claims,
	}
	p.write(t)
}

func (p *OIDC) write(t testing.TB) {
	t.Helper()
	data, err := json.Marshal(p.people)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.file+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		t.Fatal(err)
	}
}

var oidcRequestID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn signs a person in, as a browser that follows address to the provider. It returns where the provider sends the
// browser back to. The client must not follow redirects.
func (p *OIDC) SignIn(t testing.TB, client *http.Client, address, id string) string {
	t.Helper()
	body, next := p.visit(t, client, "GET", address, nil)
	for next != "" && strings.HasPrefix(next, p.Issuer) {
		body, next = p.visit(t, client, "GET", next, nil)
	}
	found := oidcRequestID.FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("the provider shows no form:\n%s", body)
	}
	form := url.Values{"id": {found[1]}, "username": {id}, "password": {"verysecure"}}
	body, next = p.visit(t, client, "POST", p.Issuer+"login/username", form)
	for next != "" && strings.HasPrefix(next, p.Issuer) {
		body, next = p.visit(t, client, "GET", next, nil)
	}
	if next == "" {
		t.Fatalf("the provider did not sign %s in:\n%s", id, body)
	}
	return next
}

// visit requests a page of the provider. It returns its body, and where it redirects to.
func (p *OIDC) visit(t testing.TB, client *http.Client, method, address string, form url.Values) (body, next string) {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if location, err := resp.Location(); err == nil {
		next = location.String()
	}
	return string(data), next
}
