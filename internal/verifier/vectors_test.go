package verifier_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/ledger"
)

// vectors is the content of testdata/vectors.json.
type vectors struct {
	Entries     []vector            `json:"entries"`
	Proofs      []proofVector       `json:"proofs"`
	Consistency []consistencyVector `json:"consistency"`
	Leaves      []leafVector        `json:"leaves"`
}

// vector is an entry, and the checks that it has to fail.
type vector struct {
	Name  string   `json:"name"`
	Fails []string `json:"fails,omitempty"`
	Entry entry    `json:"entry"`
	Log   log      `json:"log"`
	// unsigned says that a part of the checkpoint is not covered by any check.
	unsigned bool
}

type entry struct {
	Leaf        string                `json:"leaf"`
	Index       int64                 `json:"index"`
	Proof       []string              `json:"proof"`
	Disclosures map[string]disclosure `json:"disclosures"`
}

type disclosure struct {
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

type log struct {
	Key        string   `json:"vkey"`
	Origin     string   `json:"origin,omitempty"`
	Rotations  []string `json:"rotations,omitempty"`
	Witnesses  []string `json:"witnesses,omitempty"`
	Checkpoint string   `json:"checkpoint"`
}

type proofVector struct {
	Name  string   `json:"name"`
	Fails []string `json:"fails,omitempty"`
	Text  string   `json:"text"`
	Leaf  string   `json:"leaf"`
	Log   log      `json:"log"`
}

type consistencyVector struct {
	Name  string   `json:"name"`
	Fails []string `json:"fails,omitempty"`
	Older older    `json:"older"`
	Proof []string `json:"proof"`
	Log   log      `json:"log"`
}

type older struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
}

type leafVector struct {
	Name      string `json:"name"`
	Text      string `json:"text"`
	Letters   int    `json:"letters,omitempty"` // how many letters a are to replace % in Text
	Canonical bool   `json:"canonical"`
}

const origin = "files.example.com/acct_01/live"

// history is a log of 13 entries. The entry rotated replaces its key.
type history struct {
	t           *testing.T
	leaves      []string
	disclosures []map[string]disclosure
	signers     [2]*ledger.Signer
	witnessKey  ed25519.PrivateKey
	witness     string // its verifier key
}

const rotated = 9

// redemption returns the entry of a download.
func redemption(seq int) sluice.Entry {
	at := time.Date(2026, 11, 21, 19, 0, seq, 123456000, time.UTC)
	return sluice.Entry{
		ID: fmt.Sprintf("aud_%026d", seq), Ledger: sluice.LedgerID{Account: "acct_01", Mode: sluice.Live}, Time: at,
		Action: sluice.LinkRedeemed, Outcome: sluice.Allowed, Actor: sluice.Actor{Type: sluice.ActorBearer, ID: "link_01"},
		File: &sluice.FilePart{
			ID: "file_01", Filename: "Überblick „Q3“ \u2028\t😀.pdf", Size: 1 << 40, Type: "application/pdf",
			SHA256: strings.Repeat("0a", 32), Purpose: "report",
			Metadata: sluice.Metadata{"\u20ac": "1", "\U0001F600": "2", "\ufb33": "3", "__proto__": "4"},
		},
		Link:     &sluice.LinkPart{ID: "link_01", Expires: at.Add(time.Hour), Reason: "case 12/7"},
		Delivery: &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200},
		Request: &sluice.Request{
			ID: "req_01", Method: "GET", Route: "GET /d/{token}", IP: "203.0.113.7", ClientIP: "2001:db8::7",
			UserAgent: "Mozilla/5.0 \"é\"",
		},
		Recipient: &sluice.RecipientPart{Email: "ann@bank.example", Name: "Ann \u202eO'Neil 😀", Verification: "aud_00"},
	}
}

func newHistory(t *testing.T) *history {
	h := &history{t: t}
	random := rand.NewChaCha8([32]byte{16})
	for i := range h.signers {
		skey, _, err := ledger.GenerateKey(random, "files.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if h.signers[i], err = ledger.NewSigner(skey, origin); err != nil {
			t.Fatal(err)
		}
	}
	h.witnessKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("w", ed25519.SeedSize)))
	raw := append([]byte{4}, h.witnessKey.Public().(ed25519.PublicKey)...)
	id := sha256.Sum256(append([]byte("witness.example\n"), raw...))
	h.witness = fmt.Sprintf("witness.example+%x+%s", id[:4], base64.StdEncoding.EncodeToString(raw))
	for seq := range 13 {
		e := redemption(seq)
		if seq == rotated {
			e = sluice.Entry{
				ID: e.ID, Ledger: e.Ledger, Time: e.Time, Action: sluice.KeyHandedOver, Outcome: sluice.Allowed,
				Actor: sluice.Actor{Type: sluice.ActorCLI}, Handover: h.signers[1].VerifierKey(),
			}
		}
		if seq == rotated-1 {
			e.Handover = h.signers[1].VerifierKey() // means nothing in an entry of another action
		}
		sealed, err := audit.Seal(e, random)
		if err != nil {
			t.Fatal(err)
		}
		d := map[string]disclosure{}
		if err := json.Unmarshal(sealed.Disclosures, &d); err != nil {
			t.Fatal(err)
		}
		h.leaves, h.disclosures = append(h.leaves, string(sealed.Leaf)), append(h.disclosures, d)
	}
	return h
}

