package report

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
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
		for range 60 {
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
