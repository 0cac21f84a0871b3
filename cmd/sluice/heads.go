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

// headsFile keeps the newest signed head of each log in a file beside the
// secrets, out of reach of a database writer. It implements service.Heads.
// Changes reach the file with the next write.
type headsFile struct {
	path string

	mu      sync.Mutex
	heads   map[sluice.LedgerID]service.Head
	changed bool
}

// keptHead is the form of a head in the file.
type keptHead struct {
	Size     int64  `json:"size"`
	Root     string `json:"root"`
	Verifier string `json:"verifier"`
}

// keptHeads is the form of the file. Keys are ACCOUNT/MODE.
type keptHeads struct {
	Logs map[string]keptHead `json:"logs"`
}

// maxHeads is the largest size of the file in bytes, enough for over a hundred
// thousand logs.
const maxHeads = 64 << 20

// openHeads reads a file of heads. A missing file holds no heads.
func openHeads(path string) (*headsFile, error) {
	h := &headsFile{path: path, heads: map[sluice.LedgerID]service.Head{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil && info.Size() > maxHeads {
		err = errors.New("the file is too large")
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
		return nil, fmt.Errorf("heads %s: %w; the file records the last signed checkpoints; "+
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

// ledgerID parses the ACCOUNT/MODE at the end of a text.
func ledgerID(text string) (l sluice.LedgerID, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 {
		return l, fmt.Errorf("%q does not end in ACCOUNT/MODE", text)
	}
	l = sluice.LedgerID{Account: parts[len(parts)-2], Mode: sluice.Mode(parts[len(parts)-1])}
	if l.Mode != sluice.Live && l.Mode != sluice.Test || l.Account == "" {
		return l, fmt.Errorf("%q does not end in ACCOUNT/MODE", text)
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

// write writes changed heads to the file, durably. Servers that share the file
// overwrite each other's heads. This is harmless: each server checks against
// its own memory, and reads the database every second.
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

// headsEvery is the interval of the job.
const headsEvery = time.Second

// job returns the job that compares the logs with their heads and writes the
// file. It also runs at an orderly stop.
func (h *headsFile) job(svc *service.Service) jobs.Job {
	return jobs.Job{Name: "log heads", Every: headsEvery, AtStop: true, Run: func(ctx context.Context) (int, error) {
		err := svc.Ledgers.Watch(ctx)
		if failed := h.write(); failed != nil {
			err = errors.Join(err, fmt.Errorf("log heads not written to %s: %w", h.path, failed))
		}
		return 0, err
	}}
}

// remembered opens the file of heads. It also reads the newest checkpoint of
// each log from the anchor files.
func (s *serveCommand) remembered(c *service.Config) (*headsFile, error) {
	path := s.Heads
	if path == "" {
		path = s.place.secretsFile() + ".heads"
	}
	if err := removeTemporary(path); err != nil {
		c.Log.Warn("old temporary files not removed", "beside", path, "error", err)
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
