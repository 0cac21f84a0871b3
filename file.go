package sluice

import (
	"strconv"
	"time"
)

// File is the record of a stored file. Its bytes are kept apart, under the
// file's id.
type File struct {
	ID       string
	Ledger   LedgerID
	Purpose  string
	Filename string
	Title    string
	Type     string // media type as declared, RFC 9110 section 8.3.1
	Size     int64
	SHA256   Digest
	CRC32    *uint32 // IEEE 802.3, as in ZIP; nil for an older file that no scrub has read yet
	Metadata Metadata
	Linked   []Resource // the objects of the caller's system that the file belongs to
	// Personal are the names of the file and its links that the log shows as
	// commitments: those of its purpose when it was uploaded, sorted.
	Personal []PersonalField
	Held     bool // under legal hold: it may not be deleted
	Created  time.Time
	Updated  time.Time
	Expires  time.Time // when the retention of its purpose ends and the file is deleted; zero: never
	Deleted  time.Time // zero: active
}

// Resource names an object of the caller's system.
type Resource struct {
	Type string
	ID   string
}

// Limits of linked resources. Lengths count characters (Unicode code points).
const (
	MaxLinkedResources = 50
	MaxResourceIDLen   = 255
)

// Limits of a file's texts, in characters (Unicode code points).
const (
	MaxFilenameLen = 255
	MaxTitleLen    = 255
	MaxTypeLen     = 127
)

// ErasedFilename is the name of a file whose name was erased.
const ErasedFilename = "redacted"

// Active reports whether the file has not been deleted.
func (f File) Active() bool { return f.Deleted.IsZero() }

// Version returns the version of the file for conditional requests. It changes
// with every change to the file's record.
func (f File) Version() string { return version(f.Updated) }

func version(updated time.Time) string { return strconv.FormatInt(updated.UnixMicro(), 36) }
