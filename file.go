package sluice

import (
	"strconv"
	"time"
)

// File is a stored object: what Sluice knows of its bytes. The bytes are in
// Blobs under the file's id.
type File struct {
	ID       string
	Ledger   LedgerID
	Purpose  string
	Filename string
	Title    string
	Type     string // media type as declared, RFC 9110 section 8.3.1
	Size     int64
	SHA256   Digest
	CRC32    *uint32 // IEEE 802.3, as ZIP has it; nil for an older file that the scrub has not read yet
	Metadata Metadata
	Linked   []Resource // what the file belongs to, in the caller's own system
	Held     bool       // under legal hold: it may not be deleted
	Created  time.Time
	Updated  time.Time
	Expires  time.Time // when its purpose's retention deletes it; zero: never
	Deleted  time.Time // zero: active
}

// Resource names an object of the caller's own system.
type Resource struct {
	Type string
	ID   string
}

// Limits of linked resources. Lengths are in characters.
const (
	MaxLinkedResources = 50
	MaxResourceIDLen   = 255
)

// Limits of a file's texts, in characters.
const (
	MaxFilenameLen = 255
	MaxTitleLen    = 255
	MaxTypeLen     = 127
)

// Active reports whether the file still has its bytes.
func (f File) Active() bool { return f.Deleted.IsZero() }

// Version names a state of an object for conditional requests: it differs
// whenever its owner has changed the object.
func (f File) Version() string { return version(f.Updated) }

func version(updated time.Time) string { return strconv.FormatInt(updated.UnixMicro(), 36) }
