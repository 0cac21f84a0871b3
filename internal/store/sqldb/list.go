package sqldb

import (
	"math"
	"slices"
	"time"

	"sluice"
)

// Interval is the integers from From up to To, without To.
type Interval struct{ From, To int64 }

// Everything is the interval of all integers that a column may hold.
var Everything = Interval{math.MinInt64, math.MaxInt64}

// Times gives the microseconds of a range of times.
func Times(r sluice.TimeRange) Interval {
	i := Everything
	if r.GTE != nil {
		i.From = max(i.From, Ceil(*r.GTE))
	}
	if r.GT != nil {
		i.From = max(i.From, r.GT.UnixMicro()+1)
	}
	if r.LT != nil {
		i.To = min(i.To, Ceil(*r.LT))
	}
	if r.LTE != nil {
		i.To = min(i.To, r.LTE.UnixMicro()+1)
	}
	return i
}

// Integers gives the integers of a range.
func Integers(r sluice.Range[int64]) Interval {
	i := Everything
	if r.GTE != nil {
		i.From = max(i.From, *r.GTE)
	}
	if r.GT != nil {
		i.From = max(i.From, above(*r.GT))
	}
	if r.LT != nil {
		i.To = min(i.To, *r.LT)
	}
	if r.LTE != nil {
		i.To = min(i.To, above(*r.LTE))
	}
	return i
}

// above is the next integer, or the same where there is no next one.
func above(n int64) int64 { return max(n, n+1) }

// Ceil is the first whole microsecond that is not before t.
func Ceil(t time.Time) int64 {
	return t.Add(time.Microsecond - 1).UnixMicro()
}

// CheckPage refuses a page with a limit out of range or with two cursors.
func CheckPage(p sluice.Page) error {
	var v sluice.Invalid
	if p.Limit < 1 || p.Limit > sluice.MaxPageSize {
		v.Add("limit", "out_of_range", "limit is 1 to %d", sluice.MaxPageSize)
	}
	if p.After != "" && p.Before != "" {
		v.Add("ending_before", "invalid", "starting_after and ending_before exclude each other")
	}
	return v.Err()
}

// Cursor gives the parameter and the id of a page's cursor, an empty id for none.
func Cursor(p sluice.Page) (param, id string) {
	if p.Before != "" {
		return "ending_before", p.Before
	}
	return "starting_after", p.After
}

// NoCursor is the error of a cursor that is in no list.
func NoCursor(param string) error {
	var v sluice.Invalid
	v.Add(param, "invalid", "%s names no object of this list", param)
	return v.Err()
}

// PageOf makes a page of the rows after its cursor: as many as it holds, and one more when the list goes on.
func PageOf[T any](rows []T, p sluice.Page) sluice.List[T] {
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	if p.Up() {
		slices.Reverse(rows)
	}
	return sluice.List[T]{Data: rows, More: more}
}
