package apidoc

import (
	"net/http"

	"sluice"
	"sluice/internal/httpd"
)

// description is the description of an operation.
type description struct{ tag, summary, description string }

// descriptions describes every operation in the table of routes.
var descriptions = map[string]description{
	"createFile": {"Files", "Upload a file", "Accepts `multipart/form-data` with the parts `file` and `purpose`, and " +
		"optionally `title`, `filename`, `metadata` (a JSON object, or `metadata[key]`), `linked_resources` (a JSON " +
		"array of `{type, id}`) and `link[…]` to create a link too. Fields may precede or follow the file.\n\n" +
		"With any other `Content-Type`, the body is the file and the other fields are query parameters.\n\n" +
		"`Content-Digest` and `Repr-Digest` (RFC 9530, sha-256 and sha-512) are verified, in the header of the " +
		"request and of the part. A failed upload leaves nothing behind."},
	"putFile": {"Files", "Upload a file with PUT", "For curl -T. The body is the file; purpose, filename and " +
		"the other fields are query parameters. Every request creates a new file."},
	"listFiles": {"Files", "List files", "Returns active files, newest first. `status=deleted` returns deleted ones."},
	"getFile": {"Files", "Get a file", "Returns the details of a file, even if it is deleted. To download its " +
		"bytes, create a link."},
	"updateFile": {"Files", "Update a file's details", "The bytes cannot be changed. `held: true` puts the file " +
		"under hold: it cannot be deleted until `held: false`."},
	"deleteFile": {"Files", "Delete a file", "Removes the bytes and ends every link. The audit log keeps the " +
		"details of the file. A file under hold or retention cannot be deleted."},
	"listPurposes": {"Files", "List purposes", "Returns the purposes of this installation and their rules."},

	"createLinkOfFile": {"Links", "Create a link to a file", "The body is optional. The URL is a secret: anyone " +
		"who has it can download the file."},
	"listLinksOfFile": {"Links", "List the links to a file", "Links that their owner revoked are omitted."},
	"getLinkOfFile": {"Links", "Get a link to a file", "Returns the link even if it has expired. Its URL never " +
		"changes."},
	"updateLinkOfFile": {"Links", "Update a link to a file", "The URL stays the same. A link that has expired or " +
		"ended cannot be changed."},
	"deleteLinkOfFile": {"Links", "Revoke a link to a file", "Revoking is final. The URL responds with 410."},
	"createLink": {"Links", "Create a link", "Like `POST /v1/files/{id}/links`, with the id of the file in the " +
		"body."},
	"createLinks": {"Links", "Create links to many files", "Creates one link with the same settings for each " +
		"of up to 100 files: all of them or none. Ids of files that do not exist are returned as absent."},
	"listLinks": {"Links", "List links", "Links that their owner revoked are omitted."},
	"getLink":   {"Links", "Get a link", "Returns the link even if it has expired. Its URL never changes."},
	"updateLink": {"Links", "Update a link", "The URL stays the same. The maximum lifetime counts from the " +
		"creation of the link. A link that has expired or ended cannot be changed."},
	"deleteLink": {"Links", "Revoke a link", "Revoking is final. The URL responds with 410, and the link is " +
		"no longer found."},

	"listAuditEntries": {"Audit", "List audit entries", "Returns what was done and refused in this account and " +
		"mode, newest first."},
	"getAuditEntry": {"Audit", "Get an audit entry", "Returns one entry of the log: who did what to which " +
		"object, from where, why, and with which outcome."},
	"exportAuditEntries": {"Audit", "Export audit entries", "Streams all entries that match the filters, newest " +
		"first. In CSV, a cell that a spreadsheet would interpret as a formula begins with an apostrophe. The " +
		"export is recorded as an entry before the first byte is sent. A stream that ends early is incomplete."},
	"reportAuditEntries": {"Audit", "Make a report of audit entries", "Returns one HTML file for people: a summary, " +
		"and each entry that matches the filters as a sentence. It contains the entries, their proofs, the checkpoint " +
		"and the key, and checks itself in a browser without a connection; `sluice audit verify` checks it too. At most " +
		"10,000 entries may match; more are refused with 413. The report is recorded as an entry, with a digest of what " +
		"it shows, before the first byte is sent, and that takes up to a few seconds. A stream that ends early is " +
		"incomplete."},
	"redactAuditEntry": {"Audit", "Erase the personal fields of an audit entry", "Erases the personal fields of an " +
		"entry, or those that the body names. This is final. The signed data does not change, so every proof stays " +
		"valid. If the entry records the details of a link or a file, they lose the same. The erasure is recorded " +
		"as an entry."},
	"createErasure": {"Audit", "Erase a person from the log", "Begins to erase personal fields from all entries " +
		"of one person, address, file, link or key, and from links and files. The beginning and the end are " +
		"recorded as entries, without the address of the person. The erasure goes on in the background, also after " +
		"a restart; when it has ended, no entry before the one of its end has the fields any more. Every proof " +
		"stays valid."},
	"getErasure": {"Audit", "Get an erasure", "Tells how far an erasure has come."},

	"getCheckpoint": {"Ledger", "Get the newest checkpoint", "Returns the signed head of the log of this " +
		"account and mode (C2SP tlog-checkpoint). It is at most a second older than the newest entry."},
	"getTile": {"Ledger", "Get a tile", "Returns a hash tile, L/N, or an entry bundle, entries/N (C2SP " +
		"tlog-tiles, with the prefix /v1/ledger). .p/W selects the partial tile with the first W hashes or " +
		"entries. A tile exists once the newest checkpoint covers it."},
	"getLedgerKey": {"Ledger", "Get the verifier key", "Returns the public key that verifies checkpoints, in " +
		"the text form of C2SP signed-note. Keep a copy: a key that you fetch together with the log proves little."},
	"listRotations": {"Ledger", "List changes of the verifier key", "Returns the changes of the key, oldest " +
		"first. Each proves to a verifier with the previous key that the log continues with the next key."},
	"proveEntry": {"Ledger", "Prove that an entry is in the log", "Returns a proof that can be checked " +
		"offline with the verifier key (C2SP tlog-proof), for the newest checkpoint. A new entry may not be found " +
		"for up to a second, until a checkpoint covers it."},
	"proveConsistency": {"Ledger", "Prove that the log has only grown", "Returns a proof that the log has only " +
		"grown from the size from to a checkpoint, in the form of an add-checkpoint request of C2SP tlog-witness."},
	"exportDisclosures": {"Ledger", "Export disclosures", "Streams the salts and values of the personal fields, " +
		"which open the commitments in entries, ordered by seq, with one canonical JSON object per line. The " +
		"export is recorded as an entry before the first byte is sent. A stream that ends early is incomplete."},

	"createKey": {"Keys", "Create a key", "The response contains the secret, which is never shown again. The new " +
		"key can have at most the rights of the key that creates it."},
	"listKeys": {"Keys", "List keys", "Returns all keys, including expired and revoked ones."},
	"getKey": {"Keys", "Get a key", "Returns the key even if it has expired or was revoked. Its secret is " +
		"never shown again."},
	"updateKey": {"Keys", "Update a key", "The key can get at most the rights of the key that changes it. A " +
		"revoked key is not found."},
	"rotateKey": {"Keys", "Rotate a key's secret", "The response contains the new secret, which is never shown " +
		"again. The previous secret stays valid for overlap_seconds (default 0). Any older secret ends at once."},
	"deleteKey":  {"Keys", "Revoke a key", "Revoking is final. It ends every link that the key created."},
	"getAccount": {"Keys", "Get the account", "Returns the account and mode of the API key, and the key."},

	"redeem": {"Downloads", "Download a file", "Redeems a link. Send a password as `X-Link-Password` or with Basic " +
		"authentication and any user name. If the link has a password or a download limit, a browser (`Accept: " +
		"text/html`) first gets a page whose button sends a POST.\n\n" +
		"For ten minutes after a counted download, the same client, or a browser with the cookie of the response, " +
		"may request ranges or the whole file again without being counted, up to twice the size of the file in " +
		"total. A download that fails because of Sluice is not counted. On a link without a download limit, a range " +
		"without the first byte of the file is not counted. `HEAD`, 304, 412 and 416 are never counted.\n\n" +
		"Clients that do not accept `text/html` get the file at once, so a link preview or a download manager that " +
		"fetches the URL uses up a download. If a link may be used only once, give it a password too, or send it " +
		"where links are not previewed."},
	"redeemNamed": {"Downloads", "Download a file with a name in the URL", "The text after the token is ignored."},
	"answerLink": {"Downloads", "Confirm a download", "The request of the page of a link with a password or a " +
		"download limit. The response is the file."},
	"answerLinkNamed": {
		"Downloads", "Confirm a download with a name in the URL", "The text after the token is ignored.",
	},
	"health": {"Operation", "Check that the process responds", "Does not use the database or the disk."},
	"ready":  {"Operation", "Check that changes can be committed and bytes stored", "503 if they cannot."},
	"getMetrics": {"Operation", "Get metrics", "Returns metrics in the text format of Prometheus. They cover " +
		"the whole process, with all accounts and both modes, so the key must be a live key. For a scraper, use " +
		"--metrics-listen instead."},

	"getDocument":   {"Reference", "Get this document", "OpenAPI 3.1."},
	"showReference": {"Reference", "Read the documentation", "Returns the first page of the documentation, in HTML."},
	"showPage":      {"Reference", "Read a page of the documentation", "Returns a page of the documentation, in HTML."},
	"explainError": {"Reference", "Read about a problem code", "Returns the page that type and doc_url of a " +
		"problem link to: what the code means, when it occurs, and what to do."},
}

