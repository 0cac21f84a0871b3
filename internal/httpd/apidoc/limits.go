package apidoc

import (
	"cmp"
	"strings"

	"sluice"
	"sluice/internal/httpd"
	"sluice/internal/httpd/native"
	"sluice/internal/service"
)

// limits contains the limits of members, as schemas with nothing but limits. The rules themselves are in the packages
// sluice and service.
var limits = map[string]*schema{
	"File.id":               {Pattern: idPattern(sluice.PrefixFile)},
	"File.sha256":           {Pattern: "^[0-9a-f]{64}$"},
	"File.title":            {MaxLength: ptr(sluice.MaxTitleLen)},
	"File.filename":         {MaxLength: ptr(sluice.MaxFilenameLen)},
	"File.type":             {MaxLength: ptr(sluice.MaxTypeLen)},
	"File.metadata":         texts,
	"File.linked_resources": {MaxItems: ptr(sluice.MaxLinkedResources)},
	"FileRef.id":            {Pattern: idPattern(sluice.PrefixFile)},
	"FileRef.sha256":        {Pattern: "^[0-9a-f]{64}$"},
	"Purpose.name":          {Pattern: "^[a-z][a-z0-9_]{0,39}$"},

	"FileChange.filename":         {MaxLength: ptr(sluice.MaxFilenameLen)},
	"FileChange.title":            {MaxLength: ptr(sluice.MaxTitleLen)},
	"FileChange.metadata":         changedTexts,
	"FileChange.linked_resources": {MaxItems: ptr(sluice.MaxLinkedResources), UniqueItems: true},
	"Resource.type":               {Pattern: "^[a-z][a-z0-9_.-]{0,39}$"},
	"Resource.id":                 {MinLength: ptr(1), MaxLength: ptr(sluice.MaxResourceIDLen)},

	"Upload.filename":                 {MaxLength: ptr(sluice.MaxFilenameLen)},
	"Upload.title":                    {MaxLength: ptr(sluice.MaxTitleLen)},
	"Upload.metadata":                 texts,
	"Upload.linked_resources":         {MaxItems: ptr(sluice.MaxLinkedResources), UniqueItems: true},
	"Upload.link[reason]":             {MaxLength: ptr(sluice.MaxReasonLen)},
	"Upload.link[password]":           {MinLength: ptr(service.MinPasswordLen), MaxLength: ptr(service.MaxPasswordLen)},
	"Upload.link[filename]":           {MaxLength: ptr(sluice.MaxFilenameLen)},
	"Upload.link[metadata]":           texts,
	"Upload.link[expires_at]":         moment,
	"Upload.link[expires_in_seconds]": aSecondOrMore,
	"Upload.link[max_downloads]":      {Minimum: ptr(1.0), Maximum: ptr(float64(sluice.MaxMaxDownloads))},

	"Link.id":          {Pattern: idPattern(sluice.PrefixLink)},
	"Link.file_id":     {Pattern: idPattern(sluice.PrefixFile)},
	"Link.url":         {Format: "uri"},
	"Link.metadata":    texts,
	"Link.reason":      {MaxLength: ptr(sluice.MaxReasonLen)},
	"Link.allowed_ips": {MaxItems: ptr(sluice.MaxAllowedIPs)},
	"LinkRef.id":       {Pattern: idPattern(sluice.PrefixLink)},

	"Recipient.email":               {MaxLength: ptr(sluice.MaxEmailLen)},
	"Recipient.name":                {MaxLength: ptr(sluice.MaxRecipientNameLen)},
	"Notify.email":                  {MaxLength: ptr(sluice.MaxEmailLen)},
	"Link.allowed_recipients":       {MaxItems: ptr(sluice.MaxAllowedRecipients)},
	"Link.message":                  {MaxLength: ptr(sluice.MaxMessageLen)},
	"Link.terms":                    {MaxLength: ptr(sluice.MaxTermsLen)},
	"NewLink.allowed_recipients":    {MaxItems: ptr(sluice.MaxAllowedRecipients)},
	"NewLink.message":               {MaxLength: ptr(sluice.MaxMessageLen)},
	"NewLink.terms":                 {MaxLength: ptr(sluice.MaxTermsLen)},
	"NewLinkBatch.recipients":       {MaxItems: ptr(sluice.MaxBatch)},
	"LinkChange.allowed_recipients": {MaxItems: ptr(sluice.MaxAllowedRecipients)},
	"LinkChange.message":            {MaxLength: ptr(sluice.MaxMessageLen)},
	"LinkChange.terms":              {MaxLength: ptr(sluice.MaxTermsLen)},
	"Upload.link[recipient][email]": {MaxLength: ptr(sluice.MaxEmailLen)},
	"Upload.link[recipient][name]":  {MaxLength: ptr(sluice.MaxRecipientNameLen)},
	"Upload.link[message]":          {MaxLength: ptr(sluice.MaxMessageLen)},
	"Upload.link[terms]":            {MaxLength: ptr(sluice.MaxTermsLen)},
	"Upload.link[notify][email]":    {MaxLength: ptr(sluice.MaxEmailLen)},

	"NewErasure.recipient":  {MaxLength: ptr(sluice.MaxEmailLen)},
	"NewErasure.file_id":    {Pattern: idPattern(sluice.PrefixFile)},
	"NewErasure.link_id":    {Pattern: idPattern(sluice.PrefixLink)},
	"NewErasure.key_id":     {Pattern: idPattern(sluice.PrefixKey)},
	"NewErasure.fields":     fieldNames,
	"EntryRedaction.fields": fieldNames,
	"Erasure.id":            {Pattern: idPattern(sluice.PrefixErasure)},

	"AuditEntry.deliveries": {MaxItems: ptr(sluice.MaxDeliveries)},

	"NewLink.expires_in_seconds": aSecondOrMore,
	"NewLink.expires_at":         moment,
	"NewLink.reason":             {MaxLength: ptr(sluice.MaxReasonLen)},
	"NewLink.metadata":           texts,
	"NewLink.max_downloads":      {Minimum: ptr(1.0), Maximum: ptr(float64(sluice.MaxMaxDownloads))},
	"NewLink.password":           {MinLength: ptr(service.MinPasswordLen), MaxLength: ptr(service.MaxPasswordLen)},
	"NewLink.allowed_ips":        {MaxItems: ptr(sluice.MaxAllowedIPs)},
	"NewLink.filename":           {MaxLength: ptr(sluice.MaxFilenameLen)},
	"NewLinkBatch.file_ids":      {MinItems: ptr(1), MaxItems: ptr(sluice.MaxBatch)},

	"LinkChange.expires_in_seconds": aSecondOrMore,
	"LinkChange.expires_at":         moment,
	"LinkChange.reason":             {MaxLength: ptr(sluice.MaxReasonLen)},
	"LinkChange.metadata":           changedTexts,
	"LinkChange.max_downloads":      {Minimum: ptr(1.0), Maximum: ptr(float64(sluice.MaxMaxDownloads))},
	"LinkChange.allowed_ips":        {MaxItems: ptr(sluice.MaxAllowedIPs)},

	"AuditEntry.id":   {Pattern: idPattern(sluice.PrefixEntry)},
	"AuditEntry.seq":  {Minimum: ptr(0.0)},
	"AuditEntry.time": {Format: "date-time"},

	"Account.id":                  {Pattern: idPattern(sluice.PrefixAccount)},
	"Key.id":                      {Pattern: idPattern(sluice.PrefixKey)},
	"Key.name":                    {MinLength: ptr(1), MaxLength: ptr(sluice.MaxKeyNameLen)},
	"Key.max_link_lifetime":       aSecondOrMore,
	"KeyRef.id":                   {Pattern: idPattern(sluice.PrefixKey)},
	"NewKey.name":                 {MinLength: ptr(1), MaxLength: ptr(sluice.MaxKeyNameLen)},
	"NewKey.scopes":               scopes,
	"NewKey.expires_at":           moment,
	"NewKey.max_link_lifetime":    aSecondOrMore,
	"KeyChange.name":              {MinLength: ptr(1), MaxLength: ptr(sluice.MaxKeyNameLen)},
	"KeyChange.scopes":            scopes,
	"KeyChange.expires_at":        moment,
	"KeyChange.max_link_lifetime": aSecondOrMore,
	"KeyRotation.overlap_seconds": {Minimum: ptr(0.0), Maximum: ptr(service.MaxOverlap.Seconds())},

	"Problem.type":       {Format: "uri"},
	"Problem.doc_url":    {Format: "uri"},
	"Problem.code":       codes,
	"Problem.request_id": {Pattern: idPattern(sluice.PrefixRequest)},
}

