package api

// The values of File.Status.
const (
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// File is a stored object. Its bytes leave through links alone.
type File struct {
	ID              string            `json:"id"`
	Object          string            `json:"object" enum:"file"`
	Purpose         string            `json:"purpose"`
	Filename        string            `json:"filename"`
	Title           *string           `json:"title"`
	Size            int64             `json:"size" doc:"Bytes"`
	Type            string            `json:"type" doc:"Media type as declared at upload"`
	SHA256          string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Status          string            `json:"status" enum:"active,deleted"`
	LinkedResources []Resource        `json:"linked_resources" nullable:"false" doc:"What the file belongs to in your own system"`
	Metadata        map[string]string `json:"metadata"`
	Created         int64             `json:"created"`
	Updated         int64             `json:"updated"`
	ExpiresAt       *int64            `json:"expires_at" doc:"When its purpose's retention deletes it; null: never"`
	Held            bool              `json:"held" doc:"Whether it is under hold and may not be deleted"`
	Livemode        bool              `json:"livemode"`
}

// Resource names an object of the caller's own system.
type Resource struct {
	Type string `json:"type" doc:"1 to 40 of a-z 0-9 _ . -, a letter first"`
	ID   string `json:"id" doc:"Up to 255 characters"`
}

// CreatedFile is a stored file, and the link that was minted with it.
type CreatedFile struct {
	File
	Link *Link `json:"link,omitempty" doc:"There when a link was asked for"`
}

// FileChange changes what is said of a file; what is left out stays as it is.
type FileChange struct {
	Filename        *string            `json:"filename,omitempty" doc:"Up to 255 characters"`
	Title           Optional[string]   `json:"title,omitzero" doc:"Up to 255 characters; null or an empty text removes it"`
	Metadata        map[string]*string `json:"metadata,omitempty" doc:"Merged; null or an empty text removes a key"`
	LinkedResources *[]Resource        `json:"linked_resources,omitempty" doc:"Replaces those before, up to 50"`
	Held            *bool              `json:"held,omitempty" doc:"Puts the file under hold, or releases it"`
}

// Purpose says what a file is for, and the rules that follow.
type Purpose struct {
	Object                 string   `json:"object" enum:"purpose"`
	Name                   string   `json:"name"`
	Title                  string   `json:"title"`
	Types                  []string `json:"types" nullable:"false" doc:"Media types such a file may have; empty for any"`
	MaxSize                int64    `json:"max_size" doc:"Bytes"`
	RetentionSeconds       *int64   `json:"retention_seconds" doc:"How long a file is kept; null for as long as its owner wishes"`
	Linkable               bool     `json:"linkable" doc:"Whether links to such files may be minted"`
	MaxLinkLifetimeSeconds *int64   `json:"max_link_lifetime_seconds" doc:"Longest lifetime of links to such files; null for that of the key"`
}
