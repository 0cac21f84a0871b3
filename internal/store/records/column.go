package records

import (
	"encoding/json"
	"fmt"
	"strings"

	"sluice"
	"sluice/ledger"
)

// boolean is stored as 0 or 1.
type boolean bool

func (b boolean) integer() int64 {
	if b {
		return 1
	}
	return 0
}

// Scan implements sql.Scanner.
func (b *boolean) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want 0 or 1, have %T", v)
	}
	*b = n != 0
	return nil
}

// metadata is stored as a JSON object, "" when there is none.
type metadata sluice.Metadata

func (m metadata) text() string {
	if len(m) == 0 {
		return ""
	}
	return string(ledger.AppendStringMap(nil, m))
}

// Scan implements sql.Scanner.
func (m *metadata) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("metadata is stored as text, not as %T", v)
	}
	*m = nil
	if s == "" || m.parse(s) {
		return nil
	}
	return json.Unmarshal([]byte(s), (*map[string]string)(m))
}

// parse reads what text wrote when nothing in it had to be escaped. It saves each redemption the time of a JSON
// decoder.
func (m *metadata) parse(s string) bool {
	if strings.IndexByte(s, '\\') >= 0 {
		return false
	}
	parsed := metadata{}
	rest, ok := strings.CutPrefix(s, `{"`)
	for ok {
		key, value, found := strings.Cut(rest, `":"`)
		if value, rest, ok = strings.Cut(value, `"`); !found || !ok {
			return false
		}
		parsed[key] = value
		if rest == "}" {
			*m = parsed
			return true
		}
		rest, ok = strings.CutPrefix(rest, `,"`)
	}
	return false
}
