package ledger

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestKeys(t *testing.T) {
	random := rand.NewChaCha8([32]byte{3})
	skey, vkey, err := GenerateKey(random, "files.example.com")
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewSigner(skey, "files.example.com")
	if err != nil || a.VerifierKey() != vkey || a.Origin() != "files.example.com" {
		t.Errorf("%+v, %v, want the key %s", a, err, vkey)
	}
	// One secret signs two logs; neither accepts the other's checkpoints.
	b, err := NewSigner(skey, "files.example.com/other")
	if err != nil || b.VerifierKey() == vkey {
		t.Fatalf("%+v, %v", b, err)
	}
	signed, err := b.Sign(1, Hash{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testVerifier(t, b.VerifierKey()).Open(signed); err != nil {
		t.Error(err)
	}
	if _, err := testVerifier(t, vkey).Open(signed); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("by the key of another log: %v", err)
	}
	for _, name := range []string{"", "a b", "a+b", "a\n", "\xff", "a\x00"} {
		if _, _, err := GenerateKey(random, name); err == nil {
			t.Errorf("a key named %q was made", name)
		}
		if _, err := NewSigner(skey, name); err == nil {
			t.Errorf("a signer named %q was made", name)
		}
	}
	for _, bad := range []string{"", vkey, skey[:len(skey)-4], strings.Replace(skey, "PRIVATE", "PUBLIC", 1)} {
		if _, err := NewSigner(bad, testOrigin); err == nil {
			t.Errorf("signer key %q", bad)
		}
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	vkey := testSigner(t, 1).VerifierKey()
	for i := range vkey {
		for bit := range 8 {
			changed := []byte(vkey)
			changed[i] ^= 1 << bit
			if _, err := NewVerifier(string(changed)); err == nil {
				t.Fatalf("byte %d ^ %#x of %s", i, 1<<bit, vkey)
			}
		}
	}
	_, control, err := note.GenerateKey(rand.NewChaCha8([32]byte{4}), "a\x00b")
	if err != nil {
		t.Fatal(err)
	}
	_, upper, err := note.GenerateKey(rand.NewChaCha8([32]byte{4}), "abcdef")
	if err != nil {
		t.Fatal(err)
	}
	upper = "abcdef" + strings.ToUpper(upper[6:15]) + upper[15:]
	for _, bad := range []string{"", "+", "++", control, upper, vkey + "\n", vkey[:len(vkey)-4] + "\n" + vkey[len(vkey)-4:]} {
		if _, err := NewVerifier(bad); err == nil {
			t.Errorf("verifier key %q", bad)
		}
	}
}

// rotated is a log whose first key was replaced by the second after 300 entries,
// and the second by the third after 400.
func rotated(t *testing.T) (f folder, signers []*Signer, rotations [][]byte) {
	t.Helper()
	for seed := range byte(3) {
		signers = append(signers, testSigner(t, seed+1))
	}
	leaves, _ := testLeaves(600)
	for i, at := range []int{300, 400} {
		leaves[at] = rotationLeaf(signers[i+1].VerifierKey())
		f := export(t, signers[i], leaves[:at+1], nil)
		hashes, err := ProveInclusion(int64(at), int64(at+1), f.tiles)
		if err != nil {
			t.Fatal(err)
		}
		rotations = append(rotations, Proof{int64(at), hashes, leaves[at], f["checkpoint"]}.Format())
	}
	return export(t, signers[2], leaves, nil), signers, rotations
}

func rotationLeaf(vkey string) []byte {
	leaf := AppendString([]byte(`{"action":"ledger.key_rotated","ledger":{"key":`), vkey)
	return append(leaf, `},"v":1}`...)
}

func TestKeyRotation(t *testing.T) {
	f, signers, rotations := rotated(t)
	v := testVerifier(t, signers[0].VerifierKey(), rotations...)
	if v.Key() != signers[2].VerifierKey() || v.Origin() != testOrigin {
		t.Errorf("newest key is %s", v.Key())
	}
	if _, err := Verify(context.Background(), f, v); err != nil {
		t.Error(err)
	}
	if _, err := Verify(context.Background(), f, testVerifier(t, signers[1].VerifierKey(), rotations[1])); err != nil {
		t.Errorf("from the second key on: %v", err)
	}
	for what, trusting := range map[string]*Verifier{
		"first key only": testVerifier(t, signers[0].VerifierKey()),
		"one step only":  testVerifier(t, signers[0].VerifierKey(), rotations[0]),
	} {
		if fault := faultOf(t, f, trusting); fault.Kind != FaultCheckpoint {
			t.Errorf("%s: %v", what, fault)
		}
	}

	// An old key is accepted only for checkpoints up to its rotation.
	for size, want := range map[int64]bool{1: true, 301: true, 302: false, 600: false} {
		signed, err := signers[0].Sign(size, Hash{1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Open(signed); (err == nil) != want {
			t.Errorf("%d entries by the first key: %v", size, err)
		}
	}
	// A rotation binds the history before it.
	leaves, _ := testLeaves(600)
	if fault := faultOf(t, export(t, signers[2], leaves, nil), v); fault.Kind != FaultHistory {
		t.Errorf("rewritten before the handover: %v", fault)
	}
}

func TestRotationRefused(t *testing.T) {
	_, signers, rotations := rotated(t)
	first := signers[0].VerifierKey()
	refuse := func(what string, rotations ...[]byte) {
		t.Helper()
		if v, err := NewVerifier(first, rotations...); err == nil {
			t.Errorf("%s: trusts %s", what, v.Key())
		}
	}
	refuse("not a proof", []byte("x"))
	refuse("out of order", rotations[1], rotations[0])
	refuse("the second without the first", rotations[1])
	refuse("twice", rotations[0], rotations[0])

	// The first key signs a rotation to the third after its rotation to the second.
	leaves := [][]byte{rotationLeaf(signers[1].VerifierKey()), rotationLeaf(signers[2].VerifierKey())}
	f := export(t, signers[0], leaves, nil)
	both := [][]byte{}
	for i, leaf := range leaves {
		hashes, err := ProveInclusion(int64(i), 2, f.tiles)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, Proof{int64(i), hashes, leaf, f["checkpoint"]}.Format())
	}
	refuse("by a key that has handed over", both...)

	single := func(signer *Signer, leaf, extra []byte) []byte {
		f := export(t, signer, [][]byte{leaf}, nil)
		return Proof{Extra: extra, Checkpoint: f["checkpoint"]}.Format()
	}
	next := signers[1].VerifierKey()
	if _, err := NewVerifier(first, single(signers[0], rotationLeaf(next), rotationLeaf(next))); err != nil {
		t.Fatal(err)
	}
	refuse("by the new key itself", single(signers[1], rotationLeaf(next), rotationLeaf(next)))
	refuse("without its leaf", single(signers[0], rotationLeaf(next), nil))
	refuse("with another leaf", single(signers[0], []byte(`{}`), rotationLeaf(next)))
	refuse("back to itself", single(signers[0], rotationLeaf(first), rotationLeaf(first)))
	other, err := NewSigner(seededKey(t, 2), "files.example.com/acct_02/live")
	if err != nil {
		t.Fatal(err)
	}
	refuse(
		"to a key of another log",
		single(signers[0], rotationLeaf(other.VerifierKey()), rotationLeaf(other.VerifierKey())),
	)
	for _, leaf := range []string{
		`{"action":"link.created","ledger":{"key":"` + next + `"}}`, `{"action":"ledger.key_rotated"}`,
		`{"ledger":{"key":"` + next + `"},"action":"ledger.key_rotated"}`,
		`{"action":"ledger.key_rotated","ledger":{"key":7}}`, `{"action":"ledger.key_rotated","ledger":{"key":"x"}}`,
	} {
		refuse(leaf, single(signers[0], []byte(leaf), []byte(leaf)))
	}
}

func FuzzNewVerifier(f *testing.F) {
	vkey := testSigner(f, 1).VerifierKey()
	f.Add(vkey, []byte("c2sp.org/tlog-proof@v1\n"))
	f.Fuzz(func(t *testing.T, vkey string, rotation []byte) {
		v, err := NewVerifier(vkey)
		if err != nil {
			return
		}
		if _, err := note.NewVerifier(vkey); err != nil || v.Key() != vkey ||
			!bytes.HasPrefix([]byte(vkey), []byte(v.Origin()+"+")) {
			t.Fatalf("%q: %+v, %v", vkey, v, err)
		}
		if v, err := NewVerifier(vkey, rotation); err == nil {
			t.Fatalf("%q rotates to %s", rotation, v.Key())
		}
	})
}
