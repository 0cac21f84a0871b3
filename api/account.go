package api

// Account says who a key is and where it works.
type Account struct {
	Object   string `json:"object" enum:"account"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	Created  int64  `json:"created"`
	Livemode bool   `json:"livemode" doc:"The side of the account that the key works on"`
	Key      Key    `json:"key" doc:"The key that asked"`
}
