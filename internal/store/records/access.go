package records

import (
	"encoding/json"
	"fmt"

	"sluice"
	"sluice/ledger"
)

// access is the column of a link's Access: canonical JSON, "" when the link asks and tells nothing.
type access struct{ of **sluice.Access }

// accessJSON is the stored form of an access.
type accessJSON struct {
	Allowed      []string            `json:"allowed,omitempty"`
	Erased       bool                `json:"erased,omitempty"`
	Language     string              `json:"language,omitempty"`
	Message      string              `json:"message,omitempty"`
	Notify       *notifyJSON         `json:"notify,omitempty"`
	Page         sluice.PagePolicy   `json:"page,omitempty"`
	Recipient    *recipientJSON      `json:"recipient,omitempty"`
	Terms        string              `json:"terms,omitempty"`
	Verification sluice.Verification `json:"verification,omitempty"`
}

type notifyJSON struct {
	Email string            `json:"email"`
	On    []sluice.NotifyOn `json:"on"`
}

type recipientJSON struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

func accessText(a *sluice.Access) string {
	if a.IsZero() {
		return ""
	}
	out := accessJSON{
		Allowed: a.Allowed, Erased: a.Erased, Language: a.Language, Message: a.Message, Page: a.Page, Terms: a.Terms,
		Verification: a.Verification,
	}
	if a.Recipient != (sluice.Recipient{}) {
		out.Recipient = (*recipientJSON)(&a.Recipient)
	}
	if len(a.Notify.On) > 0 {
		out.Notify = (*notifyJSON)(&a.Notify)
	}
	data, err := json.Marshal(out)
	if err == nil {
		data, err = ledger.Canonical(data)
	}
	if err != nil {
		panic(err) // texts always encode
	}
	return string(data)
}

// Scan implements sql.Scanner.
func (a access) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("access is stored as text, not as %T", v)
	}
	*a.of = nil
	if text == "" {
		return nil
	}
	var in accessJSON
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return err
	}
	read := &sluice.Access{
		Allowed: in.Allowed, Erased: in.Erased, Language: in.Language, Message: in.Message, Page: in.Page,
		Terms: in.Terms, Verification: in.Verification,
	}
	if in.Recipient != nil {
		read.Recipient = sluice.Recipient(*in.Recipient)
	}
	if in.Notify != nil {
		read.Notify = sluice.Notify(*in.Notify)
	}
	if accessText(read) != text {
		return fmt.Errorf("access %q is not in canonical form", text)
	}
	*a.of = read
	return nil
}
