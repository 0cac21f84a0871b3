package apidoc

import (
	"strings"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/service"
)

// limits says, for the documentation, what the rules hold members of schemas
// to: the rules themselves are in package sluice.
var limits = map[string]func(*schema){
	"File.id":               idOf(sluice.PrefixFile),
	"File.sha256":           pattern("^[0-9a-f]{64}$"),
	"File.title":            length(0, sluice.MaxTitleLen),
	"File.filename":         length(0, sluice.MaxFilenameLen),
	"File.type":             length(0, sluice.MaxTypeLen),
	"File.metadata":         metadataLimits,
	"File.linked_resources": items(0, sluice.MaxLinkedResources),
	"FileRef.id":            idOf(sluice.PrefixFile),
	"FileRef.sha256":        pattern("^[0-9a-f]{64}$"),
	"Purpose.name":          pattern("^[a-z][a-z0-9_]{0,39}$"),

	"FileChange.filename":         length(0, sluice.MaxFilenameLen),
	"FileChange.title":            length(0, sluice.MaxTitleLen),
	"FileChange.metadata":         metadataChangeLimits,
	"FileChange.linked_resources": distinct(sluice.MaxLinkedResources),
	"Resource.type":               pattern("^[a-z][a-z0-9_.-]{0,39}$"),
	"Resource.id":                 length(1, sluice.MaxResourceIDLen),

	"Upload.filename":                 length(0, sluice.MaxFilenameLen),
	"Upload.title":                    length(0, sluice.MaxTitleLen),
	"Upload.metadata":                 metadataLimits,
	"Upload.linked_resources":         distinct(sluice.MaxLinkedResources),
	"Upload.link[reason]":             length(0, sluice.MaxReasonLen),
	"Upload.link[password]":           length(service.MinPasswordLen, service.MaxPasswordLen),
	"Upload.link[filename]":           length(0, sluice.MaxFilenameLen),
	"Upload.link[metadata]":           metadataLimits,
	"Upload.link[expires_at]":         between(0, httpd.MaxUnix),
	"Upload.link[expires_in_seconds]": aSecondOrMore,
	"Upload.link[max_downloads]":      between(1, sluice.MaxMaxDownloads),

	"Link.id":          idOf(sluice.PrefixLink),
	"Link.file_id":     idOf(sluice.PrefixFile),
	"Link.url":         format("uri"),
	"Link.metadata":    metadataLimits,
	"Link.reason":      length(0, sluice.MaxReasonLen),
	"Link.allowed_ips": items(0, sluice.MaxAllowedIPs),
	"LinkRef.id":       idOf(sluice.PrefixLink),

	"NewLink.expires_in_seconds": aSecondOrMore,
	"NewLink.expires_at":         between(0, httpd.MaxUnix),
	"NewLink.reason":             length(0, sluice.MaxReasonLen),
	"NewLink.metadata":           metadataLimits,
	"NewLink.max_downloads":      between(1, sluice.MaxMaxDownloads),
	"NewLink.password":           length(service.MinPasswordLen, service.MaxPasswordLen),
	"NewLink.allowed_ips":        items(0, sluice.MaxAllowedIPs),
	"NewLink.filename":           length(0, sluice.MaxFilenameLen),
	"NewLinkBatch.file_ids":      items(1, sluice.MaxBatch),

	"LinkChange.expires_in_seconds": aSecondOrMore,
	"LinkChange.expires_at":         between(0, httpd.MaxUnix),
	"LinkChange.reason":             length(0, sluice.MaxReasonLen),
	"LinkChange.metadata":           metadataChangeLimits,
	"LinkChange.max_downloads":      between(1, sluice.MaxMaxDownloads),
	"LinkChange.allowed_ips":        items(0, sluice.MaxAllowedIPs),

	"AuditEntry.id":   idOf(sluice.PrefixEntry),
	"AuditEntry.seq":  atLeast(0),
	"AuditEntry.time": format("date-time"),

	"Account.id":                  idOf(sluice.PrefixAccount),
	"Key.id":                      idOf(sluice.PrefixKey),
	"Key.name":                    length(1, sluice.MaxKeyNameLen),
	"Key.max_link_lifetime":       aSecondOrMore,
	"KeyRef.id":                   idOf(sluice.PrefixKey),
	"NewKey.name":                 length(1, sluice.MaxKeyNameLen),
	"NewKey.scopes":               scopeLimits,
	"NewKey.expires_at":           between(0, httpd.MaxUnix),
	"NewKey.max_link_lifetime":    aSecondOrMore,
	"KeyChange.name":              length(1, sluice.MaxKeyNameLen),
	"KeyChange.scopes":            scopeLimits,
	"KeyChange.expires_at":        between(0, httpd.MaxUnix),
	"KeyChange.max_link_lifetime": aSecondOrMore,
	"KeyRotation.overlap_seconds": between(0, int64(service.MaxOverlap.Seconds())),

	"Problem.type":       format("uri"),
	"Problem.doc_url":    format("uri"),
	"Problem.code":       codeLimits,
	"Problem.request_id": idOf(sluice.PrefixRequest),
}

// bases are the schemas whose members another one has too.
var bases = map[string]string{
	"CreatedFile": "File", "CreatedKey": "Key", "NewFileLink": "NewLink", "NewLinkBatch": "NewLink",
}

// paramPatterns are the forms of parameters.
var paramPatterns = map[string]string{
	"sha256":          "^[0-9A-Fa-f]{64}$",
	"linked_resource": "^[^:]+:.+$",
	"Sluice-Version":  "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
	"Idempotency-Key": "^[ -~]{1,255}$",
}

