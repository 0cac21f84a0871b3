package api

// Account says who a key is and where it works.
type Account struct {
	Object   string `json:"object" enum:"account"`
	ID       string `json:"id"`
	Livemode bool   `json:"livemode"`
	Key      Key    `json:"key"`
}

// Key is the API key that asked.
type Key struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Scopes []string `json:"scopes" nullable:"false"`
}
