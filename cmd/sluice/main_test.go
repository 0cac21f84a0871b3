package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"sluice": main})
}

// tidy removes the programs that tests built, after all tests.
type tidy struct{ *testing.M }

func (m tidy) Run() int {
	code := m.M.Run()
	for _, dir := range built.dirs {
		os.RemoveAll(dir)
	}
	return code
}

// built lists the folders with programs that tests built.
var built struct {
	mu   sync.Mutex
	dirs []string
}

func buildFolder() (string, error) {
	built.mu.Lock()
	defer built.mu.Unlock()
	dir, err := os.MkdirTemp("", "sluice-test-")
	built.dirs = append(built.dirs, dir)
	return dir, err
}

// The scripts type commands as a user does and compare the output.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"port":          chooseCommandPort,
			"await":         awaitServer,
			"env-from-list": keyFromList,
			"env-from-json": setFromJSON,
			"ask":           askServer,
			"safe":          safeForTerminal,
			"until":         untilFile,
		},
	})
}

// port NAME sets an environment variable to an unused address.
func chooseCommandPort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	ts.Setenv(args[0], l.Addr().String())
}

// await ADDRESS waits until a server responds there.
func awaitServer(ts *testscript.TestScript, _ bool, args []string) {
	if err := answers("http://" + args[0]); err != nil {
		ts.Fatalf("%v", err)
	}
}

// env-from-list NAME MODE sets an environment variable to the id of the newest
// key of a mode in the output of the last command.
func keyFromList(ts *testscript.TestScript, _ bool, args []string) {
	row := regexp.MustCompile(`(?m)^(key_[0-9a-z]{26}) +` + args[1])
	m := row.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no key of mode %s is listed", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func answers(url string) error {
	var err error
	for range 400 {
		var res *http.Response
		if res, err = http.Get(url + "/healthz"); err == nil {
			res.Body.Close()
			return nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	return err
}

// binary builds the real program, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := buildFolder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Stderr = os.Stderr
	return path, build.Run()
})

// process is a running server.
type process struct {
	cmd     *exec.Cmd
	url     string
	printed string // standard output until the server responded
	key     string // the first key, if this start created one
}

var (
	listening = regexp.MustCompile(`msg=listening address=(\S+)`)
	secret    = regexp.MustCompile(`sk_test_[a-z2-7]{39}`)
)

// startServer runs the real binary on a data folder and waits until it
// responds.
func startServer(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	return startServerBy(t, func(cmd *exec.Cmd) {}, data, flags...)
}

// startServerBy is startServer with a function that adjusts the command.
func startServerBy(t *testing.T, adjust func(*exec.Cmd), data string, flags ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := newServe(path, data, out, flags...)
	adjust(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stderr)
	var said []string
	for p.url == "" && lines.Scan() {
		said = append(said, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			p.url = "http://" + m[1]
		}
	}
	if p.url == "" {
		t.Fatalf("server did not start: %q", said)
	}
	go io.Copy(io.Discard, stderr)
	if err := answers(p.url); err != nil {
		t.Fatal(err)
	}
	printed, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	p.printed = string(printed)
	p.key = secret.FindString(p.printed)
	return p
}

func newServe(path, data string, stdout io.Writer, flags ...string) *exec.Cmd {
	cmd := exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)...)
	cmd.Stdout = stdout
	return cmd
}

// kill ends the server immediately. Its clients see the same as after a power
// failure.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// stop asks the server to stop and returns its exit code.
func (p *process) stop() int {
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func TestExitCodes(t *testing.T) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"no command", nil, exitUsage},
		{"unknown flag", []string{"serve", "--nonsense"}, exitUsage},
		{"help", []string{"--help"}, 0},
		{"version", []string{"version"}, 0},
		{"reachable without public URL", []string{"serve", "--listen", "0.0.0.0:0", "--data", t.TempDir()}, exitUsage},
		{"no data", []string{"key", "list", "--data", t.TempDir()}, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := run(ctx, c.args, io.Discard, io.Discard); got != c.want {
				t.Errorf("sluice %q exits with %d, want %d", c.args, got, c.want)
			}
		})
	}
}
