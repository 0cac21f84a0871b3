package api

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI is the OpenAPI document of the native HTTP API. As the URL of its server it has "/".
func OpenAPI() string { return openAPI }
