package report

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"sluice"
)

// tenThousand returns a log with as many entries as a report may have, half of them redemptions, each of which has an
// entry of its delivery.
func tenThousand(tb testing.TB) *testLog {
	l := newLog(tb)
	for seq := 0; seq < 10_000; seq += 2 {
		l.add(redemption(seq, fmt.Sprintf("Quarterly report %d.pdf", seq)))
		l.add(sluice.Entry{Action: sluice.LinkDelivered, Actor: sluice.Actor{Type: sluice.ActorSystem},
			Deliveries: []sluice.Delivery{{Seq: int64(seq), FileID: "file_01", LinkID: "link_01",
				Sent: sluice.Sent{Bytes: 1 << 20, Complete: true, Duration: time.Second}}}})
	}
	return l
}

func BenchmarkWrite10k(b *testing.B) {
	l := tenThousand(b)
	entries := l.entries
	var size int
	b.ReportAllocs()
	for b.Loop() {
		size = len(l.report(nil, entries...))
	}
	b.ReportMetric(float64(size)/1e6, "MB")
}

func BenchmarkCheck10k(b *testing.B) {
	l := tenThousand(b)
	data := l.report(nil, l.entries...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(bytes.Clone(data), ""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckForged10k checks a report whose last words are changed: the place of a change is found in one pass.
func BenchmarkCheckForged10k(b *testing.B) {
	l := tenThousand(b)
	data := bytes.Replace(l.report(nil, l.entries...), []byte("--proofs FOLDER"), []byte("--proofs folder"), 1)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Check(bytes.Clone(data), ""); AsFault(err) == nil {
			b.Fatal(err)
		}
	}
}
