package api

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI returns the OpenAPI document of the native HTTP API. The URL of its server is "/".
func OpenAPI() string { return openAPI }
