package apidoc

import (
	"net/http"

	"sluice"
	"sluice/internal/httpd"
)

// description is what the documentation says of an operation.
type description struct{ tag, summary, description string }

// descriptions describes every operation of the table of routes.
var descriptions = map[string]description{
	"createFile": {"Files", "Upload a file", "Takes multipart/form-data with the parts file and purpose, and optionally title, filename, metadata (a JSON object, or metadata[key]), " +
		"linked_resources (a JSON list of {type, id}) and link[…] to mint a link in the same call; or, with any other Content-Type, the file as the body and all else as query parameters. " +
		"Fields may stand before or after the file. Content-Digest and Repr-Digest (RFC 9530, sha-256 and sha-512) are verified, on the request and on the part. Nothing is kept of an upload that fails."},
	"putFile":      {"Files", "Upload a file as curl -T does", "The body is the file; purpose and filename are query parameters, as are all other fields of an upload. Every call makes a new file."},
	"listFiles":    {"Files", "List files", "Active files, newest first; deleted ones with status=deleted."},
	"getFile":      {"Files", "Get a file", "The details of a file, also of a deleted one. No route under /v1 gives its bytes: mint a link."},
	"updateFile":   {"Files", "Update a file's details", "The bytes stay. held=true puts the file under hold: it cannot be deleted until held=false."},
	"deleteFile":   {"Files", "Delete a file", "Removes the bytes and ends every link; the audit log keeps what the file was. A file that is held, or that its purpose still retains, is not deleted."},
	"listPurposes": {"Files", "List purposes", "The purposes of this installation, and the rules of each."},

	"createLinkOfFile": {"Links", "Mint a link to a file", "The body may be left out. The URL is a secret: whoever has it can read the file."},
	"listLinksOfFile":  {"Links", "List the links to a file", "Links that their owner ended are left out."},
	"getLinkOfFile":    {"Links", "Get a link to a file", "Also one that has expired. Its URL is the same as when it was minted."},
	"updateLinkOfFile": {"Links", "Update a link to a file", "The URL stays the same. A link that has ended cannot be changed."},
	"deleteLinkOfFile": {"Links", "Revoke a link to a file", "For good: the URL answers 410 from now on."},
	"createLink":       {"Links", "Mint a link", "As POST /v1/files/{id}/links, with the file in the body."},
	"createLinks":      {"Links", "Mint links to many files", "One link of the same kind to each of up to 100 files, all or none; ids that no file has are listed as absent."},
	"listLinks":        {"Links", "List links", "Links that their owner ended are left out."},
	"getLink":          {"Links", "Get a link", "Also one that has expired. Its URL is the same as when it was minted."},
	"updateLink":       {"Links", "Update a link", "The URL stays the same. The longest lifetime counts from the minting, and cannot be passed. A link that has ended cannot be changed."},
	"deleteLink":       {"Links", "Revoke a link", "For good: the URL answers 410 from now on, and the link is not found."},

	"listAuditEntries": {"Audit", "List audit entries", "What was done and refused in this account and mode, newest first."},
	"getAuditEntry":    {"Audit", "Get an audit entry", "One line of the log: who did what to which object, from where and why, and how it ended."},
	"exportAuditEntries": {"Audit", "Export audit entries", "All that the filters let through, newest first, as a stream. In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe. " +
		"That entries are exported is an entry of its own, made before the first byte. A stream that breaks off is not the whole."},
	"redactAuditEntry": {"Audit", "Erase the personal fields of an audit entry", "For good: the addresses and the user agent that it holds. What was signed stays, so every proof still holds. What was erased is an entry of its own."},

	"getCheckpoint":     {"Ledger", "Get the newest checkpoint", "The signed head of the log of this account and mode: C2SP tlog-checkpoint, at most a second older than the newest entry."},
	"getTile":           {"Ledger", "Get a tile", "A hash tile, L/N, or a bundle of entries, entries/N, of the whole width or, with .p/W behind it, of the first W: C2SP tlog-tiles, with /v1/ledger as the prefix. It is there when the newest checkpoint covers it."},
	"getLedgerKey":      {"Ledger", "Get the verifier key", "The public key that checkpoints are signed with, in the text form of C2SP signed-note. Keep it: with a key from the same hand as the log, the log proves little."},
	"listRotations":     {"Ledger", "List changes of the verifier key", "Oldest first: each proves to a verifier that knows the key before that the log went on with the next."},
	"proveEntry":        {"Ledger", "Prove that an entry is in the log", "To whoever has the verifier key, offline: C2SP tlog-proof under the newest checkpoint. An entry that it does not cover yet is not found for up to a second."},
	"proveConsistency":  {"Ledger", "Prove that the log has only grown", "Since it had from entries, until a checkpoint: in the form of an add-checkpoint request of C2SP tlog-witness."},
	"exportDisclosures": {"Ledger", "Export what opens the commitments of entries", "Salts and values of the personal fields, in the order of seq, one canonical JSON object a line. That they are exported is an entry of its own, made before the first byte. A stream that breaks off is not the whole."},

	"createKey":  {"Keys", "Create a key", "The secret is in this answer and never again. A key grants at most what the key that asks has itself."},
	"listKeys":   {"Keys", "List keys", "Also those that have ended."},
	"getKey":     {"Keys", "Get a key", "Also one that has ended. Its secret is never shown again."},
	"updateKey":  {"Keys", "Update a key", "A key grants at most what the key that asks has itself. A key that was revoked is not found."},
	"rotateKey":  {"Keys", "Rotate a key's secret", "The secret is in this answer and never again. The one before it stays good for overlap_seconds, 0 when left out; any older one ends at once."},
	"deleteKey":  {"Keys", "Revoke a key", "For good, and with it every link that it minted."},
	"getAccount": {"Keys", "Get the account", "The account and mode of the API key in use, and the key itself."},

	"redeem": {"Downloads", "Download a file", "Redeems a link. A password is sent as X-Link-Password, or by Basic authentication with any user name. A browser (Accept: text/html) gets a page first when the link has a password or a number of downloads: its button sends a POST. " +
		"A download that is counted opens ten minutes in which the same client, or a browser with the cookie of the answer, may ask for ranges or for the whole file without being counted again, until twice the size was sent. A download that Sluice itself fails to send is given back and does not count. On a link without a number of downloads, a range without the first byte of the file does not count. HEAD, 304, 412 and 416 never count. " +
		"Whoever does not ask for text/html gets the file at once, so a link preview or a download manager that fetches the URL uses a download up: give a link that may be used once a password as well, or send it where nothing previews links."},
	"redeemNamed":     {"Downloads", "Download a file under a name", "What follows the token is for the eye, and ignored."},
	"answerLink":      {"Downloads", "Answer a link that asks first", "What the page of a link with a password or a number of downloads sends. The answer is the file."},
	"answerLinkNamed": {"Downloads", "Answer a link that asks first, under a name", "What follows the token is for the eye, and ignored."},
	"health":          {"Operation", "Say that the process answers", "Asks nothing of store or disk."},
	"ready":           {"Operation", "Say whether changes can be committed and bytes stored", "503 while they cannot."},
	"getMetrics":      {"Operation", "Get metrics", "In the text format of Prometheus. They are of the whole process, of all accounts and both modes, so the key must be a live one. A scraper is better served at --metrics-listen."},

	"getDocument":   {"Reference", "Get this document", "OpenAPI 3.1."},
	"showReference": {"Reference", "Read this document", "As a page for people."},
	"explainError":  {"Reference", "Read about a code", "The page that type and doc_url of a problem name: what the code means, when it happens, and what to do."},
}

