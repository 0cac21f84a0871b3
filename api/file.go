package api

// The values of File.Status.
const (
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// File is a stored object. Its bytes leave through links, and through the content
// routes of the vendors' APIs to keys with files:content.
type File struct {
	ID              string            `json:"id" doc:"Id of the file"`
	Object          string            `json:"object" enum:"file" doc:"Always file"`
	Purpose         string            `json:"purpose" doc:"What the file is for: the name of a purpose"`
	Filename        string            `json:"filename" doc:"What a download of it is called"`
	Title           *string           `json:"title" doc:"What people call it"`
	Size            int64             `json:"size" doc:"Bytes"`
	Type            string            `json:"type" doc:"Media type as declared at upload"`
	SHA256          string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Status          string            `json:"status" enum:"active,deleted" doc:"deleted once its bytes are gone"`
	LinkedResources []Resource        `json:"linked_resources" nullable:"false" doc:"What the file belongs to in your own system"`
	Metadata        map[string]string `json:"metadata" doc:"Your own notes: texts by key"`
	Created         int64             `json:"created" doc:"When it was made, in unix seconds"`
	Updated         int64             `json:"updated" doc:"When it was last changed by its owner, in unix seconds"`
	ExpiresAt       *int64            `json:"expires_at" doc:"When its purpose's retention deletes it; null: never"`
	Held            bool              `json:"held" doc:"Whether it is under hold and may not be deleted"`
	Livemode        bool              `json:"livemode" doc:"Mode: true for live, false for test"`
}

// Resource names an object of the caller's own system.
type Resource struct {
	Type string `json:"type" doc:"1 to 40 of a-z 0-9 _ . -, a letter first"`
	ID   string `json:"id" doc:"What a download of it is called"`
}

// CreatedFile is a stored file, and the link that was minted with it.
type CreatedFile struct {
	File
	Link *Link `json:"link,omitempty" doc:"There when a link was asked for"`
}

// FileChange updates a file's details; members that are left out stay as they are.
type FileChange struct {
	Filename        *string            `json:"filename,omitempty" doc:"What a download of it is called"`
	Title           Optional[string]   `json:"title,omitzero" doc:"What people call it; null or an empty text removes it"`
	Metadata        map[string]*string `json:"metadata,omitempty" doc:"Merged; null or an empty text removes a key"`
	LinkedResources *[]Resource        `json:"linked_resources,omitempty" doc:"Replaces those before, up to 50"`
	Held            *bool              `json:"held,omitempty" doc:"Puts the file under hold, or releases it"`
}

// Purpose says what a file is for, and the rules that follow.
type Purpose struct {
	Object                 string   `json:"object" enum:"purpose" doc:"Always purpose"`
	Name                   string   `json:"name" doc:"What to send as purpose"`
	Title                  string   `json:"title" doc:"What people call it"`
	Types                  []string `json:"types" nullable:"false" doc:"Media types such a file may have; empty for any"`
	MaxSize                int64    `json:"max_size" doc:"Bytes"`
	RetentionSeconds       *int64   `json:"retention_seconds" doc:"How long a file is kept; null for as long as its owner wishes"`
	Linkable               bool     `json:"linkable" doc:"Whether links to such files may be minted"`
	MaxLinkLifetimeSeconds *int64   `json:"max_link_lifetime_seconds" doc:"Longest lifetime of links to such files; null for that of the key"`
}
