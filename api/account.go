package api

// Account is the account of a key, and the key itself.
type Account struct {
	Object   string `json:"object" enum:"account" doc:"Always account"`
	ID       string `json:"id" doc:"Id of the account"`
	Name     string `json:"name" doc:"Name of the account"`
	Created  int64  `json:"created" doc:"Time of creation in unix seconds"`
	Livemode bool   `json:"livemode" doc:"Mode of the key: true for live, false for test"`
	Key      Key    `json:"key" doc:"The key of the request"`
}
