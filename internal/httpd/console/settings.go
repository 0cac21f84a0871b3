package console

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"sluice"
	"sluice/internal/service"
)

func (s *site) mountSettings() {
	s.page("GET /purposes", anyone, (*visit).listPurposes)
	s.page("GET /brand", anyone, (*visit).showBrand)
	s.page("GET /ledger", sluice.AuditRead, (*visit).showLedger)
}

func (v *visit) listPurposes() error { return v.render("purposes", v.svc.Purposes()) }

func (v *visit) showBrand() error { return v.render("brand", nil) }

// ledgerPage is the page of the key of a log.
type ledgerPage struct {
	Key         string // verifier key, in the form of C2SP signed-note
	Origin      string // the name of the log
	Fingerprint string // SHA-256 of the public key, in groups of four, to be read aloud
	Rotations   []service.Rotation
	Log         *logState
	Note        string // the newest checkpoint
}

func (v *visit) showLedger() error {
	key, rotations, err := v.svc.Ledgers.Key(v.r.Context(), v.caller)
	if err != nil {
		return err
	}
	newest, err := v.svc.Entries.List(v.r.Context(), v.caller, service.EntryFilter{}, sluice.Page{Limit: 1})
	if err != nil {
		return err
	}
	size := int64(0)
	if len(newest.Data) > 0 {
		size = newest.Data[0].Seq + 1
	}
	state, err := v.logState(size)
	if err != nil {
		return err
	}
	p := ledgerPage{Key: key, Rotations: rotations, Log: state, Note: string(state.Checkpoint.Note)}
	p.Origin, _, _ = strings.Cut(key, "+")
	p.Fingerprint = fingerprint(key)
	return v.render("ledger", p)
}

// fingerprint is the SHA-256 digest of the public key in a verifier key, which is NAME+HASH+BASE64 (C2SP signed-note).
func fingerprint(vkey string) string {
	_, rest, _ := strings.Cut(vkey, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(public) < 2 {
		return ""
	}
	sum := sha256.Sum256(public[1:]) // without the byte of the algorithm
	var groups []string
	for text := hex.EncodeToString(sum[:]); text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, " ")
}

// joined lists texts for a sentence.
func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

// ofSession is the filter of what the person or key of a session did.
func ofSession(s sluice.Session) service.EntryFilter {
	if s.KeyID != "" {
		return service.EntryFilter{KeyID: s.KeyID}
	}
	return service.EntryFilter{PersonID: s.Person.Subject}
}
