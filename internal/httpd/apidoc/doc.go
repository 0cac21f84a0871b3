// Package apidoc makes the documentation of the native API from the table of routes and the wire types: the OpenAPI
// document api/openapi.json, and the pages below internal/httpd/docs/generated. No part of the server imports it: the
// server serves these files as they stand in the repository. After a change of the API, write them anew:
//
//	go generate ./internal/httpd/apidoc
package apidoc

//go:generate go test -run TestGenerated -update .
