package stripego

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v83"
)

// binary is the path of the server's binary.
var binary string

func TestMain(m *testing.M) {
	stripe.DefaultLeveledLogger = &stripe.LeveledLogger{Level: stripe.LevelNull}
	dir, err := os.MkdirTemp("", "sluice-stripe-go")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", binary, "./cmd/sluice")
	build.Dir = filepath.Join("..", "..", "..")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// process is a server that is stopped at the end of its test.
type process struct {
	url, key, data string
}

var (
	printedKey = regexp.MustCompile(`KEY=(sk_test_\w+)`)
	printedURL = regexp.MustCompile(`Welcome to Sluice at (\S+)`)
)

func start(t *testing.T, flags ...string) *process {
	t.Helper()
	p := &process{data: t.TempDir()}
	cmd := exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", p.data}, flags...)...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
		if text, _ := os.ReadFile(log.Name()); t.Failed() || strings.Contains(string(text), "level=ERROR") {
			t.Errorf("the server's log:\n%.8000s", text)
		}
	})
	lines := bufio.NewScanner(out)
	for p.key == "" && lines.Scan() {
		if m := printedURL.FindStringSubmatch(lines.Text()); m != nil {
			p.url = m[1]
		}
		if m := printedKey.FindStringSubmatch(lines.Text()); m != nil {
			p.key = m[1]
		}
	}
	if p.key == "" {
		t.Fatal("the server did not print a key")
	}
	go io.Copy(io.Discard, out)
	return p
}

// newKey creates a key on the command line.
func (p *process) newKey(t *testing.T, flags ...string) (id, secret string) {
	t.Helper()
	out, err := exec.Command(
		binary,
		append(
			[]string{"key", "create", "--json", "--data", p.data, "--mode", "test", "--name", "test"},
			flags...)...).Output()
	var made struct{ ID, Secret string }
	if err = errors.Join(err, json.Unmarshal(out, &made)); err != nil {
		t.Fatal(err)
	}
	return made.ID, made.Secret
}

// client returns Stripe's client with another base URL.
func client(url, key string) *stripe.Client {
	backends := stripe.NewBackendsWithConfig(
		&stripe.BackendConfig{URL: stripe.String(url), MaxNetworkRetries: stripe.Int64(0)},
	)
	return stripe.NewClient(key, stripe.WithBackends(backends))
}

// wait waits until the next second.
func wait() { time.Sleep(1100 * time.Millisecond) }

func revoke(t *testing.T, p *process, id string) {
	t.Helper()
	if out, err := exec.Command(binary, "key", "revoke", "--data", p.data, id).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
