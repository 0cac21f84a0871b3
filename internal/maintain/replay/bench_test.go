package replay_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice/internal/audit"
	"sluice/internal/maintain/replay"
)

// template makes leaves that differ from a first one in numbers at the end of ids.
type template struct {
	leaf []byte
	at   [][]int // for each id, where its number ends
}

func newTemplate(leaf []byte, ids ...string) template {
	t := template{leaf: bytes.Clone(leaf)}
	for _, id := range ids {
		var ends []int
		for from := 0; ; {
			i := bytes.Index(t.leaf[from:], []byte(id))
			if i < 0 {
				break
			}
			from += i + len(id)
			ends = append(ends, from)
		}
		t.at = append(t.at, ends)
	}
	return t
}

// set returns the leaf with a number in each id. It is good until the next call.
func (t template) set(numbers ...int64) []byte {
	for k, n := range numbers {
		for _, end := range t.at[k] {
			for i, n := end-1, n; i >= end-12; i, n = i-1, n/10 {
				t.leaf[i] = byte('0' + n%10)
			}
		}
	}
	return t.leaf
}

// entries yields a log of n entries: for each link that is minted about two redemptions, and an entry for each 256
// deliveries. With a limit, each link may be downloaded twice.
func entries(b *testing.B, n int64, limited bool, yield func(leaf []byte)) {
	log := newBook(b)
	if !limited {
		log.link.MaxDownloads = 0
		log.leaves = log.leaves[:2]
	}
	log.link.ID = "link_" + fmt.Sprintf("%026d", 7)
	log.linkEntry("link.created", nil)
	redemption := log.redemption(200)
	redemption.Actor.ID = log.link.ID
	log.write(redemption)
	for _, leaf := range log.leaves[:2] {
		yield(leaf)
	}
	minted := newTemplate(log.leaves[len(log.leaves)-2], log.link.ID)
	redeemed := newTemplate(log.leaves[len(log.leaves)-1], log.link.ID, redemption.Request.ID)
	var delivered bytes.Buffer
	count, links := int64(2), int64(0)
	type open struct{ link, seq int64 }
	var waiting []open
	add := func(leaf []byte) {
		yield(leaf)
		count++
	}
	for count < n {
		links++
		add(minted.set(links))
		for range 2 {
			waiting = append(waiting, open{links, count})
			add(redeemed.set(links, count))
		}
		if len(waiting) < 256 {
			continue
		}
		delivered.Reset()
		fmt.Fprintf(&delivered, `{"account":"acct_1","action":"link.delivered","actor":{"type":"system"},"deliveries":[`)
		for i, w := range waiting {
			if i > 0 {
				delivered.WriteByte(',')
			}
			delivered.WriteString(`{"bytes":4096,"complete":true,"duration_ms":3,"file":"` + log.file.ID + `","link":"link_`)
			text := strconv.FormatInt(w.link, 10)
			delivered.WriteString("00000000000000000000000000"[len(text):] + text)
			delivered.WriteString(`","seq":` + strconv.FormatInt(w.seq, 10) + `}`)
		}
		fmt.Fprintf(&delivered, `],"id":"%s","livemode":false,"outcome":"allowed","time":%q,"v":1}`,
			log.id("aud_"), log.now.Format(audit.EntryTime))
		waiting = waiting[:0]
		add(delivered.Bytes())
	}
}

// processorTime returns the user and system time of the process.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReplay replays logs of REPLAY_ENTRIES entries, a million if it is not set, in memory. It reports the
// processor time with that of making the leaves, and the heap at the end.
func BenchmarkReplay(b *testing.B) {
	n, err := strconv.ParseInt(os.Getenv("REPLAY_ENTRIES"), 10, 64)
	if err != nil {
		n = 1_000_000
	}
	defer debug.SetGCPercent(debug.SetGCPercent(15)) // as sluice audit verify does
	for name, limited := range map[string]bool{"unlimited": false, "limited": true} {
		b.Run(name, func(b *testing.B) {
			var heap uint64
			began := processorTime()
			for b.Loop() {
				r := replay.New()
				entries(b, n, limited, func(leaf []byte) {
					if err := r.Add(leaf); err != nil {
						b.Fatal(err)
					}
				})
				if r.Found() != 0 {
					b.Fatalf("%d findings, such as %v", r.Found(), r.Findings()[0])
				}
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				heap = max(heap, m.HeapAlloc)
				runtime.KeepAlive(r)
			}
			b.ReportMetric((processorTime()-began).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(heap)/(1<<20), "MiB")
			var u syscall.Rusage
			syscall.Getrusage(syscall.RUSAGE_SELF, &u)
			b.ReportMetric(float64(u.Maxrss)/1024, "peak-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