// introduction is what the documentation says before all else.
const introduction = "Files go in, short-lived links come out, and a log remembers why each file left.\n\n" +
	"JSON over HTTP. Times are unix seconds, ids have a prefix that names their kind, and objects of the other mode (test or live) or of another account do not exist for a key. " +
	"Every `GET` answers `HEAD` too. Parameters and members that are unknown are refused, and JSON bodies of more than 256 KiB.\n\n" +
	"A request that changes something and has an `Idempotency-Key` takes effect once: the same request within 24 hours gets the same answer, with `Idempotency-Replayed: true`. " +
	"Errors are problem documents (RFC 9457): branch on `code`, whose page explains it.\n\n" +
	"In a query, write the `+` of a time zone as `%2B`; a bare one stands for a space. Lists are newest first. Pass `next_cursor` as `starting_after` to go on; a cursor whose object was deleted still works.\n\n" +
	"The API is for servers. There are no CORS headers, `OPTIONS` answers 405, and files carry `Cross-Origin-Resource-Policy: same-origin`: a script of another origin can neither call the API, " +
	"which would give away the key, nor read a file. In a page, lead people to the URL of a link; to show a file inside a page of yours, fetch it in your server."

// tags are the groups of operations, in the order of the documentation.
var tags = []tag{
	{Name: "Files", Description: "What is stored, and what is said of it."},
	{Name: "Links", Description: "Time-limited rights to read one file. The URL of a link is a secret."},
	{Name: "Audit", Description: "The log of what was done and refused."},
	{Name: "Ledger", Description: "The same log for whoever trusts nobody: its tree, checkpoints and proofs (RFC 6962, C2SP tlog-tiles)."},
	{Name: "Keys", Description: "Who may ask, and for what."},
	{Name: "Downloads", Description: "Where the URLs of links lead. No key is asked for."},
	{Name: "Operation", Description: "For whoever runs the server."},
	{Name: "Reference", Description: "This document."},
}

