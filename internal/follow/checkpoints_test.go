package follow_test

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/blob"
	"sluice/internal/follow"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestAnchorInS3 finds every anchored checkpoint in the bucket. A checkpoint of
// another log with the same name is refused.
func TestAnchorInS3(t *testing.T) {
	where := sluicetest.S3(t)
	options, err := blob.ParseS3URL(where)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := blob.OpenS3(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	l := sluice.LedgerID{Account: "acct_1", Mode: sluice.Live}
	note := func(text, signatures string) service.Checkpoint {
		return service.Checkpoint{Size: 7, Note: []byte("example.com/acct_1/live\n7\n" + text + "\n\n" + signatures)}
	}
	for _, c := range []struct {
		note service.Checkpoint
		good bool
	}{{note("root", "— a b\n"), true}, {note("root", "— a b\n"), true}, {note("root", "— a b\n— witness c\n"), true}, {note("another", "— a b\n"), false}} {
		if err := follow.ToBucket(t.Context(), bucket, l, c.note); (err == nil) != c.good {
			t.Errorf("%q: %v", c.note.Note, err)
		}
	}
	stored, err := bucket.WriteOnce(t.Context(), "checkpoints/acct_1/live/00000000000000000007.txt", []byte("x"))
	if want := string(note("root", "— a b\n").Note); err != nil || string(stored) != want {
		t.Errorf("the bucket contains %q, %v, want %q", stored, err, want)
	}
	if _, err := bucket.WriteOnce(t.Context(), "checkpoints/large.txt", make([]byte, 64<<10+1)); err == nil {
		t.Error("a text over the limit was stored")
	}
	if err := bucket.Walk(t.Context(), func(key string, _ time.Time) error {
		t.Errorf("Walk yields the checkpoint %s as a blob", key)
		return nil
	}); err != nil {
		t.Error(err)
	}
}
