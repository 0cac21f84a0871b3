// Package storetest is a test suite of the contract of service.Store, for any implementation.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice"
	"sluice/internal/service"
	"sluice/ledger"
)

// Database is one database that the suite opens Stores on.
type Database struct {
	Open func() (service.Store, error)
	Exec func(query string) error // runs SQL on the database, outside of any Store
	Far  bool                     // every query is a round trip, so long lists are read in fewer
}

// Run tests the contract of service.Store. The numbers of the tests are those of the contract. create makes an empty
// database.
func Run(t *testing.T, create func(t *testing.T) Database) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, db Database)
	}{
		{"01 an error leaves nothing", testError},
		{"01 a panic leaves nothing and reaches its caller", testPanic},
		{"01 a cancelled update is not run", testCancelled},
		{"01 a cancelled update does not wait", testPrompt},
		{"01 a begun update is finished", testBegun},
		{"01 a swallowed error leaves nothing", testSwallowed},
		{"01 a transaction ends with its function", testEnded},
		{"02 updates are durable", testReopen},
		{"03 neighbours are untouched", testNeighbours},
		{"04 seq has no gap", testSeq},
		{"04 the order of entries is the order of decisions", testDecisions},
		{"04 an update reads what another process has changed", testTwo},
		{"05 updates of a ledger do not overlap", testOverlap},
		{"05 an update reads its own changes", testOwnChanges},
		{"05 an update with a prefetch hint reads current objects", testForeseen},
		{"06 a view is a snapshot", testSnapshot},
		{"06 a view reads what was committed before it", testReadYourWrites},
		{"07 other ledgers do not exist", testLedgers},
		{"07 duplicates are conflicts", testDuplicates},
		{"07 missing objects are not found", testMissing},
		{"08 lists", slow(testLists)},
		{"08 links by their expiry", slow(testExpiry)},
		{"08 lists while rows come and go", slow(testMovingLists)},
		{"08 lists of a long log", slow(testIndexedEntries)},
		{"08 a redemption tells how its download ended", testDeliveries},
		{"08 cursors and limits", testCursors},
		{"09 texts come back byte for byte", testTexts},
		{"09 times are microseconds", testMoments},
		{"09 entries are sealed and canonical", testEntries},
		{"10 deleting a file ends its links", testDeleteFile},
		{"10 revoking a key ends its active links", testRevokeKey},
		{"10 many links end at once, and are marked later", testManyEnd},
		{"10 a link is updated and counted", testUpdateLink},
		{"10 wrong guesses are counted by address and day, and deleted", testGuesses},
		{"11 a newer schema is refused", testNewer},
		{"mails wait until they are sent or given up", testMail},
		{"challenges are kept, counted and deleted", testChallenges},
		{"sessions are kept, found, ended and deleted", testSessions},
		{"accounts and signing keys", testAccounts},
		{"a closed store is unavailable", testClosed},
		{"the scrub stores its findings", testScrub},
		{"ready", testReady},
		{"a lease has one holder", testExclusive},
		{"a lease has one holder of many", testOneOfMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, create(t))
		})
	}
}

// slow leaves a test out of go test -short, which runs under the race detector and would take minutes. The other run
// has it.
func slow(run func(t *testing.T, db Database)) func(t *testing.T, db Database) {
	return func(t *testing.T, db Database) {
		if testing.Short() {
			t.Skip("runs without -short")
		}
		run(t, db)
	}
}

// What the suite and other tests of a Store use.
var (
	Background  = context.Background()
	LiveLedger  = sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}
	TestLedger  = sluice.LedgerID{Account: "acct_1", Mode: sluice.Test}
	OtherLedger = sluice.LedgerID{Account: "acct_2", Mode: sluice.Live}
	Epoch       = time.Date(2026, 11, 21, 19, 0, 0, 123456000, time.UTC)
	serial      atomic.Int64
)

func openStore(t *testing.T, db Database) service.Store {
	t.Helper()
	s, err := db.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Update runs an Update that must succeed.
func Update(t *testing.T, s service.Store, l sluice.LedgerID, fn func(service.Tx) error) {
	t.Helper()
	if err := s.Update(Background, l, fn); err != nil {
		t.Fatal(err)
	}
}

// Read gives the result of a Reader's method in a View.
func Read[T any](t *testing.T, s service.Store, fn func(service.Reader) (T, error)) (v T) {
	t.Helper()
	err := s.View(Background, func(r service.Reader) (err error) {
		v, err = fn(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// WantCode wants an error to have a code, or no error for "".
func WantCode(t *testing.T, err error, want sluice.Code) {
	t.Helper()
	if got := sluice.CodeOf(err); got != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// WantEqual wants two values to be equal.
func WantEqual(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// NewEntry makes an entry that differs from all others.
func NewEntry(l sluice.LedgerID) sluice.Entry {
	n := serial.Add(1)
	return sluice.Entry{
		ID: fmt.Sprintf("aud_%010d%016d", n, 0), Ledger: l, Time: Epoch.Add(time.Duration(n) * time.Microsecond),
		Action: "thing.done", Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorCLI, Name: "operator"},
	}
}

// NewFile makes a file.
func NewFile(l sluice.LedgerID, id string) sluice.File {
	return sluice.File{ID: id, Ledger: l, Purpose: "invoice", Filename: "a.pdf", Type: "application/pdf",
		Size: 1 << 40, SHA256: sluice.Digest{1, 31: 2}, Created: Epoch, Updated: Epoch}
}

// NewLink makes a link of a file, which expires after an hour.
func NewLink(l sluice.LedgerID, id, file string) sluice.Link {
	return sluice.Link{ID: id, Ledger: l, FileID: file, KeyID: "key_1", SigningKey: "0a0b0c0d", Created: Epoch,
		Updated: Epoch, Expires: Epoch.Add(time.Hour)}
}

// NewAccess makes an Access with all its fields but Erased.
func NewAccess() sluice.Access {
	return sluice.Access{
		Recipient:    sluice.Recipient{Email: "ann@bank.example", Name: "Ann \u2028 O'Hara \x1b\""},
		Allowed:      []string{"bob@bank.example", "*@xn--bcher-kva.example"},
		Verification: sluice.EmailVerification,
		Message:      "<b>Dear Ann</b>,\n",
		Terms:        "1. \\ 2.",
		Notify: sluice.Notify{
			Email: "carl@northwind.example", On: []sluice.NotifyOn{sluice.EveryDownload, sluice.Unopened},
		},
		Page:     sluice.PageAlways,
		Language: "de",
	}
}

// NewKey makes a key, whose hash begins with its id.
func NewKey(l sluice.LedgerID, id string) sluice.Key {
	k := sluice.Key{ID: id, Ledger: l, Name: "billing", Scopes: sluice.AllScopes(), Created: Epoch, Updated: Epoch}
	copy(k.Hash[:], id)
	return k
}

// Seqs wants the entries of a ledger to be numbered 0, 1, 2, … and gives their ids in that order.
func Seqs(t *testing.T, s service.Store, l sluice.LedgerID) (ids []string) {
	t.Helper()
	bySeq := map[int64]string{}
	page := sluice.Page{Limit: sluice.MaxPageSize}
	for {
		list := Read(t, s, func(r service.Reader) (sluice.List[sluice.Entry], error) {
			return r.Entries(l, service.EntryFilter{}, page)
		})
		for _, e := range list.Data {
			bySeq[e.Seq] = e.ID
			page.After = e.ID
		}
		if !list.More {
			break
		}
	}
	for seq := range int64(len(bySeq)) {
		id, ok := bySeq[seq]
		if !ok {
			t.Fatalf("none of %d entries has seq %d", len(bySeq), seq)
		}
		ids = append(ids, id)
	}
	return ids
}

// Changes makes one change of each kind.
func Changes(tx service.Tx) error {
	return errors.Join(
		tx.CreateAccount(sluice.Account{ID: "acct_1", Name: "first", Created: Epoch}, NewEntry(LiveLedger)),
		tx.AddSigningKey("0a0b0c0d", Epoch, NewEntry(LiveLedger)),
		tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
		tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
		tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)),
		tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)),
		tx.UpdateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)),
		tx.RevokeKey("key_1", Epoch, NewEntry(LiveLedger)),
		tx.DeleteFile("file_1", Epoch, NewEntry(LiveLedger)),
		tx.Record(NewEntry(LiveLedger)),
	)
}

