package api

// Page are the parameters of every list. After and Before exclude each other;
// an id keeps its place when its object is deleted.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"10"`
	After  string `query:"starting_after" doc:"Id of an object: give what is older"`
	Before string `query:"ending_before" doc:"Id of an object: give what is newer"`
}

// Created bounds the moment an object was made: Created for one second, or
// bounds. Each is unix seconds or RFC 3339.
type Created struct {
	Created    string `query:"created" doc:"Unix seconds or RFC 3339"`
	CreatedGT  string `query:"created[gt]"`
	CreatedGTE string `query:"created[gte]"`
	CreatedLT  string `query:"created[lt]"`
	CreatedLTE string `query:"created[lte]"`
}

// IDs names the objects to list, at most MaxIDs.
type IDs struct {
	IDs []string `query:"ids,explode" doc:"Repeated, or separated by commas"`
}

// MaxIDs is how many objects one list may ask for by id.
const MaxIDs = 100

// FileQuery narrows a list of files.
type FileQuery struct {
	Page
	Created
	IDs
	Purpose string `query:"purpose"`
}

// LinkQuery narrows a list of links.
type LinkQuery struct {
	Page
	Created
	IDs
	Expired string `query:"expired" enum:"true,false"`
}

// EntryQuery narrows a list of audit entries.
type EntryQuery struct {
	Page
	Created
	IDs
	FileID    string `query:"file_id"`
	LinkID    string `query:"link_id"`
	KeyID     string `query:"key_id" doc:"The key that an entry concerns, else the one that asked"`
	Action    string `query:"action"`
	Outcome   string `query:"outcome" enum:"allowed,refused"`
	RequestID string `query:"request_id"`
}
