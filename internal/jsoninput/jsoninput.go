// Package jsoninput finds what JSON input may not hold although encoding/json takes it, such as
// members that are there twice, and writes integers in one form.
package jsoninput

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice"
)

// CheckJSON finds what RFC 7493 (I-JSON) forbids and encoding/json alters
// without a word: members given more than once, and escapes of half a
// surrogate pair, which stand for no character. A document that is not JSON at
// all has no such fault.
func CheckJSON(data []byte) (faults []sluice.FieldError) {
	walkJSON(data, func(param string, token json.Token, raw []byte, _ int) {
		switch token.(type) {
		case repeated:
			faults = append(faults, sluice.FieldError{Param: param, Code: "invalid", Message: param + " is given more than once"})
		case string:
			if loneSurrogate(raw) {
				faults = append(faults, sluice.FieldError{Param: param, Code: "invalid", Message: param + " holds half of a surrogate pair, which is no character"})
			}
		}
	})
	return faults
}

// PlainIntegers writes the integers of a JSON document that have a fraction of
// zero or an exponent, such as 3.0 and 1.5e3, without: encoding/json reads no
// other form into an integer. A number beyond the range of int64 is a fault.
func PlainIntegers(data []byte) (plain []byte, faults []sluice.FieldError) {
	done := 0
	walkJSON(data, func(param string, token json.Token, raw []byte, at int) {
		number, ok := token.(json.Number)
		if !ok {
			return
		}
		text, fits := plainInteger(string(number))
		if !fits {
			faults = append(faults, sluice.FieldError{Param: param, Code: "out_of_range", Message: param + " is too large a number, or too small"})
		} else if text != string(number) {
			plain = append(append(plain, data[done:at]...), text...)
			done = at + len(raw)
		}
	})
	return append(plain, data[done:]...), faults
}

// plainInteger gives a number of JSON as digits alone where it is an integer,
// and as it is where it has a fraction. It is false for one that neither an
// int64 nor, with a fraction, a float64 holds.
func plainInteger(number string) (text string, fits bool) {
	if !strings.ContainsAny(number, ".eE") {
		_, err := strconv.ParseInt(number, 10, 64)
		return number, err == nil
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || math.Abs(value) >= 1<<64 {
		return number, false
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(number, "-")), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0", true
	}
	scale, err := strconv.Atoi(cmp.Or(exponent, "0"))
	if err != nil || value == 0 { // smaller than any float64
		return number, true
	}
	if scale -= len(fraction); scale < 0 {
		cut := max(len(digits)+scale, 0)
		if strings.Trim(digits[cut:], "0") != "" || cut == 0 {
			return number, true
		}
		digits, scale = digits[:cut], 0
	}
	digits += strings.Repeat("0", scale) // fewer than twenty: the value is below 1<<64
	if number[0] == '-' {
		digits = "-" + digits
	}
	_, err = strconv.ParseInt(digits, 10, 64)
	return digits, err == nil
}

// repeated is the token of the name of a member that its object had before.
type repeated string

// level is an object or array that walkJSON is within.
type level struct {
	param string
	names map[string]bool // of the members so far; nil for an array
	name  string          // of the member whose value comes; "" where a name comes
	named bool
	index int
}

// walkJSON visits the strings, numbers and repeated names of members in a JSON
// document: each with the member it belongs to, dotted, as it stands in the
// document, and where.
func walkJSON(data []byte, visit func(param string, token json.Token, raw []byte, at int)) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var stack []level
	for {
		from := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return
		}
		to := int(d.InputOffset())
		from += len(data[from:to]) - len(bytes.TrimLeft(data[from:to], " \t\r\n,:"))
		raw := data[from:to]
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		param := ""
		if n := len(stack); n > 0 {
			in := &stack[n-1]
			if text, ok := token.(string); ok && in.names != nil && !in.named {
				in.name, in.named = text, true
				param = in.member()
				if in.names[text] {
					visit(param, repeated(text), raw, from)
				}
				in.names[text] = true
				visit(param, token, raw, from)
				continue
			}
			param = in.member()
			in.index, in.named = in.index+1, false
		}
		switch delim, ok := token.(json.Delim); {
		case !ok:
			visit(param, token, raw, from)
		case delim == '{':
			stack = append(stack, level{param: param, names: map[string]bool{}})
		default:
			stack = append(stack, level{param: param})
		}
	}
}

// maxParam bounds a dotted name, for what a stranger nests deeply.
const maxParam = 256

// member is the dotted name of the element that comes.
func (l *level) member() string {
	name := l.name
	if l.names == nil {
		name = strconv.Itoa(l.index)
	}
	if l.param == "" || len(l.param) > maxParam {
		return name
	}
	return l.param + "." + name
}

// loneSurrogate reports whether a string, as it stands in a document, has an
// escape of half a surrogate pair.
func loneSurrogate(raw []byte) bool {
	for i := 0; i+1 < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		first := unit(raw[i+1:])
		i += 4
		switch {
		case first < 0xd800 || first > 0xdfff:
			continue
		case first > 0xdbff || len(raw) < i+7 || raw[i+1] != '\\' || raw[i+2] != 'u':
			return true
		}
		if second := unit(raw[i+3:]); second < 0xdc00 || second > 0xdfff {
			return true
		}
		i += 6
	}
	return false
}

// unit reads the four hexadecimal digits of an escape in valid JSON.
func unit(digits []byte) uint64 {
	n, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		panic(err) // the document is valid
	}
	return n
}
