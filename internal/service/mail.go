package service

import (
	"time"

	"sluice"
)

// MailKind says what a mail is about.
type MailKind string

// The kinds of mails. The first two are sent to recipients, the others to whom a link notifies.
const (
	MailCode          MailKind = "code"
	MailLink          MailKind = "link"
	MailFirstDownload MailKind = "first_download"
	MailEveryDownload MailKind = "every_download"
	MailRefused       MailKind = "refused"
	MailUnopened      MailKind = "unopened"
)

// MailKinds are all kinds of mails, in the order in which they are sent: a person waits for a code.
var MailKinds = []MailKind{MailCode, MailLink, MailFirstDownload, MailEveryDownload, MailRefused, MailUnopened}

// Rank orders kinds: mails of a lower rank are sent before those of a higher one. It is from 0 to NoticeRank.
func (k MailKind) Rank() int64 {
	switch k {
	case MailCode:
		return 0
	case MailLink:
		return 1
	}
	return NoticeRank
}

// NoticeRank is the rank of notices, the highest.
const NoticeRank = 2

// Mail is a mail that waits to be sent. It is queued in the Update that commits the entry it tells of. It has no
// address, no text and no secret: they are read when it is sent, so an address that was erased gets none.
//
// A link has at most one mail of each kind, and of codes one for each challenge.
type Mail struct {
	ID        string // its Message-ID is made of it: all attempts to send one mail have the same
	Ledger    sluice.LedgerID
	LinkID    string
	Kind      MailKind
	Challenge string // of a code
	Entry     string // id of the newest entry that it tells of
	Language  string // BCP 47 tag of its text; "" for that of the link
	// Count is the number of events that it tells of. A Mail with none is not sent: until Due it holds back the next
	// mail of its link and kind.
	Count    int64
	Queued   time.Time // when it was to be sent first
	Due      time.Time // when it is to be sent, or tried again
	Expires  time.Time // when it is given up
	Attempts int64     // failed attempts so far
}

// MailState is the state of the outbox.
type MailState struct {
	Waiting int64     // mails that could be sent now
	Oldest  time.Time // when the oldest of them was to be sent first; zero if there is none
}
