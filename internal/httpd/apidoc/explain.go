package apidoc

import (
	"sluice"
	"sluice/api"
)

// explanation is the content of the page of a code.
type explanation struct {
	meaning string   // one sentence
	when    []string // cases
	remedy  []string // what to do
	example api.Problem
}

// explanations explains every problem code.
var explanations = map[sluice.Code]explanation{
	sluice.CodeValidation: {
		meaning: "The body, the query, a header or the metadata of the request is invalid.",
		when: []string{
			"A member or parameter is missing, of the wrong type, too long, out of its range, or unknown.",
			"Members that exclude each other are both present, such as `expires_at` and `expires_in_seconds`.",
			"The body is not JSON, is not UTF-8, or is incomplete.",
			"A member of the body is given more than once, or a text contains a lone surrogate (RFC 7493).",
		},
		remedy: []string{
			"Read `errors`. It lists all failures, each with the path of the parameter and a code: `required`, " +
				"`invalid`, `too_long`, `too_many`, `out_of_range`, `reserved` or `unknown`.",
			"Correct the request. The same request will be refused again.",
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
		meaning: "The received bytes do not match `Content-Digest` or `Repr-Digest`.",
		when: []string{
			"Bytes were changed or lost in transit.",
			"The digest was computed over something else, such as the file instead of the whole form.",
		},
		remedy: []string{
			"Compare it with the digest in `detail`, which is that of the received bytes.",
			"Send the bytes again. None of them were stored.",
		},
		example: api.Problem{Detail: "the content has the digest " + exampleDigest, Param: "file"},
	},
	sluice.CodeUnauthenticated: {
		meaning: "The request has no API key or an invalid one.",
		when: []string{
			"There is no Authorization header, or it is not a single Bearer key.",
			"The key is mistyped, unknown, expired or revoked, or its secret was rotated and the overlap has ended.",
		},
		remedy: []string{
			"Send `Authorization: Bearer` with the secret of a key, `sk_test_…` or `sk_live_…`.",
			"If the key has ended, create a new one. The response does not reveal which case applies.",
		},
		example: api.Problem{Detail: "no API key: send it as Authorization: Bearer sk_…"},
	},
	sluice.CodeForbidden: {
		meaning: "The key or link is valid but does not allow this request.",
		when: []string{
			"The key lacks the required scope. The audit log records this.",
			"The new key would have more rights than the key that creates it.",
			"The key to change or rotate has more rights than the key of the request. Revoking it is allowed.",
			"The purpose of the file does not allow links.",
			"The password of a link is missing or wrong (reason `wrong_password`), or the link does not allow the " +
				"client's address (reason `address_not_allowed`).",
		},
		remedy: []string{
			"Use a key with the scope that `detail` names.",
			"For a link, send its password as `X-Link-Password`, or ask the person who sent you the link.",
		},
		example: api.Problem{Detail: "this API key lacks the scope links:write"},
	},
	sluice.CodeNotFound: {
		meaning: "The object does not exist, or is not visible to this key.",
		when: []string{
			"The id is mistyped, or the object never existed.",
			"It belongs to another account, or to the other mode: a test key does not see live objects.",
			"The owner of a link revoked it.",
			"The path does not exist, or the URL of a link was not copied completely.",
		},
		remedy: []string{
			"Check the id. Check the account and mode of the key with `GET /v1/account`.",
		},
		example: api.Problem{Detail: `no file "` + exampleFileID + `" is visible to this key`},
	},
	sluice.CodeMethodNotAllowed: {
		meaning: "The path exists but does not support this method.",
		when:    []string{"A request uses `PUT` where only `GET` and `POST` are supported, for example."},
		remedy:  []string{"Use one of the methods in the `Allow` header of the response."},
		example: api.Problem{Detail: "this path does not allow PUT"},
	},
	sluice.CodeConflict: {
		meaning: "A value that must be unique already exists.",
		when: []string{"A new object would have the id or the secret of another object. This does not happen by " +
			"chance."},
		remedy:  []string{"Send the request again. It gets a new id and a new secret."},
		example: api.Problem{Detail: "an object with this id exists already"},
	},
	sluice.CodeIdempotencyReused: {
		meaning: "The `Idempotency-Key` was used within the last 24 hours, for a different " +
			"request or for one whose response was erased with personal data in the log.",
		when: []string{
			"The `Idempotency-Key` is reused with another method, path, query or body.",
			"The body was generated again, with another order, other white space or another value such as the time.",
			"An upload reuses the `Idempotency-Key` with other fields or other content.",
			"The request has taken effect, and its response was erased with personal data in the log. A repeat has " +
				"no effect.",
		},
		remedy: []string{
			"For each new request, generate a new `Idempotency-Key`, such as a random UUID.",
			"To repeat a request, send exactly the same bytes.",
		},
		example: api.Problem{Detail: "this Idempotency-Key was used with a different request"},
	},
	sluice.CodeUnverified: {
		meaning: "The link opens for people who have proved an e-mail address.",
		when: []string{"A program requests the URL of a link with `verification: email`.",
			"A browser's proof is older than an hour, or the link does not admit its address any more."},
		remedy: []string{"Open `verify_url` in a browser: its page sends a code to the address."},
		example: api.Problem{
			Detail:    "this link is for people who prove their e-mail address: open verify_url in a browser",
			Reason:    "verification_required",
			VerifyURL: "https://files.example.com/l/AQAkD2YBAZIvHh8",
		},
	},
	sluice.CodeLinkExpired: {
		meaning: "The link has expired and cannot be changed.",
		when:    []string{"A `PATCH` is sent after `expires_at`."},
		remedy:  []string{"Create a new link."},
		example: api.Problem{Detail: "this link has expired and cannot be changed"},
	},
	sluice.CodeLinkRevoked: {
		meaning: "The link has ended and cannot be changed.",
		when: []string{"A `PATCH` is sent after the file of the link was deleted or the key that created it was " +
			"revoked."},
		remedy:  []string{"Create a new link."},
		example: api.Problem{Detail: "this link was ended (key_revoked) and cannot be changed"},
	},
	sluice.CodeFileHeld: {
		meaning: "The file is under hold or retention and cannot be deleted.",
		when: []string{
			"The file was put under hold with `held: true`.",
			"The retention of its purpose has not ended: see `expires_at` of the file.",
		},
		remedy: []string{
			"Release the hold with `PATCH /v1/files/{id}` and `held: false`, if you are allowed to.",
			"Wait until the retention ends. Sluice then deletes the file.",
		},
		example: api.Problem{Detail: "the file is held; release it with held=false first"},
	},
	sluice.CodeGone: {
		meaning: "The link is authentic but can no longer be used.",
		when: []string{
			"reason `expired`: it has expired.",
			"reason `revoked`: its owner revoked it.",
			"reason `exhausted`: it has reached its download limit.",
			"reason `file_deleted`: its file was deleted.",
			"reason `key_revoked`: the key that created it was revoked.",
			"reason `key_expired`: the key that created it has expired.",
			"reason `key_restricted`: the key that created it lost `links:write`, or its maximum link lifetime is " +
				"now shorter than the age of this link.",
			"reason `purpose_restricted`: the purpose of its file no longer allows links, or its maximum link " +
				"lifetime is now shorter than the age of this link.",
			"reason `altered`: its record, or that of the key that created it, was changed in the database by someone " +
				"other than Sluice. It can only be revoked.",
		},
		remedy: []string{
			"Ask the person who sent you the link for a new one.",
			"As its owner, create a new link. The log records the refusal.",
			"With `key_expired`, `key_restricted` and `purpose_restricted`, the link works again once the key or " +
				"the purpose allows it.",
		},
		example: api.Problem{Detail: "this link has expired", Reason: string(sluice.Expired)},
	},
	sluice.CodePreconditionFailed: {
		meaning: "The object does not have the version in `If-Match`. Nothing was changed.",
		when: []string{
			"The object was changed after you got its `ETag`.",
			"The file of a download does not match `If-Match` or `If-Unmodified-Since`.",
		},
		remedy: []string{"Get the object again, check your change, and send it with the new `ETag`."},
		example: api.Problem{
			Detail: "the object was changed meanwhile; get it again and decide anew",
		},
	},
	sluice.CodeTooLarge: {
		meaning: "The body, the file or a form is too large.",
		when: []string{
			"A JSON body is larger than 256 KiB.",
			"A file is larger than its purpose allows: see `max_size` in `GET /v1/purposes`.",
			"A form has too many parts, or too much text besides the file.",
		},
		remedy:  []string{"Send less, or choose a purpose that allows larger files. Nothing was stored."},
		example: api.Problem{Detail: "the file is larger than the 52428800 bytes its purpose allows", Param: "file"},
	},
	sluice.CodeUnsupportedType: {
		meaning: "The media type is not supported for this request.",
		when: []string{
			"A body that must be JSON has another media type or is compressed.",
			"A form has no boundary.",
			"The purpose of a file does not allow its type: see `types` in `GET /v1/purposes`.",
		},
		remedy: []string{
			"Send `Content-Type: application/json` with a JSON body, without `Content-Encoding`.",
			"Declare the actual type of the file, or choose another purpose.",
		},
		example: api.Problem{Detail: "the body must be application/json"},
	},
	sluice.CodeRange: {
		meaning: "The requested range lies beyond the end of the file.",
		when:    []string{"A download is resumed at or beyond its end."},
		remedy:  []string{"Omit `Range`, or request a range within the size of the file."},
		example: api.Problem{Detail: "the range contains no byte of the file"},
	},
	sluice.CodeRateLimited: {
		meaning: "Too many requests were sent.",
		when: []string{
			"An API key has reached its limit of requests per second or minute.",
			"Too many wrong passwords were sent to a link.",
		},
		remedy: []string{
			"Wait for the seconds in `Retry-After` or `retry_after`, then send the request again. It had no effect.",
			"To avoid this, read `RateLimit` in every response and slow down in time.",
		},
		example: api.Problem{Detail: "this API key has made too many requests", RetryAfter: 1},
	},
	sluice.CodeInternal: {
		meaning: "The server failed unexpectedly.",
		when:    []string{"A defect of Sluice or of its environment."},
		remedy: []string{
			"Send the request again. With an `Idempotency-Key` it takes effect only once; this response is not stored.",
			"Give the operator of the server the `request_id`. The server's log contains the cause.",
		},
		example: api.Problem{Detail: "the server failed; its log has the cause under this request id"},
	},
	sluice.CodeUnavailable: {
		meaning: "The server cannot commit to its store or its log now. Nothing was changed and no byte was sent.",
		when: []string{
			"The database is down, overloaded, or being moved.",
			"The server is stopping.",
		},
		remedy:  []string{"Wait for the seconds in `Retry-After` and send the request again."},
		example: api.Problem{Detail: "the server is not ready", RetryAfter: 1},
	},
	sluice.CodeStorageFull: {
		meaning: "The disk of the server is full. Nothing was changed.",
		when: []string{"There is no space for the bytes of a file, or for the record and the log entry of a " +
			"change."},
		remedy:  []string{"Tell the operator of the server. Changes succeed again once there is space."},
		example: api.Problem{Detail: "the disk that keeps the bytes of files is full"},
	},
}
