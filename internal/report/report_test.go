package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice"
	"sluice/internal/sentence"
	"sluice/ledger"
)

var update = flag.Bool("update", false, "write the report in testdata anew")

// TestOldReports checks reports of every wording that Sluice had. The newest is what this version writes.
//
// If it fails because words have changed, and the wording was released, raise Wording. Then write its report:
//
//	go test ./internal/report -run TestOldReports -update
func TestOldReports(t *testing.T) {
	l := newLog(t).story()
	newest := filepath.Join("testdata", "wording-"+number(Wording)+".html")
	if *update {
		filter := map[string]string{"recipient": "ann@bank.example", "created[gte]": "2026-11-01T00:00:00Z"}
		data := l.report(filter, l.entries...)
		if err := os.WriteFile(newest, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob("testdata/wording-*.html")
	if err != nil || len(names) != Wording {
		t.Fatalf("%v, %v: want one report of each wording", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Check(data, l.log.FirstKey)
		if err != nil {
			t.Fatalf("%s: %v: see the comment of this test", name, err)
		}
		if c.Worded != (name == newest) || c.Entries != 9 || c.Made.Report.Filter["recipient"] != "ann@bank.example" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// mainOf returns the fixed parts of a report.
func mainOf(t *testing.T, data []byte) string {
	t.Helper()
	f, err := split(string(data))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(f.fixed, "")
}

func TestSummary(t *testing.T) {
	l := newLog(t).story()
	text := mainOf(t, l.report(nil, l.entries...))
	for _, want := range []string{
		"This report has 9 entries of the log, from 2026-11-21 19:00:00 UTC to 2026-11-21 19:08:00 UTC.",
		"Files were opened 3 times through links, first on 2026-11-21 19:02:00 UTC and last on 2026-11-21 19:06:00 UTC.",
		"2 of 3 openings were by people who had proved their e-mail address: ann@bank.example (2).",
		"Downloads: 1 complete, 1 ended early, 1 without a record of the end.",
		"1 download failed in the server and did not count.",
		"1 request was refused, and 3 repetitions were counted without an entry of its own.",
		"In 1 entry, personal values are missing, because they were erased.",
		"The entries have the numbers 0 to 8 of the log, and none of them is missing.",
	} {
		if !strings.Contains(text, "<li>"+want+"</li>") {
			t.Errorf("the summary does not say %q:\n%s", want, text[:2000])
		}
	}
	text = mainOf(t, l.report(nil, l.some(1, 2, 5)...))
	for _, want := range []string{
		"Files were opened 1 time through links, on 2026-11-21 19:02:00 UTC.",
		"The entries have numbers from 1 to 5 of the log. 2 entries between them are not in this report, because they do " +
			"not match what was asked for: 3–4.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q:\n%s", want, text[:2000])
		}
	}
	if text := mainOf(t, l.report(nil, l.some(1)...)); !strings.Contains(text, "No file was opened through a link.") ||
		!strings.Contains(text, "Nothing was refused.") || !strings.Contains(text, "The entry has the number 1.") {
		t.Error(text[:2000])
	}
	empty := l.report(nil)
	if text := mainOf(t, empty); !strings.Contains(text, "No entry of the log matches what was asked for.") {
		t.Error(text[:2000])
	}
	if _, err := Check(empty, ""); err != nil {
		t.Error(err)
	}
}

// Names do not become tags, hide or turn around what follows them.
func TestHostileNames(t *testing.T) {
	l := newLog(t).story()
	data := l.report(map[string]string{"recipient": hostile}, l.entries...)
	if _, err := Check(data, ""); err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, tag := range []string{"<script", "</script", "<!--", "<img"} {
		want := map[string]int{"<script": len(l.entries) + 2, "</script": len(l.entries) + 2}[tag]
		if got := strings.Count(text, tag); got != want {
			t.Errorf("%d times %q, want %d", got, tag, want)
		}
	}
	shown, _, _ := strings.Cut(mainOf(t, data), "<h2>What this report proves")
	for _, r := range shown {
		if isHidden(r) && r != '\n' {
			t.Errorf("the report shows %U", r)
		}
	}
	if !strings.Contains(shown, "[U+202E]fdp.exe") {
		t.Error("the override of the direction is not named")
	}
}

// The page, the server and the sentences name the same characters.
func TestHiddenCharacters(t *testing.T) {
	_, list, _ := strings.Cut(script, "new RegExp('")
	list, _, _ = strings.Cut(list, "', 'gu')")
	list = strings.NewReplacer(`' +`, "", "'", "", " ", "", "\n", "", `\\`, `\`).Replace(list)
	list = regexp.MustCompile(`\\u\{?([0-9a-f]+)\}?`).ReplaceAllString(list, `\x{$1}`)
	page := regexp.MustCompile(strings.Replace(list, `\0`, `\x00`, 1))
	for r := rune(0); r <= unicode.MaxRune; r++ {
		here := isHidden(r)
		if there := page.MatchString(string(r)); there != here {
			t.Errorf("%U: hidden on the page: %v, in the server: %v", r, there, here)
		}
		if !utf8.ValidRune(r) || r == unicode.ReplacementChar {
			continue
		}
		if named := sentence.Visible(string(r)) != string(r); named != here {
			t.Errorf("%U: hidden in sentences: %v, in the report: %v", r, named, here)
		}
	}
}

// An entry of an older version of Sluice names the request of its download.
func TestReportOfOldLog(t *testing.T) {
	l := newLog(t)
	old := redemption(0, "a.pdf")
	old.Recipient, old.Request.ClientIP = nil, ""
	l.add(old)
	delivered := redemption(0, "a.pdf")
	delivered.Action, delivered.Recipient = sluice.LinkDelivered, nil
	delivered.Delivery = &sluice.DeliveryPart{Mode: sluice.DeliveredByProxy, Status: 200,
		Sent: &sluice.Sent{Bytes: 7, Complete: true, Duration: time.Second}}
	l.add(delivered)
	data := l.report(nil, l.entries...)
	if _, err := Check(data, ""); err != nil {
		t.Fatal(err)
	}
	if text := mainOf(t, data); !strings.Contains(text, "Downloads: 1 complete, 0 ended early") {
		t.Error(text)
	}
}

// A value that was altered in the database opens no commitment. The report leaves it out and stays valid.
func TestAlteredValueIsLeftOut(t *testing.T) {
	l := newLog(t)
	l.add(redemption(0, "a.pdf"))
	l.entries[0].Disclosures = bytes.Replace(l.entries[0].Disclosures, []byte("203.0.113.7"), []byte("203.0.113.8"), 1)
	data := l.report(nil, l.entries...)
	c, err := Check(data, "")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte("203.0.113.8")) || c.Disclosures() != 6 {
		t.Errorf("%d disclosures", c.Disclosures())
	}
}

// A cosignature could not be checked with the report alone, so a changed letter of it would not be found.
func TestCosignaturesAreLeftOut(t *testing.T) {
	l := newLog(t)
	l.add(redemption(0, "a.pdf"))
	signed := l.sign(l.signers[0])
	if got := ownSignatures(signed + "— witness.example AAAAAAA=\n"); got != signed {
		t.Errorf("%q", got)
	}
}

func TestNotReports(t *testing.T) {
	good := newLog(t).story()
	data := good.report(nil, good.entries...)
	for name, data := range map[string][]byte{
		"nothing": nil, "a part": data[:len(data)/2], "half": data[len(data)/2:], "a page": []byte("<!DOCTYPE html>\n<html>"),
	} {
		if _, err := Check(data, ""); AsFault(err) == nil || AsFault(err).Check != CheckPage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Check(append(bytes.Clone(data), data...), ""); err == nil {
		t.Error("a report twice is a report")
	}
	if !IsReport(data[:128]) || IsReport([]byte("c2sp.org/tlog-proof@v1\n")) {
		t.Error("IsReport is wrong")
	}
}

// The proofs of a report are those of package ledger.
func TestProofs(t *testing.T) {
	l := newLog(t).story()
	c, err := Check(l.report(nil, l.some(2, 5)...), "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ledger.NewVerifier(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []int64
	err = c.Proofs(func(seq int64, leaf, proof []byte) error {
		seqs = append(seqs, seq)
		got, head, err := keys.Inclusion(proof, leaf)
		if got != seq || head != c.Head {
			t.Errorf("entry %d: proof of %d in %+v", seq, got, head)
		}
		return err
	})
	if err != nil || len(seqs) != 3 || seqs[2] != c.Made.Seq {
		t.Errorf("%v, %v", seqs, err)
	}
}
