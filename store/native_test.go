package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice"
)

func TestNativeSQLite(t *testing.T) { testNative(t, openNativeSQLite) }

func openNativeSQLite(t *testing.T) sluice.Store {
	t.Helper()
	s, err := OpenSQLite(filepath.Join(t.TempDir(), "sluice.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// testNative is what the native API asks of a Store besides the suite: every
// field and filter, rotation, retention and remembered answers.
func testNative(t *testing.T, open func(*testing.T) sluice.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *native)
	}{
		{"keys are kept whole", testKeyFields},
		{"keys are found by both secrets", testRotation},
		{"no two keys have a secret in common", testSharedSecret},
		{"use of keys", testKeysUsed},
		{"files are kept whole", testFileFields},
		{"files by what they belong to", testLinked},
		{"files by type", testTypes},
		{"files by size", testSizes},
		{"files whose time has passed", testExpiredFiles},
		{"links are kept whole", testLinkFields},
		{"links by when they expire", testExpiry},
		{"links that were ended", testEndedLinks},
		{"answers are kept whole", testAnswers},
		{"an answer is given once", testOnce},
		{"answers are forgotten", testForgetAnswers},
		{"empty ranges", testEmptyRanges},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, &native{T: t, Store: open(t)})
		})
	}
}

var (
	nativeLedger  = sluice.LedgerID{Account: "acct_native", Mode: sluice.Live}
	nativeForeign = sluice.LedgerID{Account: "acct_native", Mode: sluice.Test}
	nativeEpoch   = time.Date(2026, 3, 4, 5, 6, 7, 890123000, time.UTC)
	nativeSerial  atomic.Int64
)

// hostileText is what texts may hold.
const hostileText = "'; DROP TABLE link; -- %_\\ \"$1\" ? \t\r\n \u202e \U0001f5ff é"

// native is a Store under test.
type native struct {
	*testing.T
	sluice.Store
}

func (n *native) change(fn func(sluice.Tx) error) {
	n.Helper()
	if err := n.try(fn); err != nil {
		n.Fatal(err)
	}
}

func (n *native) try(fn func(sluice.Tx) error) error {
	return n.Update(context.Background(), nativeLedger, fn)
}

func (n *native) look(fn func(sluice.Reader) error) {
	n.Helper()
	if err := n.View(context.Background(), fn); err != nil {
		n.Error(err)
	}
}

func (n *native) equal(got, want any) {
	n.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		n.Errorf("-want +got\n%s", diff)
	}
}

func (n *native) code(err error, want sluice.Code) {
	n.Helper()
	if got := sluice.CodeOf(err); got != want {
		n.Errorf("got %v, want %s", err, want)
	}
}

// entry is an entry that tells of no particular thing.
func nativeEntry() sluice.Entry {
	id := fmt.Sprintf("aud_n%025d", nativeSerial.Add(1))
	return sluice.Entry{ID: id, Ledger: nativeLedger, Time: nativeEpoch, Action: "thing.done", Outcome: sluice.Allowed}
}

// at is a moment after the epoch.
func at(d time.Duration) time.Time { return nativeEpoch.Add(d) }

func nativeKey(id string, hash byte) sluice.Key {
	return sluice.Key{ID: id, Ledger: nativeLedger, Name: id, Hash: sluice.Digest{hash}, Created: at(0), Updated: at(0)}
}

func nativeFile(id string) sluice.File {
	return sluice.File{ID: id, Ledger: nativeLedger, Purpose: "invoice", Filename: "a.pdf", Type: "application/pdf", Created: at(0), Updated: at(0)}
}

func nativeLink(id string, lifetime time.Duration) sluice.Link {
	l := sluice.Link{ID: id, Ledger: nativeLedger, FileID: "file_1", KeyID: "key_1", SigningKey: "0a0b0c0d", Created: at(0), Updated: at(0)}
	if lifetime != 0 {
		l.Expires = l.Created.Add(lifetime)
	}
	return l
}

func (n *native) entries() int {
	n.Helper()
	var count int
	n.look(func(r sluice.Reader) error {
		for page := (sluice.Page{Limit: sluice.MaxPageSize}); ; {
			list, err := r.Entries(nativeLedger, sluice.EntryFilter{}, page)
			count += len(list.Data)
			if err != nil || !list.More {
				return err
			}
			page.After = list.Data[len(list.Data)-1].ID
		}
	})
	return count
}

