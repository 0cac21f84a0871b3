package blob

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The tests sign with these credentials. No error may show them.
const (
	testAccess = "SLUICETESTACCESS"
	testSecret = "zQ7hVb2nXc9mKd4pWf6tRg8yLj3sAe5u"
	testBucket = "sluice-test"
	testRegion = "eu-central-1"
)

// gateway is a real S3 server, versitygw, over a folder. It ends with the process
// that started it, however that process ends.
type gateway struct {
	tool, dir, addr string

	cmd  *exec.Cmd
	hold io.Closer // closing it ends the gateway
}

// underWatch runs a command until its standard input ends.
const underWatch = `"$0" "$@" & read -r nothing; kill -9 $!; wait $!`

var shared struct {
	sync.Mutex
	dir     string
	tool    string
	err     error
	gateway *gateway
}

// gatewayTool builds versitygw once, from the module that pins its version.
func gatewayTool(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.dir == "" {
		if shared.dir, shared.err = os.MkdirTemp("", "sluice-versitygw"); shared.err != nil {
			t.Fatal(shared.err)
		}
		shared.tool = filepath.Join(shared.dir, "versitygw")
		build := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "versitygw"),
			"-o", shared.tool, "github.com/versity/versitygw/cmd/versitygw")
		if out, err := build.CombinedOutput(); err != nil {
			shared.err = fmt.Errorf("%w: %s", err, out)
		}
	}
	switch {
	case shared.err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("go build: %v", shared.err)
	default:
		t.Skipf("versitygw, the S3 server of the tests, could not be built (%v): "+
			"with network, go build -C tools/versitygw fetches it", shared.err)
	}
	return shared.tool
}

// sharedGateway gives the gateway that all tests share. They leave it running.
func sharedGateway(t testing.TB) *gateway {
	t.Helper()
	tool := gatewayTool(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.gateway == nil {
		g := newGateway(t, tool, filepath.Join(shared.dir, "data"))
		g.start(t)
		shared.gateway = g
	}
	setCredentials(t)
	return shared.gateway
}

// ownGateway gives a gateway that the test may stop.
func ownGateway(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t, gatewayTool(t), t.TempDir())
	g.start(t)
	t.Cleanup(g.stop)
	setCredentials(t)
	return g
}

// endGateway ends the shared gateway.
func endGateway() {
	if shared.gateway != nil {
		shared.gateway.stop()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
}

func newGateway(t testing.TB, tool, dir string) *gateway {
	t.Helper()
	for _, name := range []string{filepath.Join("buckets", testBucket), "attributes"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return &gateway{tool: tool, dir: dir, addr: free.Addr().String()}
}

func (g *gateway) start(t testing.TB) {
	t.Helper()
	g.cmd = exec.Command("sh", "-c", underWatch, g.tool,
		"--port", g.addr, "--region", testRegion, "--quiet", "--keep-alive",
		"posix", "--sidecar", filepath.Join(g.dir, "attributes"), filepath.Join(g.dir, "buckets"))
	g.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+testAccess, "ROOT_SECRET_KEY="+testSecret)
	log, err := os.Create(filepath.Join(g.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	g.cmd.Stdout, g.cmd.Stderr = log, log
	if g.hold, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", g.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("versitygw does not listen: %s", readFile(t, log.Name()))
		}
	}
}

func (g *gateway) stop() {
	if g.cmd != nil {
		g.hold.Close()
		_ = g.cmd.Wait()
		g.cmd = nil
	}
}

// options gives the options for a prefix that no other test uses.
func (g *gateway) options(t testing.TB) S3Options {
	prefix := fmt.Sprintf("%s/%d", strings.Map(prefixRune, t.Name()), time.Now().UnixNano())
	return S3Options{Bucket: testBucket, Prefix: prefix, Region: testRegion, Endpoint: "http://" + g.addr, PathStyle: true}
}

func prefixRune(r rune) rune {
	if r == '/' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return '-'
}

// setCredentials makes the environment the only place with credentials.
func setCredentials(t testing.TB) {
	t.Helper()
	forgetCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testAccess)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
}

func forgetCredentials(t testing.TB) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

// mustOpenS3 opens an S3 that pauses only briefly between attempts.
func mustOpenS3(t testing.TB, o S3Options, tune ...func(*s3.Options)) *S3 {
	t.Helper()
	s, err := openS3(t.Context(), o, func(options *s3.Options) {
		options.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = attempts, 50*time.Millisecond
		})
		for _, f := range tune {
			f(options)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// roundTripper is a transport that is a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// sender sends a request.
type sender = func(*http.Request) (*http.Response, error)

// through has a client send its requests through f, which may pass them on to send.
func through(f func(r *http.Request, send sender) (*http.Response, error)) func(*s3.Options) {
	return func(o *s3.Options) {
		real := o.HTTPClient.(*http.Client).Transport
		o.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return f(r, real.RoundTrip)
		})}
	}
}

// relay passes connections on to a gateway. It cuts each one when that has carried
// as many bytes towards the client as budget allows.
type relay struct {
	net.Listener
	budget func(connection int) (bytes int64, stall bool)
}

// newRelay starts a relay that ends with the test.
func newRelay(t *testing.T, target string, budget func(connection int) (bytes int64, stall bool)) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, budget: budget}
	var all sync.WaitGroup
	ended := make(chan struct{})
	all.Go(func() {
		for n := 0; ; n++ {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.pass(client, target, n, ended) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(ended)
		all.Wait()
	})
	return r
}

func (r *relay) pass(client net.Conn, target string, n int, ended chan struct{}) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go io.Copy(server, client)
	go func() {
		<-ended
		client.Close()
		server.Close()
	}()
	bytes, stall := r.budget(n)
	_, err = io.CopyN(client, server, bytes)
	if stall && !errors.Is(err, io.EOF) {
		<-ended
	}
}