// WantNothing wants no change of Changes to be applied.
func WantNothing(t *testing.T, s service.Store) {
	t.Helper()
	err := s.View(Background, func(r service.Reader) error {
		accounts, err1 := r.Accounts()
		keys, err2 := r.SigningKeys()
		if len(accounts)+len(keys) > 0 || err1 != nil || err2 != nil {
			t.Errorf("accounts %v, signing keys %v, errors %v, %v", accounts, keys, err1, err2)
		}
		_, err := r.Key(LiveLedger, "key_1")
		WantCode(t, err, sluice.CodeNotFound)
		_, err = r.File(LiveLedger, "file_1")
		WantCode(t, err, sluice.CodeNotFound)
		_, err = r.Link(LiveLedger, "link_1")
		WantCode(t, err, sluice.CodeNotFound)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ids := Seqs(t, s, LiveLedger); len(ids) > 0 {
		t.Errorf("%d entries", len(ids))
	}
}

func testError(t *testing.T, db Database) {
	s := openStore(t, db)
	failure := errors.New("failure")
	err := s.Update(Background, LiveLedger, func(tx service.Tx) error {
		if err := Changes(tx); err != nil {
			return err
		}
		return failure
	})
	if err != failure {
		t.Errorf("got %v, want the function's own error", err)
	}
	WantNothing(t, s)
	Update(t, s, LiveLedger, Changes)
	if ids := Seqs(t, s, LiveLedger); len(ids) != 10 {
		t.Errorf("%d entries, want 10", len(ids))
	}
}

func testPanic(t *testing.T, db Database) {
	s := openStore(t, db)
	for _, value := range []any{"text", errors.New("error")} {
		func() {
			defer func() {
				if got := recover(); got != value {
					t.Errorf("recovered %v, want %v", got, value)
				}
			}()
			s.Update(Background, LiveLedger, func(tx service.Tx) error {
				if err := Changes(tx); err != nil {
					t.Error(err)
				}
				panic(value)
			})
		}()
	}
	WantNothing(t, s)
	Update(t, s, LiveLedger, Changes)
}

// Busy blocks the writer of s until release is called.
func Busy(t *testing.T, s service.Store) (release func()) {
	t.Helper()
	begun, free, done := make(chan bool), make(chan bool), make(chan error)
	go func() {
		done <- s.Update(Background, LiveLedger, func(service.Tx) error {
			close(begun)
			<-free
			return nil
		})
	}()
	<-begun
	return func() {
		close(free)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func testCancelled(t *testing.T, db Database) {
	s := openStore(t, db)
	never := func(service.Tx) error {
		t.Error("a cancelled update was run")
		return nil
	}
	cancelled, cancel := context.WithCancel(Background)
	cancel()
	if err := s.Update(cancelled, LiveLedger, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := s.View(cancelled, func(service.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("view: got %v, want %v", err, context.Canceled)
	}
	release := Busy(t, s)
	brief, cancel := context.WithTimeout(Background, 20*time.Millisecond)
	defer cancel()
	if err := s.Update(brief, LiveLedger, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while waiting: got %v, want %v", err, context.DeadlineExceeded)
	}
	release()
	Update(t, s, LiveLedger, Changes)
	for range 20 {
		cancelNeighbour(t, s)
	}
}

// cancelNeighbour ends the context of an Update while another, usually before it in the same group, runs. Which of the
// two comes first depends on the machine.
func cancelNeighbour(t *testing.T, s service.Store) {
	release := Busy(t, s)
	stoppable, cancel := context.WithCancel(Background)
	defer cancel()
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		first <- s.Update(Background, LiveLedger, func(service.Tx) error {
			cancel()
			return nil
		})
	}()
	time.Sleep(2 * time.Millisecond)
	ran := false
	go func() {
		second <- s.Update(stoppable, LiveLedger, func(service.Tx) error {
			if stoppable.Err() != nil {
				t.Error("a cancelled update was run")
			}
			ran = true
			return nil
		})
	}()
	time.Sleep(2 * time.Millisecond) // both wait now, most often in this order
	release()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; !ran && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// testPrompt ends the contexts of an Update and of a probe while the Update before them in the same group still runs.
// Their callers must not wait for it.
func testPrompt(t *testing.T, db Database) {
	s := openStore(t, db)
	for range 20 {
		if cancelWaiting(t, s) {
			return
		}
	}
	t.Error("the update that was to wait ran first, 20 times")
}

// cancelWaiting reports whether the update whose context it ends was still waiting then.
func cancelWaiting(t *testing.T, s service.Store) bool {
	release := Busy(t, s)
	began, free, first := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		first <- s.Update(Background, LiveLedger, func(service.Tx) error {
			close(began)
			<-free
			return nil
		})
	}()
	awaitQueue(t, s, 1)
	stoppable, cancel := context.WithCancel(Background)
	defer cancel()
	var early atomic.Bool
	second := make(chan error, 2)
	go func() {
		second <- s.Update(stoppable, LiveLedger, func(service.Tx) error {
			select {
			case <-began:
				t.Error("a cancelled update was run")
			default:
				early.Store(true)
			}
			return nil
		})
	}()
	go func() { second <- s.Ready(stoppable) }()
	awaitQueue(t, s, 3)
	release()
	<-began
	cancel()
	if early.Load() {
		close(free)
		<-second
		<-second
		<-first
		return false
	}
	for range 2 {
		select {
		case err := <-second:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		case <-time.After(time.Minute):
			t.Error("a caller whose context ended waits for a neighbour")
		}
	}
	close(free)
	if err := <-first; err != nil {
		t.Error(err)
	}
	return true
}

// awaitQueue waits until n callers wait for the writer. A store that does not count them gets 50 ms instead.
func awaitQueue(t *testing.T, s service.Store, n int64) {
	t.Helper()
	counts, ok := s.(interface{ Waiting() int64 })
	if !ok {
		time.Sleep(50 * time.Millisecond)
		return
	}
	for deadline := time.Now().Add(time.Minute); counts.Waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d callers wait, want %d", counts.Waiting(), n)
		}
	}
}

func testBegun(t *testing.T, db Database) {
	s := openStore(t, db)
	stoppable, cancel := context.WithCancel(Background)
	err := s.Update(stoppable, LiveLedger, func(tx service.Tx) error {
		cancel()
		return Changes(tx)
	})
	if err != nil {
		t.Errorf("an update whose context ended after it had begun: %v", err)
	}
	if ids := Seqs(t, s, LiveLedger); len(ids) != 10 {
		t.Errorf("%d entries, want 10", len(ids))
	}
}

func testSwallowed(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger))
	})
	for name, fail := range map[string]func(tx service.Tx) error{
		"the database refuses the object": func(tx service.Tx) error {
			return errors.Join(tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
				tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)))
		},
		"the entry is of another ledger": func(tx service.Tx) error {
			return tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(OtherLedger))
		},
		"the object is of another ledger": func(tx service.Tx) error {
			return tx.CreateFile(NewFile(OtherLedger, "file_1"), NewEntry(LiveLedger))
		},
		"the entry is too large": func(tx service.Tx) error {
			e := NewEntry(LiveLedger)
			e.Actor.Name = strings.Repeat("x", ledger.MaxLeaf)
			return tx.CreateFile(NewFile(LiveLedger, "file_1"), e)
		},
	} {
		err := s.Update(Background, LiveLedger, func(tx service.Tx) error {
			// The database refuses a link when it is written, together with others of the group.
			later := name == "the database refuses the object"
			if err := fail(tx); err == nil && !later {
				t.Errorf("%s: no error", name)
			}
			if err := tx.Record(NewEntry(LiveLedger)); err == nil && !later {
				t.Errorf("%s: the transaction goes on", name)
			}
			return nil
		})
		if err == nil {
			t.Errorf("%s: the update succeeded", name)
		}
		err = s.View(Background, func(r service.Reader) error {
			_, err := r.File(LiveLedger, "file_1")
			return err
		})
		WantCode(t, err, sluice.CodeNotFound)
	}
	if ids := Seqs(t, s, LiveLedger); len(ids) != 1 {
		t.Errorf("%d entries, want 1", len(ids))
	}
}

