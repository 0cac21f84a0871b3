package api

// Account says who a key is and where it works.
type Account struct {
	Object   string `json:"object" enum:"account" doc:"Always account"`
	ID       string `json:"id" doc:"Id of the account"`
	Name     string `json:"name" doc:"Name of the account"`
	Created  int64  `json:"created" doc:"When it was made, in unix seconds"`
	Livemode bool   `json:"livemode" doc:"Mode of the key: true for live, false for test"`
	Key      Key    `json:"key" doc:"The key that asked"`
}