// bases maps schemas to the schema that they embed.
var bases = map[string]string{
	"CreatedFile": "File", "CreatedKey": "Key", "NewFileLink": "NewLink", "NewLinkBatch": "NewLink",
}

// paramPatterns are the patterns of parameters.
var paramPatterns = map[string]string{
	"sha256":          "^[0-9A-Fa-f]{64}$",
	"linked_resource": "^[^:]+:.+$",
	"Sluice-Version":  "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
	"Idempotency-Key": "^[ -~]{1,255}$",
}

// Limits of several members.
var (
	moment        = &schema{Minimum: ptr(0.0), Maximum: ptr(float64(native.MaxUnix))}
	aSecondOrMore = &schema{OneOf: []*schema{{Minimum: ptr(1.0)}}} // a lifetime that is a number
	scopes        = &schema{MinItems: ptr(1), Items: &schema{Enum: enum(sluice.AllScopes())}}
	fieldNames    = &schema{
		MinItems: ptr(1), MaxItems: ptr(len(sluice.PersonalFields())), Items: &schema{Enum: enum(sluice.PersonalFields())},
	}
	codes = &schema{Enum: enum(httpd.Codes())}

	// The limit of keys applies to the result of a merge, not to the change.
	changedTexts = &schema{AdditionalProperties: &schema{MaxLength: ptr(sluice.MaxMetadataValueLen)}}
	texts        = &schema{
		AdditionalProperties: changedTexts.AdditionalProperties, MaxProperties: ptr(sluice.MaxMetadataKeys),
		PropertyNames: &schema{Pattern: "^[A-Za-z0-9_.-]{1,40}$", Not: &schema{Pattern: "^sluice_"}},
	}
)

