package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// signedUp uploads a file and waits until a checkpoint covers every entry. It
// returns the number of checkpoints.
func signedUp(t *testing.T, p *process, key, data string) (checkpoints int) {
	t.Helper()
	c := &crashClients{key: key, http: http.DefaultClient}
	if _, err := c.upload(p.url, []byte("a file")); err != nil {
		t.Fatal(err)
	}
	db := openDatabase(t, data)
	eventually(t, func() error {
		var unsigned int
		err := db.QueryRow("SELECT (SELECT count(*) FROM ledger WHERE next > signed), (SELECT count(*) "+
			"FROM checkpoint)").Scan(&unsigned, &checkpoints)
		if err == nil && unsigned > 0 {
			err = fmt.Errorf("%d logs are not signed", unsigned)
		}
		return err
	})
	return checkpoints
}

func openDatabase(t *testing.T, data string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, databaseName)+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func change(t *testing.T, data string, statements ...string) {
	t.Helper()
	db := openDatabase(t, data)
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// cut removes the newest checkpoints and entries of each log from the database,
// as a database writer without secrets could.
var cut = []string{
	"DELETE FROM checkpoint WHERE size > (SELECT min(size) FROM checkpoint AS c WHERE c.ledger = checkpoint.ledger)",
	"DELETE FROM batch WHERE first >= (SELECT max(size) FROM checkpoint AS c WHERE c.ledger = batch.ledger)",
	"UPDATE ledger SET signed = (SELECT max(size) FROM checkpoint AS c WHERE c.ledger = ledger.id) WHERE signed > 0",
	"UPDATE ledger SET next = signed WHERE signed > 0",
}

// refusedStart starts a server that must refuse to start, and returns its
// output.
func refusedStart(t *testing.T, data string, flags ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := newServe(path, data, nil, flags...)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, func() error {
		said, err := os.ReadFile(stderr.Name())
		if err == nil && len(ended) == 0 && !strings.Contains(string(said), "msg=listening") {
			err = fmt.Errorf("neither refused nor listening")
		}
		return err
	})
	cmd.Process.Kill()
	<-ended
	said, err := os.ReadFile(stderr.Name())
	if err != nil || cmd.ProcessState.ExitCode() != exitFailed {
		t.Fatalf("it started, or ended otherwise (%v, %v): %s", cmd.ProcessState, err, said)
	}
	return string(said)
}

// The server does not continue a log that was truncated with SQL, because the
// heads beside the secrets reveal it. An operator who restored an older
// database must say so.
func TestTruncatedLogIsRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	anchored := filepath.Join(t.TempDir(), "anchor.txt")
	p := startServer(t, data, "--anchor", "file:"+anchored)
	key := p.key
	for signedUp(t, p, key, data) < 4 {
	}
	p.stop()
	change(t, data, cut...)
	said := refusedStart(t, data)
	for _, want := range []string{"does not extend its last signed checkpoint", "--accept-rollback", "secrets.json.heads",
		"/test"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q does not say %q", said, want)
		}
	}

	// Without the heads, the anchor file reveals it.
	if err := os.Remove(filepath.Join(data, "secrets.json.heads")); err != nil {
		t.Fatal(err)
	}
	if said := refusedStart(t, data, "--anchor", "file:"+anchored); !strings.Contains(said, anchored) {
		t.Errorf("%q does not name the anchor", said)
	}

	p = startServer(t, data, "--accept-rollback", "--anchor", "file:"+anchored)
	c := &crashClients{key: key, http: http.DefaultClient}
	var list struct {
		Data []struct {
			Ledger struct {
				Size    *int64
				WasSize *int64 `json:"was_size"`
				WasRoot string `json:"was_root"`
			}
		}
	}
	if err := c.do("GET", p.url+"/v1/audit_entries?action=ledger.rolled_back", nil, "", http.StatusOK, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Data) != 1 || list.Data[0].Ledger.WasSize == nil ||
		*list.Data[0].Ledger.Size >= *list.Data[0].Ledger.WasSize || list.Data[0].Ledger.WasRoot == "" {
		t.Errorf("the log does not record the lost entries: %+v", list)
	}
	signedUp(t, p, key, data)
	p.stop()
	p = startServer(t, data) // the rollback was accepted permanently
	signedUp(t, p, key, data)
	p.stop()
}

// A damaged heads file is an error, unlike a missing one.
func TestDamagedHeads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "heads")
	for _, text := range []string{"", "{", `{"logs":{"acct_1/test":{}}}`, `{"logs":{"nothing":{}}}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want := "the file records the last signed checkpoints; restore it, or delete it only if you know why it is damaged"
		if _, err := openHeads(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

// The server does not continue a log that was rewritten with SQL either,
// including the root of its newest checkpoint.
func TestForgedRootIsRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	signedUp(t, p, p.key, data)
	p.stop()
	change(t, data, "UPDATE checkpoint SET root = zeroblob(32)")
	if said := refusedStart(t, data); !strings.Contains(said, "not what was signed") {
		t.Errorf("got %q", said)
	}
	if err := os.Remove(filepath.Join(data, "secrets.json.heads")); err != nil {
		t.Fatal(err)
	}
	if said := refusedStart(t, data); !strings.Contains(said, "not what was signed") {
		t.Errorf("without heads: got %q", said)
	}
}

// A kill between a checkpoint and its head does no harm.
func TestHeadsSurviveKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	key := ""
	for range 5 {
		p := startServer(t, data)
		if key == "" {
			key = p.key
		}
		signedUp(t, p, key, data)
		p.kill()
	}
}

// A later start removes the temporary files of killed processes beside the
// heads, and nothing else.
func TestTemporaryHeadsAreRemoved(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	long := time.Now().Add(-time.Hour)
	left := map[string]bool{ // whether it stays
		".secrets.json.heads.123": false, ".secrets.json.heads.4567890": false,
		".secrets.json.heads.": true, ".secrets.json.heads.1b": true, ".secrets.json.bak.1": true,
		"secrets.json.heads.1": true,
	}
	for name := range left {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	young := filepath.Join(data, ".secrets.json.heads.99") // another process may be writing it
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	left[filepath.Base(young)] = true
	startServer(t, data).stop()
	for name, stays := range left {
		if _, err := os.Stat(filepath.Join(data, name)); (err == nil) != stays {
			t.Errorf("%s: %v, want it to stay: %t", name, err, stays)
		}
	}
}

// A running server also notices that its log was truncated: it is no longer
// ready and stops signing.
func TestLogTruncatedWhileRunning(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	for signedUp(t, p, p.key, data) < 4 {
	}
	change(t, data, cut[0], cut[2])
	eventually(t, func() error { return notReady(p) })
}

func notReady(p *process) error {
	res, err := http.Get(p.url + "/readyz")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("readyz: %s", res.Status)
	}
	return nil
}

// The server refuses a ledger key other than the last one that signed a log.
// Otherwise it would stop signing.
func TestForeignLedgerKey(t *testing.T) {
	data, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "other")
	p := startServer(t, data)
	signedUp(t, p, p.key, data)
	p.stop()
	startServer(t, other).stop()
	out, err := exec.Command("jq", "-s", "{signing_keys: .[0].signing_keys, ledger_keys: .[1].ledger_keys}",
		filepath.Join(data, secretsName), filepath.Join(other, secretsName)).Output()
	if err != nil {
		t.Skip("jq is not installed")
	}
	if err := os.WriteFile(filepath.Join(data, secretsName), out, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := refusedStart(t, data); !strings.Contains(said, "the secrets hold no key that signed") {
		t.Errorf("got %q", said)
	}
}