// tree returns the tree of the first entries, and a reader of its tiles.
func (h *history) tree(size int64) (*ledger.Tree, ledger.TileReader) {
	tree, stored := &ledger.Tree{}, map[[2]int64][]byte{}
	for _, leaf := range h.leaves[:size] {
		tree.Append(ledger.LeafHash([]byte(leaf)))
	}
	for _, c := range tree.Changes() {
		stored[[2]int64{int64(c.Level), c.Index}] = c.Data
	}
	return tree, func(tiles []ledger.Tile) (found [][]byte, err error) {
		for _, tile := range tiles {
			found = append(found, stored[[2]int64{int64(tile.Level), tile.Index}])
		}
		return found, nil
	}
}

func (h *history) checkpoint(size int64) string {
	signer := h.signers[0]
	if size > rotated+1 {
		signer = h.signers[1]
	}
	return h.signed(signer, size, h.root(size))
}

func (h *history) signed(signer *ledger.Signer, size int64, root ledger.Hash) string {
	signed, err := signer.Sign(size, root)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(signed)
}

func (h *history) root(size int64) ledger.Hash {
	tree, _ := h.tree(size)
	return tree.Root()
}

// cosigned adds the cosignature of the witness.
func (h *history) cosigned(checkpoint string) string {
	text, _, _ := strings.Cut(checkpoint, "\n\n")
	const at = 1795000000
	sig := ed25519.Sign(h.witnessKey, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at, text))
	name, rest, _ := strings.Cut(h.witness, "+")
	id, err := hex.DecodeString(rest[:8])
	if err != nil {
		h.t.Fatal(err)
	}
	line := append(binary.BigEndian.AppendUint64(id, at), sig...)
	return checkpoint + "— " + name + " " + base64.StdEncoding.EncodeToString(line) + "\n"
}

func texts(hashes []ledger.Hash) []string {
	list := []string{}
	for _, h := range hashes {
		list = append(list, base64.StdEncoding.EncodeToString(h[:]))
	}
	return list
}

func (h *history) inclusion(seq, size int64) []ledger.Hash {
	_, read := h.tree(size)
	hashes, err := ledger.ProveInclusion(seq, size, read)
	if err != nil {
		h.t.Fatal(err)
	}
	return hashes
}

// proved returns a vector of an entry in a tree of the given size.
func (h *history) proved(name string, seq, size int64) vector {
	d := map[string]disclosure{}
	for field, value := range h.disclosures[seq] {
		d[field] = value
	}
	v := vector{
		Name:  name,
		Entry: entry{Leaf: h.leaves[seq], Index: seq, Proof: texts(h.inclusion(seq, size)), Disclosures: d},
		Log:   log{Key: h.signers[0].VerifierKey(), Origin: origin, Checkpoint: h.checkpoint(size)},
	}
	if size > rotated+1 {
		v.Log.Rotations = []string{h.rotation(rotated)}
	}
	return v
}

// rotation returns the proof of an entry as one that replaces the key.
func (h *history) rotation(seq int64) string {
	const size = rotated + 1
	return string(ledger.Proof{
		Index: seq, Hashes: h.inclusion(seq, size), Extra: []byte(h.leaves[seq]), Checkpoint: []byte(h.checkpoint(size)),
	}.Format())
}

// changed returns a vector of entry 5 of 9 after an edit, and the checks that must fail then.
func (h *history) changed(name string, edit func(v *vector), fails ...string) vector {
	v := h.proved(name, 5, 9)
	edit(&v)
	v.Fails = fails
	return v
}

// flip returns text with the character after the first occurrence of mark replaced.
func flip(text, mark string) string {
	at := strings.Index(text, mark) + len(mark)
	with := "A"
	if text[at] == 'A' {
		with = "B"
	}
	return text[:at] + with + text[at+1:]
}