// idPattern returns the pattern of an id: a prefix and a ULID in lower case.
func idPattern(prefix string) string { return "^" + prefix + "[0-7][0-9a-hjkmnp-tv-z]{25}$" }

func enum[S ~string](values []S) (list []any) {
	for _, value := range values {
		list = append(list, string(value))
	}
	return list
}

// holdTo adds limits to a schema.
func (s *schema) holdTo(l *schema) {
	s.Pattern, s.Format, s.UniqueItems = cmp.Or(l.Pattern, s.Pattern), cmp.Or(l.Format, s.Format), l.UniqueItems
	s.MinLength, s.MaxLength = cmp.Or(l.MinLength, s.MinLength), cmp.Or(l.MaxLength, s.MaxLength)
	s.MinItems, s.MaxItems = cmp.Or(l.MinItems, s.MinItems), cmp.Or(l.MaxItems, s.MaxItems)
	s.Minimum, s.Maximum = cmp.Or(l.Minimum, s.Minimum), cmp.Or(l.Maximum, s.Maximum)
	s.MaxProperties, s.PropertyNames = cmp.Or(
		l.MaxProperties, s.MaxProperties,
	), cmp.Or(
		l.PropertyNames, s.PropertyNames,
	)
	if l.Enum != nil {
		s.Enum = l.Enum
	}
	if l.Items != nil {
		s.Items.holdTo(l.Items)
	}
	if l.OneOf != nil {
		s.OneOf[0].holdTo(l.OneOf[0])
	}
	values, isMap := s.AdditionalProperties.(*schema)
	if limit, limits := l.AdditionalProperties.(*schema); limits && isMap {
		values.holdTo(limit)
	}
}

