package api

// Page holds the parameters of every list. After and Before exclude each other.
// An id remains usable after its object is deleted.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"Number of objects in a page"`
	After  string `query:"starting_after" doc:"Id of an object; the page holds older objects"`
	Before string `query:"ending_before" doc:"Id of an object; the page holds newer objects"`
}

// Created limits the time of creation, to one second with Created, or to a
// range. Values are unix seconds or RFC 3339.
type Created struct {
	Created    string `query:"created" doc:"Created in this second: unix seconds or RFC 3339"`
	CreatedGT  string `query:"created[gt]" doc:"Created after"`
	CreatedGTE string `query:"created[gte]" doc:"Created at or after"`
	CreatedLT  string `query:"created[lt]" doc:"Created before"`
	CreatedLTE string `query:"created[lte]" doc:"Created at or before"`
}

// Expires limits the time of expiry, in the forms of Created. It excludes links
// without expiry.
type Expires struct {
	Expires    string `query:"expires_at" doc:"Expires in this second: unix seconds or RFC 3339"`
	ExpiresGT  string `query:"expires_at[gt]" doc:"Expires after"`
	ExpiresGTE string `query:"expires_at[gte]" doc:"Expires at or after"`
	ExpiresLT  string `query:"expires_at[lt]" doc:"Expires before"`
	ExpiresLTE string `query:"expires_at[lte]" doc:"Expires at or before"`
}

// Size limits the size of a file, to one value with Size, or to a range.
type Size struct {
	Size    string `query:"size" doc:"Exactly this size in bytes"`
	SizeGT  string `query:"size[gt]" doc:"Larger than this"`
	SizeGTE string `query:"size[gte]" doc:"This size or larger"`
	SizeLT  string `query:"size[lt]" doc:"Smaller than this"`
	SizeLTE string `query:"size[lte]" doc:"This size or smaller"`
}

// IDs lists only the objects with these ids, at most MaxIDs.
type IDs struct {
	IDs []string `query:"ids" doc:"Ids of up to 100 objects, repeated or separated by commas"`
}

// MaxIDs is the largest number of ids in one list request.
const MaxIDs = 100

// FileQuery filters a list of files.
type FileQuery struct {
	Page
	Created
	IDs
	Size
	Purpose        string `query:"purpose" doc:"Files with this purpose"`
	Filename       string `query:"filename" doc:"Files with exactly this name"`
	Title          string `query:"title" doc:"Files with exactly this title"`
	Type           string `query:"type" doc:"Files with exactly this media type"`
	SHA256         string `query:"sha256" doc:"Files with this SHA-256, in hexadecimal"`
	LinkedResource string `query:"linked_resource" doc:"Files that belong to this object: type:id"`
	Status         string `query:"status" enum:"active,deleted" doc:"active by default"`
}

// LinkQuery filters a list of links.
type LinkQuery struct {
	Page
	Created
	Expires
	IDs
	Expired   string `query:"expired" enum:"true,false" doc:"Whether the links have expired"`
	Revoked   string `query:"revoked" enum:"true,false" doc:"Whether the links are revoked"`
	Recipient string `query:"recipient" doc:"Links for the person with this e-mail address"`
}

// EntryQuery requests a page of audit entries.
type EntryQuery struct {
	Page
	EntryFilter
}

// EntryFilter filters a list of audit entries.
type EntryFilter struct {
	Created
	IDs
	FileID    string `query:"file_id" doc:"Entries about this file, deliveries of it included"`
	LinkID    string `query:"link_id" doc:"Entries about this link, deliveries by it included"`
	KeyID     string `query:"key_id" doc:"Entries about this key, of requests with it, and of redemptions of links that it minted"`
	PersonID  string `query:"person_id" doc:"Entries of requests by the person with this id at the OpenID Connect provider"`
	Action    string `query:"action" doc:"Entries with this action, such as link.redeemed"`
	Outcome   string `query:"outcome" enum:"allowed,refused" doc:"allowed or refused"`
	RequestID string `query:"request_id" doc:"Entries of the request with this X-Request-Id. Of a download, that is its redemption"`
	Recipient string `query:"recipient" doc:"Entries about the person with this e-mail address: as the recipient of a link, or of a mail or download. Redacted entries are left out"`
	ClientIP  string `query:"client_ip" doc:"Entries of requests from this address. Redacted entries are left out"`
}
