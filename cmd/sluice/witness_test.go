package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"sluice/client"
	"sluice/ledger"
)

// litewitness builds an independent witness, from the module that pins it.
var litewitness = sync.OnceValues(func() (string, error) {
	dir, err := buildFolder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "litewitness")
	build := exec.Command("go", "build", "-C", filepath.Join("..", "..", "tools", "litewitness"), "-o", path,
		"filippo.io/torchwood/cmd/litewitness")
	out, err := build.CombinedOutput()
	if err != nil {
		err = errors.New(string(out))
	}
	return path, err
})

// witness is a running litewitness.
type witness struct {
	vkey, url string
	database  string
}

// startWitness runs litewitness. An agent of the test holds its key.
func startWitness(t *testing.T) *witness {
	t.Helper()
	tool, err := litewitness()
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal(err)
	case err != nil:
		t.Skipf("litewitness could not be built (%v): with network, go build -C tools/litewitness fetches it", err)
	}
	dir, err := os.MkdirTemp("", "w") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, fingerprint := startAgent(t, filepath.Join(dir, "agent"))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	w := &witness{url: "http://" + address, database: filepath.Join(dir, "witness.db")}
	said, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command(tool, "-name", "witness.example/w1", "-db", w.database, "-ssh-agent", socket, "-key", fingerprint,
		"-listen", address)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, func() error {
		text, err := os.ReadFile(said.Name())
		if m := regexp.MustCompile(`vkey=(\S+)`).FindSubmatch(text); m != nil && strings.Contains(string(text), "listening") {
			w.vkey = string(m[1])
			return nil
		}
		return errors.Join(err, errors.New("litewitness printed "+string(text)))
	})
	return w
}

func startAgent(t *testing.T, socket string) (path, fingerprint string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	return socket, ssh.FingerprintSHA256(public)
}

// knows adds a log to the witness, as its operator does.
func (w *witness) knows(t *testing.T, vkey string) {
	t.Helper()
	origin, _, _ := strings.Cut(vkey, "+")
	db, err := sql.Open("sqlite", w.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	none := ledger.EmptyRoot()
	_, err = db.Exec("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)", origin,
		base64.StdEncoding.EncodeToString(none[:]))
	if err == nil {
		_, err = db.Exec("INSERT INTO key (origin, key) VALUES (?, ?)", origin, vkey)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// An independent witness cosigns the checkpoints of a growing log, and they
// carry its signature everywhere. It refuses a log that was rewritten or
// truncated, and the server logs that.
func TestWitness(t *testing.T) {
	w := startWitness(t)
	dir := t.TempDir()
	data, old := filepath.Join(dir, "data"), filepath.Join(dir, "old")
	startLog(t, data).stop()
	flags := []string{"--witness", w.vkey + " " + w.url}
	p := startLog(t, data, flags...)
	c, err := client.New(p.url, os.Getenv("SLUICE_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := c.LedgerKey(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sluiceRun(t, exitFailed, "audit", "verify", p.url, "--witness", w.vkey) // the witness does not know the log yet
	w.knows(t, vkey)
	size := int64(1) // the entry of the key
	for range 3 {
		makeEntries(t, data, "true", 3)
		size = awaitCosignature(t, c, w, size+3)
	}
	log, proof := filepath.Join(dir, "log"), filepath.Join(dir, "proof")
	sluiceRun(t, 0, "audit", "export", log)
	if out := sluiceRun(t, 0, "audit", "verify", log, "--vkey", vkey, "--witness", w.vkey); !strings.Contains(out,
		"witness     witness.example/w1 cosigned it at 20") {
		t.Errorf("prints %s", out)
	}
	awaitCosignature(t, c, w, size+1) // the entry of the export
	id := regexp.MustCompile(`"id":"(aud_[0-9a-z]+)"`).FindStringSubmatch(sluiceRun(t, 0, "audit", "ls", "-n", "1",
		"--json"))
	sluiceRun(t, 0, "audit", "proof", id[1], "-o", proof)
	sluiceRun(t, 0, "audit", "verify", proof, "--vkey", vkey, "--witness", w.vkey)
	p.stop()
	if err := os.CopyFS(old, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	// After a restart, the server continues with the state of the witness.
	p = startLog(t, data, flags...)
	makeEntries(t, data, "true", 3)
	if c, err = client.New(p.url, os.Getenv("SLUICE_KEY")); err != nil {
		t.Fatal(err)
	}
	awaitCosignature(t, c, w, size+4)
	p.stop()

	for name, entries := range map[string]int{"cut short": 0, "rewritten": 10} {
		t.Run(name, func(t *testing.T) {
			forged := filepath.Join(t.TempDir(), "forged")
			if err := os.CopyFS(forged, os.DirFS(old)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(forged, secretsName), 0o600); err != nil {
				t.Fatal(err)
			}
			path, err := binary()
			if err != nil {
				t.Fatal(err)
			}
			said, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer said.Close()
			makeEntries(t, forged, "forged", entries)
			cmd := newServe(path, forged, nil, append([]string{"--ledger-origin", "files.example.com"}, flags...)...)
			cmd.Stderr = said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			url := ""
			eventually(t, func() error {
				text, _ := os.ReadFile(said.Name())
				if m := listening.FindSubmatch(text); m != nil {
					url = "http://" + string(m[1])
				}
				if !strings.Contains(string(text), "the witness has seen another log") {
					return errors.New("the server logged " + string(text))
				}
				return nil
			})
			if entries == 0 {
				return // its checkpoint was cosigned in time
			}
			awaitSize(t, url, size+int64(entries)) // the checkpoint before was also cosigned in time
			if out := sluiceRun(t, exitFailed, "audit", "verify", url, "--witness", w.vkey); !strings.Contains(out,
				"not cosigned by witness.example/w1") {
				t.Errorf("says %s", out)
			}
		})
	}
}

// awaitSize waits for a checkpoint of at least size entries.
func awaitSize(t *testing.T, url string, least int64) {
	t.Helper()
	c, err := client.New(url, os.Getenv("SLUICE_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		signed, err := c.Checkpoint(context.Background())
		if err != nil {
			return err
		}
		newest, err := claimed(signed)
		if err == nil && newest.Size < least {
			err = fmt.Errorf("the checkpoint covers %d of %d entries", newest.Size, least)
		}
		return err
	})
}

// awaitCosignature waits for a cosigned checkpoint of at least size entries and
// returns its size.
func awaitCosignature(t *testing.T, c *client.Client, w *witness, least int64) (size int64) {
	t.Helper()
	key, err := ledger.NewWitness(w.vkey)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		signed, err := c.Checkpoint(context.Background())
		if err == nil {
			_, err = key.Cosigned(signed)
		}
		if err != nil {
			return err
		}
		newest, err := claimed(signed)
		if size = newest.Size; size < least {
			err = fmt.Errorf("%d of %d entries are cosigned", size, least)
		}
		return err
	})
	return size
}