func testKeyFields(t *testing.T, n *native) {
	k := sluice.Key{
		ID: "key_1", Ledger: nativeLedger, Name: hostileText, Hash: sluice.Digest{1, 31: 2}, Scopes: sluice.AllScopes(),
		Created: at(0), Updated: at(2000), Expires: at(time.Hour), Revoked: at(3000), Used: at(4000), Version: "2026-11-21",
		OldHash: sluice.Digest{3, 31: 4}, OldExpires: at(5000), MaxLinkLifetime: sluice.Forever,
	}
	bare := nativeKey("key_2", 9)
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.CreateKey(k, nativeEntry()), tx.CreateKey(bare, nativeEntry()))
	})
	n.wantKey(k)
	n.wantKey(bare)

	k = sluice.Key{
		ID: "key_1", Ledger: nativeLedger, Name: "new name", Hash: sluice.Digest{5}, Scopes: []sluice.Scope{sluice.FilesRead},
		Created: k.Created, Used: k.Used, Updated: at(6000), Version: "2027-01-01", MaxLinkLifetime: time.Minute,
	}
	changed := k
	changed.Created, changed.Used = at(time.Hour), at(time.Hour) // these two are not replaced
	n.change(func(tx sluice.Tx) error { return tx.UpdateKey(changed, nativeEntry()) })
	n.wantKey(k)
	n.wantKey(bare)
	n.change(func(tx sluice.Tx) error {
		n.code(tx.UpdateKey(nativeKey("key_3", 8), nativeEntry()), sluice.CodeNotFound)
		return tx.Record(nativeEntry())
	})
	if got := n.entries(); got != 4 {
		n.Errorf("%d entries, want 4", got)
	}
}

func (n *native) wantKey(want sluice.Key) {
	n.Helper()
	n.look(func(r sluice.Reader) error {
		got, err := r.Key(want.Ledger, want.ID)
		n.equal(got, want)
		byHash, err2 := r.KeyByHash(want.Hash)
		n.equal(byHash, want)
		list, err3 := r.Keys(want.Ledger, sluice.Page{Limit: sluice.MaxPageSize})
		if !slices.ContainsFunc(list.Data, func(k sluice.Key) bool { return cmp.Equal(k, want) }) {
			n.Errorf("the list has %+v, want %+v in it", list.Data, want)
		}
		return errors.Join(err, err2, err3)
	})
}

func testRotation(t *testing.T, n *native) {
	k := nativeKey("key_1", 1)
	find := func(hash byte, want string) {
		t.Helper()
		err := n.View(context.Background(), func(r sluice.Reader) error {
			got, err := r.KeyByHash(sluice.Digest{hash})
			if got.ID != want || err == nil && got.Ledger != nativeLedger {
				t.Errorf("secret %d is that of %q of %v, want %q", hash, got.ID, got.Ledger, want)
			}
			return err
		})
		if want == "" {
			n.code(err, sluice.CodeNotFound)
		} else if err != nil {
			t.Error(err)
		}
	}
	n.change(func(tx sluice.Tx) error { return tx.CreateKey(k, nativeEntry()) })
	find(1, "key_1")
	for hash := byte(2); hash < 5; hash++ { // each rotation ends the secret before the last
		k.OldHash, k.Hash, k.OldExpires = k.Hash, sluice.Digest{hash}, at(time.Hour)
		n.change(func(tx sluice.Tx) error { return tx.UpdateKey(k, nativeEntry()) })
		find(hash, "key_1")
		find(hash-1, "key_1")
		if hash > 2 {
			find(hash-2, "")
		}
	}
	k.OldHash, k.OldExpires = sluice.Digest{}, time.Time{}
	n.change(func(tx sluice.Tx) error { return tx.UpdateKey(k, nativeEntry()) })
	find(3, "")
	find(0, "") // what a missing secret would be stored as
}

func testSharedSecret(t *testing.T, n *native) {
	rotated := nativeKey("key_1", 1)
	rotated.OldHash = sluice.Digest{2}
	plain := nativeKey("key_2", 3)
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.CreateKey(rotated, nativeEntry()), tx.CreateKey(plain, nativeEntry()), tx.CreateKey(nativeKey("key_4", 4), nativeEntry()))
	})
	secrets := func(hash, old byte) sluice.Key {
		k := nativeKey("key_3", hash)
		k.OldHash = sluice.Digest{old}
		return k
	}
	for name, k := range map[string]sluice.Key{
		"current and current": secrets(1, 0), "current and old": secrets(2, 0),
		"old and current": secrets(9, 1), "old and old": secrets(9, 2),
	} {
		created := n.try(func(tx sluice.Tx) error { return tx.CreateKey(k, nativeEntry()) })
		k.ID = plain.ID
		updated := n.try(func(tx sluice.Tx) error { return tx.UpdateKey(k, nativeEntry()) })
		if sluice.CodeOf(created) != sluice.CodeConflict || sluice.CodeOf(updated) != sluice.CodeConflict {
			t.Errorf("%s: created %v, updated %v, want conflicts", name, created, updated)
		}
	}
	n.wantKey(plain)
	n.wantKey(rotated)
	if got := n.entries(); got != 3 {
		t.Errorf("%d entries, want 3", got)
	}
}