func length(least, most int) func(*schema) {
	return func(s *schema) {
		s.MaxLength = &most
		if least > 0 {
			s.MinLength = &least
		}
	}
}

func items(least, most int) func(*schema) {
	return func(s *schema) {
		s.MaxItems = &most
		if least > 0 {
			s.MinItems = &least
		}
	}
}

func distinct(most int) func(*schema) {
	return func(s *schema) { s.MaxItems, s.UniqueItems = &most, true }
}

func between(least, most int64) func(*schema) {
	return func(s *schema) {
		low, high := float64(least), float64(most)
		s.Minimum, s.Maximum = &low, &high
	}
}

func atLeast(least float64) func(*schema) {
	return func(s *schema) { s.Minimum = &least }
}

func pattern(re string) func(*schema) { return func(s *schema) { s.Pattern = re } }

func format(name string) func(*schema) { return func(s *schema) { s.Format = name } }

// idOf is an id: a prefix, and a ULID in lower case.
func idOf(prefix string) func(*schema) {
	return pattern("^" + prefix + "[0-7][0-9a-hjkmnp-tv-z]{25}$")
}

// aSecondOrMore bounds the number among the forms of a lifetime.
func aSecondOrMore(s *schema) { atLeast(1)(s.OneOf[0]) }

func metadataLimits(s *schema) {
	most := sluice.MaxMetadataKeys
	s.MaxProperties = &most
	s.PropertyNames = &schema{Pattern: "^[A-Za-z0-9_.-]{1,40}$", Not: &schema{Pattern: "^sluice_"}}
	metadataChangeLimits(s)
}

// metadataChangeLimits bound what is merged: it is the outcome that may have so
// many keys.
func metadataChangeLimits(s *schema) {
	if values, ok := s.AdditionalProperties.(*schema); ok {
		length(0, sluice.MaxMetadataValueLen)(values)
	}
}

func scopeLimits(s *schema) {
	least := 1
	s.MinItems = &least
	for _, scope := range sluice.AllScopes() {
		s.Items.Enum = append(s.Items.Enum, string(scope))
	}
}

func codeLimits(s *schema) {
	for _, code := range httpd.Codes() {
		s.Enum = append(s.Enum, string(code))
	}
}

// schemaDescriptions says what each schema is.
var schemaDescriptions = map[string]string{
	"Account":            "Who a key is, and where it works.",
	"Actor":              "Who asked.",
	"AuditEntry":         "One line of the audit log.",
	"CreatedFile":        "A stored file, and the link that was minted with it.",
	"CreatedKey":         "A key and its secret, which is shown once.",
	"Deleted":            "Tells that an object was ended.",
	"Delivery":           "How a file leaves. What was sent stands in link.delivered only.",
	"EntryRef":           "Names an earlier entry, and fields of it.",
	"LedgerRef":          "What an entry says of the log itself.",
	"LedgerRotation":     "Proves that the log went on with another key.",
	"ListLedgerRotation": "All changes of the key.",
	"Redaction":          "Tells that personal fields of an entry were erased.",
	"FieldError":         "One failure of validation.",
	"File":               "A stored file. Its bytes leave through links, and through the content routes of the compatible APIs (Stripe, Digital River) to keys with files:content.",
	"FileChange":         "Changes what is said of a file; what is left out stays as it is.",
	"FileRef":            "What an entry keeps of a file, also after the file is gone.",
	"Key":                "An API credential.",
	"KeyChange":          "Changes a key; what is left out stays as it is.",
	"KeyRef":             "What an entry keeps of a key.",
	"KeyRotation":        "Asks for a new secret.",
	"Link":               "A time-limited right to read one file.",
	"LinkBatch":          "What a batch made: a link for each file that exists.",
	"LinkChange":         "Changes a link; what is left out stays as it is. expires_in_seconds and expires_at exclude each other.",
	"LinkRef":            "What an entry keeps of a link.",
	"ListAuditEntry":     "One page of audit entries.",
	"ListFile":           "One page of files.",
	"ListKey":            "One page of keys.",
	"ListLink":           "One page of links.",
	"ListPurpose":        "All purposes.",
	"NewFileLink":        "Asks for a link to the file it names. expires_in_seconds and expires_at exclude each other; with neither, the link lives for an hour.",
	"NewKey":             "Asks for a key. It grants at most what the key that asks has itself.",
	"NewLink":            "Asks for a link. expires_in_seconds and expires_at exclude each other; with neither, the link lives for an hour.",
	"NewLinkBatch":       "Asks for one link of a kind to each of many files.",
	"Problem":            "An error (RFC 9457). Branch on code.",
	"Purpose":            "What a file is for, and the rules that follow.",
	"Request":            "What an entry keeps of the request that asked.",
	"Resource":           "Names an object of your own system.",
	"Upload":             "A file, and what is said of it. Parts may stand in any order. metadata and link[metadata] may also come as one part for each key: metadata[key], link[metadata][key].",
}

// pathParam describes a parameter of a route's path.
func pathParam(rt httpd.Route, name string) string {
	switch {
	case name == "link", name == "id" && strings.HasPrefix(rt.Path, "/v1/file_links/"):
		return "Id of the link"
	case name == "id":
		kind := strings.Split(rt.Path, "/")[2]
		return "Id of the " + map[string]string{"files": "file", "keys": "key", "audit_entries": "entry"}[kind]
	}
	return ""
}