func testEnded(t *testing.T, db Database) {
	s := openStore(t, db)
	var tx service.Tx
	Update(t, s, LiveLedger, func(given service.Tx) error {
		tx = given
		return nil
	})
	if err := tx.Record(NewEntry(LiveLedger)); err == nil {
		t.Error("a transaction that has ended records")
	}
	var r service.Reader
	s.View(Background, func(given service.Reader) error {
		r = given
		return nil
	})
	if _, err := r.Accounts(); err == nil {
		t.Error("a snapshot that has ended reads")
	}
	if ids := Seqs(t, s, LiveLedger); len(ids) > 0 {
		t.Errorf("%d entries", len(ids))
	}
}

func testReopen(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, Changes)
	want := Seqs(t, s, LiveLedger)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, db)
	WantEqual(t, Seqs(t, s, LiveLedger), want)
	e := NewEntry(LiveLedger)
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.Record(e) })
	WantEqual(t, Seqs(t, s, LiveLedger), append(want, e.ID))
}

func testNeighbours(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return tx.CreateLink(NewLink(LiveLedger, "link_1", "file_0"), NewEntry(LiveLedger))
	})
	release := Busy(t, s)
	const n = 60
	var downloads [n]int64 // as each Update read them
	failure := errors.New("failure")
	stoppable, cancel := context.WithCancel(Background)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			file := NewFile(LiveLedger, fmt.Sprint("file_", i))
			var err error
			defer func() {
				p := recover()
				switch i % 5 {
				case 0, 1:
					if err != nil || p != nil {
						t.Errorf("an update beside failing ones: %v, panic %v", err, p)
					}
				case 2:
					if err != failure || p != nil {
						t.Errorf("got %v, panic %v, want the function's error", err, p)
					}
				case 3:
					if p != i {
						t.Errorf("got %v, panic %v, want a panic with %d", err, p, i)
					}
				case 4:
					if !errors.Is(err, context.Canceled) || p != nil {
						t.Errorf("got %v, panic %v, want %v", err, p, context.Canceled)
					}
				}
			}()
			its := Background
			if i%5 == 4 {
				its = stoppable
			}
			err = s.Update(its, LiveLedger, func(tx service.Tx) error {
				if err := errors.Join(tx.CreateFile(file, NewEntry(LiveLedger)),
					tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger))); err != nil {
					return err
				}
				l, err := tx.Link(LiveLedger, "link_1")
				if err != nil {
					return err
				}
				downloads[i] = l.Downloads
				switch i % 5 {
				case 2:
					return failure
				case 3:
					panic(i)
				}
				return nil
			})
		})
	}
	time.Sleep(50 * time.Millisecond) // all of them wait now
	cancel()
	time.Sleep(10 * time.Millisecond)
	release()
	wg.Wait()

	var want []string
	counted := map[int64]bool{} // downloads that a successful Update read
	for i := range n {
		if i%5 < 2 {
			want = append(want, fmt.Sprint("file_", i))
			counted[downloads[i]] = true
		}
	}
	for i := range len(want) {
		if !counted[int64(i+1)] {
			t.Errorf("no successful update read %d downloads: they read %v", i+1, downloads)
		}
	}
	list := Read(t, s, func(r service.Reader) (sluice.List[sluice.File], error) {
		return r.Files(LiveLedger, service.FileFilter{}, sluice.Page{Limit: sluice.MaxPageSize})
	})
	var got []string
	for _, f := range list.Data {
		got = append(got, f.ID)
	}
	WantEqual(t, sorted(got), sorted(want))
	if ids := Seqs(t, s, LiveLedger); len(ids) != 1+2*len(want) {
		t.Errorf("%d entries, want %d", len(ids), 1+2*len(want))
	}
	if l := Read(t, s, func(r service.Reader) (sluice.Link,
		error) {
		return r.Link(LiveLedger, "link_1")
	}); l.Downloads != int64(len(want)) {
		t.Errorf("%d downloads, want %d", l.Downloads, len(want))
	}
}