func testKeysUsed(t *testing.T, n *native) {
	ctx := context.Background()
	foreign := nativeKey("key_2", 2)
	foreign.Ledger = nativeForeign
	n.change(func(tx sluice.Tx) error { return tx.CreateKey(nativeKey("key_1", 1), nativeEntry()) })
	err := n.Update(ctx, nativeForeign, func(tx sluice.Tx) error {
		e := nativeEntry()
		e.Ledger = nativeForeign
		return tx.CreateKey(foreign, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	use := func(used map[string]time.Time, want1, want2 time.Time) {
		t.Helper()
		if err := n.KeysUsed(ctx, used); err != nil {
			t.Error(err)
		}
		n.look(func(r sluice.Reader) error {
			k1, err1 := r.Key(nativeLedger, "key_1")
			k2, err2 := r.Key(nativeForeign, "key_2")
			n.equal([]time.Time{k1.Used, k2.Used}, []time.Time{want1, want2})
			n.equal(k1.Updated, at(0))
			return errors.Join(err1, err2)
		})
	}
	use(nil, time.Time{}, time.Time{})
	use(map[string]time.Time{"key_1": at(time.Minute), "key_2": at(time.Hour), "key_unknown": at(0)}, at(time.Minute), at(time.Hour))
	use(map[string]time.Time{"key_1": at(time.Minute - time.Microsecond), "key_2": at(2 * time.Hour)}, at(time.Minute), at(2*time.Hour))
	use(map[string]time.Time{"key_1": {}}, at(time.Minute), at(2*time.Hour))
	if got := n.entries(); got != 1 {
		t.Errorf("%d entries, want 1: use is no change", got)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := n.KeysUsed(ended, map[string]time.Time{"key_1": at(9 * time.Hour)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled context", err)
	}
}

func testFileFields(t *testing.T, n *native) {
	f := sluice.File{
		ID: "file_1", Ledger: nativeLedger, Purpose: "tax_document", Filename: hostileText, Title: hostileText, Type: "text/plain; charset=utf-8",
		Size: 1 << 40, SHA256: sluice.Digest{1, 31: 2}, Metadata: sluice.Metadata{"a": hostileText, "b": "<>&"},
		Linked: []sluice.Resource{{Type: "order", ID: hostileText}, {Type: "order", ID: "2"}, {Type: "a", ID: ""}}, Held: true,
		Created: at(time.Microsecond), Updated: at(time.Second), Expires: at(time.Hour),
	}
	bare := nativeFile("file_2")
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.CreateFile(f, nativeEntry()), tx.CreateFile(bare, nativeEntry()))
	})
	n.wantFile(f)
	n.wantFile(bare)
	changed := f
	changed.Filename, changed.Title, changed.Metadata = "b.txt", "", sluice.Metadata{"c": "d"}
	changed.Linked, changed.Held, changed.Updated = []sluice.Resource{{Type: "order", ID: "3"}}, false, at(time.Minute)
	asked := changed // the rest is not replaced
	asked.Purpose, asked.Type, asked.Size, asked.SHA256 = "x", "x/x", 1, sluice.Digest{}
	asked.Created, asked.Expires, asked.Deleted = at(9), at(9), at(9)
	n.change(func(tx sluice.Tx) error { return tx.UpdateFile(asked, nativeEntry()) })
	n.wantFile(changed)
	n.wantFile(bare)
	n.change(func(tx sluice.Tx) error {
		n.code(tx.UpdateFile(nativeFile("file_3"), nativeEntry()), sluice.CodeNotFound)
		return tx.Record(nativeEntry())
	})
}

func (n *native) wantFile(want sluice.File) {
	n.Helper()
	n.look(func(r sluice.Reader) error {
		got, err := r.File(want.Ledger, want.ID)
		n.equal(got, want)
		list, err2 := r.Files(want.Ledger, sluice.FileFilter{IDs: []string{want.ID}}, sluice.Page{Limit: 2})
		n.equal(list.Data, []sluice.File{want})
		return errors.Join(err, err2)
	})
}

// files gives the ids of the files under a filter.
func (n *native) files(f sluice.FileFilter) (ids []string) {
	n.Helper()
	n.look(func(r sluice.Reader) error {
		list, err := r.Files(nativeLedger, f, sluice.Page{Limit: sluice.MaxPageSize})
		for _, f := range list.Data {
			ids = append(ids, f.ID)
		}
		return err
	})
	return ids
}

func testLinked(t *testing.T, n *native) {
	a, b := sluice.Resource{Type: "order", ID: hostileText}, sluice.Resource{Type: "order_", ID: "1"}
	f1, f2 := nativeFile("file_1"), nativeFile("file_2")
	f1.Linked, f2.Linked = []sluice.Resource{a, b}, []sluice.Resource{a}
	find := func(r sluice.Resource, status sluice.FileStatus, want ...string) {
		t.Helper()
		n.equal(n.files(sluice.FileFilter{Linked: &r, Status: status}), want)
	}
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.CreateFile(f1, nativeEntry()), tx.CreateFile(f2, nativeEntry()))
	})
	find(a, "", "file_2", "file_1")
	find(b, "", "file_1")
	find(sluice.Resource{Type: "order", ID: "1"}, "")
	f1.Linked, f2.Linked = nil, []sluice.Resource{b}
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.UpdateFile(f1, nativeEntry()), tx.UpdateFile(f2, nativeEntry()))
	})
	find(a, "")
	find(b, "", "file_2")
	n.change(func(tx sluice.Tx) error { return tx.DeleteFile("file_2", at(time.Hour), nativeEntry()) })
	find(b, "")
	find(b, sluice.DeletedFiles, "file_2")
	n.change(func(tx sluice.Tx) error { return tx.UpdateFile(f1, nativeEntry()) })
	f2.Linked = []sluice.Resource{a}
	n.change(func(tx sluice.Tx) error { return tx.UpdateFile(f2, nativeEntry()) }) // also of what is deleted
	find(a, "")
	find(a, sluice.DeletedFiles, "file_2")
}

