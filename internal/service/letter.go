package service

import (
	"time"

	"sluice"
)

// Letter is what a mail says, read when it is sent.
type Letter struct {
	Mail
	Now     time.Time // by the clock of the service
	Address string    // whom it is for
	Name    string    // of that person; "" if unknown
	Link    sluice.Link
	File    sluice.File
	URL     string         // of the link, in a MailLink
	Code    string         // in a MailCode
	At      time.Time      // of the newest event
	Refusal sluice.Refusal // of a MailRefused
	By      string         // whose address was verified before the newest download; "" if nobody's
	Message string         // from the sender to the recipient, in a MailLink
	// Verifies says that a code is sent to the recipient before the download.
	Verifies bool
}