func (h *history) vectors() vectors {
	return vectors{h.entries(), h.proofs(), h.growth(), leafForms()}
}

func (h *history) entries() []vector {
	const ip = "/request/ip"
	edit := func(field string, change func(d *disclosure)) func(v *vector) {
		return func(v *vector) {
			d := v.Entry.Disclosures[field]
			change(&d)
			v.Entry.Disclosures[field] = d
		}
	}
	list := []vector{
		h.proved("the first entry", 0, 9),
		h.proved("the last entry", 8, 9),
		h.proved("the only entry", 0, 1),
		h.changed("no origin is expected", func(v *vector) { v.Log.Origin = "" }),
		h.proved("signed by the key's successor", 11, 13),
		h.proved("the entry that replaces the key", rotated, 13),
		h.changed("a value was erased", func(v *vector) { delete(v.Entry.Disclosures, ip) }),
		h.changed("all values were erased", func(v *vector) { v.Entry.Disclosures = nil }),
		h.changed("a witness signed too", func(v *vector) {
			v.Log.Checkpoint, v.Log.Witnesses = h.cosigned(v.Log.Checkpoint), []string{h.witness}
		}),
		h.changed("a key that nobody knows signed too", func(v *vector) {
			v.Log.Checkpoint, v.unsigned = h.cosigned(v.Log.Checkpoint), true
		}),

		h.changed("a letter of the leaf", func(v *vector) {
			v.Entry.Leaf = strings.Replace(v.Entry.Leaf, "case 12/7", "case 12/8", 1)
		}, "inclusion"),
		h.changed("a space in the leaf", func(v *vector) { v.Entry.Leaf += " " }, "leaf", "inclusion"),
		h.changed("the end of the leaf", func(v *vector) {
			v.Entry.Leaf = strings.TrimSuffix(v.Entry.Leaf, "}")
		}, "leaf", "inclusion"),
		h.changed("a salt", edit(ip, func(d *disclosure) { d.Salt = "00" + d.Salt[2:] }), "commitment "+ip),
		h.changed("a salt in capitals", edit(ip, func(d *disclosure) { d.Salt = strings.ToUpper(d.Salt) }),
			"commitment "+ip),
		h.changed("a value", edit(ip, func(d *disclosure) { d.Value = "203.0.113.8" }), "commitment "+ip),
		h.changed("a value of another field", func(v *vector) {
			v.Entry.Disclosures[ip] = v.Entry.Disclosures["/request/client_ip"]
		}, "commitment "+ip),
		h.changed("a value of no field", func(v *vector) {
			v.Entry.Disclosures["/request/port"] = v.Entry.Disclosures[ip]
		}, "commitment /request/port"),
		h.changed("a hash of the proof", func(v *vector) {
			v.Entry.Proof[1] = v.Entry.Proof[0]
		}, "inclusion"),
		h.changed("a hash of the proof is malformed", func(v *vector) {
			v.Entry.Proof[1] = strings.TrimSuffix(v.Entry.Proof[1], "=")
		}, "proof"),
		h.changed("a hash of the proof is missing", func(v *vector) {
			v.Entry.Proof = v.Entry.Proof[1:]
		}, "inclusion"),
		h.changed("a hash too many", func(v *vector) {
			v.Entry.Proof = append(v.Entry.Proof, v.Entry.Proof[0])
		}, "inclusion"),
		h.changed("the index", func(v *vector) { v.Entry.Index++ }, "inclusion"),
		h.changed("an index beyond the end", func(v *vector) { v.Entry.Index = 9 }, "inclusion"),
		h.changed("a negative index", func(v *vector) { v.Entry.Index = -1 }, "proof"),
		h.changed("two entries swapped", func(v *vector) {
			v.Entry.Leaf, v.Entry.Disclosures = h.leaves[4], h.disclosures[4]
		}, "inclusion"),
		h.changed("the size", func(v *vector) {
			v.Log.Checkpoint = strings.Replace(v.Log.Checkpoint, "\n9\n", "\n8\n", 1)
		}, "signature", "inclusion"),
		h.changed("the root", func(v *vector) {
			v.Log.Checkpoint = flip(v.Log.Checkpoint, "\n9\n")
		}, "signature", "inclusion"),
		h.changed("the origin", func(v *vector) {
			v.Log.Checkpoint = "a" + v.Log.Checkpoint
		}, "signature", "checkpoint"),
		h.changed("the signature", func(v *vector) {
			v.Log.Checkpoint = flip(v.Log.Checkpoint, "— "+origin+" "+keyStart(v.Log.Checkpoint))
		}, "signature"),
		h.changed("the id of the signing key", func(v *vector) {
			v.Log.Checkpoint = flip(v.Log.Checkpoint, "— "+origin+" ")
		}, "signature"),
		h.changed("no signature", func(v *vector) {
			v.Log.Checkpoint, _, _ = strings.Cut(v.Log.Checkpoint, "—")
		}, "signature"),
		h.changed("the same signature twice", func(v *vector) {
			_, line, _ := strings.Cut(v.Log.Checkpoint, "\n\n")
			v.Log.Checkpoint += line
		}, "signature"),
		h.changed("the id of the key", func(v *vector) {
			v.Log.Key = strings.Replace(v.Log.Key, origin+"+", origin+"+0", 1)
		}, "key", "signature", "checkpoint"),
		h.changed("a letter of the key", func(v *vector) {
			v.Log.Key = flip(v.Log.Key, v.Log.Key[:len(origin)+12])
		}, "key", "signature", "checkpoint"),
		h.changed("the key of another owner", func(v *vector) {
			v.Log.Key = h.signers[1].VerifierKey()
		}, "signature"),
		h.changed("a key of another log", func(v *vector) { v.Log.Origin = "files.example.com/acct_02/live" }, "key"),
		h.changed("a checkpoint with a fourth line", func(v *vector) {
			v.Log.Checkpoint = strings.Replace(v.Log.Checkpoint, "\n\n", "\nmore\n\n", 1)
		}, "signature", "checkpoint", "inclusion"),
		h.changed("a signed size that is not that of the tree", func(v *vector) {
			v.Entry = h.proved("", 0, 1).Entry
			v.Log.Checkpoint = h.signed(h.signers[0], 2, h.root(1))
		}, "inclusion"),
		h.changed("the witness did not sign", func(v *vector) {
			v.Log.Witnesses = []string{h.witness}
		}, "cosignature witness.example"),
		h.changed("the witness signed another checkpoint", func(v *vector) {
			_, line, _ := strings.Cut(h.cosigned(h.checkpoint(8)), "— witness.example ")
			v.Log.Checkpoint += "— witness.example " + line
			v.Log.Witnesses = []string{h.witness}
		}, "cosignature witness.example"),
	}
	return append(list, h.rotations()...)
}

