package sqldb

import (
	"errors"
	"fmt"
	"time"

	"sluice"
)

// Micros is how a time is stored: microseconds, NULL for the zero time.
func Micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// Time reads what Micros wrote.
type Time time.Time

// Scan implements sql.Scanner.
func (t *Time) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*t = Time{}
	case int64:
		*t = Time(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("a time is stored as an integer, not as %T", v)
	}
	return nil
}

// Integer reads an integer into any type made of an int64.
type Integer int64

// Scan implements sql.Scanner.
func (i *Integer) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want an integer, have %T", v)
	}
	*i = Integer(n)
	return nil
}

// Digest reads a digest.
type Digest sluice.Digest

// Scan implements sql.Scanner.
func (d *Digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d) {
		return errors.New("a digest is stored as 32 bytes")
	}
	copy(d[:], b)
	return nil
}
