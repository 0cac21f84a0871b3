package ledger

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
)

// redemption cheaply makes entries with all members of a redemption.
var redemption = func() func(seq int64) []byte {
	dst := []byte(`{"account":"acct_01JD8Q5W0000000000000000AA","action":"link.redeemed","actor":{"id":"`)
	dst = append(
		dst,
		`link_01JD8Q5W0000000000000000BB","type":"bearer"},"file":{"filename":"quarterly report.pdf","id":"file_01JD8Q5W0000000000000000CC",`...)
	dst = append(
		dst,
		`"purpose":"invoice","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","size":4096,"type":"application/pdf"},"id":"aud_`...)
	id := len(dst)
	dst = append(
		dst,
		`00000000000000000000000000","link":{"expires_at":"2026-11-21T20:00:00.000000Z","id":"link_01JD8Q5W0000000000000000BB","reason":"monthly statement"},`...)
	dst = append(dst, `"livemode":true,"outcome":"allowed","request":{"id":"req_01JD8Q5W0000000000000000DD","ip":"`...)
	dst = AppendCommitment(dst, redemptionDiscloses[0].Salt, redemptionDiscloses[0].Value)
	dst = append(dst, `","method":"GET","route":"GET /f/{token}","user_agent":"`...)
	dst = AppendCommitment(dst, redemptionDiscloses[1].Salt, redemptionDiscloses[1].Value)
	dst = append(dst, `"},"time":"2026-11-21T19:00:00.123456Z","v":1}`...)
	return func(seq int64) []byte {
		leaf := bytes.Clone(dst)
		for i := id + 25; seq > 0; i-- {
			leaf[i] = byte('0' + seq%10)
			seq /= 10
		}
		return leaf
	}
}()

var redemptionDiscloses = [...]Disclosure{
	{Field: "/request/ip", Salt: Salt{1}, Value: "203.0.113.7"},
	{Field: "/request/user_agent", Salt: Salt{2}, Value: "Mozilla/5.0 (X11; Linux x86_64)"},
}

// generated is a log of any size that stores its hash tiles and makes its entries
// and disclosures on demand. It measures the memory in use from time to time.
type generated struct {
	rows   rows
	signed []byte
	size   int64
	heap   *atomic.Uint64 // maximum of the heap in use, or nil
	asked  atomic.Int64
}

func generate(t testing.TB, size int64) (*generated, *Verifier) {
	t.Helper()
	signer, tree := testSigner(t, 1), &Tree{}
	for seq := range size {
		tree.Append(LeafHash(redemption(seq)))
	}
	g := &generated{rows: rows{}, size: size}
	g.rows.put(tree.Changes())
	var err error
	if g.signed, err = signer.Sign(size, tree.Root()); err != nil {
		t.Fatal(err)
	}
	return g, testVerifier(t, signer.VerifierKey())
}

func (g *generated) Checkpoint(context.Context) ([]byte, error) { return g.signed, nil }

func (g *generated) Tile(_ context.Context, tile Tile) ([]byte, error) {
	if tile.Level != EntriesLevel {
		data, err := TileReader(g.rows.read).read([]Tile{tile})
		if err != nil {
			return nil, err
		}
		return data[0], nil
	}
	if g.heap != nil && g.asked.Add(1)%20 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		for most := g.heap.Load(); m.HeapAlloc > most && !g.heap.CompareAndSwap(most, m.HeapAlloc); most = g.heap.Load() {
		}
	}
	bundle := make([]byte, 0, 280_000)
	for seq, to := tile.Entries(); seq < to; seq++ {
		var err error
		if bundle, err = AppendEntry(bundle, redemption(seq)); err != nil {
			return nil, err
		}
	}
	return bundle, nil
}

func (g *generated) Disclosures(context.Context) iter.Seq2[Disclosure, error] {
	return func(yield func(Disclosure, error) bool) {
		var line []byte
		for seq := range g.size {
			for _, d := range redemptionDiscloses {
				d.Seq = seq
				line, _ = AppendDisclosure(line[:0], d)
				if !yield(ParseDisclosure(line)) {
					return
				}
			}
		}
	}
}

// Verify holds only the current bundles in memory, whatever the length of the log.
func TestVerifyMemoryIsFlat(t *testing.T) {
	g, v := generate(t, 30_000)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g.heap = new(atomic.Uint64)
	if _, err := Verify(context.Background(), g, v); err != nil {
		t.Fatal(err)
	}
	used, entries := g.heap.Load()-before.HeapAlloc, uint64(g.size)*uint64(len(redemption(0)))
	if used > entries/2 {
		t.Errorf("%d MiB in use for %d MiB of entries", used>>20, entries>>20)
	}
}

// Making the entries costs about as much as reading them from an exported folder.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []int64{100_000, 1_000_000} {
		g, v := generate(b, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(context.Background(), g, v); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
