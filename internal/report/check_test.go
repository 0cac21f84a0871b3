package report

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sluice/ledger"
)

// TestOneByteIsFound changes one byte at a time, everywhere in a report, and expects the name of a check that fits the
// place.
func TestOneByteIsFound(t *testing.T) {
	l := newLog(t).story()
	good := l.report(map[string]string{"recipient": "ann@bank.example"}, l.entries...)
	if _, err := Check(good, ""); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	places := placesOf(t, good)
	seen := map[string]int{}
	for name, places := range places {
		for range 30 {
			p := places[random.IntN(len(places))]
			at := p.from + random.IntN(p.to-p.from)
			changed := bytes.Clone(good)
			changed[at] ^= byte(1 + random.IntN(255))
			_, err := Check(changed, "")
			if err == nil {
				t.Errorf("%s: byte %d was %q, is %q: no fault", name, at, good[at], changed[at])
				continue
			}
			f := AsFault(err)
			seen[f.Check]++
			if !slices.Contains(p.checks, f.Check) {
				t.Errorf("%s: byte %d was %q, is %q: %s (%v), want one of %q",
					name, at, good[at], changed[at], f.Check, err, p.checks)
			}
		}
	}
	for _, check := range []string{
		CheckPage, CheckData, CheckKey, CheckRotation, CheckSignature, CheckLeaf, CheckProof, CheckInclusion,
		CheckCommitment, CheckReport, CheckCover, CheckText, CheckStyle, CheckScript,
	} {
		if seen[check] == 0 {
			t.Errorf("no change of a byte made %s fail: %v", check, seen)
		}
	}
}

// place is a part of a report, and the checks that a changed byte in it may fail.
type place struct {
	from, to int
	checks   []string
}

// placesOf finds the parts of a report by their kind.
func placesOf(t *testing.T, report []byte) map[string][]place {
	text, places := string(report), map[string][]place{}
	add := func(kind string, from, to int, checks ...string) {
		if from < 0 || to <= from {
			t.Fatalf("no %s in the report", kind)
		}
		places[kind] = append(places[kind], place{from, to, checks})
	}
	between := func(kind, start, end string, checks ...string) (from, to int) {
		from = strings.Index(text, start) + len(start)
		to = from + strings.Index(text[from:], end)
		add(kind, from, to, checks...)
		return from, to
	}
	add("start", 0, len(pageStart), CheckPage)
	between("style source", pageStart, pageScript, CheckPage)
	between("script source", pageScript, pageTitle, CheckPage)
	between("style", "<style>", "</style>", CheckStyle)
	_, end := between("script", pageModule, pageEnd, CheckScript)
	add("end", end, len(text), CheckPage)
	between("cover", coverStart, coverEnd, CheckCover)
	between("summary", "Summary</h2>", "<h2>What was asked", CheckText)
	between("explanation", "What this report proves", "</main>", CheckText, CheckPage)

	at := 0
	for n := 0; ; n++ {
		i := strings.Index(text[at:], blockStart)
		if i < 0 {
			return places
		}
		from := at + i + len(blockStart)
		to := from + strings.Index(text[from:], blockEnd)
		at = to
		switch n {
		case 0:
			members(text, from, to, []string{"vkey", "rotations", "checkpoint"}, func(name string, from, to int) {
				add("log: "+name, from, to, map[string][]string{
					"vkey":       {CheckKey, CheckRotation, CheckSignature, CheckData},
					"rotations":  {CheckRotation, CheckData},
					"checkpoint": {CheckSignature, CheckData},
				}[name]...)
			})
		default:
			names := []string{"seq", "leaf", "proof", "disclosures", "shown"}
			if n == 1 {
				names[4] = "salt"
			}
			members(text, from, to, names, func(name string, from, to int) {
				add("entry: "+name, from, to, map[string][]string{
					"seq":         {CheckInclusion, CheckData},
					"leaf":        {CheckLeaf, CheckInclusion, CheckData},
					"proof":       {CheckProof, CheckInclusion, CheckData},
					"disclosures": {CheckCommitment, CheckData},
					"shown":       {CheckText, CheckData},
					"salt":        {CheckReport, CheckData},
				}[name]...)
			})
			if n > 1 {
				row := strings.LastIndex(text[:from], "\n<tr>")
				add("row", row+1, from, CheckText, CheckList, CheckPage, CheckData)
			}
		}
	}
}

