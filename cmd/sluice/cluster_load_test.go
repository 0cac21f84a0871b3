//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a group of clients of a cluster, with the responses they got.
type load struct {
	cluster *cluster
	http    *http.Client
	done    atomic.Int64 // successful requests

	mu       sync.Mutex
	statuses map[string]int      // responses by kind, including missing ones
	files    map[string][32]byte // confirmed uploads with the SHA-256 of their content
	links    map[string]*heldLink
	wrong    []string // errors that no fault explains

	ended, mints, seen atomic.Int64
}

// heldLink is a confirmed link.
type heldLink struct {
	id, path, file, reason string
	max                    int64 // download limit; 0 for none

	// Guarded by load.mu:
	asked, revoked bool     // the revocation was sent; it was confirmed
	requests       []string // ids of requests whose download began
}

// clients numbers the clients.
var clients atomic.Int64

func newLoad(c *cluster) *load {
	return &load{
		cluster: c, statuses: map[string]int{}, files: map[string][32]byte{}, links: map[string]*heldLink{},
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
}

// start runs clients until stop is called.
func (l *load) start(t *testing.T, clients int) (stop func()) {
	t.Helper()
	for range 4 {
		if err := l.uploadOne(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	over := make(chan struct{})
	for range clients {
		all.Go(func() {
			for {
				pause := time.Duration(5+rand.IntN(20)) * time.Millisecond
				if l.something() != nil {
					pause *= 5
				}
				select {
				case <-over:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	return func() { close(over); all.Wait() }
}

// something performs the next action of a client. An error must be explained by
// a fault.
func (l *load) something() error {
	switch n := rand.IntN(100); {
	case n < 10:
		return l.uploadOne()
	case n < 35:
		return l.mintOne(0)
	case n < 50:
		return l.mintOne(int64(1 + rand.IntN(3)))
	case n < 60:
		return l.revokeOne()
	}
	return l.redeemOne()
}

func (l *load) failf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// anyFile returns a random uploaded file.
func (l *load) anyFile() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.files { // random order
		return id
	}
	return ""
}

func (l *load) anyLink() *heldLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, link := range l.links {
		return link
	}
	return nil
}

// refusedError is a response without success.
type refusedError struct {
	status int
	reason string // the link has ended
	text   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// send sends a request and returns a successful response with its body. It
// records a failure that no fault explains.
func (l *load) send(req *http.Request) (res *http.Response, body []byte, err error) {
	// Every redemption counts as a download, because each comes from a different client.
	req.Header.Set("User-Agent", fmt.Sprint("cluster test ", clients.Add(1)))
	if !strings.HasPrefix(req.URL.Path, "/l/") {
		req.Header.Set("Authorization", "Bearer "+l.cluster.key)
	}
	res, err = l.http.Do(req)
	if err != nil {
		l.count(req, "no answer")
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	l.count(req, res.Status)
	if res.StatusCode < 300 {
		if err == nil {
			l.done.Add(1)
		}
		return res, body, err
	}
	refused := &refusedError{status: res.StatusCode, text: string(body)}
	var problem struct{ Reason string }
	if json.Unmarshal(body, &problem) == nil {
		refused.reason = problem.Reason
	}
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // of nginx, or of Sluice
	case http.StatusGone: // the caller decides
	default:
		l.failf("%s %s: %s %s", req.Method, req.URL.Path, res.Status, body)
	}
	return res, nil, refused
}

func (l *load) count(req *http.Request, status string) {
	what, _, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[fmt.Sprint(req.Method, " ", what, " ", status)]++
}

// call sends a request to the native API.
func (l *load) call(method, target string, body io.Reader, header map[string]string, into any) error {
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		return err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	_, answer, err := l.send(req)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}

// uploadOne uploads a file of a few bytes or several hundred kilobytes.
func (l *load) uploadOne() error {
	content := make([]byte, 1+rand.IntN(1<<uint(4+rand.IntN(15))))
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	var file struct{ ID string }
	err := l.call("POST", l.cluster.url+"/v1/files?purpose=export&filename=cluster.bin", bytes.NewReader(content),
		map[string]string{"Content-Type": "application/octet-stream"}, &file)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[file.ID] = sha256.Sum256(content)
	return nil
}

// mint requests a link until it gets a response, always with the same
// Idempotency-Key.
func (l *load) mint(base, file string, max int64) (*heldLink, error) {
	reason := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	body := `{"reason":"` + reason + `"}`
	if max > 0 {
		body = fmt.Sprintf(`{"reason":"%s","max_downloads":%d}`, reason, max)
	}
	var link struct{ ID, URL string }
	var err error
	for range 4 {
		err = l.call("POST", base+"/v1/files/"+file+"/links", strings.NewReader(body),
			map[string]string{"Content-Type": "application/json", "Idempotency-Key": reason}, &link)
		if err == nil {
			u, err := url.Parse(link.URL)
			if err != nil {
				return nil, err
			}
			return &heldLink{id: link.ID, path: u.Path, file: file, reason: reason, max: max}, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

func (l *load) mintOne(max int64) error {
	link, err := l.mint(l.cluster.url, l.anyFile(), max)
	if err != nil {
		return err
	}
	l.mints.Add(1)
	l.mu.Lock()
	l.links[link.id] = link
	l.mu.Unlock()
	return nil
}

// redeemOne downloads a random link, valid or not.
func (l *load) redeemOne() error {
	link := l.anyLink()
	if link == nil {
		return nil
	}
	return l.redeem(l.cluster.url, link)
}

func (l *load) redeem(base string, link *heldLink) error {
	l.mu.Lock()
	revoked := link.revoked
	l.mu.Unlock()
	req, err := http.NewRequest("GET", base+link.path, nil)
	if err != nil {
		return err
	}
	res, content, err := l.send(req)
	if res == nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := func(text string) { l.wrong = append(l.wrong, "link "+link.id+": "+text) }
	var refused *refusedError
	switch {
	case res.StatusCode == http.StatusOK:
		l.seen.Add(1)
		link.requests = append(link.requests, res.Header.Get("X-Request-Id"))
		if revoked {
			wrong("redeemed after its revocation was confirmed")
		}
		if err == nil && sha256.Sum256(content) != l.files[link.file] {
			wrong("other bytes came than were sent")
		}
	case errors.As(err, &refused) && refused.status == http.StatusGone:
		if !(refused.reason == "revoked" && link.asked || refused.reason == "exhausted" && link.max > 0) {
			wrong("refused: " + refused.text)
		}
		return nil
	}
	return err
}

// revokeOne revokes a link and uses it at once.
func (l *load) revokeOne() error {
	link := l.anyLink()
	if link == nil {
		return nil
	}
	l.mu.Lock()
	mine := !link.asked
	link.asked = true
	l.mu.Unlock()
	if !mine {
		return nil
	}
	if err := l.call("DELETE", l.cluster.url+"/v1/file_links/"+link.id, nil, nil, nil); err != nil {
		return err
	}
	l.ended.Add(1)
	l.mu.Lock()
	link.revoked = true
	l.mu.Unlock()
	return l.redeem(l.cluster.url, link)
}

// status returns the status of a download.
func (l *load) status(target string) int {
	res, err := l.http.Get(target)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// awaitProgress waits until requests succeed again.
func (l *load) awaitProgress(t *testing.T, name string) {
	t.Helper()
	before := l.done.Load()
	for deadline := time.Now().Add(healthyWithin); l.done.Load() < before+50; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d requests succeeded in %v", name, l.done.Load()-before, healthyWithin)
		}
	}
}

// report fails the test if errors were recorded, and logs the number of
// actions.
func (l *load) report(t *testing.T) {
	t.Helper()
	for _, text := range l.wrong[:min(len(l.wrong), 20)] {
		t.Error(text)
	}
	for _, status := range slices.Sorted(maps.Keys(l.statuses)) {
		t.Logf("%6d %s", l.statuses[status], status)
	}
	t.Logf("confirmed: %d uploads, %d links, %d revocations; %d downloads begun", len(l.files), l.mints.Load(),
		l.ended.Load(), l.seen.Load())
	if len(l.files) < 10 || l.mints.Load() < 50 || l.ended.Load() < 10 || l.seen.Load() < 50 {
		t.Error("the clients got little done, so little was tested")
	}
}

// loggedEntry holds the checked members of an entry.
type loggedEntry struct {
	ID, Action string
	Seq        int64
	Link       struct{ ID, Reason string }
	Request    struct {
		ID        string
		UserAgent string `json:"user_agent"`
	}
	Deliveries []loggedDelivery
}

type loggedDelivery struct {
	Seq      int64
	Link     string
	Returned bool
}

// entries returns the test log, oldest entry first, from a random server.
func (l *load) entries(t *testing.T) (all []loggedEntry) {
	t.Helper()
	for after := ""; ; {
		target := l.cluster.nodes[0].url + "/v1/audit_entries?limit=100"
		if after != "" {
			target += "&starting_after=" + after
		}
		var page struct {
			Data    []loggedEntry
			HasMore bool `json:"has_more"`
		}
		if err := l.call("GET", target, nil, nil, &page); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Data...)
		if !page.HasMore {
			break
		}
		after = page.Data[len(page.Data)-1].ID
	}
	slices.Reverse(all)
	return all
}

// checkLog compares the log with the responses. seq has no gaps, every
// confirmed link and revocation has one entry, every download has the entry
// that allowed it, and no download follows the revocation of its link. The counts
// of links are those of the log.
func (l *load) checkLog(t *testing.T) {
	t.Helper()
	revoked, redeemed, minted := map[string]int64{}, map[string]bool{}, map[string]int{}
	entries, rows := l.settled(t)
	counts := countDownloads(entries, rows)
	for i, e := range entries {
		if e.Seq != int64(i) {
			t.Fatalf("entry %d of the log has seq %d", i, e.Seq)
		}
		switch e.Action {
		case "link.created":
			minted[e.Link.Reason]++
		case "link.revoked":
			if _, twice := revoked[e.Link.ID]; twice {
				t.Errorf("link %s was revoked twice", e.Link.ID)
			}
			revoked[e.Link.ID] = e.Seq
		case "link.redeemed":
			redeemed[e.Link.ID+" "+e.Request.ID] = true
			if at, is := revoked[e.Link.ID]; is {
				t.Errorf("link %s was redeemed at %d, and revoked at %d", e.Link.ID, e.Seq, at)
			}
		}
	}
	for reason, n := range minted {
		if n > 1 {
			t.Errorf("the mint with Idempotency-Key %s was done %d times", reason, n)
		}
	}
	for id, link := range l.links {
		if minted[link.reason] != 1 {
			t.Errorf("confirmed link %s has %d entries", id, minted[link.reason])
		}
		if _, is := revoked[id]; link.revoked && !is {
			t.Errorf("the confirmed revocation of link %s is not in the log", id)
		}
		if link.max > 0 && counts[id] > link.max {
			t.Errorf("link %s was redeemed %d times, and may be %d times", id, counts[id], link.max)
		}
		for _, request := range link.requests {
			if !redeemed[id+" "+request] {
				t.Errorf("download %s by link %s is not in the log", request, id)
			}
		}
	}
	for id, row := range rows {
		if row.downloads != counts[id] || row.max > 0 && row.downloads > row.max {
			t.Errorf("link %s counts %d of %d downloads, and the log has %d", id, row.downloads, row.max, counts[id])
		}
	}
	for id := range l.links {
		if _, is := rows[id]; !is {
			t.Errorf("the confirmed link %s is not in the database", id)
		}
	}
}

// countDownloads counts the downloads of each link in the log. The proxy repeats a GET that a server does not answer in
// time, and that server may decide about it later. So two redemptions of a link with a limit may have one bearer, and
// the grant of the first covers the second. Each request of a client has a user agent of its own.
func countDownloads(entries []loggedEntry, rows map[string]linkRow) map[string]int64 {
	type bearer struct{ link, agent string }
	counts, counted, granted := map[string]int64{}, map[int64]bearer{}, map[bearer]bool{}
	for _, e := range entries {
		if e.Action == "link.redeemed" {
			b := bearer{e.Link.ID, e.Request.UserAgent}
			if !granted[b] {
				counts[b.link]++
				counted[e.Seq], granted[b] = b, rows[b.link].max > 0
			}
		}
		for _, d := range e.Deliveries {
			if b, is := counted[d.Seq]; is && d.Returned { // for example without an S3 server
				counts[b.link]--
				delete(granted, b)
			}
		}
	}
	return counts
}

func TestCountDownloads(t *testing.T) {
	redeemed := func(seq int64, link, agent string) (e loggedEntry) {
		e.Seq, e.Action, e.Link.ID, e.Request.UserAgent = seq, "link.redeemed", link, agent
		return e
	}
	entries := []loggedEntry{
		redeemed(0, "limited", "a"), redeemed(1, "limited", "a"), redeemed(2, "limited", "b"), redeemed(3, "free", "a"),
		redeemed(4, "free", "a"), redeemed(5, "limited", "c"),
		{Seq: 6, Action: "link.delivered", Deliveries: []loggedDelivery{
			{5, "limited", true}, {4, "free", true}, {1, "limited", true}, {2, "limited", false},
		}},
		redeemed(7, "limited", "c"),
	}
	got := countDownloads(entries, map[string]linkRow{"limited": {max: 3}, "free": {}})
	if want := map[string]int64{"limited": 3, "free": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// linkRow holds the columns of a link that count its downloads.
type linkRow struct{ downloads, max int64 }

// settled returns the log and the links of the same moment. A server that could
// not commit the entry of a download that was given back tries again within
// seconds, and changes both.
func (l *load) settled(t *testing.T) (entries []loggedEntry, rows map[string]linkRow) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		entries, rows = l.entries(t), map[string]linkRow{}
		l.cluster.query(t, "SELECT id, downloads, max_downloads FROM link", func(r *sql.Rows) error {
			var id string
			var row linkRow
			err := r.Scan(&id, &row.downloads, &row.max)
			rows[id] = row
			return err
		})
		counts, same := countDownloads(entries, rows), true
		for id, row := range rows {
			same = same && row.downloads == counts[id]
		}
		if same || time.Now().After(deadline) {
			return entries, rows
		}
	}
}

// checkUploads downloads every confirmed upload through a new link, from each
// server in turn.
func (l *load) checkUploads(t *testing.T) {
	t.Helper()
	work := make(chan string)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			n := 0
			for id := range work {
				n++
				base := l.cluster.nodes[n%len(l.cluster.nodes)].url
				link, err := l.mint(base, id, 0)
				if err != nil {
					t.Errorf("confirmed upload %s: %v", id, err)
					continue
				}
				if err := l.redeem(base, link); err != nil {
					t.Errorf("confirmed upload %s: %v", id, err)
				}
			}
		})
	}
	before := len(l.wrong)
	for _, id := range slices.Collect(maps.Keys(l.files)) {
		work <- id
	}
	close(work)
	all.Wait()
	for _, text := range l.wrong[before:] {
		t.Error(text)
	}
}
