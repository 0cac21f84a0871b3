package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"sluice/internal/report"
	"sluice/ledger"
)

type auditReport struct {
	serverFlags
	entryFlags
	Output string `help:"Write to this file. - is standard output." short:"o" required:"" placeholder:"FILE"`
}

func (a *auditReport) Run(ctx context.Context, out *output) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	filter, err := a.filter(time.Now())
	if err != nil {
		return err
	}
	body, err := c.Report(ctx, filter)
	if err != nil {
		return err
	}
	defer body.Close()
	if a.Output == "-" {
		_, err := io.Copy(out.stdout, body)
		return err
	}
	return streamFile(a.Output, body)
}

// provenReport is a report that was verified, in the form that --json prints.
type provenReport struct {
	ID      string            `json:"id"`  // of the entry that records it
	Seq     int64             `json:"seq"` // of that entry
	Time    time.Time         `json:"time"`
	Entries int64             `json:"entries"`
	Filter  map[string]string `json:"filter,omitempty"`
	// Worded says that the texts were written anew from the entries and compared. It is false for a report of a version
	// that words them differently: then they are what its server recorded.
	Worded bool `json:"worded"`
}

// isReport reports whether a file is a report. A file that cannot be read is none.
func isReport(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 128)
	n, _ := io.ReadFull(f, start)
	return report.IsReport(start[:n])
}

func (a *auditVerify) verifyReport(given string) (v verified, err error) {
	if a.Since != "" || len(a.Anchor) > 0 || len(a.Witness) > 0 {
		return v, usageError{errors.New("--since, --anchor and --witness apply to a whole log, not to a report")}
	}
	f, err := os.Open(a.Where)
	if err != nil {
		return v, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, report.MaxSize+1))
	if err != nil {
		return v, err
	}
	c, err := report.Check(data, given)
	if found := report.AsFault(err); found != nil {
		return v, &ledger.Fault{
			Kind: ledger.FaultKind(found.Check), Path: a.Where, Seq: found.Seq, Last: found.Seq, Err: found.Err,
		}
	}
	if err != nil {
		return v, err
	}
	v.Origin, v.Size, v.Root, v.VKey, v.OwnKey = c.Head.Origin, c.Head.Size, c.Head.Root.String(), c.Key, given == ""
	v.Disclosures = c.Disclosures()
	v.Report = &provenReport{
		ID: c.Made.ID, Seq: c.Made.Seq, Time: c.Made.Time, Entries: c.Entries, Filter: c.Made.Report.Filter, Worded: c.Worded,
	}
	if a.Proofs != "" {
		err = writeProofs(a.Proofs, c)
	}
	return v, err
}

// writeProofs writes what other programs need to check a report: the key, the checkpoint, and of each entry the leaf
// and the C2SP tlog-proof.
func writeProofs(dir string, c *report.Checked) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files := map[string][]byte{keyName: []byte(c.Key + "\n"), checkpointName: []byte(c.Log.Checkpoint)}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return c.Proofs(func(seq int64, leaf, proof []byte) error {
		name := filepath.Join(dir, strconv.FormatInt(seq, 10))
		return errors.Join(os.WriteFile(name+".leaf", leaf, 0o600), os.WriteFile(name+".tlog-proof", proof, 0o600))
	})
}

// printReport prints what a report proves.
func (v *verified) printReport(w *lines, where string) {
	r := v.Report
	w.add("%s: the log recorded this report, and has its %s; %s", where,
		counted(r.Entries, "1 entry", "%d entries"), counted(v.Disclosures, "1 disclosure opens", "%d disclosures open"))
	w.add("report      entry %d of the log, %s, %s", r.Seq, r.ID, r.Time.UTC().Format(time.RFC3339))
	if !r.Worded {
		w.add("wording     of another version of Sluice: the texts are those that its server recorded, but they were " +
			"not compared with the entries")
	}
}