// schemaDescriptions describes the schemas.
var schemaDescriptions = map[string]string{
	"Account":            "The account and mode of a key.",
	"Actor":              "The party that made a request.",
	"AuditEntry":         "An entry of the audit log.",
	"CreatedFile":        "A stored file, and the link that was created with it.",
	"CreatedKey":         "A key and its secret, which is shown once.",
	"Deleted":            "Confirms that an object was deleted or revoked.",
	"Delivery":           "The delivery of a file: how it is done, and how it ended.",
	"EndedDelivery":      "The record of how one download ended.",
	"Found":              "The stored bytes of a damaged file.",
	"SessionRef":         "The record of a session of the console in an entry.",
	"EntryRef":           "Refers to fields of an earlier entry.",
	"LedgerRef":          "The part of an entry about the log itself.",
	"LedgerRotation":     "Proves that the log continues with another key.",
	"ListLedgerRotation": "All changes of the key.",
	"EntryRedaction":     "The fields to erase from an entry.",
	"Erasure":            "The erasure of personal fields from many entries.",
	"ErasureRef":         "The record of an erasure in an entry. It does not have the address of the person.",
	"NewErasure": "What to erase: exactly one of recipient, client_ip, file_id, link_id and key_id, and the fields. " +
		"Nothing else can be found without reading the whole log.",
	"Redaction":  "Confirms that personal fields of an entry were erased.",
	"FieldError": "One failure of validation.",
	"File": "A stored file. Its bytes can be downloaded with links and, by keys with files:content, " +
		"through the compatible APIs (Stripe, Digital River).",
	"FileChange":  "A change of a file's details. Omitted members do not change.",
	"FileRef":     "The record of a file in an entry. It outlives the file.",
	"Key":         "An API key.",
	"KeyChange":   "A change of a key. Omitted members do not change.",
	"KeyRef":      "The record of a key in an entry.",
	"KeyRotation": "A request for a new secret.",
	"Link":        "A time-limited right to download one file.",
	"LinkBatch":   "The links of a batch, one for each file that exists.",
	"LinkChange": "A change of a link. Omitted members do not change. expires_in_seconds and expires_at " +
		"exclude each other.",
	"LinkRef":        "The record of a link in an entry.",
	"ListAuditEntry": "One page of audit entries.",
	"ListFile":       "One page of files.",
	"ListKey":        "One page of keys.",
	"ListLink":       "One page of links.",
	"ListPurpose":    "All purposes.",
	"NewFileLink": "A new link with the id of its file. expires_in_seconds and expires_at exclude each " +
		"other; without both, the link expires after an hour.",
	"NewKey": "A new key. It can have at most the rights of the key that creates it.",
	"NewLink": "A new link. expires_in_seconds and expires_at exclude each other; without both, the " +
		"link expires after an hour.",
	"NewLinkBatch": "New links with the same settings, one for each of many files.",
	"Problem":      "An error (RFC 9457). Branch on code.",
	"Purpose":      "What a file is for, with the rules that apply to it.",
	"Request":      "The request behind an entry.",
	"Resource":     "An object of your system.",
	"Recipient":    "The person that a link is for.",
	"Notify":       "Who is told by mail of the use of a link.",
	"RecipientRef": "The person of an entry.",
	"MailRef":      "A mail that could not be delivered.",
	"Upload": "A file and its details. The parts may have any order. metadata and link[metadata] may " +
		"also be sent as one part per key: metadata[key], link[metadata][key].",
}

// pathParam describes a parameter of a route's path.
func pathParam(rt httpd.Route, name string) string {
	switch {
	case name == "link", name == "id" && strings.HasPrefix(rt.Path, "/v1/file_links/"):
		return "Id of the link"
	case name == "id":
		kind := strings.Split(rt.Path, "/")[2]
		return "Id of the " + map[string]string{"files": "file", "keys": "key", "audit_entries": "entry",
			"audit_redactions": "erasure"}[kind]
	}
	return ""
}
