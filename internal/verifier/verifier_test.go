package verifier_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sluice/ledger"
)

var update = flag.Bool("update", false, "write testdata/vectors.json")

const vectorsFile = "testdata/vectors.json"

// TestVectorsAreCurrent makes the vectors with the real ledger and compares them with the file.
func TestVectorsAreCurrent(t *testing.T) {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(newHistory(t).vectors()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorsFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not current: go test ./internal/verifier -run TestVectorsAreCurrent -update", vectorsFile)
	}
}

// TestVectorsInGo holds package ledger to the vectors.
func TestVectorsInGo(t *testing.T) {
	all := newHistory(t).vectors()
	for _, v := range all.Entries {
		if got, want := valid(v), len(v.Fails) == 0; got != want {
			t.Errorf("%s: package ledger says %v, want %v", v.Name, got, want)
		}
	}
	for _, v := range all.Proofs {
		keys, err := ledger.NewVerifier(v.Log.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.Inclusion([]byte(v.Text), []byte(v.Leaf)); (err == nil) != (len(v.Fails) == 0) {
			t.Errorf("%s: %v, want %v", v.Name, err, v.Fails)
		}
	}
	for _, v := range all.Consistency {
		keys, err := ledger.NewVerifier(v.Log.Key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := keys.Open([]byte(v.Log.Checkpoint))
		if err != nil {
			t.Fatal(err)
		}
		err = ledger.CheckConsistency(hashes(t, v.Proof), v.Older.Size, c.Size, hashes(t, []string{v.Older.Root})[0], c.Root)
		if (err == nil) != (len(v.Fails) == 0) {
			t.Errorf("%s: %v, want %v", v.Name, err, v.Fails)
		}
	}
}

func hashes(t *testing.T, texts []string) (list []ledger.Hash) {
	for _, text := range texts {
		h, err := parseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
	}
	return list
}

// parseHash parses a hash as the line of a proof.
func parseHash(text string) (ledger.Hash, error) {
	p, err := ledger.ParseProof([]byte("c2sp.org/tlog-proof@v1\nindex 0\n" + text + "\n\ncheckpoint"))
	if err != nil {
		return ledger.Hash{}, err
	}
	return p.Hashes[0], nil
}

// valid reports whether package ledger accepts an entry.
func valid(v vector) bool {
	var rotations [][]byte
	for _, r := range v.Log.Rotations {
		rotations = append(rotations, []byte(r))
	}
	keys, err := ledger.NewVerifier(v.Log.Key, rotations...)
	if err != nil || v.Log.Origin != "" && v.Log.Origin != keys.Origin() {
		return false
	}
	proof := ledger.Proof{Index: v.Entry.Index, Checkpoint: []byte(v.Log.Checkpoint)}
	for _, text := range v.Entry.Proof {
		h, err := parseHash(text)
		if err != nil {
			return false
		}
		proof.Hashes = append(proof.Hashes, h)
	}
	leaf := []byte(v.Entry.Leaf)
	if _, _, err := keys.Inclusion(proof.Format(), leaf); err != nil || !ledger.IsCanonical(leaf) || leaf[0] != '{' {
		return false
	}
	for _, vkey := range v.Log.Witnesses {
		witness, err := ledger.NewWitness(vkey)
		if err != nil {
			return false
		}
		if _, err := witness.Cosigned([]byte(v.Log.Checkpoint)); err != nil {
			return false
		}
	}
	for field, d := range v.Entry.Disclosures {
		line := append(ledger.AppendString([]byte(`{"field":`), field), `,"salt":`...)
		line = append(ledger.AppendString(line, d.Salt), `,"seq":0,"value":`...)
		line = append(ledger.AppendString(line, d.Value), '}')
		if disclosed, err := ledger.ParseDisclosure(line); err != nil || !disclosed.Opens(leaf) {
			return false
		}
	}
	return true
}

// TestVectorsInNode runs the vectors in Node. tests/browser runs them in Chromium.
func TestVectorsInNode(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), node(t), "--test", "testdata/vectors.test.mjs",
		"testdata/nothing.test.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "# fail 0"; !bytes.Contains(out, []byte(want)) && !bytes.Contains(out, []byte("fail 0")) {
		t.Errorf("no %q in\n%s", want, out)
	}
}

// node returns the program. The suite needs it, here and for the clients of vendors.
func node(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("no node: install it (Debian: apt-get install nodejs), version 18 or newer")
	}
	return program
}

// TestBothFindEveryChange changes one character of a good entry at a time. Both verifiers have to find each change.
func TestBothFindEveryChange(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var good []vector
	for _, v := range newHistory(t).entries() {
		if len(v.Fails) == 0 && !v.unsigned {
			good = append(good, v)
		}
	}
	var list []vector
	for len(list) < 400 {
		if v, ok := mutated(t, good[random.IntN(len(good))], random); ok {
			list = append(list, v)
		}
	}
	input, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node(t), "testdata/verdicts.mjs")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var verdicts [][]string
	if err := json.Unmarshal(out, &verdicts); err != nil || len(verdicts) != len(list) {
		t.Fatalf("%v, %d verdicts", err, len(verdicts))
	}
	for i, v := range list {
		if valid(v) || len(verdicts[i]) == 0 {
			data, _ := json.MarshalIndent(v, "", " ")
			t.Errorf("%s, with one change: valid in Go: %v, fails in JavaScript: %v\n%s", v.Name, valid(v), verdicts[i], data)
		}
	}
}

// mutated returns a copy of a vector in which one character of one text differs. It is not ok if the text would not be
// valid UTF-8.
func mutated(t *testing.T, v vector, random *rand.Rand) (vector, bool) {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var c vector
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	texts := []*string{&c.Entry.Leaf, &c.Log.Key, &c.Log.Origin, &c.Log.Checkpoint}
	for _, list := range [][]string{c.Entry.Proof, c.Log.Rotations, c.Log.Witnesses} {
		for i := range list {
			texts = append(texts, &list[i])
		}
	}
	disclosed := map[string]*disclosure{}
	for _, field := range slices.Sorted(maps.Keys(c.Entry.Disclosures)) {
		d := c.Entry.Disclosures[field]
		disclosed[field] = &d
		texts = append(texts, &d.Salt, &d.Value)
	}
	text := texts[random.IntN(len(texts))]
	if *text == "" {
		return c, false
	}
	at := random.IntN(len(*text))
	const with = "0123456789abcdefABCDEF+/=-, \n\t\"\\{}[]:xyz~\x00\x7f"
	changed := (*text)[:at] + string(with[random.IntN(len(with))]) + (*text)[at+1:]
	if changed == *text || !utf8.ValidString(changed) {
		return c, false
	}
	*text = strings.Clone(changed)
	for field, d := range disclosed {
		c.Entry.Disclosures[field] = *d
	}
	return c, true
}
