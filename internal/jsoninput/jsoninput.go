// Package jsoninput finds faults in JSON input that encoding/json accepts, such as duplicate members, and normalizes
// integers.
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

// CheckJSON returns the faults of a document that RFC 7493 (I-JSON) forbids and
// that encoding/json silently alters: duplicate members and escapes of lone
// surrogates. It returns none for data that is not JSON.
func CheckJSON(data []byte) (faults []sluice.FieldError) {
	add := func(param, message string) {
		faults = append(faults, sluice.FieldError{Param: param, Code: "invalid", Message: param + " " + message})
	}
	walkJSON(data, func(param string, token json.Token, raw []byte, _ int) {
		switch token.(type) {
		case duplicate:
			add(param, "is given more than once")
		case string:
			if loneSurrogate(raw) {
				add(param, "contains a lone surrogate")
			}
		}
	})
	return faults
}

// PlainIntegers rewrites integers with a fraction or an exponent, such as 3.0 and
// 1.5e3, in plain digits, because encoding/json decodes only those into an integer.
// An integer outside the range of int64 is a fault.
func PlainIntegers(data []byte) (plain []byte, faults []sluice.FieldError) {
	done := 0
	walkJSON(data, func(param string, token json.Token, raw []byte, at int) {
		number, ok := token.(json.Number)
		if !ok {
			return
		}
		text, fits := plainInteger(string(number))
		if !fits {
			faults = append(faults, sluice.FieldError{
				Param: param, Code: "out_of_range", Message: param + " is out of the range of numbers",
			})
		} else if text != string(number) {
			plain = append(append(plain, data[done:at]...), text...)
			done = at + len(raw)
		}
	})
	return append(plain, data[done:]...), faults
}

// plainInteger returns an integer in plain digits and any other number unchanged.
// It reports whether an int64 or, for a number with a fraction, a float64 can hold
// the number.
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

// duplicate is the token of a member name that its object already has.
type duplicate string

// level is an object or array that encloses the current token.
type level struct {
	param string
	names map[string]bool // names of the members so far; nil for an array
	name  string          // name of the current member
	named bool            // the next token is the member's value, not a name
	index int
}

// walkJSON calls visit for the names, strings, numbers and other scalars of a
// JSON document, and for duplicate names. param is the path of the member, with
// dots; raw is the token in the document, at offset at.
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
					visit(param, duplicate(text), raw, from)
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

// maxParam limits the length of a path in a deeply nested document.
const maxParam = 256

// member returns the path of the current element.
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

// loneSurrogate reports whether a string in JSON contains an escape of a lone
// surrogate.
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

// unit parses the four hexadecimal digits of an escape in valid JSON.
func unit(digits []byte) uint64 {
	n, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		panic(err) // the document is valid
	}
	return n
}