// members finds the values of the members of a block.
func members(text string, from, to int, names []string, yield func(name string, from, to int)) {
	for i, name := range names {
		start := from + strings.Index(text[from:to], `"`+name+`":`) + len(name) + 3
		end := to - 1
		if name == "salt" || name == "shown" { // the last one
			start = from + strings.LastIndex(text[from:to], `"`+name+`":`) + len(name) + 3
		}
		if i+1 < len(names) {
			next := names[i+1]
			end = from + strings.LastIndex(text[from:to], `,"`+next+`":`)
			if next == "proof" || next == "rotations" || next == "checkpoint" {
				end = from + strings.Index(text[from:to], `,"`+next+`":`)
			}
		}
		yield(name, start, end)
	}
}

// forge is a report that a forger takes apart and puts together again, without the key of the log.
type forge struct {
	t    *testing.T
	file *file
}

func take(t *testing.T, report []byte) *forge {
	t.Helper()
	f, err := split(string(report))
	if err != nil {
		t.Fatal(err)
	}
	return &forge{t, f}
}

// report writes a report of the parts, with a policy that lets its style and script work.
func (f *forge) report() []byte {
	var out bytes.Buffer
	w := &writer{out: &out}
	w.page(f.file.style, f.file.program, func() {
		w.late(f.file.fixed[0] + f.file.cover)
		for i, b := range f.file.blocks {
			w.late(f.file.fixed[i+1] + b)
		}
		w.late(f.file.fixed[len(f.file.fixed)-1])
	})
	return out.Bytes()
}

// replace replaces text in a fixed part, and puts the digest of the row right.
func (f *forge) replace(old, with string) {
	f.t.Helper()
	found := false
	for i, fixed := range f.file.fixed {
		if !strings.Contains(fixed, old) {
			continue
		}
		found = true
		f.file.fixed[i] = strings.Replace(fixed, old, with, 1)
		if at := strings.LastIndex(f.file.fixed[i], "\n<tr>"); at >= 0 && i > 2 {
			sum := sha256.Sum256([]byte(f.file.fixed[i][at+1:] + rowEnd))
			b := &f.file.blocks[i-1]
			*b = (*b)[:strings.LastIndex(*b, `"shown":"`)] + `"shown":"` + base64Of(sum[:]) + `"}`
		}
		break
	}
	if !found {
		f.t.Fatalf("the report does not have %q", old)
	}
}

// drop leaves a row out.
func (f *forge) drop(row int) {
	i := row + 2
	before := f.file.fixed[i+1]
	f.file.fixed[i+2] = before[:strings.LastIndex(before, "\n<tr>")] + strings.TrimPrefix(f.file.fixed[i+2], rowEnd)
	f.file.fixed = slices.Delete(f.file.fixed, i+1, i+2)
	f.file.blocks = slices.Delete(f.file.blocks, i, i+1)
}

// shadow is a tree that browsers show in the place of what its parent has, and leave out of the text of the page.
const shadow = `<template shadowrootmode="closed">forged</template>`

