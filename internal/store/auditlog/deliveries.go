package auditlog

import (
	"bytes"
	"maps"
	"slices"

	"sluice"
	"sluice/internal/store/sqldb"
)

// A redemption and the end of its download are in two entries of the log. Reads show them as one: what the later entry
// says is joined to the earlier.

// deliveryJoin looks for the ends of downloads.
type deliveryJoin struct {
	*Reader
	ledger int64
	waits  map[int64]*sluice.Entry // redemptions whose download has no end yet, by seq
	// byRequest has them by the id of their request, by which an older entry of a delivery names its redemption.
	byRequest map[string]*sluice.Entry
}

// joinDeliveries joins to each redemption among some entries how its download ended, if it has. Where the index is
// distrusted, it reads the log from the first redemption on, as far as lists may, and asks the index only for what may
// be beyond.
func (r *Reader) joinDeliveries(l sluice.LedgerID, entries []sluice.Entry) error {
	j := deliveryJoin{Reader: r, waits: map[int64]*sluice.Entry{}, byRequest: map[string]*sluice.Entry{}}
	for i := range entries {
		j.await(&entries[i])
	}
	for i := range entries {
		j.take(&entries[i])
	}
	if len(j.waits) == 0 {
		return nil
	}
	var indexed int64
	err := r.One([]any{&j.ledger, &indexed}, "SELECT id, indexed FROM ledger WHERE account = $1 AND mode = $2",
		l.Account, string(l.Mode))
	if err != nil {
		return err
	}
	if _, distrusted := r.ledgers.distrusted.Load(l); distrusted {
		enough, err := r.scanUnindexed(j.ledger, j.rest(0), true, j.takeSealed)
		if err != nil || enough {
			return err
		}
	}
	return j.find(indexed)
}

// await adds an entry, if it is a redemption with a download.
func (j *deliveryJoin) await(e *sluice.Entry) {
	d := e.Delivery
	if e.Action != sluice.LinkRedeemed || d == nil || e.Request != nil && e.Request.Method == "HEAD" {
		return
	}
	switch d.Status {
	case 200, 206, 303:
		j.waits[e.Seq] = e
		if e.Request != nil && e.Request.ID != "" {
			j.byRequest[e.Request.ID] = e
		}
	}
}

// take joins what an entry says of downloads that are waited for.
func (j *deliveryJoin) take(e *sluice.Entry) {
	if e.Action != sluice.LinkDelivered {
		return
	}
	for _, d := range e.Deliveries {
		if redeemed := j.waits[d.Seq]; redeemed != nil {
			j.join(redeemed, e, d.Sent, d.Returned)
		}
	}
	if d := e.Delivery; d != nil && d.Sent != nil && e.Request != nil {
		if redeemed := j.byRequest[e.Request.ID]; redeemed != nil {
			j.join(redeemed, e, *d.Sent, d.Returned)
		}
	}
}

func (j *deliveryJoin) join(redeemed, e *sluice.Entry, sent sluice.Sent, returned bool) {
	d := redeemed.Delivery
	d.Sent, d.Returned, d.Entry = &sent, returned, e.ID
	delete(j.waits, redeemed.Seq)
	if redeemed.Request != nil {
		delete(j.byRequest, redeemed.Request.ID)
	}
}

// takeSealed does what take does, and reports whether more is waited for. A damaged entry says nothing: a verifier
// reports it.
func (j *deliveryJoin) takeSealed(s stored) (more bool) {
	if bytes.Contains(s.Leaf, []byte(`"action":"`+sluice.LinkDelivered+`"`)) {
		if e, err := s.Open(s.seq); err == nil {
			j.take(&e)
		}
	}
	return len(j.waits) > 0
}

// rest gives the part of the log at or after a seq where deliveries may be that are waited for.
func (j *deliveryJoin) rest(from int64) sqldb.Interval {
	oldest := slices.Min(slices.Collect(maps.Keys(j.waits)))
	return sqldb.Interval{From: max(from, oldest+1), To: sqldb.Everything.To}
}

// find finds deliveries in the index, and in the log after it.
func (j *deliveryJoin) find(indexed int64) error {
	for _, by := range []struct {
		field string
		value func(*sluice.Entry) string
	}{
		{redemption, func(e *sluice.Entry) string { return stretchOf(e.Seq) }},
		{request, func(e *sluice.Entry) string {
			if e.Request == nil {
				return ""
			}
			return indexedValue(request, e.Request.ID)
		}},
	} {
		places, err := j.places(indexed, by.field, by.value)
		if err == nil {
			err = j.readPlaces(places)
		}
		if err != nil || len(j.waits) == 0 {
			return err
		}
	}
	return j.scan(j.ledger, j.rest(indexed), true, j.takeSealed)
}

// places gives, for each redemption before the end of the index, the seqs that the index has under its value of a field
// and that come after it.
func (j *deliveryJoin) places(
	indexed int64, field string, value func(*sluice.Entry) string,
) (map[int64][]int64, error) {
	redeemed := map[string][]int64{}
	for seq, e := range j.waits {
		if v := value(e); v != "" && seq < indexed && sqldb.IsText(v) {
			redeemed[v] = append(redeemed[v], seq)
		}
	}
	places := map[int64][]int64{}
	if len(redeemed) == 0 {
		return places, nil
	}
	query, args := valuesQuery(j.ledger, field, slices.Collect(maps.Keys(redeemed)))
	rows, err := sqldb.Many(j.Session, (*posting).fieldsOfValue, query, args...)
	if err != nil {
		return nil, err
	}
	for _, p := range rows {
		seqs, err := p.unpack()
		if err != nil { // the check of the index reports it; the list has what can be found
			continue
		}
		for _, seq := range redeemed[p.value] {
			places[seq] = append(places[seq], seqs...)
		}
	}
	for seq, list := range places {
		slices.Sort(list)
		after, _ := slices.BinarySearch(list, seq+1)
		places[seq] = list[after:]
	}
	return places, nil
}

// readPlaces reads the entries at the places of each redemption, the first ones first. Most downloads end soon, so that
// few places are read; and each entry is read once.
func (j *deliveryJoin) readPlaces(places map[int64][]int64) error {
	read := map[int64]bool{}
	for n := 2; ; n *= 2 {
		var next []int64
		for seq := range j.waits {
			some := places[seq][:min(n, len(places[seq]))]
			places[seq] = places[seq][len(some):]
			next = append(next, some...)
		}
		if len(next) == 0 {
			return nil
		}
		next = slices.DeleteFunc(next, func(seq int64) bool { return read[seq] })
		slices.Sort(next)
		for some := range slices.Chunk(slices.Compact(next), batchesAtOnce) {
			if err := j.readEntries(some); err != nil {
				return err
			}
			for _, seq := range some {
				read[seq] = true
			}
		}
	}
}

// readEntries reads the entries at some seqs.
func (j *deliveryJoin) readEntries(seqs []int64) error {
	return j.batchesWith(j.ledger, seqs, func(_ *unpackedBatch, entries []stored) bool {
		for _, s := range entries {
			if _, wanted := slices.BinarySearch(seqs, s.seq); wanted && !j.takeSealed(s) {
				return false
			}
		}
		return true
	})
}
