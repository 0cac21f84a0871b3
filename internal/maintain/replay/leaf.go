package replay

import (
	"bytes"
	"strconv"
	"strings"
)

// leafParts holds the members of a leaf that the rules need, as JSON in the leaf. A member that the leaf lacks is nil.
type leafParts struct {
	action, actorType, outcome, refusal []byte // without quotes
	account, livemode, id, at, actorID  []byte
	actorIssuer                         []byte
	deliveries                          []byte // an array
	requestID, method                   []byte
	subjectSeq                          []byte

	file     filePart
	key      keyPart
	link     linkPart
	delivery deliveryPart
	names    uint32 // the names of file and link that are commitments, which say nothing here: they are left out
	session  sessionPart
}

type filePart struct {
	id, filename, title, mediaType, size, sha256, purpose []byte
	metadata, metadataSum, linked, linkedSum, expires     []byte
	held                                                  []byte // present if the entry records the details
	personal                                              []byte
	before                                                []byte
}

type keyPart struct {
	id, name, expires, lifetime, oldExpires []byte
	scopes                                  []byte // present if the entry records the rights
	before                                  []byte
}

type linkPart struct {
	id, expires, reason, metadata, metadataSum     []byte
	ips, disposition, filename, maxDownloads, asks []byte // asks, has_password, is present if the entry records limits
	before                                         []byte
}

type sessionPart struct {
	id, expires, key, issuer, subject []byte
	scopes                            []byte // present if a person signed in
}

type deliveryPart struct {
	mode, status, bytes, complete, returned []byte
	file, link, seq                         []byte // in the entry of many deliveries
}

// scanner walks JSON that is known to be canonical: it finds where values end, and does not check them. On other input
// it fails or finds other values, and reads nothing outside of the input.
type scanner struct {
	b []byte
	i int
}

// open enters an object or array. It fails if the next byte does not begin one.
func (s *scanner) open(bracket byte) bool {
	if s.i >= len(s.b) || s.b[s.i] != bracket {
		return false
	}
	s.i++
	return true
}

// more reports whether the object or array that was opened goes on, and moves to its next member or element.
func (s *scanner) more() bool {
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '}', ']':
		s.i++
		return false
	case ',':
		s.i++
	}
	return s.i < len(s.b)
}

// name reads the name of a member, without its quotes and still escaped. It returns nil if there is none.
func (s *scanner) name() []byte {
	from := s.i
	if s.b[from] != '"' || !s.skipString() || s.i >= len(s.b) || s.b[s.i] != ':' {
		s.i = len(s.b)
		return nil
	}
	s.i++
	return s.b[from+1 : s.i-2]
}

// value reads a value.
func (s *scanner) value() []byte {
	from := s.i
	if s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			s.skipString()
		case '{', '[':
			s.skipNested()
		default:
			s.skipWord()
		}
	}
	return s.b[from:s.i]
}

func (s *scanner) skipString() bool {
	for j := s.i + 1; ; j++ {
		n := bytes.IndexByte(s.b[min(j, len(s.b)):], '"')
		if n < 0 {
			s.i = len(s.b)
			return false
		}
		j += n
		slashes := 0
		for j-1-slashes > s.i && s.b[j-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			s.i = j + 1
			return true
		}
	}
}

