package api

// List is one page of objects, newest first.
type List[T any] struct {
	Object     string  `json:"object" enum:"list" doc:"Always list"`
	Data       []T     `json:"data" nullable:"false" doc:"The objects, newest first"`
	HasMore    bool    `json:"has_more" doc:"Whether more objects follow in the requested direction"`
	URL        string  `json:"url" doc:"Path of the list"`
	NextCursor *string `json:"next_cursor" doc:"Value of starting_after for the next page of older objects; null on the last page"`
}

// Deleted reports that an object was deleted or revoked.
type Deleted struct {
	ID      string `json:"id" doc:"Id of the deleted object"`
	Object  string `json:"object" doc:"Kind of the object: file, file_link or key"`
	Deleted bool   `json:"deleted" doc:"Always true"`
}