func testSeq(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	ledgers := []sluice.LedgerID{LiveLedger, TestLedger, OtherLedger}
	recorded := map[sluice.LedgerID]*atomic.Int64{LiveLedger: {}, TestLedger: {}, OtherLedger: {}}
	failure := errors.New("failure")
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			s := stores[g%len(stores)]
			for range 12 {
				l := ledgers[rand.IntN(len(ledgers))]
				n, bad := 1+rand.Int64N(3), rand.IntN(3) == 0
				err := s.Update(Background, l, func(tx service.Tx) error {
					for range n {
						if err := tx.Record(NewEntry(l)); err != nil {
							return err
						}
					}
					if bad {
						return failure
					}
					return nil
				})
				if bad != (err == failure) || !bad && err != nil {
					t.Error(err)
				}
				if err == nil {
					recorded[l].Add(n)
				}
			}
		})
	}
	wg.Wait()
	for _, l := range ledgers {
		if n := int64(len(Seqs(t, stores[0], l))); n != recorded[l].Load() || n == 0 {
			t.Errorf("ledger %s has %d entries, want %d", l, n, recorded[l].Load())
		}
	}
}

// testDecisions wants no redemption after the revocation that forbids it.
func testDecisions(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	const links = 10
	Update(t, stores[0], LiveLedger, func(tx service.Tx) error {
		for i := range links {
			if err := tx.CreateLink(NewLink(LiveLedger, fmt.Sprint("link_", i), "file_1"),
				NewEntry(LiveLedger)); err != nil {
				return err
			}
		}
		return nil
	})
	entryOf := func(a sluice.Action, link string) sluice.Entry {
		e := NewEntry(LiveLedger)
		e.Action, e.Link = a, &sluice.LinkPart{ID: link}
		return e
	}
	redeem := func(id string) func(tx service.Tx) error {
		return func(tx service.Tx) error {
			l, err := tx.Link(LiveLedger, id)
			if err != nil {
				return err
			}
			if !l.Revoked.IsZero() {
				return tx.Record(entryOf(sluice.LinkRefused, id))
			}
			return tx.Redeemed(id, Epoch, entryOf(sluice.LinkRedeemed, id))
		}
	}
	revoke := func(id string) func(tx service.Tx) error {
		return func(tx service.Tx) error {
			l, err := tx.Link(LiveLedger, id)
			if err != nil {
				return err
			}
			l.Revoked, l.Ended = Epoch, sluice.Revoked
			return tx.UpdateLink(l, entryOf(sluice.LinkEnded, id))
		}
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range links {
				fn := redeem(fmt.Sprint("link_", i))
				if g == i {
					fn = revoke(fmt.Sprint("link_", i))
				}
				if err := stores[g%2].Update(Background, LiveLedger, fn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	ended := map[string]bool{}
	redeemed := map[string]int64{}
	for _, id := range Seqs(t, stores[0], LiveLedger) {
		e := Read(t, stores[0], func(r service.Reader) (sluice.Entry, error) { return r.Entry(LiveLedger, id) })
		switch {
		case e.Action == sluice.LinkEnded:
			ended[e.Link.ID] = true
		case e.Action == sluice.LinkRedeemed:
			redeemed[e.Link.ID]++
			if ended[e.Link.ID] {
				t.Errorf("seq %d redeems %s after its revocation", e.Seq, e.Link.ID)
			}
		case e.Action == sluice.LinkRefused && !ended[e.Link.ID]:
			t.Errorf("seq %d refuses %s before its revocation", e.Seq, e.Link.ID)
		}
	}
	for i := range links {
		id := fmt.Sprint("link_", i)
		l := Read(t, stores[1], func(r service.Reader) (sluice.Link, error) { return r.Link(LiveLedger, id) })
		if !ended[id] || l.Downloads != redeemed[id] {
			t.Errorf("%s: ended %v, %d downloads, %d entries tell of one", id, ended[id], l.Downloads, redeemed[id])
		}
	}
}

// testTwo lets two processes change in turn what the other has read.
func testTwo(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	Update(t, stores[0], LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
			tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)))
	})
	for i := range int64(20) {
		Update(t, stores[i%2], LiveLedger, func(tx service.Tx) error {
			size, err := tx.Size(LiveLedger)
			if want := 3 + 4*i; err != nil || size != want {
				t.Errorf("%d entries, %v, want %d", size, err, want)
			}
			l, err := tx.Link(LiveLedger, "link_1")
			if err != nil || l.Downloads != i || l.Reason != fmt.Sprint(i) && i > 0 {
				t.Errorf("round %d: %+v, %v", i, l, err)
			}
			f, err := tx.File(LiveLedger, "file_1")
			if err != nil || f.Title != fmt.Sprint(i) && i > 0 {
				t.Errorf("round %d: %+v, %v", i, f, err)
			}
			k, err := tx.Key(LiveLedger, "key_1")
			if err != nil || k.Name != fmt.Sprint(i) && i > 0 {
				t.Errorf("round %d: %+v, %v", i, k, err)
			}
			l.Reason, f.Title, k.Name = fmt.Sprint(i+1), fmt.Sprint(i+1), fmt.Sprint(i+1)
			return errors.Join(tx.UpdateLink(l, NewEntry(LiveLedger)), tx.UpdateFile(f, NewEntry(LiveLedger)),
				tx.UpdateKey(k, NewEntry(LiveLedger)))
		})
		Update(t, stores[i%2], LiveLedger, func(tx service.Tx) error {
			return tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger))
		})
	}
}

func testOverlap(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	var inside atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 5 {
				err := stores[g%2].Update(Background, LiveLedger, func(tx service.Tx) error {
					if n := inside.Add(1); n != 1 {
						t.Errorf("%d updates of one ledger at once", n)
					}
					time.Sleep(time.Millisecond)
					defer inside.Add(-1)
					return tx.Record(NewEntry(LiveLedger))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// testOwnChanges wants an Update to read its own changes of objects that it had read before, with what follows for
// other objects. A View and the next Update of any process must read the same.
func testOwnChanges(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	s := stores[0]
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(
			tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_2"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_2", "file_2"), NewEntry(LiveLedger)),
		)
	})
	made := NewLink(LiveLedger, "link_3", "file_2")
	read3 := func(r service.Reader) (sluice.Link, error) { return r.Link(LiveLedger, "link_3") }
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		err1 := tx.CreateLink(made, NewEntry(LiveLedger))
		before, err2 := read3(tx)
		WantEqual(t, before, made)
		err3 := tx.Redeemed("link_3", Epoch, NewEntry(LiveLedger))
		made.Downloads, made.Redeemed = 1, Epoch
		after, err4 := read3(tx)
		WantEqual(t, after, made)
		return errors.Join(err1, err2, err3, err4)
	})
	WantEqual(t, Read(t, s, read3), made)
	type objects struct {
		Key          sluice.Key
		File1, File2 sluice.File
		Link1, Link2 sluice.Link
	}
	look := func(r service.Reader) (o objects, err error) {
		var errs [5]error
		o.Key, errs[0] = r.Key(LiveLedger, "key_1")
		o.File1, errs[1] = r.File(LiveLedger, "file_1")
		o.File2, errs[2] = r.File(LiveLedger, "file_2")
		o.Link1, errs[3] = r.Link(LiveLedger, "link_1")
		o.Link2, errs[4] = r.Link(LiveLedger, "link_2")
		return o, errors.Join(errs[:]...)
	}
	want := Read(t, s, look)
	changed := NewLink(LiveLedger, "link_1", "file_1")
	changed.Reason = "why"
	for i, step := range []struct {
		change func(service.Tx) error
		want   func()
	}{
		{func(tx service.Tx) error { return tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)) },
			func() { want.Link1.Downloads, want.Link1.Redeemed = 1, Epoch }},
		{func(tx service.Tx) error { return tx.UpdateLink(changed, NewEntry(LiveLedger)) },
			func() { want.Link1.Reason = "why" }},
		{func(tx service.Tx) error { return tx.DeleteFile("file_1", Epoch, NewEntry(LiveLedger)) }, func() {
			want.File1.Deleted, want.Link1.Revoked, want.Link1.Ended = Epoch, Epoch, sluice.FileDeleted
		}},
		{func(tx service.Tx) error { return tx.RevokeKey("key_1", Epoch, NewEntry(LiveLedger)) }, func() {
			want.Key.Revoked, want.Link2.Revoked, want.Link2.Ended = Epoch, Epoch, sluice.KeyRevoked
		}},
	} {
		Update(t, stores[i%2], LiveLedger, func(tx service.Tx) error {
			before, err1 := look(tx)
			WantEqual(t, before, want)
			err2 := step.change(tx)
			step.want()
			after, err3 := look(tx)
			WantEqual(t, after, want)
			return errors.Join(err1, err2, err3)
		})
		if got := Read(t, s, look); !cmp.Equal(got, want) {
			t.Errorf("after step %d a view reads\n%+v\nwant\n%+v", i, got, want)
		}
	}
}