func (s *scanner) skipNested() {
	for depth := 0; s.i < len(s.b); {
		switch s.b[s.i] {
		case '"':
			s.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.i++; depth == 0 {
			return
		}
	}
}

func (s *scanner) skipWord() {
	for s.i < len(s.b) && s.b[s.i] != ',' && s.b[s.i] != '}' && s.b[s.i] != ']' {
		s.i++
	}
}

// parse reads a leaf. It reports false for a leaf that is no object.
func (p *leafParts) parse(leaf []byte) bool {
	*p = leafParts{}
	s := scanner{b: leaf}
	if !s.open('{') {
		return false
	}
	for s.more() {
		switch string(s.name()) {
		case "account":
			p.account = s.value()
		case "action":
			p.action = bare(s.value())
		case "actor":
			p.parseActor(&s)
		case "deliveries":
			p.deliveries = s.value()
		case "delivery":
			p.delivery.parse(&s)
		case "entry":
			p.parseSubject(&s)
		case "file":
			p.file.parse(&s)
		case "id":
			p.id = s.value()
		case "key":
			p.key.parse(&s)
		case "link":
			p.link.parse(&s)
		case "livemode":
			p.livemode = s.value()
		case "outcome":
			p.outcome = bare(s.value())
		case "refusal":
			p.refusal = bare(s.value())
		case "request":
			p.parseRequest(&s)
		case "session":
			p.session.parse(&s)
		case "time":
			p.at = s.value()
		default:
			s.value()
		}
	}
	if p.file.personal != nil {
		p.hide(namesOf(p.file.personal))
	}
	return true
}

// The names that may be commitments, as flags of a file.
const (
	hidesFilename uint32 = 1 << (16 + iota)
	hidesLinked
	hidesMetadata
	hidesReason
	hidesTitle
	hides = hidesFilename | hidesLinked | hidesMetadata | hidesReason | hidesTitle
)

// namesOf reads the member personal of a file.
func namesOf(personal []byte) (names uint32) {
	s := scanner{b: personal}
	for s.open('['); s.more(); {
		switch string(s.value()) {
		case `"filename"`:
			names |= hidesFilename
		case `"linked_resources"`:
			names |= hidesLinked
		case `"metadata"`:
			names |= hidesMetadata
		case `"reason"`:
			names |= hidesReason
		case `"title"`:
			names |= hidesTitle
		}
	}
	return names
}

// hide leaves out the names that are commitments: each entry has a commitment of its own to the same name.
func (p *leafParts) hide(names uint32) {
	p.names = names
	p.file.hide(names)
	p.link.hide(names)
}

func (f *filePart) hide(names uint32) {
	if names&hidesFilename != 0 {
		f.filename = nil
	}
	if names&hidesLinked != 0 {
		f.linked, f.linkedSum = nil, nil
	}
	if names&hidesMetadata != 0 {
		f.metadata, f.metadataSum = nil, nil
	}
	if names&hidesTitle != 0 {
		f.title = nil
	}
}

func (l *linkPart) hide(names uint32) {
	if names&hidesFilename != 0 {
		l.filename = nil
	}
	if names&hidesMetadata != 0 {
		l.metadata, l.metadataSum = nil, nil
	}
	if names&hidesReason != 0 {
		l.reason = nil
	}
}

func (p *leafParts) parseActor(s *scanner) {
	for s.open('{'); s.more(); {
		switch string(s.name()) {
		case "id":
			p.actorID = s.value()
		case "issuer":
			p.actorIssuer = s.value()
		case "type":
			p.actorType = bare(s.value())
		default:
			s.value()
		}
	}
}

func (p *leafParts) parseSubject(s *scanner) {
	for s.open('{'); s.more(); {
		if string(s.name()) == "seq" {
			p.subjectSeq = s.value()
		} else {
			s.value()
		}
	}
}

func (p *leafParts) parseRequest(s *scanner) {
	for s.open('{'); s.more(); {
		switch string(s.name()) {
		case "id":
			p.requestID = s.value()
		case "method":
			p.method = s.value()
		default:
			s.value()
		}
	}
}

func (f *filePart) parse(s *scanner) {
	for s.open('{'); s.more(); {
		if at := f.member(s.name()); at != nil {
			*at = s.value()
		} else {
			s.value()
		}
	}
}

func (f *filePart) member(name []byte) *[]byte {
	switch string(name) {
	case "before":
		return &f.before
	case "expires_at":
		return &f.expires
	case "filename":
		return &f.filename
	case "held":
		return &f.held
	case "id":
		return &f.id
	case "linked_resources":
		return &f.linked
	case "linked_resources_sha256":
		return &f.linkedSum
	case "metadata":
		return &f.metadata
	case "metadata_sha256":
		return &f.metadataSum
	case "personal":
		return &f.personal
	case "purpose":
		return &f.purpose
	case "sha256":
		return &f.sha256
	case "size":
		return &f.size
	case "title":
		return &f.title
	case "type":
		return &f.mediaType
	}
	return nil
}

func (k *keyPart) parse(s *scanner) {
	for s.open('{'); s.more(); {
		if at := k.member(s.name()); at != nil {
			*at = s.value()
		} else {
			s.value()
		}
	}
}

func (k *keyPart) member(name []byte) *[]byte {
	switch string(name) {
	case "before":
		return &k.before
	case "expires_at":
		return &k.expires
	case "id":
		return &k.id
	case "max_link_lifetime":
		return &k.lifetime
	case "name":
		return &k.name
	case "old_secret_expires_at":
		return &k.oldExpires
	case "scopes":
		return &k.scopes
	}
	return nil
}

func (l *linkPart) parse(s *scanner) {
	for s.open('{'); s.more(); {
		if at := l.member(s.name()); at != nil {
			*at = s.value()
		} else {
			s.value()
		}
	}
}

func (l *linkPart) member(name []byte) *[]byte {
	switch string(name) {
	case "allowed_ips":
		return &l.ips
	case "before":
		return &l.before
	case "disposition":
		return &l.disposition
	case "expires_at":
		return &l.expires
	case "filename":
		return &l.filename
	case "has_password":
		return &l.asks
	case "id":
		return &l.id
	case "max_downloads":
		return &l.maxDownloads
	case "metadata":
		return &l.metadata
	case "metadata_sha256":
		return &l.metadataSum
	case "reason":
		return &l.reason
	}
	return nil
}

func (p *sessionPart) parse(s *scanner) {
	for s.open('{'); s.more(); {
		switch string(s.name()) {
		case "expires_at":
			p.expires = s.value()
		case "id":
			p.id = s.value()
		case "issuer":
			p.issuer = s.value()
		case "key":
			p.key = s.value()
		case "scopes":
			p.scopes = s.value()
		case "subject":
			p.subject = s.value()
		default:
			s.value()
		}
	}
}

func (d *deliveryPart) parse(s *scanner) {
	for s.open('{'); s.more(); {
		switch string(s.name()) {
		case "bytes":
			d.bytes = s.value()
		case "complete":
			d.complete = s.value()
		case "file":
			d.file = s.value()
		case "link":
			d.link = s.value()
		case "mode":
			d.mode = s.value()
		case "returned":
			d.returned = s.value()
		case "seq":
			d.seq = s.value()
		case "status":
			d.status = s.value()
		default:
			s.value()
		}
	}
}

// replaced returns the members as they were before a change: those in before have the value there, null for none.
func replaced(before []byte, member func(name []byte) *[]byte) {
	s := scanner{b: before}
	for s.open('{'); s.more(); {
		named := s.name()
		at, value := member(named), s.value()
		if at == nil {
			continue
		}
		if other := member(otherForm(named)); other != nil {
			*other = nil
		}
		if *at = value; string(value) == "null" {
			*at = nil
		}
	}
}

// otherForm returns the name of the digest of a member that may be large, and of a digest the name of the member.
func otherForm(name []byte) []byte {
	switch string(name) {
	case "metadata", "linked_resources":
		return append(bytes.Clone(name), digestSuffix...)
	case "metadata" + digestSuffix, "linked_resources" + digestSuffix:
		return name[:len(name)-len(digestSuffix)]
	}
	return nil
}

const digestSuffix = "_sha256"

// bare returns a string without its quotes, still escaped.
func bare(value []byte) []byte {
	if len(value) < 2 {
		return nil
	}
	return value[1 : len(value)-1]
}

// text is bare, cut to a length for messages.
func text(value []byte) string {
	const longest = 80
	if value = bare(value); len(value) > longest {
		return strings.ToValidUTF8(string(value[:longest]), "") + "…"
	}
	return string(value)
}

// name is a string in a leaf, for messages: it costs nothing until it is printed.
type name []byte

// String implements fmt.Stringer.
func (n name) String() string { return text(n) }

// number returns a whole number, or -1 if the value is none.
func number(value []byte) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Times are microseconds since 1970 in UTC. never is the time of what does not end.
const (
	never   int64 = 1<<63 - 1
	second        = 1_000_000
	minute        = 60 * second
	instant       = len(`"2006-01-02T15:04:05.000000Z"`)
)

// moment reads a time of a leaf. It returns never for a value that is nil or of another form.
func moment(value []byte) int64 {
	if len(value) != instant {
		return never
	}
	field := func(from, to int) (n int64) {
		for _, c := range value[from:to] {
			n = n*10 + int64(c-'0')
		}
		return n
	}
	year, month, day := field(1, 5), field(6, 8), field(9, 11)
	// Days since 1970-01-01 of the proleptic Gregorian calendar, with years that begin in March.
	if month <= 2 {
		year, month = year-1, month+12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
	return (days*86400+field(12, 14)*3600+field(15, 17)*60+field(18, 20))*second + field(21, 27)
}

// stamp writes a moment as it is in a leaf.
func stamp(at int64) string {
	if at == never {
		return "never"
	}
	return timeOf(at).Format("2006-01-02T15:04:05.000000Z")
}