// rotations returns vectors of logs whose key was replaced.
func (h *history) rotations() []vector {
	change := func(name string, edit func(v *vector), fails ...string) vector {
		v := h.proved(name, 11, 13)
		edit(&v)
		v.Fails = fails
		return v
	}
	return []vector{
		change("no proof of the change of the key", func(v *vector) { v.Log.Rotations = nil }, "signature"),
		change("a change of the key in another entry", func(v *vector) {
			v.Log.Rotations[0] = h.rotation(rotated - 1)
		}, "rotation 0", "signature"),
		change("a checkpoint of the key's successor for the change", func(v *vector) {
			v.Log.Rotations[0] = string(ledger.Proof{
				Index: rotated, Hashes: h.inclusion(rotated, 13), Extra: []byte(h.leaves[rotated]),
				Checkpoint: []byte(h.checkpoint(13)),
			}.Format())
		}, "rotation 0", "signature"),
		change("signed by the key after it was replaced", func(v *vector) {
			v.Log.Checkpoint = h.signed(h.signers[0], 13, h.root(13))
		}, "signature"),
	}
}

// keyStart returns the first letters of a signature, which are of the id of the key.
func keyStart(checkpoint string) string {
	_, line, _ := strings.Cut(checkpoint, "— "+origin+" ")
	return line[:6]
}

func (h *history) proofs() []proofVector {
	of := func(name string, extra []byte, edit func(text string) string, fails ...string) proofVector {
		text := string(ledger.Proof{
			Index: 3, Hashes: h.inclusion(3, 9), Extra: extra, Checkpoint: []byte(h.checkpoint(9)),
		}.Format())
		return proofVector{name, fails, edit(text), h.leaves[3], log{Key: h.signers[0].VerifierKey(), Origin: origin}}
	}
	replace := func(old, with string) func(string) string {
		return func(text string) string { return strings.Replace(text, old, with, 1) }
	}
	same := func(text string) string { return text }
	return []proofVector{
		of("tlog-proof", nil, same),
		of("tlog-proof with extra data", []byte{0xff, 1}, same),
		of("tlog-proof: another index", nil, replace("index 3", "index 2"), "inclusion"),
		of("tlog-proof: header", nil, replace("@v1", "@v2"), "proof"),
		of("tlog-proof: a leading zero", nil, replace("index 3", "index 03"), "proof"),
		of("tlog-proof: no checkpoint", nil, func(text string) string {
			return text[:strings.Index(text, "\n\n")+2]
		}, "proof"),
		of("tlog-proof: empty extra data", []byte("hi"), replace("aGk=", ""), "proof"),
		of("tlog-proof: loose extra data", []byte("hi"), replace("aGk=", "aGl="), "proof"),
	}
}