// introduction is the introduction of the documentation.
const introduction = "" +
	"Upload files, share them with short-lived links, and keep a log of why each file was shared.\n\n" +
	"The API is JSON over HTTP. Times are in Unix seconds. Ids have a prefix that names the kind of object. " +
	"A key sees only the objects of its account and mode (test or live). " +
	"`HEAD` is supported wherever `GET` is. Unknown parameters and members are refused, and so are JSON bodies of " +
	"more than 256 KiB.\n\n" +
	"A request with an `Idempotency-Key` that changes something takes effect only once: the same request within " +
	"24 hours gets the same response, with `Idempotency-Replayed: true`. " +
	"Errors are problem documents (RFC 9457). Branch on `code`; each code has a page that explains it.\n\n" +
	"In a query, encode the `+` of a time zone as `%2B`; a plain one means a space. Lists are ordered newest first. " +
	"To get the next page, pass `next_cursor` as `starting_after`. " +
	"A cursor stays valid when its object is deleted.\n\n" +
	"The API is for servers. It sends no CORS headers, `OPTIONS` responds with 405, and files have " +
	"`Cross-Origin-Resource-Policy: same-origin`. Scripts of other origins can neither call the API, which would " +
	"expose the key, nor read files. In a web page, use the URL of a link as a hyperlink. To embed a file in a page, " +
	"fetch it with your server."

