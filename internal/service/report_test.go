package service_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/ledger"
	"sluice/sluicetest"
)

func newReportFixture(t *testing.T) *fixture {
	f := newFixture(t)
	f.config.LedgerKeys, f.config.LedgerOrigin = f.base.LedgerKeys(), "sluice.test"
	f.use(nil)
	return f
}

func digestOf([]service.Reported, string) (string, error) { return strings.Repeat("ab", 32), nil }

// A report has the entries that match and those of their deliveries. Its own entry is committed with the digest of what
// it has, and a checkpoint covers all of them.
func TestReport(t *testing.T) {
	f := newReportFixture(t)
	file := f.upload("0123456789")
	_, token := f.mint(file)
	if _, err := f.redeem(token); err != nil {
		t.Fatal(err)
	}
	f.flush()
	f.upload("another")
	given := 0
	filter := service.EntryFilter{
		FileID: file.ID, Action: sluice.LinkRedeemed, Recipient: "ann@bank.example", ClientIP: "192.0.2.7",
	}
	withPerson := filter
	filter.Recipient, filter.ClientIP = "", ""
	r, err := f.Ledgers.Report(ctx, f.caller, filter, func(list []service.Reported, key string) (string, error) {
		given = len(list)
		return digestOf(list, key)
	})
	if err != nil {
		t.Fatal(err)
	}
	var actions []sluice.Action
	var seqs []int64
	for _, e := range append(r.Entries, r.Made) {
		opened, err := e.Open(e.Seq)
		if err != nil {
			t.Fatal(err)
		}
		actions, seqs = append(actions, opened.Action), append(seqs, e.Seq)
		if p := opened.Report; opened.Action == sluice.AuditReported && (p.Entries != int64(given) ||
			p.SHA256 != strings.Repeat("ab", 32) || p.Filter["file_id"] != file.ID || opened.Actor.ID != f.caller.Key.ID) {
			t.Errorf("%+v", p)
		}
	}
	if len(actions) != 3 || actions[0] != sluice.LinkRedeemed || actions[1] != sluice.LinkDelivered ||
		actions[2] != sluice.AuditReported || given != 2 {
		t.Fatalf("%v, %d", actions, given)
	}
	proofs, err := f.Ledgers.ProveReported(ctx, r, seqs)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range append(r.Entries, r.Made) {
		c := r.Checkpoint
		if err := ledger.CheckInclusion(proofs[i], e.Seq, c.Size, c.Root, ledger.LeafHash(e.Leaf)); err != nil {
			t.Error(err)
		}
	}
	if keys, err := ledger.NewVerifier(r.FirstKey); err != nil || keys.Key() != r.Checkpoint.Verifier {
		t.Errorf("%v, %v", keys, err)
	}

	r, err = f.Ledgers.Report(ctx, f.caller, withPerson, digestOf)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) > 0 || bytes.Contains(r.Made.Leaf, []byte("bank.example")) ||
		bytes.Contains(r.Made.Leaf, []byte("192.0.2.7")) {
		t.Errorf("%d entries; the leaf has what was asked for: %s", len(r.Entries), r.Made.Leaf)
	}
	list, err := f.Entries.List(ctx, f.caller, service.EntryFilter{Recipient: "ann@bank.example"}, sluice.Page{Limit: 10})
	if err != nil || len(list.Data) != 1 || list.Data[0].Action != sluice.AuditReported {
		t.Errorf("who asks for a person is not found under the person: %v, %v", list, err)
	}
}

// The key of a log may change between two reports, also between the entry of a report and its checkpoint.
func TestReportAfterRotation(t *testing.T) {
	f := newReportFixture(t)
	f.upload("0123456789")
	f.base.Checkpoint(t)
	f.config.LedgerKeys = append([]string{sluicetest.NewLedgerKey(t)}, f.base.LedgerKeys()...)
	f.use(nil)
	for range 2 {
		r, err := f.Ledgers.Report(ctx, f.caller, service.EntryFilter{Action: sluice.FileCreated}, digestOf)
		if err != nil {
			t.Fatal(err)
		}
		var rotations [][]byte
		for _, rotation := range r.Rotations {
			rotations = append(rotations, rotation.Proof)
		}
		keys, err := ledger.NewVerifier(r.FirstKey, rotations...)
		if err != nil || len(rotations) != 1 {
			t.Fatalf("%d rotations, %v", len(rotations), err)
		}
		if c, err := keys.Open(r.Checkpoint.Note); err != nil || c.Size <= r.Made.Seq {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func TestReportLimits(t *testing.T) {
	f := newReportFixture(t)
	for range 3 {
		f.upload("0123456789")
	}
	logged := f.logged()
	for _, limits := range [][2]int{{2, 1 << 20}, {10, 1000}} {
		restore := service.LimitReports(limits[0], limits[1])
		_, err := f.Ledgers.Report(ctx, f.caller, service.EntryFilter{Action: sluice.FileCreated}, digestOf)
		restore()
		wantCode(t, err, sluice.CodeTooLarge)
		if err == nil || !strings.Contains(err.Error(), "ask for a shorter time") {
			t.Errorf("the error does not say how to get a report: %v", err)
		}
	}
	if n := f.logged(); n != logged {
		t.Errorf("%d entries of reports that were not made", n-logged)
	}
}

// A report says all that was asked for.
func TestReportNamesEveryFilter(t *testing.T) {
	all := reflect.TypeFor[service.EntryFilter]()
	for i := range all.NumField() {
		var f service.EntryFilter
		switch v := reflect.ValueOf(&f).Elem().Field(i); v.Kind() {
		case reflect.String:
			v.SetString("x")
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"x"}))
		default:
			f.Created.LTE = new(time.Time)
		}
		if len(f.Asked()) != 1 {
			t.Errorf("a filter by %s is %v", all.Field(i).Name, f.Asked())
		}
	}
}

// No report leaves without its entry.
func TestReportIsRecordedFirst(t *testing.T) {
	f := newReportFixture(t)
	f.upload("0123456789")
	f.store.fail = "before"
	r, err := f.Ledgers.Report(ctx, f.caller, service.EntryFilter{}, digestOf)
	f.store.fail = ""
	if r != nil {
		t.Errorf("a report without an entry: %+v", r)
	}
	wantCode(t, err, sluice.CodeUnavailable)

	_, err = f.Ledgers.Report(ctx, f.newCaller(f.ledger, sluice.FilesRead), service.EntryFilter{}, digestOf)
	wantCode(t, err, sluice.CodeForbidden)
}

// A report that has read its entries before they lose fields is made again.
func TestReportAfterErasure(t *testing.T) {
	f := newReportFixture(t)
	f.caller.Request = sluice.Request{ID: "req_up", ClientIP: "192.0.2.7", IP: "192.0.2.7"}
	file := f.upload("0123456789")
	created := f.find(service.EntryFilter{FileID: file.ID})[0]
	calls := 0
	r, err := f.Ledgers.Report(ctx, f.caller, service.EntryFilter{FileID: file.ID},
		func(list []service.Reported, key string) (string, error) {
			if calls++; calls == 1 {
				if _, err := f.Entries.Redact(ctx, f.caller, created.ID, nil); err != nil {
					t.Fatal(err)
				}
			}
			return digestOf(list, key)
		})
	if err != nil || calls != 2 || strings.Contains(string(r.Entries[0].Disclosures), "192.0.2.7") {
		t.Errorf("%d calls, %v", calls, err)
	}
	if made := f.find(service.EntryFilter{Action: sluice.AuditReported}); len(made) != 1 {
		t.Errorf("%d reports are recorded", len(made))
	}
}