func testTypes(t *testing.T, n *native) {
	n.change(func(tx sluice.Tx) error {
		for i, mediaType := range []string{"text/plain", "text/plain; charset=utf-8", "text/plain; charset=latin1", "text/plainer", "application/pdf"} {
			f := nativeFile(fmt.Sprint("file_", i))
			f.Type = mediaType
			if err := tx.CreateFile(f, nativeEntry()); err != nil {
				return err
			}
		}
		return nil
	})
	for filter, want := range map[string][]string{
		"text/plain":                   {"file_2", "file_1", "file_0"},
		"Text/Plain ":                  {"file_2", "file_1", "file_0"},
		"text/plain; charset=utf-8":    {"file_1"},
		"TEXT/plain;charset=\"utf-8\"": {"file_1"},
		"text/plain; charset=x":        nil,
		"application/pdf":              {"file_4"},
		"text/":                        nil,
		"text/%":                       nil,
		"; charset=utf-8":              nil,
	} {
		if got := n.files(sluice.FileFilter{Type: filter}); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
}

func testSizes(t *testing.T, n *native) {
	sizes := []int64{0, 1, 2, 3, 4, 1023, 1024, 1025, 1<<40 - 1, 1 << 40}
	n.change(func(tx sluice.Tx) error {
		for i, size := range sizes {
			f := nativeFile(fmt.Sprint("file_", i))
			f.Size = size
			if err := tx.CreateFile(f, nativeEntry()); err != nil {
				return err
			}
		}
		return nil
	})
	bounds := append([]int64{math.MinInt64, -1, math.MaxInt64}, sizes...)
	check := func(r sluice.Range[int64]) {
		t.Helper()
		var want []string
		for i := len(sizes) - 1; i >= 0; i-- {
			if s := sizes[i]; (r.GT == nil || s > *r.GT) && (r.GTE == nil || s >= *r.GTE) && (r.LT == nil || s < *r.LT) && (r.LTE == nil || s <= *r.LTE) {
				want = append(want, fmt.Sprint("file_", i))
			}
		}
		if got := n.files(sluice.FileFilter{Size: r}); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", rangeText(r), got, want)
		}
	}
	for _, a := range bounds {
		check(sluice.Range[int64]{GT: &a})
		check(sluice.Range[int64]{GTE: &a})
		check(sluice.Range[int64]{LT: &a})
		check(sluice.Range[int64]{LTE: &a})
		for _, b := range bounds {
			check(sluice.Range[int64]{GTE: &a, LTE: &b})
			check(sluice.Range[int64]{GT: &a, LT: &b})
		}
	}
}

