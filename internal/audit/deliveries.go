package audit

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/ledger"
)

// cutDeliveries decodes the deliveries of a leaf, and returns the leaf without them.
// There are up to 256, and encoding/json would take several times as long.
func cutDeliveries(leaf []byte) (list []sluice.Delivery, rest []byte, err error) {
	if list, rest, ok := cutPlain(leaf); ok {
		return list, rest, nil
	}
	return cutAny(leaf)
}

// cutAny does what cutDeliveries does, for every leaf.
func cutAny(leaf []byte) (list []sluice.Delivery, rest []byte, err error) {
	for name, value := range ledger.Members(leaf) {
		if string(name) < "deliveries" {
			continue
		}
		if string(name) > "deliveries" {
			break
		}
		for element := range ledger.Elements(value) {
			d, err := openDelivery(element)
			if err != nil {
				return nil, nil, err
			}
			list = append(list, d)
		}
		before, after, _ := bytes.Cut(leaf, value)
		return list, slices.Concat(before, []byte("null"), after), nil
	}
	return nil, leaf, nil
}

// openDelivery decodes one of the deliveries of a leaf.
func openDelivery(data []byte) (d sluice.Delivery, err error) {
	number := func(value []byte) (n int64) {
		n, failed := strconv.ParseInt(string(value), 10, 64)
		err = errors.Join(err, failed)
		return n
	}
	for name, value := range ledger.Members(data) {
		switch string(name) {
		case "bytes":
			d.Sent.Bytes = number(value)
		case "complete":
			d.Sent.Complete = string(value) == "true"
		case "duration_ms":
			d.Sent.Duration = time.Duration(number(value)) * time.Millisecond
		case "file":
			d.FileID = ledger.Text(value)
		case "link":
			d.LinkID = ledger.Text(value)
		case "returned":
			d.Returned = string(value) == "true"
		case "seq":
			d.Seq = number(value)
		}
	}
	return d, err
}

// cutPlain does what cutDeliveries does for deliveries exactly as writeDeliveries writes
// them, without characters to escape. A list by link reads up to a hundred such entries,
// and reads them once instead of three times this way. The texts share one string.
func cutPlain(leaf []byte) (list []sluice.Delivery, rest []byte, ok bool) {
	before, after, found := bytes.Cut(leaf, []byte(`,"deliveries":[`))
	// It is a member of the leaf itself if the leaf would be one with another value of it and without later members.
	if !found || !ledger.IsCanonical(slices.Concat(before, []byte(`,"deliveries":0}`))) {
		return nil, nil, false
	}
	end := bytes.IndexByte(after, ']')
	if end < 0 {
		return nil, nil, false
	}
	text := string(after[:end])
	list = make([]sluice.Delivery, 0, 1+strings.Count(text, "},{"))
	for {
		d, left, ok := scanPlain(text)
		if !ok {
			return nil, nil, false
		}
		list = append(list, d)
		if left == "" {
			return list, slices.Concat(before, after[end+1:]), true
		}
		if left[0] != ',' {
			return nil, nil, false
		}
		text = left[1:]
	}
}

// scanPlain reads the delivery at the start of text.
func scanPlain(text string) (d sluice.Delivery, rest string, ok bool) {
	p := plainScan{text, true}
	p.skip(`{"bytes":`)
	d.Sent.Bytes = p.number()
	if p.skip(`,"complete":`); strings.HasPrefix(p.rest, "true") {
		p.rest, d.Sent.Complete = p.rest[len("true"):], true
	} else {
		p.skip("false")
	}
	p.skip(`,"duration_ms":`)
	d.Sent.Duration = time.Duration(p.number()) * time.Millisecond
	p.skip(`,"file":"`)
	d.FileID = p.text()
	p.skip(`","link":"`)
	d.LinkID = p.text()
	p.skip(`"`)
	if returned := `,"returned":true`; strings.HasPrefix(p.rest, returned) {
		p.rest, d.Returned = p.rest[len(returned):], true
	}
	p.skip(`,"seq":`)
	d.Seq = p.number()
	p.skip(`}`)
	return d, p.rest, p.ok
}

// plainScan reads text from its start. It is not ok once the text is not what was expected.
type plainScan struct {
	rest string
	ok   bool
}

func (p *plainScan) skip(expected string) {
	var found bool
	p.rest, found = strings.CutPrefix(p.rest, expected)
	p.ok = p.ok && found
}

// number reads an integer from 0 to 1<<53, the integers that RFC 8785 writes as they are.
func (p *plainScan) number() (n int64) {
	i := 0
	for i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9' {
		n = 10*n + int64(p.rest[i]-'0')
		i++
	}
	p.ok = p.ok && 0 < i && i <= 16 && n <= 1<<53 && (i == 1 || p.rest[0] != '0')
	p.rest = p.rest[i:]
	return n
}

// text reads up to the next quote.
func (p *plainScan) text() (text string) {
	i := 0
	for i < len(p.rest) && ' ' <= p.rest[i] && p.rest[i] < 0x7f && p.rest[i] != '"' && p.rest[i] != '\\' {
		i++
	}
	text, p.rest = p.rest[:i], p.rest[i:]
	return text
}
