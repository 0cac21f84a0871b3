package sluice

import (
	"slices"
	"time"
)

// Erasure is the erasure of personal fields from all entries that have something
// in common, such as a person. It goes on in the background, in short commits.
type Erasure struct {
	ID     string
	Ledger LedgerID
	By     ErasedBy
	Object string // id of the file, link or key; "" for a person, whose address is not kept
	Fields []PersonalField
	// What was erased so far: entries, and rows of links and files.
	Entries, Links, Files int64
	Created               time.Time
	Updated               time.Time
	Ended                 time.Time // zero while it runs
	Begun                 string    // id of the entry of AuditErasureBegun
	Record                string    // id of the entry of AuditErased; "" while it runs
}

// ErasedBy says what the entries of an Erasure have in common.
type ErasedBy string

// What entries can be erased by: what the index of a log finds them by.
const (
	ErasedByRecipient ErasedBy = "recipient" // the address of a person
	ErasedByClientIP  ErasedBy = "client_ip" // the address of a client
	ErasedByFile      ErasedBy = "file_id"
	ErasedByLink      ErasedBy = "link_id"
	ErasedByKey       ErasedBy = "key_id"
)

// PersonalField names a personal field of entries, wherever it stands in them.
type PersonalField string

// The personal fields. Entries have commitments to all of them but the names,
// which are in clear unless the purpose of the file says that they are personal.
const (
	FieldActor             PersonalField = "actor" // name and address of a person who signed in
	FieldAllowedRecipients PersonalField = "allowed_recipients"
	FieldClientIP          PersonalField = "client_ip"
	FieldForwardedFor      PersonalField = "forwarded_for"
	FieldIP                PersonalField = "ip"
	FieldMessage           PersonalField = "message"
	FieldNotify            PersonalField = "notify"    // the address of notices
	FieldRecipient         PersonalField = "recipient" // address and name
	FieldUserAgent         PersonalField = "user_agent"

	FieldFilename        PersonalField = "filename" // of files and of links
	FieldLinkedResources PersonalField = "linked_resources"
	FieldMetadata        PersonalField = "metadata" // of files and of links
	FieldReason          PersonalField = "reason"
	FieldTitle           PersonalField = "title"
)

var (
	requestFields = []PersonalField{FieldClientIP, FieldForwardedFor, FieldIP, FieldUserAgent}
	nameFields    = []PersonalField{
		FieldFilename, FieldLinkedResources, FieldMetadata, FieldReason, FieldTitle,
	}
)

// PersonalFields returns all personal fields, sorted.
func PersonalFields() []PersonalField {
	list := append(slices.Clone(requestFields), nameFields...)
	list = append(list, FieldActor, FieldAllowedRecipients, FieldMessage, FieldNotify, FieldRecipient)
	slices.Sort(list)
	return list
}

// NameFields returns the fields that a purpose may make personal, sorted: names
// that people give to files and links.
func NameFields() []PersonalField { return slices.Clone(nameFields) }

// DefaultFields returns the fields that an erasure without fields erases. By a
// person or a key these are the fields about who they are and where they
// were, and by a file or link all personal fields.
func (b ErasedBy) DefaultFields() []PersonalField {
	switch b {
	case ErasedByRecipient:
		list := append(slices.Clone(requestFields), FieldAllowedRecipients, FieldMessage, FieldRecipient)
		slices.Sort(list)
		return list
	case ErasedByClientIP, ErasedByKey:
		return slices.Clone(requestFields)
	}
	return PersonalFields()
}