// TestForgeries changes a report as someone would who wants it to say something else, and who puts right all that can
// be put right without the key of the log.
func TestForgeries(t *testing.T) {
	l := newLog(t).story()
	other := l.report(nil, l.some(0, 1)...)
	good := l.report(map[string]string{"recipient": "ann@bank.example"}, l.entries[:9]...)
	for _, test := range []struct {
		name, check string
		seq         int64
		forge       func(f *forge)
	}{
		{"nothing", "", -1, func(*forge) {}},
		{"a sentence", CheckText, 2, func(f *forge) { f.replace("downloaded", "never downloaded") }},
		{"a fact", CheckText, 1, func(f *forge) { f.replace("Reason: case 12/7", "Reason: case 12/8") }},
		{"a time", CheckText, 2, func(f *forge) { f.replace("19:02:00 UTC</time>", "18:02:00 UTC</time>") }},
		{"the number of a row", CheckList, 2, func(f *forge) { f.replace(`number">2<`, `number">9<`) }},
		{"the summary", CheckText, -1, func(f *forge) { f.replace("were opened 3 times", "were opened 1 time") }},
		{"what it proves", CheckText, -1, func(f *forge) { f.replace("They do not show whose", "They show whose") }},
		{"a row hidden", CheckList, 2, func(f *forge) { f.replace(firstCell(2), `<tr hidden="">`+firstCell(2)[4:]) }},
		{"a row of the forger's", CheckText, -1, func(f *forge) {
			last := len(f.file.fixed) - 1
			f.file.fixed[last] = strings.Replace(f.file.fixed[last], "</table>", "</table><p>All is well.</p>", 1)
		}},
		{"a row left out", CheckList, -1, func(f *forge) { f.drop(2) }},
		{"two rows swapped", CheckList, 2, func(f *forge) {
			b, x := f.file.blocks, f.file.fixed
			b[4], b[5] = b[5], b[4]
			x[5], x[6] = x[6], x[5]
		}},
		{"the data of two rows swapped", CheckList, 3, func(f *forge) {
			f.file.blocks[4], f.file.blocks[5] = f.file.blocks[5], f.file.blocks[4]
		}},
		{"a value taken away, as if it were erased", CheckData, 2, func(f *forge) {
			b := f.file.blocks[4]
			from := strings.Index(b, `"/request/client_ip"`)
			to := from + strings.Index(b[from:], `},`) + 2
			f.file.blocks[4] = b[:from] + b[to:]
		}},
		{"a letter of a leaf", CheckInclusion, 2, func(f *forge) {
			f.file.blocks[4] = strings.Replace(f.file.blocks[4], `a.pdf`, `z.pdf`, 1)
		}},
		{"a value", CheckCommitment, 2, func(f *forge) {
			f.file.blocks[4] = strings.Replace(f.file.blocks[4], `"value":"2001:db8::7"`, `"value":"2001:db8::8"`, 1)
		}},
		{"the cover", CheckCover, -1, func(f *forge) {
			f.file.cover = strings.Replace(f.file.cover, "recipient", "file", 1)
		}},
		{"the entry of another report", CheckList, -1, func(f *forge) {
			b := take(t, other).file.blocks[1]
			proofs, err := l.prove([]int64{9})
			if err != nil {
				t.Fatal(err)
			}
			row, err := rowOf(l.entries[9])
			if err != nil {
				t.Fatal(err)
			}
			row.disclosures = slices.DeleteFunc(row.disclosures, func(d ledger.Disclosure) bool { return !onCover(d.Field) })
			f.file.blocks[1] = block(appendProven([]byte{'{'}, row, proofs[0])) + b[strings.LastIndex(b, `,"salt":`):]
		}},
		{"the wording of another version", CheckReport, 10, func(f *forge) {
			f.replace(`id="report-1-1"`, `id="report-1-2"`)
			f.replace("Files were opened 3 times", "Files were opened 1 time")
		}},
		{"a tree in the place of the report", CheckText, -1, func(f *forge) {
			f.replace("<main class=\"report\" id=\"report-1-1\">", "<main class=\"report\" id=\"report-1-1\">"+shadow)
		}},
		{"a tree in a row", CheckText, 2, func(f *forge) { f.replace(firstCell(2)+"<td>", firstCell(2)+"<td>"+shadow) }},
		{"a tree in the cover", CheckCover, -1, func(f *forge) {
			f.file.cover = strings.Replace(f.file.cover, "<div>", "<div>"+shadow, 1)
		}},
		{"a format of the future", CheckPage, -1, func(f *forge) { f.replace(`id="report-1-1"`, `id="report-2-1"`) }},
		{"a style that hides refusals", CheckStyle, -1, func(f *forge) { f.file.style += "h2+table{display:none}" }},
		{"a script that always agrees", CheckScript, -1, func(f *forge) {
			f.file.program = `document.querySelector("#verdict").textContent = "Checked"`
		}},
		{"a salt", CheckReport, 10, func(f *forge) {
			b := f.file.blocks[1]
			at := strings.LastIndex(b, `"salt":"`)
			f.file.blocks[1] = b[:at] + `"salt":"` + strings.Repeat("A", 43) + `="}`
		}},
		{"data of a member that nobody reads", CheckData, -1, func(f *forge) {
			f.file.blocks[4] = strings.Replace(f.file.blocks[4], `{"seq"`, `{"note":"x","seq"`, 1)
		}},
		{"a signature of nobody", CheckSignature, -1, func(f *forge) {
			f.file.blocks[0] = strings.Replace(f.file.blocks[0], `"}`, `— nobody.example AAAAAAAA\n"}`, 1)
		}},
		{"a signature of nobody in a rotation", CheckRotation, -1, func(f *forge) {
			f.file.blocks[0] = strings.Replace(f.file.blocks[0], `"],`, `— nobody.example AAAAAAAA\n"],`, 1)
		}},
		{"the first key forgotten", CheckReport, 10, func(f *forge) {
			b := f.file.blocks[0]
			to := strings.Index(b, `,"checkpoint"`)
			key := block([]byte(l.signers[1].VerifierKey()))
			f.file.blocks[0] = `{"vkey":"` + key + `","rotations":[]` + b[to:]
			f.file.cover = f.file.cover[:strings.Index(f.file.cover, "<div><dt>Key at its")]
		}},
		{"the person forgotten whom the report is about", CheckData, 10, func(f *forge) {
			b := f.file.blocks[1]
			from := strings.Index(b, `"disclosures":{`) + len(`"disclosures":{`)
			f.file.blocks[1] = b[:from] + b[strings.Index(b, `},"salt"`):]
			f.file.cover = strings.Replace(f.file.cover, "ann@bank.example", "(erased)", 1)
		}},
		{"a value forgotten in words of another version", CheckData, 2, func(f *forge) {
			f.replace(`id="report-1-1"`, `id="report-1-2"`)
			b := f.file.blocks[4]
			from := strings.Index(b, `"/request/client_ip"`)
			to := from + strings.Index(b[from:], `},`) + 2
			f.file.blocks[4] = b[:from] + b[to:]
		}},
		{"a member twice", CheckData, 2, func(f *forge) {
			f.file.blocks[4] = strings.Replace(f.file.blocks[4], `{"seq":2,`, `{"seq":3,"seq":2,`, 1)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := take(t, good)
			test.forge(f)
			_, err := Check(f.report(), "")
			if test.check == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			found := AsFault(err)
			if found == nil || found.Check != test.check || found.Seq != test.seq {
				t.Errorf("%v of entry %v (%+v), want %s of entry %d", err, found, found, test.check, test.seq)
			}
		})
	}

	for name, change := range map[string][2]string{
		"another style":              {"<title>", `<link rel="stylesheet" href="data:text/css,tr{}"><title>`},
		"no policy":                  {"default-src 'none'; ", ""},
		"attributes of the body":     {"<body>", `<body style="color:red" hidden="">`},
		"attributes of the document": {`lang="en"`, `lang="en" dir="rtl"`},
		"a tree that hides the page": {"<body>", "<body>" + shadow},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Check(bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1), "")
			if found := AsFault(err); found == nil || found.Check != CheckPage {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("a log of the forger's own", func(t *testing.T) {
		mine := newLog(t)
		mine.signers[0] = l.signers[1]
		mine.log.FirstKey = mine.signers[0].VerifierKey()
		mine.add(redemption(0, "forged.pdf"))
		forged := mine.report(nil, mine.entries...)
		if _, err := Check(forged, l.log.FirstKey); AsFault(err) == nil || AsFault(err).Check != CheckKey {
			t.Errorf("with the key of the log: %v", err)
		}
		c, err := Check(forged, "")
		if err != nil || c.Key != mine.log.FirstKey {
			t.Errorf("without it, the report shows the key of the forger: %v", err)
		}
	})
	t.Run("any key of the log will do", func(t *testing.T) {
		for _, key := range []string{l.log.FirstKey, l.signers[1].VerifierKey(), ""} {
			if c, err := Check(good, key); err != nil || c.Key != l.signers[1].VerifierKey() {
				t.Errorf("%s: %v", key, err)
			}
		}
	})
}