// testForeseen gives Updates that share a commit right and wrong prefetch hints, while they change what they read.
func testForeseen(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(
			tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_2", "file_none"), NewEntry(LiveLedger)),
		)
	})
	release := Busy(t, s)
	var wg sync.WaitGroup
	for _, link := range []string{"link_1", "link_1", "link_2", "link_none", "", "link\x00"} {
		for _, l := range []sluice.LedgerID{LiveLedger, OtherLedger, {Account: "\x00"}} {
			wg.Go(func() {
				err := s.Update(service.Prefetch(Background, link), l, func(tx service.Tx) error {
					f, err1 := tx.File(l, "file_1")
					found, err2 := tx.Link(l, "link_1")
					if l != LiveLedger {
						WantCode(t, err1, sluice.CodeNotFound)
						WantCode(t, err2, sluice.CodeNotFound)
						return nil
					}
					if err := errors.Join(err1, err2); err != nil || f.Filename != "a.pdf" ||
						found.Downloads != int64(len(found.Reason)) {
						t.Errorf("%+v, %+v, %v", f, found, err)
					}
					if err := tx.Redeemed("link_1", Epoch, NewEntry(l)); err != nil {
						return err
					}
					found.Reason += "x"
					return tx.UpdateLink(found, NewEntry(l))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	time.Sleep(50 * time.Millisecond)
	release()
	wg.Wait()
	l := Read(t, s, func(r service.Reader) (sluice.Link, error) { return r.Link(LiveLedger, "link_1") })
	if l.Downloads != 6 || l.Reason != "xxxxxx" {
		t.Errorf("%d downloads, reason %q, want 6 of each", l.Downloads, l.Reason)
	}
}

func testSnapshot(t *testing.T, db Database) {
	s, second := openStore(t, db), openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger))
	})
	look := func(r service.Reader) string {
		files, err1 := r.Files(LiveLedger, service.FileFilter{}, sluice.Page{Limit: 10})
		entries, err2 := r.Entries(LiveLedger, service.EntryFilter{}, sluice.Page{Limit: 10})
		_, err3 := r.File(LiveLedger, "file_2")
		return fmt.Sprint(len(files.Data), len(entries.Data), sluice.CodeOf(err3), err1, err2)
	}
	var before, after string
	err := s.View(Background, func(r service.Reader) error {
		if _, ok := r.(service.Tx); ok {
			t.Error("a view can write")
		}
		before = look(r)
		for i, writer := range []service.Store{s, second} {
			Update(t, writer, LiveLedger, func(tx service.Tx) error {
				return tx.CreateFile(NewFile(LiveLedger, fmt.Sprint("file_", 2+i)), NewEntry(LiveLedger))
			})
		}
		after = look(r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(1, 1, sluice.CodeNotFound, nil, nil); before != want || after != want {
		t.Errorf("a view saw %q, later %q, want %q", before, after, want)
	}
	s.View(Background, func(r service.Reader) error {
		if got, want := look(r), fmt.Sprint(3, 3, "", nil, nil); got != want {
			t.Errorf("the next view saw %q, want %q", got, want)
		}
		return nil
	})
}

func testReadYourWrites(t *testing.T, db Database) {
	stores := []service.Store{openStore(t, db), openStore(t, db)}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 10 {
				id := fmt.Sprintf("file_%d_%d", g, i)
				Update(t, stores[i%2], LiveLedger, func(tx service.Tx) error {
					if err := tx.CreateFile(NewFile(LiveLedger, id), NewEntry(LiveLedger)); err != nil {
						return err
					}
					_, err := tx.File(LiveLedger, id)
					return err
				})
				for _, s := range stores {
					if err := s.View(Background, func(r service.Reader) error {
						_, err := r.File(LiveLedger, id)
						return err
					}); err != nil {
						t.Errorf("after its update returned: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func testLedgers(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(
			tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
			tx.CreateLink(NewLink(LiveLedger, "link_1", "file_1"), NewEntry(LiveLedger)),
		)
	})
	entry := Seqs(t, s, LiveLedger)[0]
	page := sluice.Page{Limit: 10}
	for _, l := range []sluice.LedgerID{TestLedger, OtherLedger, {Account: "acct_1"}} {
		err := s.Update(Background, l, func(tx service.Tx) error {
			_, err := tx.Key(l, "key_1")
			WantCode(t, err, sluice.CodeNotFound)
			_, err = tx.File(l, "file_1")
			WantCode(t, err, sluice.CodeNotFound)
			_, err = tx.Link(l, "link_1")
			WantCode(t, err, sluice.CodeNotFound)
			_, err = tx.Entry(l, entry)
			WantCode(t, err, sluice.CodeNotFound)
			keys, err1 := tx.Keys(l, page)
			files, err2 := tx.Files(l, service.FileFilter{IDs: []string{"file_1"}}, page)
			links, err3 := tx.Links(l, service.LinkFilter{FileID: "file_1"}, page)
			entries, err4 := tx.Entries(l, service.EntryFilter{}, page)
			if n := len(keys.Data) + len(files.Data) + len(links.Data) + len(entries.Data); n > 0 {
				t.Errorf("%d objects are visible from %s", n, l)
			}
			WantCode(t, tx.RevokeKey("key_1", Epoch, NewEntry(l)), sluice.CodeNotFound)
			WantCode(t, tx.DeleteFile("file_1", Epoch, NewEntry(l)), sluice.CodeNotFound)
			WantCode(t, tx.Redeemed("link_1", Epoch, NewEntry(l)), sluice.CodeNotFound)
			WantCode(t, tx.UpdateLink(NewLink(l, "link_1", "file_1"), NewEntry(l)), sluice.CodeNotFound)
			return errors.Join(err1, err2, err3, err4)
		})
		if err != nil {
			t.Error(err)
		}
		if ids := Seqs(t, s, l); len(ids) > 0 {
			t.Errorf("%d entries in %s", len(ids), l)
		}
	}
	k := Read(t, s, func(r service.Reader) (sluice.Key, error) { return r.KeyByHash(NewKey(LiveLedger, "key_1").Hash) })
	alone, err := s.KeyByHash(Background, NewKey(LiveLedger, "key_1").Hash)
	if err != nil {
		t.Error(err)
	}
	WantEqual(t, alone, k)
	_, err = s.KeyByHash(Background, sluice.Digest{9})
	WantCode(t, err, sluice.CodeNotFound)
	if k.ID != "key_1" || k.Ledger != LiveLedger {
		t.Errorf("by its hash: %s of %s", k.ID, k.Ledger)
	}
}

func testDuplicates(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, Changes)
	n := len(Seqs(t, s, LiveLedger))
	sameHash := NewKey(TestLedger, "key_2")
	sameHash.Hash = NewKey(LiveLedger, "key_1").Hash
	for name, fn := range map[string]func(tx service.Tx) error{
		"account": func(tx service.Tx) error {
			return tx.CreateAccount(sluice.Account{ID: "acct_1"}, NewEntry(TestLedger))
		},
		"signing key": func(tx service.Tx) error { return tx.AddSigningKey("0a0b0c0d", Epoch, NewEntry(TestLedger)) },
		"key": func(tx service.Tx) error {
			return tx.CreateKey(NewKey(TestLedger, "key_1"), NewEntry(TestLedger))
		},
		"hash": func(tx service.Tx) error { return tx.CreateKey(sameHash, NewEntry(TestLedger)) },
		"file": func(tx service.Tx) error {
			return tx.CreateFile(NewFile(TestLedger, "file_1"), NewEntry(TestLedger))
		},
		"link": func(tx service.Tx) error {
			return tx.CreateLink(NewLink(TestLedger, "link_1", "file_1"), NewEntry(TestLedger))
		},
	} {
		err := s.Update(Background, TestLedger, func(tx service.Tx) error {
			if err := tx.Record(NewEntry(TestLedger)); err != nil {
				return err
			}
			return fn(tx)
		})
		if sluice.CodeOf(err) != sluice.CodeConflict {
			t.Errorf("%s: got %v, want %s", name, err, sluice.CodeConflict)
		}
	}
	if ids := Seqs(t, s, TestLedger); len(ids) > 0 {
		t.Errorf("%d entries of conflicts", len(ids))
	}
	if ids := Seqs(t, s, LiveLedger); len(ids) != n {
		t.Errorf("%d entries, want %d", len(ids), n)
	}
}

func testMissing(t *testing.T, db Database) {
	s := openStore(t, db)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		if err := errors.Join(tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger))); err != nil {
			return err
		}
		return errors.Join(tx.RevokeKey("key_1", Epoch, NewEntry(LiveLedger)),
			tx.DeleteFile("file_1", Epoch, NewEntry(LiveLedger)))
	})
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		WantCode(t, tx.RevokeKey("key_2", Epoch, NewEntry(LiveLedger)), sluice.CodeNotFound)
		WantCode(t, tx.RevokeKey("key_1", Epoch, NewEntry(LiveLedger)), sluice.CodeNotFound)
		WantCode(t, tx.DeleteFile("file_2", Epoch, NewEntry(LiveLedger)), sluice.CodeNotFound)
		WantCode(t, tx.DeleteFile("file_1", Epoch, NewEntry(LiveLedger)), sluice.CodeNotFound)
		WantCode(t, tx.Redeemed("link_2", Epoch, NewEntry(LiveLedger)), sluice.CodeNotFound)
		WantCode(t, tx.UpdateLink(NewLink(LiveLedger, "link_2", "file_1"), NewEntry(LiveLedger)), sluice.CodeNotFound)
		_, err := tx.KeyByHash(sluice.Digest{9})
		WantCode(t, err, sluice.CodeNotFound)
		_, err = tx.Entry(LiveLedger, "aud_2")
		WantCode(t, err, sluice.CodeNotFound)
		return tx.Record(NewEntry(LiveLedger)) // a missing object does not end the transaction
	})
	if ids := Seqs(t, s, LiveLedger); len(ids) != 5 {
		t.Errorf("%d entries, want 5", len(ids))
	}
}

