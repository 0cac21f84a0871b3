package replay

// keyState is what the log says of a key.
type keyState struct {
	expires  int64 // never if it does not
	lifetime int64 // of its links, in microseconds; never for no limit, 0 for that of the server
	created  int64
	changed  int64 // when it was updated last; 0 for never
	old      int64 // when the secret before its newest expires; never if there is none
	name     uint32
	last     uint32 // seq of the newest entry that says so
	flags    uint32
	scopes   scope
}

func (r *Replay) adoptKey(id objectID) int {
	i := r.keys.add(id)
	*r.keys.at(i) = keyState{expires: never, last: uint32(r.seq), flags: adopted}
	return i
}

// key returns the position of the key of the entry.
func (r *Replay) key() int {
	id := idOf(r.seed, r.e.key.id, "key_")
	if i := r.keys.find(id); i >= 0 {
		return i
	}
	r.report(Unknown, "no earlier entry created the key %s", name(r.e.key.id))
	return r.adoptKey(id)
}

// keyOf reads what an entry says of a key.
func (r *Replay) keyOf(p *keyPart) keyState {
	k := keyState{name: r.digest(p.name), last: uint32(r.seq), expires: never}
	if p.scopes == nil {
		return k
	}
	k.flags, k.expires, k.lifetime = recorded, moment(p.expires), lifetimeOf(p.lifetime)
	s := scanner{b: p.scopes}
	for s.open('['); s.more(); {
		k.scopes |= scopes[string(bare(s.value()))]
	}
	return k
}

// fraction is what an entry may leave out of the lifetime of a key's links: it records whole seconds, and older
// versions of Sluice took lifetimes such as 1500ms.
const fraction = second

// lifetimeOf reads max_link_lifetime: seconds, or "none".
func lifetimeOf(value []byte) int64 {
	switch n := number(value); {
	case value == nil:
		return 0
	case n < 0 || n > never/second:
		return never
	default:
		return n * second
	}
}

func (r *Replay) keyCreated() {
	id := idOf(r.seed, r.e.key.id, "key_")
	i := r.keys.find(id)
	if i < 0 {
		i = r.keys.add(id)
	} else {
		r.report(Twice, "it creates the key %s a second time", name(r.e.key.id))
	}
	by := r.actorRights()
	k := r.keyOf(&r.e.key)
	if k.flags&recorded != 0 {
		k.flags |= complete
	}
	k.created, k.old = r.at, never
	*r.keys.at(i) = k
	r.checkGranted(by, &k)
}

// actorRights returns the rights of the key or person that acts, or nil if the actor is another or the log does not
// record them.
func (r *Replay) actorRights() *keyState {
	if string(r.e.actorType) == "person" {
		return &keyState{scopes: r.scopesOfPerson(), expires: never}
	}
	if string(r.e.actorType) != "key" {
		return nil
	}
	i := r.keys.find(idOf(r.seed, r.e.actorID, "key_"))
	if i < 0 || r.keys.at(i).flags&(recorded|adopted) != recorded || !r.settled(r.keys.at(i)) {
		return nil
	}
	rights := *r.keys.at(i)
	return &rights
}

// actorName names the key or person that acts, for messages.
func (r *Replay) actorName() string {
	return "the " + string(r.e.actorType) + " " + text(r.e.actorID)
}

// settles is how long after a change of a key the limits that it sets for others are not judged: older versions of
// Sluice held a request to the limits that its key had when the request began.
const settles = 60 * minute

func (r *Replay) settled(k *keyState) bool {
	return k.changed == 0 || r.at != never && r.at-k.changed > settles
}

// checkGranted checks that a key was given no more rights than the key has that gave them.
func (r *Replay) checkGranted(by, k *keyState) {
	if by == nil || k.flags&recorded == 0 {
		return
	}
	switch id := r.actorName(); {
	case k.scopes&^by.scopes != 0:
		r.report(Actor, "%s gave %s a scope that it lacked itself", id, name(r.e.key.id))
	case k.expires > by.expires:
		r.report(Actor, "%s gave %s a later expiry than its own", id, name(r.e.key.id))
	case by.lifetime != 0 && k.lifetime > by.lifetime:
		r.report(Actor, "%s gave %s a longer lifetime of links than its own", id, name(r.e.key.id))
	}
}

// keyUpdated follows a change or a rotation. The rights that the change replaced must be those that were known.
func (r *Replay) keyUpdated() {
	i := r.key()
	k := r.keys.at(i)
	if k.flags&revoked != 0 {
		r.report(Revoked, "the key %s was changed after entry %d revoked it", name(r.e.key.id), k.last)
	}
	was := r.e.key
	replaced(r.e.key.before, was.member)
	r.compareKey(k, r.keyOf(&was))
	by := r.actorRights()
	if by != nil && k.flags&recorded != 0 && k.scopes&^by.scopes != 0 {
		r.report(Actor, "%s changed %s, which had scopes that it lacked itself", r.actorName(), name(r.e.key.id))
	}
	next := r.keyOf(&r.e.key)
	next.flags |= k.flags & (adopted | revoked)
	if next.flags&recorded != 0 {
		next.flags |= k.flags & complete
	}
	next.created, next.old, next.changed = k.created, k.old, r.at
	if r.e.key.oldExpires != nil {
		next.old = moment(r.e.key.oldExpires)
	}
	*k = next
	r.checkGranted(by, k)
}

// compareKey compares what an entry says of a key with what was known.
func (r *Replay) compareKey(k *keyState, now keyState) {
	if k.flags&adopted != 0 {
		return
	}
	id := name(r.e.key.id)
	if now.flags&recorded != 0 && k.flags&recorded != 0 {
		if now.scopes != k.scopes {
			r.report(Changed, "it shows other scopes of %s than entry %d set", id, k.last)
		}
		if now.expires != k.expires {
			r.report(Changed, "it shows that %s expires at %s, and entry %d set %s", id, stamp(now.expires), k.last,
				stamp(k.expires))
		}
		if now.lifetime != k.lifetime {
			r.report(Changed, "it shows another lifetime of the links of %s than entry %d set", id, k.last)
		}
	}
	if now.flags&recorded != 0 && now.name != k.name {
		r.report(Changed, "it shows another name of %s than entry %d set", id, k.last)
	}
}

func (r *Replay) keyRevoked() {
	k := r.keys.at(r.key())
	if k.flags&revoked != 0 {
		r.report(Twice, "it revokes the key %s, which entry %d revoked", name(r.e.key.id), k.last)
	}
	r.compareKey(k, r.keyOf(&r.e.key))
	k.flags |= revoked
	k.last = uint32(r.seq)
}
