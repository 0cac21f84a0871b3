package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
)

// Optional is a member of a change. The zero value is omitted and changes
// nothing, Null removes the value, and Some sets it.
type Optional[T any] struct {
	set   bool
	value *T
}

// Some returns a member that sets v.
func Some[T any](v T) Optional[T] { return Optional[T]{set: true, value: &v} }

// Null returns a member that removes the value.
func Null[T any]() Optional[T] { return Optional[T]{set: true} }

// Get returns the value, which is nil for null, and whether the member is
// present.
func (o Optional[T]) Get() (value *T, set bool) { return o.value, o.set }

// IsZero reports whether the member is omitted.
func (o Optional[T]) IsZero() bool { return !o.set }

// MarshalJSON encodes the value or null.
func (o Optional[T]) MarshalJSON() ([]byte, error) { return json.Marshal(o.value) }

// UnmarshalJSON decodes a value or null.
func (o *Optional[T]) UnmarshalJSON(data []byte) error {
	o.set, o.value = true, nil
	return json.Unmarshal(data, &o.value)
}

// Lifetime is a number of seconds or Endless. In JSON it is an integer or
// "none".
type Lifetime int64

// Endless is the lifetime of a link without expiry.
const Endless Lifetime = -1 << 63

// EndlessName is the JSON form of Endless, without quotes.
const EndlessName = "none"

// ParseLifetime parses an integer, or EndlessName without quotes.
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

// Duration returns the lifetime, and false if it is Endless. A lifetime that a
// time.Duration cannot hold becomes the longest or shortest possible one.
func (l Lifetime) Duration() (d time.Duration, ends bool) {
	const most = Lifetime(1<<63-1) / Lifetime(time.Second)
	return time.Duration(max(-most, min(most, l))) * time.Second, l != Endless
}

// MarshalJSON encodes an integer or "none".
func (l Lifetime) MarshalJSON() ([]byte, error) {
	if l == Endless {
		return []byte(strconv.Quote(EndlessName)), nil
	}
	return strconv.AppendInt(nil, int64(l), 10), nil
}

// UnmarshalJSON decodes an integer or "none".
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
