package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// Optional is a member of a change: its zero value is left out and changes
// nothing, Null takes the value away, Some sets it.
type Optional[T any] struct {
	set   bool
	value *T
}

// Some is a member that sets v.
func Some[T any](v T) Optional[T] { return Optional[T]{set: true, value: &v} }

// Null is a member that is null.
func Null[T any]() Optional[T] { return Optional[T]{set: true} }

// Get gives the value, nil for null, and whether the member was there at all.
func (o Optional[T]) Get() (value *T, set bool) { return o.value, o.set }

// IsZero reports whether the member is left out.
func (o Optional[T]) IsZero() bool { return !o.set }

// MarshalJSON writes the value or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.value) }

// UnmarshalJSON reads a value or null.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.set, o.value = true, nil
	return json.Unmarshal(data, &o.value)
}

// Lifetime is a number of seconds, on the wire an integer, or Endless, on the
// wire "none".
type Lifetime int64

// Endless is the lifetime of what need not end.
const Endless Lifetime = -1 << 63

// EndlessName is Endless on the wire.
const EndlessName = "none"

// ParseLifetime reads the text of an integer, or EndlessName without quotes.
func ParseLifetime(text string) (Lifetime, bool) {
	if text == EndlessName {
		return Endless, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if Lifetime(n) == Endless {
		n++
	}
	return Lifetime(n), err == nil
}

// Duration gives the lifetime, and whether it ends at all. What no duration
// holds becomes the longest or the shortest there is.
func (l Lifetime) Duration() (d time.Duration, ends bool) {
	const most = Lifetime(1<<63-1) / Lifetime(time.Second)
	return time.Duration(max(-most, min(most, l))) * time.Second, l != Endless
}

// MarshalJSON writes an integer or "none".
func (l Lifetime) MarshalJSON() ([]byte, error) {
	if l == Endless {
		return []byte(strconv.Quote(EndlessName)), nil
	}
	return strconv.AppendInt(nil, int64(l), 10), nil
}

// UnmarshalJSON reads an integer or "none".
func (l *Lifetime) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	parsed, ok := ParseLifetime(string(data))
	if string(data) == strconv.Quote(EndlessName) {
		parsed, ok = Endless, true
	}
	if !ok {
		return &json.UnmarshalTypeError{Value: "value", Type: reflect.TypeFor[Lifetime]()}
	}
	*l = parsed
	return nil
}