// tags are the groups of operations, in the order of the documentation.
var tags = []tag{
	{Name: "Files", Description: "Stored files and their details."},
	{Name: "Links", Description: "Time-limited rights to download one file. The URL of a link is a secret."},
	{Name: "Audit", Description: "The log of what was done and refused."},
	{Name: "Ledger", Description: "The same log in verifiable form: its tree, checkpoints and proofs (RFC 6962, " +
		"C2SP tlog-tiles)."},
	{Name: "Keys", Description: "API keys and their scopes."},
	{Name: "Downloads", Description: "The URLs of links. They need no key."},
	{Name: "Operation", Description: "For the operator of the server."},
	{Name: "Reference", Description: "This document."},
}

// headers are the headers of responses. Those that are always present are required.
var headers = []struct {
	name, kind, description string
	always                  bool
	example                 any
}{
	{"X-Request-Id", typeString, "Identifies the request in logs, problems and audit entries", true, exampleRequest},
	{"Sluice-Version", typeString, "The version of the API", false, sluice.APIVersion},
	{"RateLimit-Policy", typeString, "The limits of the key per window, if there are any " +
		"(draft-ietf-httpapi-ratelimit-headers)", false, `"second";q=25;w=1, "minute";q=500;w=60`},
	{"RateLimit", typeString, "The requests left in each window", false, `"second";r=24;t=1, "minute";r=499;t=1`},
	{"X-RateLimit-Limit", typeInteger, "The limit of the window with the fewest requests left", false, 25},
	{"X-RateLimit-Remaining", typeInteger, "The requests left in that window", false, 24},
	{"X-RateLimit-Reset", typeInteger, "When that window is full again, in Unix seconds", false, exampleTime},
	{"Idempotency-Replayed", typeString, "true if this is the stored response to an earlier request", false, "true"},
	{"ETag", typeString, "The version of the object, for If-Match and If-None-Match; for a download, that of the " +
		"content", true, exampleETag},
	{
		"Link", typeString, "rel=next and rel=prev: the next and the previous page, if there are any (RFC 8288)",
		false,
		`</v1/files?limit=10&starting_after=` + exampleFileID + `>; rel="next"`,
	},
	{"Location", typeString, "URL of the file", true, "https://files.example.com/v1/files/" + exampleFileID},
	{"Retry-After", typeInteger, "Seconds to wait before a retry", true, 1},
	{"WWW-Authenticate", typeString, "Always Bearer", true, "Bearer"},
	{"Accept-Ranges", typeString, "Always bytes", true, "bytes"},
	{"Content-Range", typeString, "The range of the content, if one range was requested; with 416, the size of the " +
		"file", false, "bytes 0-99/2048"},
	{
		"Content-Disposition", typeString, "Whether a browser saves or displays the file, and its name (RFC 6266)",
		true,
		`attachment; filename="report.pdf"`,
	},
	{"Repr-Digest", typeString, "SHA-256 of the whole file (RFC 9530)", true, exampleDigest},
	{"Last-Modified", typeString, "When the file was stored", true, "Wed, 04 Mar 2026 05:06:07 GMT"},
}

