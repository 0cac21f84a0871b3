package api

// Page are the parameters of every list. After and Before exclude each other;
// an id keeps its place when its object is deleted.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10" doc:"How many objects a page holds"`
	After  string `query:"starting_after" doc:"Id of an object: give what is older"`
	Before string `query:"ending_before" doc:"Id of an object: give what is newer"`
}

// Created bounds the moment an object was made: Created for one second, or
// bounds. Each is unix seconds or RFC 3339.
type Created struct {
	Created    string `query:"created" doc:"Made in this second: unix seconds or RFC 3339"`
	CreatedGT  string `query:"created[gt]" doc:"Made after"`
	CreatedGTE string `query:"created[gte]" doc:"Made at or after"`
	CreatedLT  string `query:"created[lt]" doc:"Made before"`
	CreatedLTE string `query:"created[lte]" doc:"Made at or before"`
}

// Expires bounds the moment a link ends, in the forms of Created. A link
// without end is in no such bounds.
type Expires struct {
	Expires    string `query:"expires_at" doc:"Ends in this second: unix seconds or RFC 3339"`
	ExpiresGT  string `query:"expires_at[gt]" doc:"Ends after"`
	ExpiresGTE string `query:"expires_at[gte]" doc:"Ends at or after"`
	ExpiresLT  string `query:"expires_at[lt]" doc:"Ends before"`
	ExpiresLTE string `query:"expires_at[lte]" doc:"Ends at or before"`
}

// Size bounds the size of a file: Size for one, or bounds.
type Size struct {
	Size    string `query:"size" doc:"Of this many bytes"`
	SizeGT  string `query:"size[gt]" doc:"Larger"`
	SizeGTE string `query:"size[gte]" doc:"Of this size or larger"`
	SizeLT  string `query:"size[lt]" doc:"Smaller"`
	SizeLTE string `query:"size[lte]" doc:"Of this size or smaller"`
}

// IDs names the objects to list, at most MaxIDs.
type IDs struct {
	IDs []string `query:"ids" doc:"Ids of up to 100 objects, repeated or separated by commas"`
}

// MaxIDs is how many objects one list may ask for by id.
const MaxIDs = 100

// FileQuery narrows a list of files.
type FileQuery struct {
	Page
	Created
	IDs
	Size
	Purpose        string `query:"purpose" doc:"Of this purpose"`
	Filename       string `query:"filename" doc:"Of exactly this name"`
	Title          string `query:"title" doc:"Of exactly this title"`
	Type           string `query:"type" doc:"Of exactly this media type"`
	SHA256         string `query:"sha256" doc:"With this content: its SHA-256 in hexadecimal"`
	LinkedResource string `query:"linked_resource" doc:"That belong to this: type:id"`
	Status         string `query:"status" enum:"active,deleted" doc:"active when left out"`
}

// LinkQuery narrows a list of links.
type LinkQuery struct {
	Page
	Created
	Expires
	IDs
	Expired string `query:"expired" enum:"true,false" doc:"Whether their time has run out"`
	Revoked string `query:"revoked" enum:"true,false" doc:"Whether they were ended before their time"`
}

// EntryQuery asks for a page of a list of audit entries.
type EntryQuery struct {
	Page
	EntryFilter
}

// EntryFilter narrows a list of audit entries.
type EntryFilter struct {
	Created
	IDs
	FileID    string `query:"file_id" doc:"About this file"`
	LinkID    string `query:"link_id" doc:"About this link"`
	KeyID     string `query:"key_id" doc:"The key that an entry concerns, else the one that asked"`
	Action    string `query:"action" doc:"Such as link.redeemed"`
	Outcome   string `query:"outcome" enum:"allowed,refused" doc:"Whether it was allowed"`
	RequestID string `query:"request_id" doc:"The X-Request-Id of an answer"`
}