func testDeleteFile(t *testing.T, db Database) {
	s := openStore(t, db)
	deleted := Epoch.Add(2 * time.Hour)
	good, expired, revoked, elsewhere := NewLink(LiveLedger, "link_1", "file_1"),
		NewLink(LiveLedger, "link_2", "file_1"), NewLink(LiveLedger, "link_3", "file_1"),
		NewLink(LiveLedger, "link_4", "file_2")
	good.Expires = time.Time{}
	revoked.Revoked, revoked.Ended = Epoch, sluice.Revoked
	file := NewFile(LiveLedger, "file_1")
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(
			tx.CreateFile(file, NewEntry(LiveLedger)), tx.CreateFile(NewFile(LiveLedger, "file_2"),
				NewEntry(LiveLedger)),
			tx.CreateLink(good, NewEntry(LiveLedger)), tx.CreateLink(expired, NewEntry(LiveLedger)),
			tx.CreateLink(revoked, NewEntry(LiveLedger)), tx.CreateLink(elsewhere, NewEntry(LiveLedger)),
		)
	})
	known := func() map[string]bool {
		return Read(t, s, func(r service.Reader) (map[string]bool, error) {
			return r.KnownFiles([]string{"file_1", "file_2", "file_3", "file\x00"})
		})
	}
	WantEqual(t, known(), map[string]bool{"file_1": true, "file_2": true})
	if any := Read(t, s, func(r service.Reader) (bool, error) { return r.AnyFile() }); !any {
		t.Error("AnyFile finds none")
	}
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return tx.DeleteFile("file_1", deleted, NewEntry(LiveLedger))
	})
	WantEqual(t, known(), map[string]bool{"file_1": false, "file_2": true})
	installation := func(r service.Reader) (string, error) { return r.Installation() }
	if id := Read(t, s, installation); len(id) != 32 || id != Read(t, s, installation) {
		t.Errorf("the installation has the id %q, want 32 characters, each time the same", id)
	}
	file.Deleted, file.Updated = deleted, deleted
	WantEqual(t, Read(t, s, func(r service.Reader) (sluice.File, error) { return r.File(LiveLedger, "file_1") }), file)
	for _, l := range []*sluice.Link{&good, &expired} {
		l.Revoked, l.Updated, l.Ended = deleted, deleted, sluice.FileDeleted
	}
	wantLinks(t, s, good, expired, revoked, elsewhere)
}

