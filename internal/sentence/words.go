package sentence

import "sluice"

// phrase is what an action is in words. A name in braces stands for what the entry has: see named.
type phrase struct {
	words string
	tone  Tone
}

// phrases has every action. In an entry of a refusal, ", because " and the rule follow.
var phrases = map[sluice.Action]phrase{
	sluice.AccountCreated:    {"{who} created this account", Info},
	sluice.SigningKeyAdded:   {"{who} added a key that signs links", Info},
	sluice.KeyCreated:        {"{who} created the API key {key}", Info},
	sluice.KeyUpdated:        {"{who} changed the API key {key}", ""},
	sluice.KeyRotated:        {"{who} gave the API key {key} a new secret", ""},
	sluice.KeyEnded:          {"{who} revoked the API key {key}", Warn},
	sluice.FileCreated:       {"{who} uploaded {file} ({size})", Info},
	sluice.FileUpdated:       {"{who} changed the details of {file}", ""},
	sluice.FileHeld:          {"{who} put {file} on hold", Warn},
	sluice.FileReleased:      {"{who} released {file} from its hold", ""},
	sluice.FileRetainedOut:   {"{who} deleted {file}: its retention had ended", Warn},
	sluice.FileRead:          {"{who} read the content of {file} ({size})", Good},
	sluice.FileEnded:         {"{who} deleted {file}", Warn},
	sluice.FileDamaged:       {"{who} found that the stored bytes of {file} {damage}", Bad},
	sluice.LinkCreated:       {"{who} made the link {link} to {file}", Info},
	sluice.LinkUpdated:       {"{who} changed the link {link} to {file}", ""},
	sluice.LinkEnded:         {"{who} ended the link {link} to {file}", Warn},
	sluice.LinkRedeemed:      {"{who} downloaded {file} ({size}) by the link {link}", Good},
	sluice.LinkRefused:       {"{who} was refused {file} by the link {link}", Bad},
	sluice.LinkDelivered:     {"{who} recorded how {downloads} ended", ""},
	sluice.LinkSent:          {"{who} sent the link {link} to {file} to {recipient} by e-mail", Info},
	sluice.LinkCodeSent:      {"{who} asked for a code for the link {link} to {file}, which was sent to {recipient}", ""},
	sluice.LinkVerified:      {"{who} may open the link {link} to {file}", Info},
	sluice.LinkMailFailed:    {"{who} could not deliver {mail} the link {link} to {file}", Warn},
	sluice.SessionCreated:    {"{who} signed in to the console with the session {session}", ""},
	sluice.SessionEnded:      {"{who} ended the session {session} of the console", ""},
	sluice.AuditExported:     {"{who} exported {exported} of the log", ""},
	sluice.AuditReported:     {"{who} made a report of {reported} of the log", ""},
	sluice.AuditRedacted:     {"{who} erased {fields} of {entry}", Warn},
	sluice.AuditErasureBegun: {"{who} began to erase {erased}", Warn},
	sluice.AuditErased:       {"{who} erased {erased}, from {lossy}", Warn},
	sluice.KeyHandedOver:     {"{who} changed the key that signs this log", Warn},
	sluice.LedgerRolledBack:  {"{who} accepted a database that had lost {lost} of this log", Bad},
	sluice.AccessDenied:      {"{who} was refused what it asked for", Bad},
}

// refusals has every rule that refuses, in words that follow "because". A missing scope is put into words by why.
var refusals = map[sluice.Refusal]string{
	sluice.Expired:              "the link had expired",
	sluice.Exhausted:            "all downloads that the link allows were used",
	sluice.Revoked:              "the link had been ended",
	sluice.FileDeleted:          "the file had been deleted",
	sluice.KeyRevoked:           "the API key that made the link had been revoked",
	sluice.KeyExpired:           "the API key that made the link had expired",
	sluice.KeyRestricted:        "the API key that made the link may not make such links any more",
	sluice.PurposeRestricted:    "the purpose of the file does not allow such links any more",
	sluice.WrongPassword:        "the password was wrong or missing",
	sluice.AddressNotAllowed:    "the link does not admit this network",
	sluice.Altered:              "the record of the link or of its API key was altered outside of Sluice",
	sluice.VerificationRequired: "no e-mail address was proven",
	sluice.RecipientNotAllowed:  "the link is not for this address",
	sluice.WrongCode:            "the code was wrong",
	sluice.TooManyCodes:         "too many codes were asked for",
	sluice.TermsNotAccepted:     "the terms were not accepted",
	sluice.NoRole:               "the person has no role here",
}

// damages has every kind of damage, in words that follow "the stored bytes of a file".
var damages = map[sluice.Damage]string{
	sluice.BytesMissing:    "are missing",
	sluice.BytesUnreadable: "cannot be read",
	sluice.WrongSize:       "are more or fewer than were uploaded",
	sluice.WrongDigest:     "are not those that were uploaded",
}

// mails has every kind of mail, in words that a link follows.
var mails = map[string]string{
	"code":           "the code for",
	"link":           "the mail with",
	"first_download": "the notice of the first download by",
	"every_download": "a notice of a download by",
	"refused":        "a notice of a refusal by",
	"unopened":       "the notice that nobody had opened",
}