func rangeText[T any](r sluice.Range[T]) string {
	var b strings.Builder
	for _, bound := range []struct {
		sign string
		v    *T
	}{{">", r.GT}, {">=", r.GTE}, {"<", r.LT}, {"<=", r.LTE}} {
		if bound.v != nil {
			fmt.Fprint(&b, " ", bound.sign, *bound.v)
		}
	}
	return b.String()
}

func testExpiredFiles(t *testing.T, n *native) {
	now := at(24 * time.Hour)
	foreign := nativeFile("file_foreign")
	foreign.Ledger, foreign.Expires = nativeForeign, now.Add(-3*time.Hour)
	foreign.Linked = []sluice.Resource{{Type: "order", ID: "1"}}
	err := n.Update(context.Background(), nativeForeign, func(tx sluice.Tx) error {
		e := nativeEntry()
		e.Ledger = nativeForeign
		return tx.CreateFile(foreign, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	add := func(id string, expires time.Time, held bool) {
		f := nativeFile(id)
		f.Expires, f.Held = expires, held
		n.change(func(tx sluice.Tx) error { return tx.CreateFile(f, nativeEntry()) })
	}
	add("file_1", now, false)
	add("file_2", now.Add(-time.Hour), false)
	add("file_3", now.Add(time.Microsecond), false)
	add("file_4", time.Time{}, false)
	add("file_held", now.Add(-9*time.Hour), true)
	add("file_deleted", now.Add(-9*time.Hour), false)
	add("file_5", now.Add(-2*time.Hour), false)
	n.change(func(tx sluice.Tx) error { return tx.DeleteFile("file_deleted", now, nativeEntry()) })
	want := func(now time.Time, limit int, want ...string) {
		t.Helper()
		n.look(func(r sluice.Reader) error {
			files, err := r.ExpiredFiles(now, limit)
			var ids []string
			for _, f := range files {
				whole, err := r.File(f.Ledger, f.ID)
				if err != nil {
					t.Error(err)
				}
				n.equal(f, whole)
				ids = append(ids, f.ID)
			}
			n.equal(ids, want)
			return err
		})
	}
	want(now, 10, "file_foreign", "file_5", "file_2", "file_1")
	want(now, 2, "file_foreign", "file_5")
	want(now.Add(-time.Microsecond), 10, "file_foreign", "file_5", "file_2")
	want(now.Add(-10*time.Hour), 10)
	n.change(func(tx sluice.Tx) error {
		held, err := tx.File(nativeLedger, "file_held")
		held.Held = false
		released, err2 := tx.File(nativeLedger, "file_5")
		released.Held = true
		return errors.Join(err, err2, tx.UpdateFile(held, nativeEntry()), tx.UpdateFile(released, nativeEntry()))
	})
	want(now, 10, "file_held", "file_foreign", "file_2", "file_1")
}

func testLinkFields(t *testing.T, n *native) {
	l := sluice.Link{
		ID: "link_1", Ledger: nativeLedger, FileID: "file_1", KeyID: "key_1", SigningKey: "0a0b0c0d", Reason: hostileText,
		Metadata: sluice.Metadata{"a": hostileText}, Created: at(time.Microsecond), Updated: at(time.Second), Expires: at(time.Hour),
		Revoked: at(time.Minute), Ended: sluice.KeyRevoked, Downloads: 7, Redeemed: at(time.Millisecond), MaxDownloads: sluice.MaxMaxDownloads,
		Password:    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA",
		AllowedIPs:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::ffff:1.2.3.4/128"), netip.MustParsePrefix("0.0.0.0/0")},
		Disposition: sluice.Inline, Filename: hostileText,
	}
	bare := nativeLink("link_2", 0)
	n.change(func(tx sluice.Tx) error {
		return errors.Join(tx.CreateLink(l, nativeEntry()), tx.CreateLink(bare, nativeEntry()))
	})
	n.wantLink(l)
	n.wantLink(bare)
	changed := l
	changed.Reason, changed.Metadata, changed.MaxDownloads, changed.AllowedIPs = "why", nil, 0, nil
	changed.Expires, changed.Revoked, changed.Ended, changed.Updated = at(2*time.Hour), at(90*time.Minute), sluice.FileDeleted, at(time.Hour)
	asked := changed // the rest is not replaced
	asked.FileID, asked.KeyID, asked.SigningKey, asked.Created = "x", "x", "x", at(9*time.Hour)
	asked.Downloads, asked.Redeemed, asked.Password, asked.Disposition, asked.Filename = 9, at(9), "", "", "x"
	n.change(func(tx sluice.Tx) error { return tx.UpdateLink(asked, nativeEntry()) })
	n.wantLink(changed)
	n.wantLink(bare)
	n.change(func(tx sluice.Tx) error {
		n.code(tx.UpdateLink(nativeLink("link_3", time.Hour), nativeEntry()), sluice.CodeNotFound)
		return tx.Record(nativeEntry())
	})
}

func (n *native) wantLink(want sluice.Link) {
	n.Helper()
	n.look(func(r sluice.Reader) error {
		got, err := r.Link(want.Ledger, want.ID)
		n.equal(got, want)
		list, err2 := r.Links(want.Ledger, sluice.LinkFilter{IDs: []string{want.ID}}, sluice.Page{Limit: 2})
		n.equal(list.Data, []sluice.Link{want})
		return errors.Join(err, err2)
	})
}

// links gives the ids of the links under a filter.
func (n *native) links(f sluice.LinkFilter) (ids []string) {
	n.Helper()
	n.look(func(r sluice.Reader) error {
		list, err := r.Links(nativeLedger, f, sluice.Page{Limit: sluice.MaxPageSize})
		for _, l := range list.Data {
			ids = append(ids, l.ID)
		}
		return err
	})
	return ids
}

// testExpiry has links of every length, made one after another, and asks at
// every moment when something expires, and just before and after it.
func testExpiry(t *testing.T, n *native) {
	var all []sluice.Link
	var moments []time.Time
	for i, lifetime := range []time.Duration{
		-time.Hour, 0, 1, time.Microsecond, time.Second, 2*time.Second - time.Microsecond, 2 * time.Second, time.Minute, time.Hour,
		time.Hour + time.Microsecond, 24 * time.Hour, 90 * 365 * 24 * time.Hour, 63 * time.Minute, 15 * time.Minute, time.Hour,
	} {
		l := nativeLink(fmt.Sprintf("link_%02d", i), lifetime)
		l.Created = at(time.Duration(i) * time.Minute)
		if lifetime != 0 {
			l.Expires = l.Created.Add(lifetime).Truncate(time.Microsecond)
			moments = append(moments, l.Expires.Add(-time.Microsecond), l.Expires.Add(-1), l.Expires, l.Expires.Add(1), l.Expires.Add(time.Microsecond))
		}
		all = append(all, l)
		n.change(func(tx sluice.Tx) error { return tx.CreateLink(l, nativeEntry()) })
	}
	check := func() {
		t.Helper()
		want := func(has func(sluice.Link) bool) (ids []string) {
			for i := len(all) - 1; i >= 0; i-- {
				if has(all[i]) {
					ids = append(ids, all[i].ID)
				}
			}
			return ids
		}
		for _, m := range moments {
			for _, file := range []string{"", "file_1", "file_2"} {
				for _, expired := range []bool{false, true} {
					got := n.links(sluice.LinkFilter{FileID: file, Expired: &expired, Now: m})
					if want := want(func(l sluice.Link) bool { return l.Expired(m) == expired && file != "file_2" }); !slices.Equal(got, want) {
						t.Errorf("expired=%v of %q at %v: got %v, want %v", expired, file, m, got, want)
					}
				}
				if file == "file_2" {
					continue
				}
				for name, r := range map[string]sluice.TimeRange{"gt": {GT: &m}, "gte": {GTE: &m}, "lt": {LT: &m}, "lte": {LTE: &m}} {
					got := n.links(sluice.LinkFilter{FileID: file, Expires: r})
					in := want(func(l sluice.Link) bool {
						c := l.Expires.Compare(m)
						return !l.Expires.IsZero() && (c == 0 && strings.HasSuffix(name, "e") || c > 0 && name[0] == 'g' || c < 0 && name[0] == 'l')
					})
					if !slices.Equal(got, in) {
						t.Errorf("expires %s %v of %q: got %v, want %v", name, m, file, got, in)
					}
				}
			}
		}
	}
	check()
	// Each gets another's expiry, and so a lifetime that its like had not before.
	n.change(func(tx sluice.Tx) error {
		first := all[0].Expires
		for i := range all {
			if i+1 < len(all) {
				all[i].Expires = all[i+1].Expires
			} else {
				all[i].Expires = first
			}
			asked := all[i]
			asked.Created = at(99 * time.Hour)
			if err := tx.UpdateLink(asked, nativeEntry()); err != nil {
				return err
			}
		}
		return nil
	})
	check()
}

func testEndedLinks(t *testing.T, n *native) {
	n.change(func(tx sluice.Tx) error {
		doomed := nativeFile("file_2")
		err := errors.Join(tx.CreateFile(doomed, nativeEntry()), tx.CreateKey(nativeKey("key_2", 2), nativeEntry()))
		for _, l := range []sluice.Link{
			nativeLink("link_good", time.Hour), nativeLink("link_hidden", time.Hour), nativeLink("link_file", 2*time.Hour),
			nativeLink("link_key", 0), nativeLink("link_late", time.Minute), nativeLink("link_file_hidden", time.Hour),
		} {
			switch l.ID {
			case "link_file", "link_file_hidden":
				l.FileID = "file_2"
			case "link_key", "link_late":
				l.KeyID = "key_2"
			}
			err = errors.Join(err, tx.CreateLink(l, nativeEntry()))
		}
		for _, id := range []string{"link_hidden", "link_file_hidden"} {
			l, _ := tx.Link(nativeLedger, id)
			l.Revoked, l.Ended = at(time.Minute), sluice.Revoked
			err = errors.Join(err, tx.UpdateLink(l, nativeEntry()))
		}
		return errors.Join(err, tx.DeleteFile("file_2", at(time.Minute), nativeEntry()), tx.RevokeKey("key_2", at(2*time.Minute), nativeEntry()))
	})
	yes, no := true, false
	for name, test := range map[string]struct {
		filter sluice.LinkFilter
		want   []string
	}{
		"all":                 {sluice.LinkFilter{}, []string{"link_late", "link_key", "link_good", "link_file"}},
		"revoked":             {sluice.LinkFilter{Revoked: &yes}, []string{"link_key", "link_file"}},
		"not revoked":         {sluice.LinkFilter{Revoked: &no}, []string{"link_late", "link_good"}},
		"ids":                 {sluice.LinkFilter{IDs: []string{"link_hidden", "link_good", "link_key"}}, []string{"link_key", "link_good"}},
		"ids revoked":         {sluice.LinkFilter{IDs: []string{"link_hidden", "link_good", "link_key"}, Revoked: &yes}, []string{"link_key"}},
		"file":                {sluice.LinkFilter{FileID: "file_2"}, []string{"link_file"}},
		"file revoked":        {sluice.LinkFilter{FileID: "file_1", Revoked: &yes}, []string{"link_key"}},
		"expired":             {sluice.LinkFilter{Expired: &yes, Now: at(time.Hour)}, []string{"link_late", "link_good"}},
		"revoked not expired": {sluice.LinkFilter{Expired: &no, Now: at(time.Hour), Revoked: &yes}, []string{"link_key", "link_file"}},
	} {
		if got := n.links(test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func testAnswers(t *testing.T, n *native) {
	want := func(want sluice.Answer) {
		t.Helper()
		n.look(func(r sluice.Reader) error {
			got, err := r.Answer(want.KeyID, want.OnceKey)
			n.equal(got, want)
			return err
		})
	}
	remember := func(a sluice.Answer) {
		t.Helper()
		n.change(func(tx sluice.Tx) error { return tx.Remember(a) })
		want(a)
	}
	a := sluice.Answer{
		KeyID: "key_1", OnceKey: hostileText, Fingerprint: sluice.Digest{1, 31: 2}, RequestID: "req_1", Created: at(time.Microsecond),
		Result: json.RawMessage(`{ "a":"<é\u0000>" , "b":[1.0,1e2]}`),
	}
	other := a
	other.KeyID = "key_2"
	remember(a)
	remember(other)
	remember(sluice.Answer{KeyID: "", OnceKey: "operator", Created: at(0), Result: json.RawMessage("null")})
	a = sluice.Answer{
		KeyID: a.KeyID, OnceKey: a.OnceKey, Fingerprint: sluice.Digest{3}, RequestID: "req_2", Created: at(time.Second),
		Err: &sluice.Error{
			Code: sluice.CodeGone, Param: "a.b", Detail: hostileText, Reason: sluice.Expired, RetryAfter: time.Second,
			Fields: []sluice.FieldError{{Param: "p", Code: "invalid", Message: "m"}},
		},
	}
	remember(a) // in place of the one before
	want(other)
	for _, missing := range [][2]string{{"key_1", "x"}, {"key_3", a.OnceKey}, {a.OnceKey, "key_1"}} {
		err := n.View(context.Background(), func(r sluice.Reader) error {
			_, err := r.Answer(missing[0], missing[1])
			return err
		})
		n.code(err, sluice.CodeNotFound)
	}
	failed := errors.New("failed")
	err := n.try(func(tx sluice.Tx) error {
		b := a
		b.RequestID = "req_3"
		return errors.Join(tx.Remember(b), failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	want(a)
	if got := n.entries(); got != 0 {
		t.Errorf("%d entries, want none", got)
	}
}

// testOnce has many requests with one key look before they act, all at once.
func testOnce(t *testing.T, n *native) {
	const callers = 64
	var wg sync.WaitGroup
	var won atomic.Int64
	for i := range callers {
		wg.Go(func() {
			acted := false
			err := n.try(func(tx sluice.Tx) error {
				_, err := tx.Answer("key_1", "once")
				if acted = sluice.CodeOf(err) == sluice.CodeNotFound; !acted {
					return err
				}
				l := nativeLink(fmt.Sprint("link_", i), time.Hour)
				return errors.Join(tx.CreateLink(l, nativeEntry()), tx.Remember(sluice.Answer{KeyID: "key_1", OnceKey: "once", RequestID: l.ID, Created: at(0)}))
			})
			if err != nil {
				t.Error(err)
			}
			if acted {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d acted, want 1", won.Load())
	}
	var a sluice.Answer
	n.look(func(r sluice.Reader) (err error) {
		a, err = r.Answer("key_1", "once")
		return err
	})
	n.equal(n.links(sluice.LinkFilter{}), []string{a.RequestID})
}

func testForgetAnswers(t *testing.T, n *native) {
	const old = 12*forgetful + 7
	n.change(func(tx sluice.Tx) error {
		for i := range old + 1 {
			a := sluice.Answer{KeyID: "key_1", OnceKey: fmt.Sprint(i), Created: at(time.Duration(i-old) * time.Second)}
			if err := tx.Remember(a); err != nil {
				return err
			}
		}
		return nil
	})
	// Others take their turn meanwhile.
	var wg sync.WaitGroup
	var updates int
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := n.try(func(tx sluice.Tx) error { return tx.Record(nativeEntry()) }); err != nil {
					t.Error(err)
					return
				}
				updates++
			}
		}
	})
	forgotten, err := n.ForgetAnswers(context.Background(), at(0)) // not what was made at that moment
	close(stop)
	wg.Wait()
	if err != nil || forgotten != old {
		t.Errorf("forgot %d, %v, want %d", forgotten, err, old)
	}
	if updates < 4 {
		t.Errorf("%d updates meanwhile: they wait until all is forgotten", updates)
	}
	for i, want := range map[int]sluice.Code{0: sluice.CodeNotFound, old - 1: sluice.CodeNotFound, old: ""} {
		err := n.View(context.Background(), func(r sluice.Reader) error {
			_, err := r.Answer("key_1", fmt.Sprint(i))
			return err
		})
		n.code(err, want)
	}
	forgotten, err = n.ForgetAnswers(context.Background(), at(1)) // a part of a microsecond later
	if err != nil || forgotten != 1 {
		t.Errorf("forgot %d, %v, want 1", forgotten, err)
	}
	if forgotten, err = n.ForgetAnswers(context.Background(), at(time.Hour)); err != nil || forgotten != 0 {
		t.Errorf("forgot %d, %v, want none", forgotten, err)
	}
}

func testEmptyRanges(t *testing.T, n *native) {
	n.change(func(tx sluice.Tx) error {
		f := nativeFile("file_1")
		f.Linked = []sluice.Resource{{Type: "a", ID: "b"}}
		return errors.Join(tx.CreateFile(f, nativeEntry()), tx.CreateLink(nativeLink("link_1", time.Hour), nativeEntry()))
	})
	from, to, one, two := at(time.Hour), at(-time.Hour), int64(1), int64(2)
	inverted := sluice.TimeRange{GTE: &from, LT: &to}
	for _, f := range []sluice.FileFilter{
		{Created: inverted}, {Created: inverted, Size: sluice.Range[int64]{GTE: &one}}, {Size: sluice.Range[int64]{GT: &two, LT: &one}},
		{Created: inverted, Purpose: "invoice", Type: "application/pdf"}, {Created: inverted, IDs: []string{"file_1"}},
		{Created: inverted, Linked: &sluice.Resource{Type: "a", ID: "b"}},
	} {
		n.equal(n.files(f), []string(nil))
	}
	for _, f := range []sluice.LinkFilter{
		{Created: inverted}, {Expires: inverted}, {Created: inverted, FileID: "file_1"}, {Expires: inverted, FileID: "file_1"}, {Expires: inverted, IDs: []string{"link_1"}},
	} {
		n.equal(n.links(f), []string(nil))
	}
}
