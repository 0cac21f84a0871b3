package records

import (
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/store/sqldb"
)

// Planned is a query whose plan a test looks at.
type Planned struct {
	Index   string // that it is to use
	Query   string
	Args    []any
	At, Tie string // the columns that order it
}

// The queries of the scrub.
var (
	FilesAfter   = filesAfter
	DamagedFiles = damagedFiles
)

// PlannedLists gives the queries of lists under every filter.
func PlannedLists() (planned []Planned) {
	for index, listings := range plannedListings() {
		for _, q := range listings {
			for _, up := range []bool{false, true} {
				args := q.args(1, q.within(sqldb.Interval{From: 0, To: 1_000_000}), 10)
				planned = append(planned, Planned{index, q.query(up), args, q.at, q.tie})
			}
		}
	}
	return planned
}

func plannedListings() map[string][]listing {
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	yes, no, one, two, later := true, false, int64(1), int64(2), now.Add(time.Hour)
	expired, unexpired := service.LinkFilter{Expired: &yes, Now: now}, service.LinkFilter{Expired: &no, Now: now}
	active := service.LinkFilter{Over: &no, Now: now}
	ids := []string{"a", "b", "c"}
	size, sum := sluice.Range[int64]{GT: &one, LTE: &two}, sluice.Digest{}
	resource := &sluice.Resource{Type: "t", ID: "i"}
	times := sluice.TimeRange{GTE: &now, LT: &later}
	expiring := func(f service.LinkFilter) listing { return linkListings(f, nil, 1, false)[0] }
	endless := func(f service.LinkFilter) listing { return linkListings(f, nil, 1, false)[1] }
	links := func(f service.LinkFilter) listing { return linkListing(f, nil, false) }
	deleted := service.FileFilter{Status: service.DeletedFiles}
	return map[string][]listing{
		"key_list":     {keyListing()},
		"session_list": {sessionListing()},
		"file_list":    {fileListing(service.FileFilter{}), fileListing(service.FileFilter{Size: size})},
		"file_deleted": {fileListing(deleted), fileListing(service.FileFilter{Status: service.DeletedFiles,
			Purpose: "p"})},
		"file_by_purpose": {
			fileListing(service.FileFilter{Purpose: "p"}), fileListing(service.FileFilter{Purpose: "p", Size: size}),
			fileListing(perValue(service.FileFilter{Purposes: []string{"p", "q"}})[1]),
		},
		"file_by_filename": {
			fileListing(service.FileFilter{Filename: "f"}),
			fileListing(service.FileFilter{Filename: "f", Purpose: "p"}),
		},
		"file_by_title": {
			fileListing(service.FileFilter{Title: "t"}), fileListing(service.FileFilter{Title: "t", Type: "y"}),
		},
		"file_by_type": {
			fileListing(service.FileFilter{Type: "y"}), fileListing(service.FileFilter{Type: "y", Size: size}),
		},
		"file_by_sha256": {
			fileListing(service.FileFilter{SHA256: &sum}), fileListing(service.FileFilter{SHA256: &sum, Filename: "f"}),
		},
		"linked_list": {
			fileListing(service.FileFilter{Linked: resource}),
			fileListing(service.FileFilter{Linked: resource, Purpose: "p"}),
		},
		"linked_deleted": {fileListing(service.FileFilter{Linked: resource, Status: service.DeletedFiles})},
		"sqlite_autoindex_file_1": {
			fileListing(service.FileFilter{IDs: ids}), fileListing(service.FileFilter{IDs: ids, Purpose: "p"}),
		},
		"link_list": {
			links(service.LinkFilter{}), links(service.LinkFilter{Revoked: &no}),
			links(service.LinkFilter{Over: &yes, Now: now}),
			expiring(expired), expiring(unexpired), expiring(service.LinkFilter{Expires: times}), expiring(active),
		},
		"link_endless": {endless(unexpired), endless(active)},
		"link_revoked": {
			links(service.LinkFilter{Revoked: &yes}), expiring(service.LinkFilter{Revoked: &yes, Expires: times}),
		},
		"link_by_recipient": {linkListing(service.LinkFilter{}, []byte{1}, false)},
		"link_by_file":      {links(service.LinkFilter{FileID: "f"})},
		"sqlite_autoindex_link_1": {
			links(service.LinkFilter{IDs: ids}), links(service.LinkFilter{IDs: ids, FileID: "f"}),
		},
	}
}
