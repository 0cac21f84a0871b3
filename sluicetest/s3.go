//go:build unix

package sluicetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bucket and credentials of an S3Server.
const (
	S3Bucket = "sluice-test"
	S3Region = "eu-central-1"
	S3Access = "SLUICETESTACCESS"
	S3Secret = "kP4xWn8sBq2vTj6yHc9dRm3fLg7zEa5u"
)

// S3Server is a versitygw S3 server over a folder, for one test, which may stop
// it. It ends with the test process, even if that is killed.
type S3Server struct {
	Endpoint  string // URL of the server
	tool, dir string
	cmd       *exec.Cmd
	input     io.Closer // stdin of cmd: EOF ends the server
}

// S3 returns the URL of an empty bucket prefix on a new server.
func S3(t testing.TB) string {
	t.Helper()
	return NewS3Server(t).URL("files")
}

// NewS3Server starts a server with an empty bucket that ends with the test. It
// sets the credentials in the environment and disables their other sources. If
// the server cannot be built, the test is skipped, or fails if CI=true.
func NewS3Server(t testing.TB) *S3Server {
	t.Helper()
	tool, err := s3Tool()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("versitygw, the S3 server of the tests, could not be built (%v): "+
			"run go build -C tools/versitygw with network access", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &S3Server{tool: tool, dir: t.TempDir()}
	for _, name := range []string{filepath.Join("buckets", S3Bucket), "attributes"} {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Endpoint = "http://" + FreeAddress(t)
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	setS3Credentials(t)
	return s
}

// s3Tool builds the server from the module that pins its version and returns
// its path. The Go build cache keeps it.
var s3Tool = sync.OnceValues(func() (string, error) {
	tool := exec.Command("go", "tool", "-n", "versitygw")
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	tool.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(root))), "tools", "versitygw")
	out, err := tool.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
})

// FreeAddress returns an unused loopback address.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func setS3Credentials(t testing.TB) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores the value after the test
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_ACCESS_KEY_ID", S3Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", S3Secret)
}

// URL returns a --blob-url for the bucket, or for a prefix in it. Further
// parameters are pairs of name and value.
func (s *S3Server) URL(prefix string, parameters ...string) string {
	q := url.Values{"region": {S3Region}, "endpoint": {s.Endpoint}, "path_style": {"true"}}
	for i := 0; i < len(parameters); i += 2 {
		q.Set(parameters[i], parameters[i+1])
	}
	u := url.URL{Scheme: "s3", Host: S3Bucket, Path: "/" + prefix, RawQuery: q.Encode()}
	return u.String()
}

// Path returns the file in which the server stores an object.
func (s *S3Server) Path(object string) string {
	return filepath.Join(s.dir, "buckets", S3Bucket, filepath.FromSlash(object))
}

// Start starts the server after Stop, at the same address.
func (s *S3Server) Start(t testing.TB) {
	t.Helper()
	address := strings.TrimPrefix(s.Endpoint, "http://")
	s.cmd = exec.Command("sh", "-c", `"$0" "$@" >>log 2>&1 & read -r nothing; kill -9 $!; wait $!`,
		s.tool, "--port", address, "--region", S3Region, "--quiet", "--keep-alive", "posix",
		"--sidecar", filepath.Join(s.dir, "attributes"), filepath.Join(s.dir, "buckets"))
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+S3Access, "ROOT_SECRET_KEY="+S3Secret)
	var err error
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			t.Fatalf("versitygw does not listen: %s", log)
		}
	}
}

// Stop ends the server immediately, like a crash. Stored objects remain.
func (s *S3Server) Stop(t testing.TB) {
	t.Helper()
	s.input.Close()
	s.cmd.Wait()
}