func (h *history) growth() (list []consistencyVector) {
	of := func(name string, from, to int64, fails ...string) *consistencyVector {
		_, read := h.tree(to)
		hashes, err := ledger.ProveConsistency(from, to, read)
		if err != nil {
			h.t.Fatal(err)
		}
		root := h.root(from)
		list = append(list, consistencyVector{
			name, fails, older{from, base64.StdEncoding.EncodeToString(root[:])}, texts(hashes),
			log{Key: h.signers[0].VerifierKey(), Origin: origin, Checkpoint: h.checkpoint(to)},
		})
		return &list[len(list)-1]
	}
	for _, sizes := range [][2]int64{{0, 9}, {1, 9}, {3, 9}, {4, 9}, {6, 9}, {8, 9}, {9, 9}, {4, 8}, {7, 8}} {
		of(fmt.Sprintf("growth from %d to %d", sizes[0], sizes[1]), sizes[0], sizes[1])
	}
	of("growth: another root", 6, 9, "consistency").Older.Root = of("growth from 5 to 9", 5, 9).Older.Root
	of("growth: another size", 6, 9, "consistency").Older.Size = 5
	of("growth: a hash is missing", 6, 9, "consistency").Proof = list[4].Proof[1:]
	of("growth: a hash too many", 6, 9, "consistency").Proof = append(list[4].Proof[:3:3], list[4].Proof...)
	of("growth: an older log that is longer", 6, 8, "consistency").Older.Size = 9
	of("growth: from nothing with another root", 0, 9, "consistency").Older.Root = list[1].Older.Root
	of("growth: a signed size that is not that of the tree", 8, 9, "consistency").Log.Checkpoint =
		h.signed(h.signers[0], 17, h.root(9))
	return list
}

func leafForms() (list []leafVector) {
	for _, f := range []leafVector{
		{Name: "empty object", Text: `{}`},
		{Name: "numbers", Text: `{"a":[0,1.5,1e+21,5e-324,-1,100000000000000000000]}`},
		{Name: "members by UTF-16", Text: `{"1":1,"ö":2,"€":3,"😀":4,"דּ":5}`},
		{Name: "a member named __proto__", Text: `{"__proto__":{"x":1},"a":null}`},
		{Name: "escapes", Text: `{"a":"\b\t\n\f\r\"\\\u0000\u001f/é` + "\u2028\u007f" + `"}`},
		{Name: "members by UTF-8", Text: `{"דּ":1,"😀":2}`},
		{Name: "no object", Text: `[]`},
		{Name: "nothing", Text: ``},
		{Name: "a space", Text: `{ }`},
		{Name: "a line feed at the end", Text: "{}\n"},
		{Name: "a byte order mark", Text: "\ufeff{}"},
		{Name: "a member twice", Text: `{"a":1,"a":1}`},
		{Name: "__proto__ twice", Text: `{"__proto__":1,"__proto__":1}`},
		{Name: "order", Text: `{"b":1,"a":2}`},
		{Name: "an escaped letter", Text: `{"a":"\u0041"}`},
		{Name: "an escaped slash", Text: `{"a":"\/"}`},
		{Name: "capitals in an escape", Text: `{"a":"\u001F"}`},
		{Name: "half a surrogate pair", Text: `{"a":"\ud800"}`},
		{Name: "an escaped surrogate pair", Text: `{"a":"\ud83d\ude00"}`},
		{Name: "a number with a zero at the end", Text: `{"a":1.0}`},
		{Name: "a number with an exponent", Text: `{"a":1e3}`},
		{Name: "minus zero", Text: `{"a":-0}`},
		{Name: "an integer that no float64 is", Text: `{"a":9007199254740993}`},
		{Name: "a number too large", Text: `{"a":1e999}`},
		{Name: "a comma too many", Text: `{"a":[1,]}`},
		{Name: "a leaf of the largest size", Text: `{"a":"%"}`, Letters: ledger.MaxLeaf - 8},
		{Name: "a leaf too large", Text: `{"a":"%"}`, Letters: ledger.MaxLeaf - 7},
	} {
		text := strings.Replace(f.Text, "%", strings.Repeat("a", f.Letters), 1)
		f.Canonical = ledger.IsCanonical([]byte(text)) && strings.HasPrefix(text, "{")
		list = append(list, f)
	}
	return list
}