// headers are the headers of answers; those that are always there where an
// answer names them, and those that depend on the case.
var headers = []struct {
	name, kind, description string
	always                  bool
	example                 any
}{
	{"X-Request-Id", typeString, "Names the request in logs, problems and audit entries", true, exampleRequest},
	{"Sluice-Version", typeString, "The version of the API that is spoken", false, sluice.APIVersion},
	{"RateLimit-Policy", typeString, "What a key may ask in each window, where that is limited (draft-ietf-httpapi-ratelimit-headers)", false, `"second";q=25;w=1, "minute";q=500;w=60`},
	{"RateLimit", typeString, "What is left of each window", false, `"second";r=24;t=1, "minute";r=499;t=1`},
	{"X-RateLimit-Limit", typeInteger, "The limit of the window with the least left", false, 25},
	{"X-RateLimit-Remaining", typeInteger, "What is left of it", false, 24},
	{"X-RateLimit-Reset", typeInteger, "When all of it is left again, in unix seconds", false, exampleTime},
	{"Idempotency-Replayed", typeString, "true when the request was answered before, and this is that answer", false, "true"},
	{"ETag", typeString, "The state of the object, for If-Match and If-None-Match; of a download, its content", true, exampleETag},
	{"Link", typeString, "rel=next and rel=prev: the pages beside this one, where there are any (RFC 8288)", false, `</v1/files?limit=10&starting_after=` + exampleFileID + `>; rel="next"`},
	{"Location", typeString, "Where the file is to be had", true, "https://files.example.com/v1/files/" + exampleFileID},
	{"Retry-After", typeInteger, "Seconds after which trying again may help", true, 1},
	{"WWW-Authenticate", typeString, "Always Bearer", true, "Bearer"},
	{"Accept-Ranges", typeString, "Always bytes", true, "bytes"},
	{"Content-Range", typeString, "Which bytes these are, when one range was asked for; where there are none, how many the file has", false, "bytes 0-99/2048"},
	{"Content-Disposition", typeString, "Whether a browser saves the file, and its name (RFC 6266)", true, `attachment; filename="report.pdf"`},
	{"Repr-Digest", typeString, "SHA-256 of the whole file (RFC 9530)", true, exampleDigest},
	{"Last-Modified", typeString, "When the file was stored", true, "Wed, 04 Mar 2026 05:06:07 GMT"},
}

// ownRefusals are the codes of single routes, beside those that follow from
// their kind.
var ownRefusals = map[string][]sluice.Code{
	"updateLink":       {sluice.CodeLinkExpired, sluice.CodeLinkRevoked},
	"updateLinkOfFile": {sluice.CodeLinkExpired, sluice.CodeLinkRevoked},
	"deleteFile":       {sluice.CodeFileHeld},
	"createLink":       {sluice.CodeNotFound},
	"getAccount":       {sluice.CodeNotFound},
	"proveEntry":       {sluice.CodeNotFound},
	"proveConsistency": {sluice.CodeNotFound},
	"redeem":           downloadRefusals,
	"redeemNamed":      downloadRefusals,
	"answerLink":       answerRefusals,
	"answerLinkNamed":  answerRefusals,
	"ready":            {sluice.CodeUnavailable},
	"explainError":     {sluice.CodeNotFound},
}

var answerRefusals = append([]sluice.Code{sluice.CodeTooLarge, sluice.CodeUnsupportedType, sluice.CodeValidation}, downloadRefusals...)

var downloadRefusals = []sluice.Code{
	sluice.CodeForbidden, sluice.CodeNotFound, sluice.CodeGone, sluice.CodePreconditionFailed, sluice.CodeRange,
	sluice.CodeRateLimited, sluice.CodeUnavailable, sluice.CodeStorageFull,
}

// mediaTypes are those of the answers that are not JSON.
var mediaTypes = map[string][]string{
	"exportAuditEntries": {"application/x-ndjson", "text/csv"},
	"exportDisclosures":  {"application/x-ndjson"},
	"getCheckpoint":      {"text/plain"},
	"getLedgerKey":       {"text/plain"},
	"proveEntry":         {"text/plain"},
	"proveConsistency":   {"text/plain"},
}

// headerParams are the headers that the requests of a route may have, for the
// documentation.
func headerParams(rt httpd.Route) (params []*param) {
	text := func(name, description string) {
		params = append(params, &param{Name: name, In: "header", Description: description, Schema: &schema{Type: typeString}})
	}
	text("Sluice-Version", "The version of the API to speak, YYYY-MM-DD; that of the key when left out")
	if changes(rt) {
		text("Idempotency-Key", "1 to 255 printable ASCII characters: the request takes effect once, however often it is sent within 24 hours")
	}
	if brings(rt) {
		text("Content-Digest", "Digests of the body (RFC 9530), by sha-256 or sha-512: anything else that arrives is refused")
		text("Repr-Digest", "As Content-Digest")
	}
	switch {
	case rt.Method == http.MethodGet && isOne(rt):
		text("If-None-Match", "Entity tags: answer 304 when the object has one of them")
	case rt.Method == http.MethodPatch || rt.Method == http.MethodDelete:
		text("If-Match", "Entity tags: answer 412 and change nothing unless the object has one of them")
	}
	return params
}