func testRevokeKey(t *testing.T, db Database) {
	s := openStore(t, db)
	now := Epoch.Add(time.Hour)
	good, forever, expired, revoked, others := NewLink(LiveLedger, "link_1", "file_1"),
		NewLink(LiveLedger, "link_2", "file_1"), NewLink(LiveLedger, "link_3", "file_1"),
		NewLink(LiveLedger, "link_4", "file_1"), NewLink(LiveLedger, "link_5", "file_1")
	good.Expires = now.Add(time.Microsecond)
	forever.Expires = time.Time{}
	expired.Expires = now
	revoked.Revoked, revoked.Ended = Epoch, sluice.Revoked
	others.KeyID, others.Expires = "key_2", time.Time{}
	key := NewKey(LiveLedger, "key_1")
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(
			tx.CreateKey(key, NewEntry(LiveLedger)), tx.CreateKey(NewKey(LiveLedger, "key_2"), NewEntry(LiveLedger)),
			tx.CreateLink(good, NewEntry(LiveLedger)), tx.CreateLink(forever, NewEntry(LiveLedger)),
			tx.CreateLink(expired, NewEntry(LiveLedger)),
			tx.CreateLink(revoked, NewEntry(LiveLedger)), tx.CreateLink(others, NewEntry(LiveLedger)),
		)
	})
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.RevokeKey("key_1", now, NewEntry(LiveLedger)) })
	key.Revoked, key.Updated = now, now
	WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Key, error) { return r.Key(LiveLedger, "key_1") }), key)
	for _, l := range []*sluice.Link{&good, &forever} {
		l.Revoked, l.Updated, l.Ended = now, now, sluice.KeyRevoked
	}
	wantLinks(t, s, good, forever, expired, revoked, others)
}

// testManyEnd ends more links than one Update marks, in two ways that overlap. A reader must see the same before the
// links are marked, while they are, and afterwards.
func testManyEnd(t *testing.T, db Database) {
	s := openStore(t, db)
	const each = 700
	revoked, deleted := Epoch.Add(time.Hour), Epoch.Add(2*time.Hour)
	links := map[string]sluice.Link{}
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		err := errors.Join(tx.CreateKey(NewKey(LiveLedger, "key_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_1"), NewEntry(LiveLedger)),
			tx.CreateFile(NewFile(LiveLedger, "file_2"), NewEntry(LiveLedger)))
		for i := range 3 * each {
			l := NewLink(LiveLedger, fmt.Sprintf("link_%04d", i), "file_1")
			l.KeyID, l.Created, l.Updated = "key_1", Epoch.Add(time.Duration(i)*time.Microsecond), Epoch
			l.Expires = []time.Time{{}, Epoch.Add(time.Minute), Epoch.Add(90 * time.Minute),
				Epoch.Add(3 * time.Hour)}[i%4]
			if i%7 == 0 {
				l.Revoked, l.Ended = Epoch, sluice.Revoked
			}
			switch i % 3 {
			case 1:
				l.KeyID = "key_2"
			case 2:
				l.FileID = "file_2"
			}
			links[l.ID] = l
			err = errors.Join(err, tx.CreateLink(l, NewEntry(LiveLedger)))
		}
		return err
	})
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.RevokeKey("key_1", revoked, NewEntry(LiveLedger)) })
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return tx.DeleteFile("file_1", deleted, NewEntry(LiveLedger))
	})
	for id, l := range links {
		switch {
		case !l.Revoked.IsZero():
		case l.KeyID == "key_1" && !l.Expired(revoked):
			l.Revoked, l.Updated, l.Ended = revoked, revoked, sluice.KeyRevoked
		case l.FileID == "file_1":
			l.Revoked, l.Updated, l.Ended = deleted, deleted, sluice.FileDeleted
		}
		links[id] = l
	}
	now := Epoch.Add(2 * time.Hour)
	same := func(when string) {
		t.Helper()
		for name, filter := range map[string]struct {
			service.LinkFilter
			holds func(sluice.Link) bool
		}{
			"all":     {service.LinkFilter{}, func(sluice.Link) bool { return true }},
			"revoked": {service.LinkFilter{Revoked: Ptr(true)}, func(l sluice.Link) bool { return l.Ended != "" }},
			"good":    {service.LinkFilter{Revoked: Ptr(false)}, func(l sluice.Link) bool { return l.Ended == "" }},
			"over": {service.LinkFilter{Over: Ptr(true), Now: now},
				func(l sluice.Link) bool { return l.Ended != "" || l.Expired(now) }},
			"not over": {service.LinkFilter{Over: Ptr(false), Now: now},
				func(l sluice.Link) bool { return l.Ended == "" && !l.Expired(now) }},
			"file": {service.LinkFilter{FileID: "file_1", Revoked: Ptr(true)},
				func(l sluice.Link) bool { return l.FileID == "file_1" && l.Ended != "" }},
		} {
			want := map[string]sluice.Link{}
			for id, l := range links {
				if l.Ended != sluice.Revoked && filter.holds(l) {
					want[id] = l
				}
			}
			got := map[string]sluice.Link{}
			for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
				list := Read(t, s, func(r service.Reader) (sluice.List[sluice.Link], error) {
					return r.Links(LiveLedger, filter.LinkFilter, page)
				})
				for _, l := range list.Data {
					got[l.ID] = l
				}
				if !list.More {
					break
				}
				page.After = list.Data[len(list.Data)-1].ID
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s, the list of links that are %s (-want +got):\n%.2000s", when, name, diff)
			}
		}
		Update(t, s, LiveLedger, func(tx service.Tx) error { // an Update sees it, too
			for _, id := range []string{"link_0001", "link_0003", "link_0009", "link_2097"} {
				l, err := tx.Link(LiveLedger, id)
				if err != nil {
					return err
				}
				if diff := cmp.Diff(links[id], l); diff != "" {
					t.Errorf("%s, %s (-want +got):\n%s", when, id, diff)
				}
			}
			return tx.Record(NewEntry(LiveLedger))
		})
	}
	same("before any is marked")
	commits, total := 0, 0
	for more := true; more; commits++ {
		var n int
		var err error
		if n, more, err = s.EndLinks(Background); err != nil {
			t.Fatal(err)
		}
		if n > 500 {
			t.Fatalf("%d links are marked in one commit", n)
		}
		if total += n; commits == 1 {
			same("while some are marked")
		}
	}
	if commits < 3 || total == 0 {
		t.Errorf("%d links marked in %d commits: none was left to do", total, commits)
	}
	same("when all are marked")
	if n, more, err := s.EndLinks(Background); n != 0 || more || err != nil {
		t.Errorf("nothing is left, and EndLinks gives %d, %v, %v", n, more, err)
	}
}

