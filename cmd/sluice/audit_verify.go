package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"sluice/client"
	"sluice/internal/follow/anchor"
	"sluice/internal/maintain/replay"
	"sluice/ledger"
)

type auditVerify struct {
	Where   string   `arg:"" name:"dir|url|file" help:"Exported folder, URL of a server, a report, or file with the proof of an entry."`
	VKey    string   `help:"The log's verifier key, or a file that holds it. Get it from the operator once and keep it. The newest key or any earlier one." name:"vkey" placeholder:"KEY|FILE"`
	Since   string   `help:"File with an older checkpoint that the log must extend." placeholder:"FILE"`
	Anchor  []string `help:"File written by a server with --anchor file:. The log must extend every checkpoint in it. May be repeated." placeholder:"FILE"`
	Witness []string `help:"Verifier key of a C2SP witness that must have cosigned the checkpoint. May be repeated." placeholder:"VKEY"`
	Proofs  string   `help:"With a report: write the key, the checkpoint, and the leaf and proof of each entry to this folder, for other programs." placeholder:"DIR"`
	Key     string   `help:"API key, if a URL is given." placeholder:"SECRET"`
	JSON    bool     `help:"Print JSON." name:"json"`
}

// verified is the result of a verification, in the form that --json prints.
type verified struct {
	OK          bool          `json:"ok"`
	Origin      string        `json:"origin,omitempty"`
	Size        int64         `json:"size"`
	Root        string        `json:"root,omitempty"`
	Disclosures int64         `json:"disclosures"`
	VKey        string        `json:"vkey,omitempty"`
	OwnKey      bool          `json:"own_key"` // whether the key came with the log
	Older       []olderJSON   `json:"older,omitempty"`
	Witnesses   []cosigned    `json:"witnesses,omitempty"`
	Entry       *provenEntry  `json:"entry,omitempty"`
	Report      *provenReport `json:"report,omitempty"`
	// Findings are the first entries that contradict the rules of the log. Found is the number of all of them.
	Findings []replay.Finding `json:"findings,omitempty"`
	Found    int64            `json:"found,omitempty"`
	Fault    *faultJSON       `json:"fault,omitempty"`
}

// olderJSON describes a file of older checkpoints that the log extends.
type olderJSON struct {
	File        string `json:"file"`
	Checkpoints int    `json:"checkpoints"` // of this log
	Newest      int64  `json:"newest"`      // size of the newest one
	Others      int    `json:"others"`      // checkpoints of other logs
	Broken      int    `json:"broken"`      // texts that are not checkpoints
}

type cosigned struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

type provenEntry struct {
	Seq int64 `json:"seq"`
	leaf
}

