package api

// Values of File.Status.
const (
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// File is a stored file. Its bytes are downloaded through links. Keys with
// files:content also download them through the content routes of the vendors'
// APIs.
type File struct {
	ID              string            `json:"id" doc:"Id of the file"`
	Object          string            `json:"object" enum:"file" doc:"Always file"`
	Purpose         string            `json:"purpose" doc:"Name of the file's purpose"`
	Filename        string            `json:"filename" doc:"File name of downloads"`
	Title           *string           `json:"title" doc:"Title for people"`
	Size            int64             `json:"size" doc:"Size in bytes"`
	Type            string            `json:"type" doc:"Media type as declared at upload"`
	SHA256          string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Status          string            `json:"status" enum:"active,deleted" doc:"deleted if the bytes were deleted"`
	LinkedResources []Resource        `json:"linked_resources" nullable:"false" doc:"Objects of your own system that the file belongs to"`
	Metadata        map[string]string `json:"metadata" doc:"Your own data: texts by key"`
	Created         int64             `json:"created" doc:"Time of creation in unix seconds"`
	Updated         int64             `json:"updated" doc:"Time of the last change through the API in unix seconds"`
	ExpiresAt       *int64            `json:"expires_at" doc:"When retention deletes the file, in unix seconds; null: never"`
	Held            bool              `json:"held" doc:"Whether the file is under hold, which prevents its deletion"`
	Livemode        bool              `json:"livemode" doc:"Mode: true for live, false for test"`
}

// Resource identifies an object of the caller's own system.
type Resource struct {
	Type string `json:"type" doc:"1 to 40 of a-z 0-9 _ . -, starting with a letter"`
	ID   string `json:"id" doc:"Id of the object, up to 255 characters"`
}

// CreatedFile is a stored file and the link that was minted with it, if any.
type CreatedFile struct {
	File
	Link *Link `json:"link,omitempty" doc:"Present if the request asked for a link"`
}

// FileChange updates a file's details. Omitted members keep their values.
type FileChange struct {
	Filename        *string            `json:"filename,omitempty" doc:"File name of downloads"`
	Title           Optional[string]   `json:"title,omitzero" doc:"Title for people; null or \"\" removes it"`
	Metadata        map[string]*string `json:"metadata,omitempty" doc:"Merged with the current metadata; null or \"\" removes a key"`
	LinkedResources *[]Resource        `json:"linked_resources,omitempty" doc:"Replaces all linked resources, up to 50"`
	Held            *bool              `json:"held,omitempty" doc:"true puts the file under hold, false releases it"`
}

// Purpose is a purpose that files may have, with its rules.
type Purpose struct {
	Object                 string   `json:"object" enum:"purpose" doc:"Always purpose"`
	Name                   string   `json:"name" doc:"Value of purpose in an upload"`
	Title                  string   `json:"title" doc:"Title for people"`
	Types                  []string `json:"types" nullable:"false" doc:"Allowed media types; empty for any"`
	MaxSize                int64    `json:"max_size" doc:"Size in bytes"`
	RetentionSeconds       *int64   `json:"retention_seconds" doc:"How long files are kept before they are deleted; null: until they are deleted through the API"`
	Linkable               bool     `json:"linkable" doc:"Whether links to the files may be minted"`
	MaxLinkLifetimeSeconds *int64   `json:"max_link_lifetime_seconds" doc:"Longest lifetime of links to the files; null: the key's limit"`
	Require                []string `json:"require" nullable:"false" doc:"What links to the files must have: recipient (which allowed_recipients meets too), verification, reason, terms. More values may be added"`
	Page                   string   `json:"page" enum:"auto,always,never" doc:"The page of links that are minted without one"`
	Personal               []string `json:"personal" nullable:"false" doc:"Names of files and of their links that the log shows as commitments, so that they can be erased: filename, linked_resources, metadata, reason, title. More values may be added"`
}
