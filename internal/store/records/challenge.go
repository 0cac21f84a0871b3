package records

import (
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Challenge implements service.Reader.
func (r *Reader) Challenge(l sluice.LedgerID, link, id string) (c service.Challenge, err error) {
	ledger, err := r.LedgerNumber(l)
	if err == nil {
		c.LinkID, c.ID = link, id
		err = r.OneUnbuffered([]any{(*sqldb.Digest)(&c.Address), (*sqldb.Digest)(&c.Network), &c.Entry, &c.Tries,
			(*sqldb.Time)(&c.Created)},
			"SELECT address, network, entry, tries, created FROM challenge WHERE ledger = $1 AND link_id = $2 AND id = $3",
			ledger, link, id)
	}
	return c, err
}

// The counts of the challenges of a link, of a network, and of all that were sent. A count stops at a bound.
const (
	linkChallenges = "SELECT count(*) FILTER (WHERE address = $3 AND created BETWEEN $4 AND $5)," +
		" count(*) FILTER (WHERE sent = 1), count(*) FILTER (WHERE sent = 0)" +
		" FROM challenge WHERE ledger = $1 AND link_id = $2 AND created BETWEEN $6 AND $7"
	networkChallenges = "SELECT count(*) FROM (SELECT 1 FROM challenge WHERE network = $1 AND created BETWEEN $2 AND $3" +
		" LIMIT $4) AS c"
	sentChallenges = "SELECT count(*) FROM (SELECT 1 FROM challenge WHERE created BETWEEN $1 AND $2 AND sent = 1" +
		" LIMIT $3) AS c"
)

// ChallengeCounts implements service.Reader.
func (r *Reader) ChallengeCounts(
	l sluice.LedgerID, link string, address, network sluice.Digest, now time.Time,
) (n service.ChallengeCounts, err error) {
	ledger, err := r.LedgerNumber(l)
	if err != nil {
		return n, err
	}
	around := func(window time.Duration) (from, to any) {
		return sqldb.Micros(now.Add(-window)), sqldb.Micros(now.Add(window))
	}
	from, to := around(service.AddressWindow)
	since, until := around(service.LinkWindow)
	err = r.OneUnbuffered([]any{&n.Address, &n.Sent, &n.Unsent}, linkChallenges,
		ledger, link, address[:], from, to, since, until)
	if err != nil {
		return n, err
	}
	from, to = around(service.NetworkWindow)
	err = r.OneUnbuffered([]any{&n.Network}, networkChallenges, network[:], from, to, service.MaxCodesOfNetwork)
	if err != nil {
		return n, err
	}
	err = r.OneUnbuffered([]any{&n.All}, sentChallenges, from, to, service.MaxCodes)
	return n, err
}

// SetChallenge implements service.Tx.
func (t *Tx) SetChallenge(c service.Challenge) error {
	sent := 0
	if c.Entry != "" {
		sent = 1
	}
	_, err := t.log.Exec("INSERT INTO challenge (ledger, link_id, id, address, network, entry, sent, tries, created)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"+
		" ON CONFLICT (ledger, link_id, id) DO UPDATE SET tries = excluded.tries",
		t.log.LedgerHead().ID, c.LinkID, c.ID, c.Address[:], c.Network[:], c.Entry, sent, c.Tries,
		sqldb.Micros(c.Created))
	return err
}

// DropUnsentChallenge implements service.Tx.
func (t *Tx) DropUnsentChallenge(link string) error {
	_, err := t.log.Exec("DELETE FROM challenge WHERE ledger = $1 AND link_id = $2 AND id ="+
		" (SELECT id FROM challenge WHERE ledger = $1 AND link_id = $2 AND sent = 0 ORDER BY created, id LIMIT 1)",
		t.log.LedgerHead().ID, link)
	return err
}

// EndChallenges implements service.Tx.
func (t *Tx) EndChallenges(link string, address sluice.Digest) error {
	_, err := t.log.Exec("UPDATE challenge SET tries = $4 WHERE ledger = $1 AND link_id = $2 AND address = $3",
		t.log.LedgerHead().ID, link, address[:], service.TriesEnded)
	return err
}

// DeleteChallenges deletes challenges from before a time.
var DeleteChallenges = deleteBefore("DELETE FROM challenge WHERE (ledger, link_id, id) IN" +
	" (SELECT ledger, link_id, id FROM challenge WHERE created < $1 ORDER BY created LIMIT $2)")