type faultJSON struct {
	Kind   string `json:"kind"`
	Path   string `json:"path"`
	Seq    int64  `json:"seq"`
	Last   int64  `json:"last"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// Kinds of faults that an export can have and a log cannot.
const (
	faultKey       ledger.FaultKind = "key"
	faultRotations ledger.FaultKind = "rotations"
	faultWitness   ledger.FaultKind = "witness"
)

// faultOf returns a fault that concerns a whole file.
func faultOf(kind ledger.FaultKind, path string, err error) error {
	return &ledger.Fault{Kind: kind, Path: path, Seq: -1, Last: -1, Err: err}
}

func (a *auditVerify) Run(ctx context.Context, out *output) error {
	v, err := a.verify(ctx)
	var fault *ledger.Fault
	if errors.As(err, &fault) {
		if a.JSON {
			v = verified{Fault: &faultJSON{string(fault.Kind), fault.Path, fault.Seq, fault.Last, fault.Field,
				fault.Err.Error()}}
			err = errors.Join(err, printJSON(out.stdout, v))
		}
		return fmt.Errorf("%s is not valid: %s fault: %w", a.Where, fault.Kind, err)
	}
	if err != nil {
		return err
	}
	v.OK = v.Found == 0
	if a.JSON {
		err = printJSON(out.stdout, v)
	} else {
		err = v.print(out, a.Where)
	}
	if err == nil && !v.OK {
		err = fmt.Errorf("%s is what was signed, and %s the rules of the log", a.Where,
			counted(v.Found, "1 finding contradicts", "%d findings contradict"))
	}
	return err
}

func (a *auditVerify) verify(ctx context.Context) (v verified, err error) {
	given, err := a.givenKey()
	if err != nil {
		return v, err
	}
	isReport := isReport(a.Where)
	if a.Proofs != "" && !isReport {
		return v, usageError{errors.New("--proofs applies to a report")}
	}
	if isReport {
		return a.verifyReport(given)
	}
	if strings.HasPrefix(a.Where, "http://") || strings.HasPrefix(a.Where, "https://") {
		return a.verifyServer(ctx, given)
	}
	info, err := os.Stat(a.Where)
	switch {
	case err != nil:
		return v, err
	case info.Mode().IsRegular():
		return a.verifyProof(given)
	}
	return a.verifyFolder(ctx, given)
}

// givenKey returns the key that --vkey gives, or "".
func (a *auditVerify) givenKey() (string, error) {
	if a.VKey == "" {
		return "", nil
	}
	if _, err := ledger.NewVerifier(a.VKey); err == nil {
		return a.VKey, nil
	}
	data, err := os.ReadFile(a.VKey)
	if err != nil {
		return "", usageError{fmt.Errorf("--vkey: %q is neither a verifier key nor a readable file", a.VKey)}
	}
	vkey := strings.TrimSpace(string(data))
	if _, err := ledger.NewVerifier(vkey); err != nil {
		return "", usageError{fmt.Errorf("--vkey: %s: %w", a.VKey, err)}
	}
	return vkey, nil
}

func (a *auditVerify) verifyFolder(ctx context.Context, given string) (v verified, err error) {
	f, err := openLogFolder(a.Where)
	if err != nil {
		return v, err
	}
	defer f.root.Close()
	if !f.holdsExport() {
		return v, usageError{fmt.Errorf("%s is not an exported log: it has no checkpoint, key or tile; "+
			"create one with sluice audit export", a.Where)}
	}
	return a.verifyExport(ctx, f, given)
}

// verifyExport verifies an exported log with the given key, or with its own if
// given is "".
func (a *auditVerify) verifyExport(ctx context.Context, f *logFolder, given string) (v verified, err error) {
	own, err := f.key()
	if err != nil {
		return v, faultOf(faultKey, keyName, err)
	}
	rotations, err := f.rotations()
	if err != nil {
		return v, faultOf(faultRotations, rotationsName, err)
	}
	return a.verifyLog(ctx, f, given, own, rotations)
}

func (a *auditVerify) verifyServer(ctx context.Context, given string) (v verified, err error) {
	c, err := client.New(a.Where, a.Key)
	if err != nil {
		return v, err
	}
	if a.Key == "" {
		return v, usageError{errors.New("no API key for the server: set SLUICE_KEY or give --key")}
	}
	// Read the checkpoint first, so that the rotations cover it.
	log := c.Log()
	signed, err := log.Checkpoint(ctx)
	if err != nil {
		return v, err
	}
	own, err := c.LedgerKey(ctx)
	if err != nil {
		return v, err
	}
	list, err := c.Rotations(ctx)
	if err != nil {
		return v, err
	}
	var rotations [][]byte
	for _, r := range list {
		rotations = append(rotations, []byte(r.Proof))
	}
	return a.verifyLog(ctx, fixedLog{log, signed}, given, own, rotations)
}

// fixedLog is a log whose checkpoint was already read.
type fixedLog struct {
	ledger.Source
	signed []byte
}

func (f fixedLog) Checkpoint(context.Context) ([]byte, error) { return f.signed, nil }

// verifyLog verifies a log with the given key, or with its own if given is "".
// Its own key must be one of the log's keys in either case.
func (a *auditVerify) verifyLog(
	ctx context.Context, src ledger.Source, given, own string, rotations [][]byte,
) (v verified, err error) {
	signed, err := src.Checkpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = faultOf(ledger.FaultCheckpoint, checkpointName, err)
	}
	if err != nil {
		return v, err
	}
	claim, err := claimed(signed)
	if err != nil {
		return v, faultOf(ledger.FaultCheckpoint, checkpointName, err)
	}
	ownKeys, err := verifierOf(own, rotations, claim.Size)
	if err != nil {
		return v, faultOf(faultRotations, rotationsName, err)
	}
	keys := ownKeys
	if given != "" {
		if keys, err = verifierOf(given, rotations, claim.Size); err != nil {
			return v, faultOf(faultRotations, rotationsName, err)
		}
	}
	var older []ledger.Checkpoint
	if v.Older, older, err = a.older(keys); err != nil {
		return v, err
	}
	if c, err := keys.Open(signed); err == nil {
		if err := checkLength(c, v.Older); err != nil {
			return v, err
		}
	}
	// What the replay remembers lives to the end, and holds no pointers: to collect garbage often costs little, and
	// saves a heap of twice its size.
	defer debug.SetGCPercent(debug.SetGCPercent(15))
	rules := replay.New()
	report, err := ledger.VerifyEntries(ctx, fixedLog{src, signed}, keys, func(_ int64, leaf []byte) error {
		return rules.Add(leaf)
	}, older...)
	if err != nil {
		return v, err
	}
	if _, err := ownKeys.Open(signed); err != nil {
		return v, faultOf(faultKey, keyName, fmt.Errorf("the key that came with the log does not match the given key: %w",
			err))
	}
	v.Origin, v.Size, v.Root = report.Checkpoint.Origin, report.Checkpoint.Size, report.Checkpoint.Root.String()
	v.Disclosures, v.VKey, v.OwnKey = report.Disclosures, keys.Key(), given == ""
	v.Findings, v.Found = rules.Findings(), rules.Found()
	v.Witnesses, err = a.witnesses(signed)
	return v, err
}

// older reads the checkpoints that the log must extend.
func (a *auditVerify) older(keys *ledger.Verifier) (files []olderJSON, all []ledger.Checkpoint, err error) {
	names := a.Anchor
	if a.Since != "" {
		names = append([]string{a.Since}, names...)
	}
	for _, name := range names {
		f, found, err := openOlder(strings.TrimPrefix(name, "file:"), keys)
		if err != nil {
			return nil, nil, err
		}
		files, all = append(files, f), append(all, found...)
	}
	return files, all, nil
}

// openOlder reads a file of checkpoints. At least one must be of this log. A
// checkpoint in this log's name that the log's keys did not sign is a fault:
// either another key signs in its name, or the verifier lacks a rotation.
func openOlder(name string, keys *ledger.Verifier) (file olderJSON, found []ledger.Checkpoint, err error) {
	f, err := os.Open(name)
	if err != nil {
		return file, nil, err
	}
	defer f.Close()
	file.File = name
	for text, err := range anchor.Texts(f) {
		if err != nil {
			return file, nil, fmt.Errorf("%s: %w", name, err)
		}
		claim, err := claimed(text)
		switch {
		case err != nil:
			file.Broken++
			continue
		case claim.Origin != keys.Origin():
			file.Others++
			continue
		}
		c, err := keys.Open(text)
		if err != nil {
			return file, nil, faultOf(ledger.FaultHistory, name, fmt.Errorf("its checkpoint of %d entries: %w; "+
				"if the log's key was rotated, give --vkey an earlier key", claim.Size, err))
		}
		file.Checkpoints++
		file.Newest = max(file.Newest, c.Size)
		if n := len(found); n == 0 || found[n-1] != c {
			found = append(found, c)
		}
	}
	if file.Checkpoints == 0 {
		return file, nil, faultOf(ledger.FaultHistory, name, fmt.Errorf("it holds no checkpoint of %s", keys.Origin()))
	}
	return file, found, nil
}

// checkLength reports a fault if a file holds a checkpoint larger than the log.
// An outdated copy looks the same as a truncated log.
func checkLength(c ledger.Checkpoint, files []olderJSON) error {
	for _, f := range files {
		if f.Newest > c.Size {
			return &ledger.Fault{Kind: ledger.FaultHistory, Path: checkpointName, Seq: c.Size, Last: f.Newest - 1,
				Err: fmt.Errorf("the log has %d entries and had %d in %s: it was truncated, or this copy is older than that file; "+
					"export it again and verify that", c.Size, f.Newest, f.File)}
		}
	}
	return nil
}

func (a *auditVerify) witnesses(signed []byte) (all []cosigned, err error) {
	for _, text := range a.Witness {
		vkey, _, _ := strings.Cut(text, " ") // ignore the URL that serve's flag has
		w, err := ledger.NewWitness(vkey)
		if err != nil {
			return nil, usageError{fmt.Errorf("--witness: %w", err)}
		}
		at, err := w.Cosigned(signed)
		if err != nil {
			return nil, faultOf(faultWitness, checkpointName, err)
		}
		all = append(all, cosigned{w.Name(), at})
	}
	return all, nil
}

// verifyProof verifies a file that sluice audit proof wrote. It requires
// --vkey, because the file holds no key.
func (a *auditVerify) verifyProof(given string) (v verified, err error) {
	if given == "" {
		return v, usageError{errors.New("the proof of an entry is verified with the log's key: give --vkey")}
	}
	if a.Since != "" || len(a.Anchor) > 0 {
		return v, usageError{errors.New("--since and --anchor apply to a whole log, not to the proof of an entry")}
	}
	f, err := os.Open(a.Where)
	if err != nil {
		return v, err
	}
	defer f.Close()
	texts, err := allTexts(f)
	if err != nil || len(texts) != 1 {
		return v, faultOf(ledger.FaultEntry, a.Where, errors.Join(ledger.ErrProof, err))
	}
	keys, err := ledger.NewVerifier(given)
	if err != nil {
		return v, err
	}
	p, err := ledger.ParseProof(texts[0])
	if err == nil && len(p.Extra) == 0 {
		err = errors.New("the file does not hold the entry: write it with sluice audit proof")
	}
	if err != nil {
		return v, faultOf(ledger.FaultEntry, a.Where, err)
	}
	seq, c, err := keys.Inclusion(texts[0], p.Extra)
	if err != nil {
		return v, faultOf(ledger.FaultEntry, a.Where, err)
	}
	v.Entry = &provenEntry{seq, readLeaf(p.Extra)}
	v.Origin, v.Size, v.Root, v.VKey = c.Origin, c.Size, c.Root.String(), keys.Key()
	v.Witnesses, err = a.witnesses(p.Checkpoint)
	return v, err
}

// text describes a file of older checkpoints.
func (o olderJSON) text() string {
	newest := "the newest of "
	if o.Checkpoints == 1 {
		newest = "of "
	}
	text := "holds " + counted(o.Checkpoints, "1 older checkpoint", "%d older checkpoints") +
		" of " + o.File + ", " + newest + counted(o.Newest, "1 entry", "%d entries")
	if o.Others > 0 {
		text += "; " + counted(o.Others, "1 is of another log", "%d are of other logs")
	}
	if o.Broken > 0 {
		text += "; " + counted(o.Broken, "1 is incomplete", "%d are incomplete")
	}
	return text
}

// counted formats a number with the singular or the plural text.
func counted[N int | int64](n N, one, others string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(others, n)
}

// print prints what was verified, and what that does not prove.
func (v *verified) print(out *output, where string) error {
	w := &lines{w: out.stdout}
	if v.Report != nil {
		v.printReport(w, where)
	} else if v.Entry != nil {
		w.add("%s: entry %d of the log is %s, %s, %s", where, v.Entry.Seq, v.Entry.ID, v.Entry.Action, v.Entry.Time)
	} else {
		w.add("%s: %s the signed checkpoint, and %s", where,
			counted(v.Size, "1 entry matches", "all %d entries match"),
			counted(v.Disclosures, "1 disclosure opens", "%d disclosures open"))
	}
	w.add("log         %s", v.Origin)
	w.add("checkpoint  %s, root %s", counted(v.Size, "1 entry", "%d entries"), v.Root)
	w.add("key         %s", v.VKey)
	for _, o := range v.Older {
		w.add("history     %s", o.text())
	}
	for _, c := range v.Witnesses {
		w.add("witness     %s cosigned it at %s", c.Name, c.Time.Format(time.RFC3339))
	}
	if v.Entry != nil && w.err == nil {
		w.err = printJSON(w.w, v.Entry.Whole)
	} else if v.Report == nil {
		v.printFindings(w)
	}
	if v.OwnKey {
		w.add("No --vkey was given, so the key came with the log. This proves that the log is consistent, not whose it is.")
	}
	return w.err
}

// printFindings prints which entries contradict the rules of the log.
func (v *verified) printFindings(w *lines) {
	if v.Found == 0 {
		w.add("rules       no entry contradicts an earlier one")
		return
	}
	w.add("rules       %s", counted(v.Found, "1 finding", "%d findings"))
	for _, f := range v.Findings {
		w.add("%s", f)
	}
	if more := v.Found - int64(len(v.Findings)); more > 0 {
		w.add("and %s", counted(more, "1 more", "%d more"))
	}
}