// ownRefusals are the codes of single routes, in addition to those of their kind.
var ownRefusals = map[string][]sluice.Code{
	"updateLink":         {sluice.CodeLinkExpired, sluice.CodeLinkRevoked},
	"updateLinkOfFile":   {sluice.CodeLinkExpired, sluice.CodeLinkRevoked},
	"deleteFile":         {sluice.CodeFileHeld},
	"createLink":         {sluice.CodeNotFound},
	"getAccount":         {sluice.CodeNotFound},
	"proveEntry":         {sluice.CodeNotFound},
	"reportAuditEntries": {sluice.CodeTooLarge},
	"proveConsistency":   {sluice.CodeNotFound},
	"redeem":             downloadRefusals,
	"redeemNamed":        downloadRefusals,
	"answerLink":         answerRefusals,
	"answerLinkNamed":    answerRefusals,
	"ready":              {sluice.CodeUnavailable},
	"explainError":       {sluice.CodeNotFound},
	"showPage":           {sluice.CodeNotFound},
}

var answerRefusals = append(
	[]sluice.Code{sluice.CodeTooLarge, sluice.CodeUnsupportedType, sluice.CodeValidation},
	downloadRefusals...)

var downloadRefusals = []sluice.Code{
	sluice.CodeForbidden, sluice.CodeNotFound, sluice.CodeGone, sluice.CodePreconditionFailed, sluice.CodeRange,
	sluice.CodeRateLimited, sluice.CodeUnavailable, sluice.CodeStorageFull,
}

// mediaTypes are the media types of responses that are not JSON.
var mediaTypes = map[string][]string{
	"exportAuditEntries": {"application/x-ndjson", "text/csv"},
	"exportDisclosures":  {"application/x-ndjson"},
	"reportAuditEntries": {"text/html"},
	"getCheckpoint":      {"text/plain"},
	"getLedgerKey":       {"text/plain"},
	"proveEntry":         {"text/plain"},
	"proveConsistency":   {"text/plain"},
}

// headerParams returns the request headers of a route.
func headerParams(rt httpd.Route) (params []*param) {
	text := func(name, description string) {
		params = append(
			params,
			&param{Name: name, In: "header", Description: description, Schema: &schema{Type: typeString}},
		)
	}
	text("Sluice-Version", "The version of the API, YYYY-MM-DD; by default that of the key")
	if changes(rt) {
		text("Idempotency-Key", "1 to 255 printable ASCII characters. The request takes effect only once, however "+
			"often it is sent within 24 hours")
	}
	if brings(rt) {
		text("Content-Digest", "Digests of the body (RFC 9530), sha-256 or sha-512. A body with another digest is "+
			"refused")
		text("Repr-Digest", "Like Content-Digest")
	}
	switch {
	case rt.Method == http.MethodGet && isOne(rt):
		text("If-None-Match", "Entity tags: 304 if the object has one of them")
	case rt.Method == http.MethodPatch || rt.Method == http.MethodDelete:
		text("If-Match", "Entity tags: 412, and no change, unless the object has one of them")
	}
	return params
}
