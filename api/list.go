package api

// List is one page of objects, newest first.
type List[T any] struct {
	Object     string  `json:"object" enum:"list" doc:"Always list"`
	Data       []T     `json:"data" nullable:"false" doc:"The objects, newest first"`
	HasMore    bool    `json:"has_more" doc:"Whether more follow in the direction that was asked for"`
	URL        string  `json:"url" doc:"The path of the list"`
	NextCursor *string `json:"next_cursor" doc:"What to pass as starting_after for the next older page; null on the last"`
}

// Deleted tells that an object was ended.
type Deleted struct {
	ID      string `json:"id" doc:"Id of what was ended"`
	Object  string `json:"object" doc:"What it was: file, file_link or key"`
	Deleted bool   `json:"deleted" doc:"Always true"`
}
