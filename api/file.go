package api

// The values of File.Status.
const (
	StatusActive  = "active"
	StatusDeleted = "deleted"
)

// File is a stored object. Its bytes leave through links alone.
type File struct {
	ID       string            `json:"id"`
	Object   string            `json:"object" enum:"file"`
	Purpose  string            `json:"purpose"`
	Filename string            `json:"filename"`
	Title    *string           `json:"title"`
	Size     int64             `json:"size" doc:"Bytes"`
	Type     string            `json:"type" doc:"Media type as declared at upload"`
	SHA256   string            `json:"sha256" doc:"SHA-256 of the bytes, lower-case hexadecimal"`
	Status   string            `json:"status" enum:"active,deleted"`
	Metadata map[string]string `json:"metadata"`
	Created  int64             `json:"created"`
	Updated  int64             `json:"updated"`
	Livemode bool              `json:"livemode"`
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
