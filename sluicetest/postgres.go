//go:build unix

package sluicetest

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Postgres returns the URL of a new, empty database. Its server belongs to the
// test process and ends with it. Without PostgreSQL the test is skipped, or
// fails if CI=true.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := sharedPostgres()
	if err != nil {
		withoutPostgres(t, err)
	}
	return s.NewDatabase(t)
}

var sharedPostgres = sync.OnceValues(startPostgres)

// PostgresServer is a PostgreSQL server for one test, which may stop it.
type PostgresServer struct {
	bin, dir  string
	databases atomic.Int64
	cmd       *exec.Cmd
	input     io.WriteCloser // stdin of cmd: a line stops the server, EOF removes it
}

// NewPostgresServer starts a server that ends with the test.
func NewPostgresServer(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := startPostgres()
	if err != nil {
		withoutPostgres(t, err)
	}
	t.Cleanup(func() {
		s.input.Close()
		s.cmd.Wait()
	})
	return s
}

var errNoPostgres = errors.New("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")

func withoutPostgres(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, errNoPostgres) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// User and password of the servers.
const (
	postgresUser     = "sluice"
	postgresPassword = "pa55:w/rd"
)

func startPostgres() (s *PostgresServer, err error) {
	s = &PostgresServer{}
	if s.bin, err = postgresBinaries(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "sluice-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(s.dir)
		}
	}()
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(postgresPassword), 0o644); err != nil {
		return nil, err
	}
	if c := unprivileged(); c != nil {
		if err := os.Chown(s.dir, int(c.Uid), int(c.Gid)); err != nil {
			return nil, err
		}
	}
	init := s.command("initdb", "--pgdata="+s.data(), "--username="+postgresUser, "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, s.start()
}

func (s *PostgresServer) data() string { return filepath.Join(s.dir, "data") }

// postgresBinaries returns the folder with the programs of the newest installed
// version.
func postgresBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the programs are links to the others
		return filepath.Dir(path), err
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errNoPostgres
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// unprivileged returns the user that runs the server, because PostgreSQL
// refuses to run as root. It returns nil for the current user.
func unprivileged() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if errors.Join(err1, err2) == nil {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
	}
	return nil
}

// command returns a PostgreSQL program, to be run in its own process group.
func (s *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C", "PGPASSWORD=" + postgresPassword,
		"PGHOST=" + s.dir, "PGUSER=" + postgresUser}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged(), Setpgid: true}
	return cmd
}

// The shell outlives a killed test process. It then stops the server and
// removes its folder.
const watch = `postgres -D data -k "$PWD" -c listen_addresses= -c max_connections=200 \
-c shared_buffers=32MB >>log 2>&1 &
read line; kill -${line:-QUIT} $!; wait $!; [ "$line" ] || rm -rf "$PWD"`

func (s *PostgresServer) start() (err error) {
	s.cmd = s.command("sh", "-c", watch)
	s.cmd.Path, s.cmd.Args[0] = "/bin/sh", "sh"
	if s.input, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.command("pg_isready", "--quiet").Run() == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.input.Close()
			s.cmd.Wait()
			return fmt.Errorf("PostgreSQL does not start:\n%s", log)
		}
	}
}

// Start starts the server after Stop, at the same address.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop ends the server immediately, like a crash.
func (s *PostgresServer) Stop(t testing.TB) {
	t.Helper()
	s.stop("QUIT")
}

// Restart stops the server in an orderly way, closing connections, and starts
// it again.
func (s *PostgresServer) Restart(t testing.TB) {
	t.Helper()
	s.stop("INT")
	s.Start(t)
}

func (s *PostgresServer) stop(signal string) {
	fmt.Fprintln(s.input, signal)
	s.cmd.Wait()
}

// NewDatabase creates an empty database and returns its URL.
func (s *PostgresServer) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprint("test_", s.databases.Add(1))
	if out, err := s.command("createdb", "--template=template0", name).CombinedOutput(); err != nil {
		t.Fatalf("createdb: %v\n%s", err, out)
	}
	return s.URL(name)
}

// URL returns the URL of a database on the server.
func (s *PostgresServer) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(postgresUser, postgresPassword), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}
