package replay

// who is a set of types of actors.
type who uint8

const (
	byKey who = 1 << iota
	byBearer
	byCLI
	bySystem
	byPerson

	byCaller = byKey | byPerson | byCLI // who has scopes, and the operator, who needs none
)

var actorTypes = map[string]who{"key": byKey, "bearer": byBearer, "cli": byCLI, "system": bySystem,
	"person": byPerson}

// scope is a set of scopes.
type scope uint16

const (
	filesRead scope = 1 << iota
	filesContent
	filesWrite
	linksRead
	linksWrite
	auditRead
	keysAdmin
)

var scopes = map[string]scope{
	"files:read": filesRead, "files:content": filesContent, "files:write": filesWrite, "links:read": linksRead,
	"links:write": linksWrite, "audit:read": auditRead, "keys:admin": keysAdmin,
}

// needs says who may do what, and with which scope if it is a key or a person. An action that it lacks is not
// judged: a newer version of Sluice may have written it.
var needs = map[string]struct {
	who   who
	scope scope
}{
	"account.created":     {byCLI | bySystem, 0},
	"signing_key.added":   {byCLI | bySystem, 0},
	"key.created":         {byCaller, keysAdmin},
	"key.updated":         {byCaller, keysAdmin},
	"key.rotated":         {byCaller, keysAdmin},
	"key.revoked":         {byCaller, keysAdmin},
	"file.created":        {byCaller, filesWrite},
	"file.updated":        {byCaller, filesWrite},
	"file.held":           {byCaller, filesWrite},
	"file.released":       {byCaller, filesWrite},
	"file.deleted":        {byCaller, filesWrite},
	"file.retained_out":   {bySystem, 0},
	"file.read":           {byCaller, filesContent},
	"file.damaged":        {bySystem, 0},
	"link.created":        {byCaller, linksWrite},
	"link.updated":        {byCaller, linksWrite},
	"link.revoked":        {byCaller, linksWrite},
	"link.redeemed":       {byBearer, 0},
	"link.delivered":      {byBearer | bySystem, 0},
	"audit.exported":      {byCaller, auditRead},
	"audit.reported":      {byCaller, auditRead},
	"audit.redacted":      {byCaller, keysAdmin},
	"audit.erasure_begun": {byCaller, keysAdmin},
	"audit.erased":        {bySystem, 0},
	"ledger.key_rotated":  {bySystem, 0},
	"ledger.rolled_back":  {bySystem, 0},
	"link.refused":        {byBearer, 0},
	"access.denied":       {byKey | byPerson, 0},
	"session.created":     {byKey | byPerson, 0},
	"session.ended":       {byCaller | bySystem, 0},
}

// checkActor checks that the actor of an allowed entry had a right to the action at that moment.
func (r *Replay) checkActor() {
	e := &r.e
	need, known := needs[string(e.action)]
	if !known {
		return
	}
	actor, known := actorTypes[string(e.actorType)]
	if !known {
		return
	}
	if need.who&actor == 0 {
		r.report(Actor, "%s is not for an actor of type %s", e.action, e.actorType)
		return
	}
	switch actor {
	case byBearer:
		if string(e.actorID) != string(e.link.id) {
			r.report(Actor, "the bearer of %s used %s", name(e.actorID), name(e.link.id))
		}
	case byKey:
		r.checkKey(r.actorKey(), need.scope)
	case byPerson:
		r.checkPerson(need.scope)
	}
}

// actorKey returns the position of the key that acted, or -1 if the actor is no key.
func (r *Replay) actorKey() int {
	if string(r.e.actorType) != "key" {
		return -1
	}
	id := idOf(r.seed, r.e.actorID, "key_")
	if i := r.keys.find(id); i >= 0 {
		return i
	}
	r.report(Unknown, "no earlier entry created the key %s, which acted", name(r.e.actorID))
	return r.adoptKey(id)
}

func (r *Replay) checkKey(i int, need scope) {
	k, id := r.keys.at(i), name(r.e.actorID)
	switch {
	case k.flags&revoked != 0:
		r.report(Actor, "the key %s acted after entry %d revoked it", id, k.last)
	case k.flags&recorded == 0:
	case r.at != never && r.at > k.expires:
		r.report(Actor, "the key %s acted after it had expired at %s", id, stamp(k.expires))
	case need&^k.scopes != 0 && !r.mintedWithFile():
		r.report(Actor, "the key %s lacked the scope for %s, as entry %d records", id, r.e.action, k.last)
	}
}

// mintedWithFile reports whether the entry mints a link with a file. The scope for that link is checked when the upload
// begins, and the key may have lost it since.
func (r *Replay) mintedWithFile() bool {
	return string(r.e.action) == "link.created" && r.seq > 0 && r.mintedWith == r.seq-1 &&
		r.files.find(idOf(r.seed, r.e.file.id, "file_")) == r.files.ids.n-1
}
