package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/objectid"
	"sluice/internal/service"
)

// doctorCommand checks whether a server with these flags and on this machine can do its work. It reads the flags and
// the environment of sluice serve.
type doctorCommand struct {
	serveCommand
	JSON bool `help:"Print JSON: one object for each line." name:"json" env:"-"`
}

// Help returns the details that --help prints.
func (*doctorCommand) Help() string {
	return "Run it as the user of the server, with the server's flags and environment, also while the server runs. It " +
		"prints one line for each check: ok, warning or failure, with what to do. The exit code is 1 if a check failed. " +
		"It changes no record; it stores and removes a file to try the storage."
}

// Run overrides that of serveCommand.
func (d *doctorCommand) Run(ctx context.Context, out *output) error {
	r := &checkup{}
	config, ok := d.flags(r)
	if !d.place.shared() {
		r.disk(d.place.Data)
	}
	if err := d.place.refuseRestored(d.AcceptRollback); err != nil {
		r.fail("restore", "%v", err)
	}
	r.clock()
	if i := r.secrets(ctx, d.place, d.Heads); i != nil {
		r.storage(ctx, i)
		if err := i.close(); err != nil {
			r.fail("database", "%v", err)
		}
	}
	if ok {
		r.publicURL(ctx, config.PublicURL, d.PublicURL != "")
		r.mail(ctx, d.mailServer)
	}
	return r.print(out, d.JSON)
}

// flags checks the configuration. What serve logs as a warning is a warning here.
func (d *doctorCommand) flags(r *checkup) (c service.Config, ok bool) {
	address, err := net.ResolveTCPAddr("tcp", d.Listen)
	if err == nil {
		c, err = d.config(address, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		_, err = d.place.check(d.Delivery == "redirect")
	}
	if err != nil {
		r.fail("flags", "%v", err)
		return c, false
	}
	warned := len(r.lines)
	d.warn(c.PublicURL, slog.New(warnings{r}))
	if d.PublicURL != "" && len(d.TrustedProxies) == 0 && isLoopback(d.Listen) {
		r.warn("flags", "--trusted-proxies is not set: behind a proxy, allowed_ips and the log see the address of the proxy")
	}
	if len(r.lines) == warned {
		r.ok("flags", "the configuration is valid; the base URL of links is %s", c.PublicURL)
	}
	return c, true
}

func isLoopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}

// warnings turns the records of a log into lines of a checkup.
type warnings struct{ r *checkup }

func (warnings) Enabled(context.Context, slog.Level) bool { return true }

func (w warnings) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(a slog.Attr) bool {
		text += fmt.Sprintf(" (%s)", a.Value)
		return true
	})
	w.r.warn("flags", "%s", text)
	return nil
}

func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w warnings) WithGroup(string) slog.Handler { return w }

const (
	// A commit waits for one sync, so syncs that take longer limit what a server can do.
	slowSync = 20 * time.Millisecond
	syncs    = 9
)

// disk measures how long the disk of the data folder takes to make a small write durable.
func (r *checkup) disk(folder string) {
	f, err := os.CreateTemp(folder, ".doctor.*")
	if err != nil {
		r.fail("disk", "%v; run the command as the user of the server, and name its folder with --data", err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range syncs {
		began := time.Now()
		if _, err = f.WriteAt(make([]byte, 4096), 0); err == nil {
			err = f.Sync()
		}
		if err != nil {
			r.fail("disk", "a write to %s cannot be made durable: %v", folder, err)
			return
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > slowSync {
		r.warn("disk", "an fsync takes %s, and each commit waits for one: use a faster disk for many requests",
			median.Round(100*time.Microsecond))
	} else {
		r.ok("disk", "%s can be written to; an fsync takes %s", folder, median.Round(10*time.Microsecond))
	}
}

// storage checks that database and files can be used, and belong together.
func (r *checkup) storage(ctx context.Context, i *installation) {
	if err := i.store.Ready(ctx); err != nil {
		r.fail("database", "a change could not be committed: %v", err)
	} else {
		r.ok("database", "a change can be committed")
	}
	var id string
	err := i.store.View(ctx, func(reader service.Reader) (err error) {
		id, err = reader.Installation()
		return err
	})
	if err == nil {
		var owner string
		if owner, err = i.blobs.Owner(ctx); err == nil && owner != "" && owner != id {
			err = fmt.Errorf("they belong to installation %s, and the database to %s: check --data or --blob-url", owner, id)
		}
	}
	if err == nil {
		err = i.blobs.Ready(ctx)
	}
	if err == nil {
		err = tryBlobs(ctx, i.blobs)
	}
	if err != nil {
		r.fail("files", "%v", err)
		return
	}
	r.ok("files", "bytes can be stored, read and removed")
}

// tryBlobs stores, reads and removes a file. The store must refuse a second one of the same name.
func tryBlobs(ctx context.Context, blobs service.Blobs) (err error) {
	const text = "sluice doctor"
	key := objectid.NewSource(rand.Reader).New("doctor_", time.Now())
	if _, err := blobs.Put(ctx, key, strings.NewReader(text)); err != nil {
		return fmt.Errorf("bytes cannot be stored: %w", err)
	}
	defer func() {
		if removed := blobs.Remove(context.WithoutCancel(ctx), key); removed != nil {
			err = errors.Join(err, fmt.Errorf("bytes cannot be removed: %w", removed))
		}
	}()
	if _, err := blobs.Put(ctx, key, strings.NewReader("other")); sluice.CodeOf(err) != sluice.CodeConflict {
		return fmt.Errorf("the store replaces bytes that are there: it must support If-None-Match on writes (%v)", err)
	}
	f, err := blobs.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("bytes cannot be read: %w", err)
	}
	defer f.Close()
	if got, err := io.ReadAll(io.LimitReader(f, 100)); err != nil || string(got) != text {
		return fmt.Errorf("other bytes are read than were stored: %w", err)
	}
	return nil
}

// maxSkew is how far the clocks of two machines may differ: links expire by the clock of the server.
const maxSkew = 5 * time.Second

// publicURL checks that a server responds at the base URL of links.
func (r *checkup) publicURL(ctx context.Context, base string, given bool) {
	asked, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(asked, "GET", strings.TrimSuffix(base, "/")+"/healthz", nil)
	if err != nil {
		r.fail("public URL", "%v", err)
		return
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		if !given {
			r.warn("public URL", "no server responds at %s (%v): start it to check this", base, err)
			return
		}
		r.fail("public URL", "%s is not reached from here: %v; is the server running, and the proxy set up?", base, err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.fail("public URL", "%s/healthz responds with %s: does the proxy pass all paths to the server?", base,
			response.Status)
		return
	}
	r.ok("public URL", "a server responds at %s", base)
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil && time.Since(at).Abs() > maxSkew {
		r.fail("clock", "the clock of %s differs by %s from that of this machine: use a time daemon on both", base,
			time.Since(at).Abs().Round(time.Second))
	}
}
