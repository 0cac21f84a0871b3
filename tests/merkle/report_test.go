package merkle

import (
	"encoding/base64"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"sluice/internal/report"
)

// What a report contains convinces programs that share no code with ours: note.Open opens the checkpoint, and
// transparency-dev/merkle verifies each proof. The texts are taken apart as c2sp.org/tlog-proof says.
func TestReportForOthers(t *testing.T) {
	data, err := os.ReadFile("../../internal/report/testdata/wording-1.html")
	if err != nil {
		t.Fatal(err)
	}
	c, err := report.Check(data, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	proofs := 0
	err = c.Proofs(func(seq int64, leaf, text []byte) error {
		head, checkpoint, _ := strings.Cut(string(text), "\n\n")
		lines := strings.Split(head, "\n")
		if lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "index "+strconv.FormatInt(seq, 10) {
			t.Fatalf("%s", text)
		}
		opened, err := note.Open([]byte(checkpoint), note.VerifierList(key))
		if err != nil {
			return err
		}
		signed := strings.Split(opened.Text, "\n")
		size, err := strconv.ParseUint(signed[1], 10, 64)
		if err != nil {
			return err
		}
		var hashes [][]byte
		for _, line := range append(lines[2:], signed[2]) {
			h, err := base64.StdEncoding.DecodeString(line)
			if err != nil {
				return err
			}
			hashes = append(hashes, h)
		}
		last := len(hashes) - 1
		proofs++
		return proof.VerifyInclusion(
			rfc6962.DefaultHasher, uint64(seq), size, rfc6962.DefaultHasher.HashLeaf(leaf), hashes[:last], hashes[last])
	})
	if err != nil || proofs != 10 {
		t.Errorf("%d proofs, %v", proofs, err)
	}
}
