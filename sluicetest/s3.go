//go:build unix

package sluicetest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// S3 gives the URL of an empty prefix of a bucket, and has the environment of
// the test hold the credentials. Its server, versitygw, belongs to this test
// process alone, and ends with it. Where it cannot be built the test is skipped,
// and under CI=true it fails.
func S3(t testing.TB) string {
	t.Helper()
	s, err := sharedS3()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("versitygw, the S3 server of the tests, does not run (%v): with network, go build -C tools/versitygw fetches it", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_ACCESS_KEY_ID", s3Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3Secret)
	return fmt.Sprintf("s3://%s/%d?region=%s&endpoint=http://%s&path_style=true", s3Bucket, s3Prefixes.Add(1), s3Region, s.addr)
}

const (
	s3Access = "SLUICETESTACCESS"
	s3Secret = "zQ7hVb2nXc9mKd4pWf6tRg8yLj3sAe5u"
	s3Bucket = "sluice-test"
	s3Region = "eu-central-1"
)

var (
	sharedS3   = sync.OnceValues(startS3)
	s3Prefixes atomic.Int64
)

// s3Server is a server of this test process.
type s3Server struct {
	addr  string
	input io.Closer // its end, as that of this process, ends the server
}

// The shell outlives the test process, however that ends, and then ends the
// server and removes its folder.
const watchS3 = `"$0" "$@" >log 2>&1 & read -r nothing; kill -9 $!; wait $!; rm -rf "$PWD"`

// startS3 starts the server that the module in tools/versitygw pins.
func startS3() (s *s3Server, err error) {
	dir, err := os.MkdirTemp("", "sluice-s3-")
	if err != nil {
		return nil, err
	}
	running := false
	defer func() {
		if !running {
			os.RemoveAll(dir)
		}
	}()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sluice").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	tool := filepath.Join(dir, "versitygw")
	build := exec.Command("go", "build", "-C", filepath.Join(strings.TrimSpace(string(root)), "tools", "versitygw"), "-o", tool, "github.com/versity/versitygw/cmd/versitygw")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	for _, name := range []string{filepath.Join("buckets", s3Bucket), "attributes"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s = &s3Server{addr: free.Addr().String()}
	free.Close()
	cmd := exec.Command("sh", "-c", watchS3, tool, "--port", s.addr, "--region", s3Region, "--quiet", "--keep-alive",
		"posix", "--sidecar", filepath.Join(dir, "attributes"), filepath.Join(dir, "buckets"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s3Access, "ROOT_SECRET_KEY="+s3Secret)
	if s.input, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	running = true
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
			return s, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return nil, fmt.Errorf("versitygw does not listen: %s", log)
		}
	}
}
