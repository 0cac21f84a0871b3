package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/follow/anchor"
	"sluice/internal/jobs"
	"sluice/internal/service"
	"sluice/ledger"
)

// headsFile keeps the newest signed head of each log beside the secrets, where
// a writer of the database cannot change it. It implements service.Heads. What
// it was told reaches the file with the next write.
type headsFile struct {
	path string

	mu      sync.Mutex
	heads   map[sluice.LedgerID]service.Head
	changed bool
}

// keptHead is a head as it stands in the file.
type keptHead struct {
	Size     int64  `json:"size"`
	Root     string `json:"root"`
	Verifier string `json:"verifier"`
}

// keptHeads is the content of the file. Logs are named by account and mode.
type keptHeads struct {
	Logs map[string]keptHead `json:"logs"`
}

// maxHeads bounds the file: there is room for more than a hundred thousand logs.
const maxHeads = 64 << 20

// openHeads reads a file of heads. That there is none yet is no error.
func openHeads(path string) (*headsFile, error) {
	h := &headsFile{path: path, heads: map[sluice.LedgerID]service.Head{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil && info.Size() > maxHeads {
		err = errors.New("it is too large")
	}
	var kept keptHeads
	if err == nil {
		err = readJSON(path, &kept)
	}
	for name, k := range kept.Logs {
		if err == nil {
			err = h.take(name, k)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("heads %s: %w; it records the last signed checkpoint; "+
			"restore it, or delete it only if you know why it is damaged", path, err)
	}
	return h, nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	return err
}

func (h *headsFile) take(name string, k keptHead) error {
	l, err := ledgerID(name)
	if err != nil {
		return err
	}
	v, err := ledger.NewVerifier(k.Verifier)
	if err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	c, err := ledger.ParseCheckpoint(fmt.Sprintf("%s\n%d\n%s\n", v.Origin(), k.Size, k.Root))
	if err != nil {
		return fmt.Errorf("log %s: %w", name, err)
	}
	h.heads[l] = service.Head{Ledger: l, Size: c.Size, Root: c.Root, Verifier: k.Verifier, Source: h.path}
	return nil
}

// ledgerID reads the name of a log from the end of a text, as ACCOUNT/MODE.
func ledgerID(text string) (l sluice.LedgerID, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 {
		return l, fmt.Errorf("%q names no account and mode", text)
	}
	l = sluice.LedgerID{Account: parts[len(parts)-2], Mode: sluice.Mode(parts[len(parts)-1])}
	if l.Mode != sluice.Live && l.Mode != sluice.Test || l.Account == "" {
		return l, fmt.Errorf("%q names no account and mode", text)
	}
	return l, nil
}

// Newest implements service.Heads.
func (h *headsFile) Newest(l sluice.LedgerID) service.Head {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.heads[l]
}

// All implements service.Heads.
func (h *headsFile) All() map[sluice.LedgerID]service.Head {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.heads)
}

// Remember implements service.Heads.
func (h *headsFile) Remember(head service.Head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	head.Source = h.path
	if h.heads[head.Ledger] == head {
		return
	}
	h.changed = true
	if head.Size == 0 {
		delete(h.heads, head.Ledger)
		return
	}
	h.heads[head.Ledger] = head
}

// write makes the file hold what is remembered, durably, if it does not yet.
// Servers that share a file replace what each other wrote; each of them compares
// its own memory, and brings it up to the database every second.
func (h *headsFile) write() error {
	h.mu.Lock()
	changed, heads := h.changed, maps.Clone(h.heads)
	h.changed = false
	h.mu.Unlock()
	if !changed {
		return nil
	}
	kept := keptHeads{Logs: map[string]keptHead{}}
	for l, head := range heads {
		kept.Logs[l.String()] = keptHead{head.Size, head.Root.String(), head.Verifier}
	}
	data, err := json.MarshalIndent(kept, "", " ")
	if err == nil {
		err = replaceFile(h.path, append(data, '\n'))
	}
	if err != nil {
		h.mu.Lock()
		h.changed = true
		h.mu.Unlock()
	}
	return err
}

// headsEvery is how often the logs are looked at, and the file written at most.
const headsEvery = time.Second

// job looks at the logs and writes the file, also at an orderly stop.
func (h *headsFile) job(svc *service.Service) jobs.Job {
	return jobs.Job{Name: "log heads", Every: headsEvery, AtStop: true, Run: func(ctx context.Context) (int, error) {
		err := svc.Ledgers.Watch(ctx)
		if failed := h.write(); failed != nil {
			err = errors.Join(err, fmt.Errorf("the newest heads of the logs are not kept in %s: %w", h.path, failed))
		}
		return 0, err
	}}
}

// remembered opens the file of heads, and reads back the newest checkpoint of
// each log in the files that checkpoints are taken out to.
func (s *serveCommand) remembered(c *service.Config) (*headsFile, error) {
	path := s.Heads
	if path == "" {
		path = s.place.secretsFile() + ".heads"
	}
	if err := removeLeft(path); err != nil {
		c.Log.Warn("old temporary files were not removed", "beside", path, "error", err)
	}
	heads, err := openHeads(path)
	if err != nil {
		return nil, err
	}
	c.Heads, c.AcceptRollback = heads, s.AcceptRollback
	for _, text := range s.Anchor {
		file, ok := strings.CutPrefix(text, "file:")
		if !ok {
			continue
		}
		newest, err := anchor.Newest(file)
		if err != nil {
			return nil, fmt.Errorf("--anchor %s: %w", text, err)
		}
		for origin, taken := range newest {
			if l, err := ledgerID(origin); err == nil {
				c.Anchored = append(c.Anchored, service.Head{Ledger: l, Size: taken.Size, Root: taken.Root, Source: file})
			}
		}
	}
	return heads, nil
}
