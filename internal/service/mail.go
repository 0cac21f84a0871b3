package service

import (
	"time"

	"sluice"
)

// Mail is a mail to be sent. It is stored in the Update that commits the entry that it tells of, so no mail is lost,
// and none is sent for what was not committed. It holds no address: that is read from the entry or the link when the
// mail is sent, so that an erased address gets no mail.
type Mail struct {
	ID        string
	Ledger    sluice.LedgerID
	LinkID    string
	Kind      MailKind
	Entry     string    // id of the entry that it tells of
	Challenge string    // with MailCode: the id of the challenge, which its code is derived from
	Due       time.Time // not sent earlier
	Expires   time.Time // not sent later
	Attempts  int       // failed ones
}

// MailKind says what a mail tells.
type MailKind string

// The kinds of mails. Notices are for the address of sluice.Notify.
const (
	MailCode          MailKind = "code" // proves an address
	MailLink          MailKind = "link" // the URL of a link, for its recipient
	MailFirstDownload MailKind = "first_download"
	MailEveryDownload MailKind = "every_download"
	MailRefused       MailKind = "refused"
	MailUnopened      MailKind = "unopened"
)
