// Package apidoc generates the documentation of the native API from the table of routes and the wire types: the OpenAPI
// document api/openapi.json, and the pages below internal/httpd/docs/generated. The server does not import it; it
// serves the generated files from the repository. After a change of the API, regenerate them:
//
//	go generate ./internal/httpd/apidoc
package apidoc

//go:generate go test -run TestGenerated -update .