func wantLinks(t *testing.T, s service.Store, links ...sluice.Link) {
	t.Helper()
	for _, want := range links {
		WantEqual(t, Read(t, s, func(r service.Reader) (sluice.Link, error) { return r.Link(want.Ledger, want.ID) }),
			want)
	}
}

func testUpdateLink(t *testing.T, db Database) {
	s := openStore(t, db)
	l := NewLink(LiveLedger, "link_1", "file_1")
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.CreateLink(l, NewEntry(LiveLedger)) })
	changed := l
	changed.Reason, changed.Metadata, changed.Expires, changed.Updated = "why", sluice.Metadata{"a": "b"},
		time.Time{}, Epoch.Add(time.Second)
	changed.Revoked, changed.Ended = Epoch.Add(time.Minute), sluice.Revoked
	changed.Access = NewAccess().Ref()
	given := changed
	given.FileID, given.KeyID, given.SigningKey, given.Created, given.Downloads, given.Redeemed = "file_9", "key_9",
		"9", time.Time{}, 9, Epoch
	Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.UpdateLink(given, NewEntry(LiveLedger)) })
	wantLinks(t, s, changed)
	changed.Downloads, changed.Redeemed = 2, Epoch.Add(3*time.Second)
	for i := range 2 {
		Update(t, s, LiveLedger, func(tx service.Tx) error {
			if err := tx.Redeemed("link_1", Epoch.Add(time.Duration(2+i)*time.Second),
				NewEntry(LiveLedger)); err != nil {
				return err
			}
			l, err := tx.Link(LiveLedger, "link_1")
			if l.Downloads != int64(1+i) {
				t.Errorf("%d downloads after the redemption number %d", l.Downloads, 1+i)
			}
			return err
		})
	}
	wantLinks(t, s, changed)
	changed.Downloads = 0
	for i := range 3 { // below none there is nothing
		Update(t, s, LiveLedger, func(tx service.Tx) error {
			if err := tx.Delivered([]string{"link_1"}, NewEntry(LiveLedger)); err != nil {
				return err
			}
			l, err := tx.Link(LiveLedger, "link_1")
			if want := max(0, int64(1-i)); l.Downloads != want {
				t.Errorf("%d downloads after %d were returned, want %d", l.Downloads, 1+i, want)
			}
			return err
		})
	}
	wantLinks(t, s, changed)
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		err := errors.Join(tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)),
			tx.Delivered([]string{"link_1"}, NewEntry(LiveLedger)))
		l, err2 := tx.Link(LiveLedger, "link_1")
		if l.Downloads != 0 {
			t.Errorf("%d downloads after one was counted and returned", l.Downloads)
		}
		return errors.Join(err, err2)
	})

	// One entry tells of all that is returned, all or nothing.
	Update(t, s, LiveLedger, func(tx service.Tx) error {
		return errors.Join(tx.CreateLink(NewLink(LiveLedger, "link_2", "file_1"), NewEntry(LiveLedger)),
			tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)), tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)),
			tx.Redeemed("link_1", Epoch, NewEntry(LiveLedger)), tx.Redeemed("link_2", Epoch, NewEntry(LiveLedger)))
	})
	size := len(Seqs(t, s, LiveLedger))
	WantCode(t, s.Update(Background, LiveLedger, func(tx service.Tx) error {
		return tx.Delivered([]string{"link_1", "link_3"}, NewEntry(LiveLedger))
	}), sluice.CodeNotFound)
	for _, returned := range [][]string{nil, {"link_1", "link_2", "link_1"}} {
		Update(t, s, LiveLedger, func(tx service.Tx) error { return tx.Delivered(returned, NewEntry(LiveLedger)) })
		size++
		for id, counted := range map[string]int64{"link_1": 3, "link_2": 1} {
			for _, link := range returned {
				if link == id {
					counted--
				}
			}
			got := Read(t, s, func(r service.Reader) (sluice.Link, error) { return r.Link(LiveLedger, id) })
			if got.Downloads != counted {
				t.Errorf("%d downloads of %s after %v were returned, want %d", got.Downloads, id, returned, counted)
			}
		}
	}
	if n := len(Seqs(t, s, LiveLedger)); n != size {
		t.Errorf("%d entries, want %d", n, size)
	}
}

func testNewer(t *testing.T, db Database) {
	if err := openStore(t, db).Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, TRUE)"); err != nil {
		t.Fatal(err)
	}
	s, err := db.Open()
	if err == nil {
		s.Close()
		t.Fatal("a newer schema was opened")
	}
	if !strings.Contains(err.Error(), "version 4711") || !strings.Contains(err.Error(), "versions up to ") {
		t.Errorf("%v: want both versions named", err)
	}
}

func testAccounts(t *testing.T, db Database) {
	s := openStore(t, db)
	accounts := []sluice.Account{{ID: "acct_2", Name: "b", Created: Epoch}, {ID: "acct_3", Name: "c", Created: Epoch},
		{ID: "acct_1", Name: "a", Created: Epoch.Add(time.Microsecond)}}
	for _, i := range []int{2, 1, 0} {
		a := accounts[i]
		l := sluice.LedgerID{Account: a.ID, Mode: sluice.Live}
		Update(t, s, l, func(tx service.Tx) error {
			return errors.Join(tx.CreateAccount(a, NewEntry(l)), tx.AddSigningKey(a.Name, a.Created, NewEntry(l)))
		})
	}
	WantEqual(t, Read(t, s, service.Reader.Accounts), accounts)
	WantEqual(t, Read(t, s, service.Reader.SigningKeys), []string{"b", "c", "a"})
}

func testClosed(t *testing.T, db Database) {
	s := openStore(t, db)
	release := Busy(t, s)
	results := make(chan error)
	for range 3 {
		go func() {
			results <- s.Update(Background, LiveLedger, func(tx service.Tx) error {
				return tx.Record(NewEntry(LiveLedger))
			})
		}()
	}
	awaitQueue(t, s, 3)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	time.Sleep(10 * time.Millisecond)
	release()
	for range 3 {
		if err := <-results; err != nil {
			t.Errorf("an update that waited when the store was closed: %v", err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Update": s.Update(Background, LiveLedger, func(service.Tx) error { return nil }),
		"View":   s.View(Background, func(service.Reader) error { return nil }),
		"Ready":  s.Ready(Background),
	} {
		var e *sluice.Error
		if !errors.As(err, &e) || e.Code != sluice.CodeUnavailable || e.RetryAfter != time.Second {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if ids := Seqs(t, openStore(t, db), LiveLedger); len(ids) != 3 {
		t.Errorf("%d entries, want 3", len(ids))
	}
}

func testReady(t *testing.T, db Database) {
	s := openStore(t, db)
	if err := s.Ready(Background); err != nil {
		t.Error(err)
	}
	release := Busy(t, s)
	brief, cancel := context.WithTimeout(Background, 20*time.Millisecond)
	defer cancel()
	if err := s.Ready(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the writer is busy: %v, want %v", err, context.DeadlineExceeded)
	}
	release()
	if err := s.Ready(Background); err != nil {
		t.Error(err)
	}
}
