package apidoc

import (
	"sluice"
	"sluice/api"
)

// explanation is what the page of a code says beside its title and status.
type explanation struct {
	meaning string   // one sentence
	when    []string // cases
	remedy  []string // what to do
	example api.Problem
}

// explanations has a page for every code of problems.
var explanations = map[sluice.Code]explanation{
	sluice.CodeValidation: {
		meaning: "The body, the query, a header or the metadata of the request is invalid.",
		when: []string{
			"A member or parameter is missing, of the wrong type, too long, out of its range, or unknown.",
			"Two that exclude each other are both there, such as `expires_at` and `expires_in_seconds`.",
			"The body is not JSON, is not UTF-8, or broke off before it was whole.",
			"A member of the body is given more than once, or a text holds half of a surrogate pair (RFC 7493).",
		},
		remedy: []string{
			"Read `errors`: it lists everything that was found, each with the parameter, dotted, and a code of its own: `required`, `invalid`, `too_long`, `too_many`, `out_of_range`, `reserved` or `unknown`.",
			"Change the request. The same one will be refused again.",
		},
		example: api.Problem{
			Detail: "reason has more than 500 characters", Param: "reason",
			Errors: []api.FieldError{
				{Param: "reason", Code: "too_long", Message: "reason has more than 500 characters"},
				{Param: "max_downloads", Code: "out_of_range", Message: "max_downloads is 1 to 1000000000"},
			},
		},
	},
	sluice.CodeDigestMismatch: {
		meaning: "What arrived is not what `Content-Digest` or `Repr-Digest` promised.",
		when: []string{
			"Bytes were changed or lost on their way.",
			"The digest was computed over something else, such as the file where the header speaks of the whole form.",
		},
		remedy: []string{
			"Compare with the digest in detail, which is that of the bytes that arrived.",
			"Send the bytes again. Nothing was kept of them.",
		},
		example: api.Problem{Detail: "the content has the digest " + exampleDigest, Param: "file"},
	},
	sluice.CodeUnauthenticated: {
		meaning: "The request shows no API key, or one that is not good.",
		when: []string{
			"There is no Authorization header, or it is not one Bearer key.",
			"The key is mistyped, unknown, expired or revoked, or its secret was rotated and the time of overlap is over.",
		},
		remedy: []string{
			"Send `Authorization: Bearer` with the secret of a key, `sk_test_…` or `sk_live_…`, and nothing else.",
			"Make a new key if the old one has ended. Which of the cases it is, the answer does not tell.",
		},
		example: api.Problem{Detail: "no API key: send it as Authorization: Bearer sk_…"},
	},
	sluice.CodeForbidden: {
		meaning: "The key, or the link, is good, but this is not allowed.",
		when: []string{
			"The key lacks the scope that the operation needs. That is recorded in the audit log.",
			"A key would be granted more than the one that makes it has.",
			"A key that has more than the one that asks would be changed or rotated. Revoking it is allowed.",
			"Files of this purpose may not be linked.",
			"A link needs a password and none or a wrong one came (reason `wrong_password`), or it may not be used from this address (reason `address_not_allowed`).",
		},
		remedy: []string{
			"Use a key that has the scope; detail names it.",
			"On a link: send its password as `X-Link-Password`, or ask whoever gave you the link.",
		},
		example: api.Problem{Detail: "this API key lacks the scope links:write"},
	},
	sluice.CodeNotFound: {
		meaning: "The object does not exist, or is not visible to this key.",
		when: []string{
			"The id is mistyped, or the object never existed.",
			"It belongs to another account, or to the other mode: a test key does not see what is live.",
			"A link was ended by its owner.",
			"The path is none of this API, or the URL of a link was not copied whole.",
		},
		remedy: []string{
			"Check the id, and with `GET /v1/account` the account and mode of the key.",
		},
		example: api.Problem{Detail: `no file "` + exampleFileID + `" is visible to this key`},
	},
	sluice.CodeMethodNotAllowed: {
		meaning: "The path exists, but not with this method.",
		when:    []string{"A request uses, say, `PUT` where only `GET` and `POST` are answered."},
		remedy:  []string{"Use one of the methods in the `Allow` header of the answer."},
		example: api.Problem{Detail: "this path does not allow PUT"},
	},
	sluice.CodeConflict: {
		meaning: "Something that must be unique exists already.",
		when:    []string{"A new object would have the id or the secret of another one, which does not happen by chance."},
		remedy:  []string{"Send the request again: ids and secrets are chosen anew."},
		example: api.Problem{Detail: "an object with this id exists already"},
	},
	sluice.CodeIdempotencyReused: {
		meaning: "The `Idempotency-Key` was used within the last 24 hours for a request that was another.",
		when: []string{
			"A key is used again for another method, path, query or body.",
			"A body was put together anew with another order, spacing or value, such as the time.",
			"An upload repeats the key with other fields or another content.",
		},
		remedy: []string{
			"For a new request, make a new key: a random UUID for each will do.",
			"To repeat a request, send the very same bytes.",
		},
		example: api.Problem{Detail: "this Idempotency-Key was used with a different request"},
	},
	sluice.CodeLinkExpired: {
		meaning: "The link has expired and cannot be changed.",
		when:    []string{"A `PATCH` comes after `expires_at`."},
		remedy:  []string{"Mint a new link. An expired one does not come back."},
		example: api.Problem{Detail: "this link has expired and cannot be changed"},
	},
	sluice.CodeLinkRevoked: {
		meaning: "The link was ended and cannot be changed.",
		when:    []string{"The file of the link was deleted, or the key that minted it was revoked, and a `PATCH` comes after."},
		remedy:  []string{"Mint a new link. One that was ended does not come back."},
		example: api.Problem{Detail: "this link was ended (key_revoked) and cannot be changed"},
	},
	sluice.CodeFileHeld: {
		meaning: "The file is under hold or retention and cannot be deleted.",
		when: []string{
			"Someone put it under hold with `held: true`.",
			"Its purpose keeps files for a time, which is not over: see `expires_at` of the file.",
		},
		remedy: []string{
			"Release the hold with `PATCH /v1/files/{id}` and `held: false`, if that is yours to decide.",
			"Wait until retention is over. It deletes the file by itself.",
		},
		example: api.Problem{Detail: "the file is held; release it with held=false first"},
	},
	sluice.CodeGone: {
		meaning: "The link is genuine, but no longer good.",
		when: []string{
			"reason `expired`: its time has run out.",
			"reason `revoked`: its owner ended it.",
			"reason `exhausted`: it was used as often as it may be.",
			"reason `file_deleted`: the file behind it was deleted.",
			"reason `key_revoked`: the key that minted it was revoked.",
			"reason `key_expired`: the key that minted it has expired.",
			"reason `key_restricted`: the key that minted it lost `links:write`, or may no longer mint links that live as long as this one already has.",
			"reason `purpose_restricted`: the purpose of its file no longer allows links, or links that live as long as this one already has.",
		},
		remedy: []string{
			"Ask whoever gave you the link for a new one.",
			"As its owner, mint a new link. The log keeps that this one was refused.",
			"With `key_expired`, `key_restricted` and `purpose_restricted` the link works again when the key or the purpose allows it again.",
		},
		example: api.Problem{Detail: "this link has expired", Reason: string(sluice.Expired)},
	},
	sluice.CodePreconditionFailed: {
		meaning: "The object is not in the state that `If-Match` names; nothing was changed.",
		when: []string{
			"Someone changed the object after you got its `ETag`.",
			"A download asks with `If-Match` or `If-Unmodified-Since` for a file that is another.",
		},
		remedy: []string{"Get the object again, decide anew, and send the change with the new `ETag`."},
		example: api.Problem{
			Detail: "the object was changed meanwhile; get it again and decide anew",
		},
	},
	sluice.CodeTooLarge: {
		meaning: "The body, the file or a form is larger than it may be.",
		when: []string{
			"A JSON body has more than 256 KiB.",
			"A file is larger than its purpose allows: see `max_size` in `GET /v1/purposes`.",
			"A form has too many parts, or too much text beside the file.",
		},
		remedy:  []string{"Send less, or choose a purpose with room for it. Nothing was kept of the upload."},
		example: api.Problem{Detail: "the file is larger than the 52428800 bytes its purpose allows", Param: "file"},
	},
	sluice.CodeUnsupportedType: {
		meaning: "The media type is not accepted here.",
		when: []string{
			"A body that must be JSON says that it is something else, or is compressed.",
			"A form has no boundary.",
			"The purpose of a file does not allow its type: see `types` in `GET /v1/purposes`.",
		},
		remedy:  []string{"Send `Content-Type: application/json` with a JSON body, and no `Content-Encoding`.", "Declare the true type of the file, or choose another purpose."},
		example: api.Problem{Detail: "the body must be application/json"},
	},
	sluice.CodeRange: {
		meaning: "No byte of the file lies in the range that was asked for.",
		when:    []string{"A download is resumed at or beyond its end."},
		remedy:  []string{"Ask without `Range`, or for a range within the size of the file."},
		example: api.Problem{Detail: "the range contains no byte of the file"},
	},
	sluice.CodeRateLimited: {
		meaning: "There were too many requests.",
		when: []string{
			"An API key has used up what it may ask in a second or a minute.",
			"Too many wrong passwords were tried on a link.",
		},
		remedy: []string{
			"Wait for the seconds in `Retry-After`, or `retry_after`, then send the request again. It took no effect.",
			"Read `RateLimit` in every answer to slow down before this happens.",
		},
		example: api.Problem{Detail: "this API key has made too many requests", RetryAfter: 1},
	},
	sluice.CodeInternal: {
		meaning: "Something went wrong on the side of the server.",
		when:    []string{"A defect of Sluice, or of what it runs on."},
		remedy: []string{
			"Send the request again. With an `Idempotency-Key` it takes effect once, and this answer is not remembered.",
			"Tell whoever runs the server the `request_id`: the log holds the cause under it.",
		},
		example: api.Problem{Detail: "the server failed; its log has the cause under this request id"},
	},
	sluice.CodeUnavailable: {
		meaning: "The server cannot commit to its store or its log now, so nothing was done and no byte was sent.",
		when: []string{
			"The database is down, busy beyond its patience, or being moved.",
			"The server is stopping.",
		},
		remedy:  []string{"Wait for the seconds in `Retry-After` and send the request again."},
		example: api.Problem{Detail: "the server is not ready", RetryAfter: 1},
	},
	sluice.CodeStorageFull: {
		meaning: "The disk of the server is full; nothing was done.",
		when:    []string{"There is no room for the bytes of a file, or for the record and the log entry of a change."},
		remedy:  []string{"Tell whoever runs the server. Requests that change something succeed again once there is room."},
		example: api.Problem{Detail: "the disk that keeps the bytes of files is full"},
	},
}
