package replay

import (
	"hash/maphash"
	"slices"
	"time"
)

// sessionState is what the log says of a session of the console.
type sessionState struct {
	expires int64
	created int64
	person  uint64 // who signed in; 0 for a key
	record  uint32 // a digest of what entries say of it beside its end
	last    uint32 // seq of the newest entry that says so
	flags   uint32
	scopes  scope // of a person
}

// person identifies a person by issuer and subject. It differs between runs, so nobody can choose two persons who have
// the same one.
func (r *Replay) person(issuer, subject []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.Write(issuer)
	h.WriteByte(0)
	h.Write(subject)
	return max(1, h.Sum64())
}

// actorPerson is the person who acts, or 0 if the actor is none.
func (r *Replay) actorPerson() uint64 {
	if string(r.e.actorType) != "person" {
		return 0
	}
	return r.person(r.e.actorIssuer, r.e.actorID)
}

// sessionOf reads what an entry says of a session.
func (r *Replay) sessionOf(p *sessionPart) sessionState {
	s := sessionState{expires: moment(p.expires), last: uint32(r.seq)}
	s.record = r.digest(p.key, p.issuer, p.subject, p.scopes)
	if p.key == nil {
		s.person = r.person(p.issuer, p.subject)
	}
	list := scanner{b: p.scopes}
	for list.open('['); list.more(); {
		s.scopes |= scopes[string(bare(list.value()))]
	}
	return s
}

// expiredFor is how long the session of a person is kept after it expired: the clocks of servers differ.
const expiredFor = 60 * minute

func (r *Replay) sessionCreated() {
	e := &r.e
	id := idOf(r.seed, e.session.id, "sess_")
	i := r.sessions.find(id)
	if i < 0 {
		i = r.sessions.add(id)
	} else {
		r.report(Twice, "it creates the session %s a second time", name(e.session.id))
	}
	s := r.sessionOf(&e.session)
	s.created = r.at
	if s.person != r.actorPerson() || s.person == 0 && string(e.session.key) != string(e.actorID) {
		r.report(Actor, "the session %s is of another one than who signed in", name(e.session.id))
	}
	if *r.sessions.at(i) = s; s.person != 0 {
		r.people[s.person] = append(slices.DeleteFunc(r.people[s.person], func(of int) bool {
			return r.sessions.at(of).expires < r.latest-expiredFor
		}), i)
	}
}

// sessionEnded follows the end of a session, which needs keys:admin or to be the caller's own.
func (r *Replay) sessionEnded() {
	e := &r.e
	id := idOf(r.seed, e.session.id, "sess_")
	i := r.sessions.find(id)
	if i < 0 {
		r.report(Unknown, "no earlier entry created the session %s", name(e.session.id))
		i = r.sessions.add(id)
		*r.sessions.at(i) = sessionState{flags: adopted, last: uint32(r.seq)}
		return
	}
	s := r.sessions.at(i)
	if s.flags&revoked != 0 {
		r.report(Twice, "it ends the session %s, which entry %d ended", name(e.session.id), s.last)
	}
	r.compareSession(s, r.sessionOf(&e.session))
	own := s.person != 0 && s.person == r.actorPerson() ||
		string(e.actorType) == "key" && string(e.session.key) == string(e.actorID)
	if !own {
		switch string(e.actorType) {
		case "key":
			r.checkKey(r.actorKey(), keysAdmin)
		case "person":
			r.checkPerson(keysAdmin)
		}
	}
	s.flags |= revoked
	s.last = uint32(r.seq)
	r.people[s.person] = slices.DeleteFunc(r.people[s.person], func(of int) bool { return of == i })
}

func (r *Replay) compareSession(s *sessionState, now sessionState) {
	if s.flags&adopted == 0 && (now.expires != s.expires || now.record != s.record) {
		r.report(Changed, "it shows another end, person, key or scopes of the session than entry %d set", s.last)
	}
}

// scopesOfPerson returns the scopes of the sessions that the person who acts has at that moment.
func (r *Replay) scopesOfPerson() (all scope) {
	for _, i := range r.people[r.actorPerson()] {
		if s := r.sessions.at(i); r.at == never || r.at <= s.expires {
			all |= s.scopes
		}
	}
	return all
}

// checkPerson checks that the person who acts was signed in, with a scope.
func (r *Replay) checkPerson(need scope) {
	if string(r.e.action) == "session.created" {
		return
	}
	has := r.scopesOfPerson()
	switch {
	case has == 0:
		r.report(Actor, "the person %s was not signed in", name(r.e.actorID))
	case need&^has != 0 && !r.mintedWithFile():
		r.report(Actor, "the person %s lacked the scope for %s", name(r.e.actorID), r.e.action)
	}
}

// SessionRow is the row of a session. Leaf is that of an entry that records it.
type SessionRow struct {
	Leaf           []byte
	Created, Ended time.Time
}

// CompareSession compares the row of a session.
func (r *Replay) CompareSession(row SessionRow) []string {
	return r.aboutRow(row.Leaf, func() {
		i := r.sessions.find(idOf(r.seed, r.e.session.id, "sess_"))
		if i < 0 {
			r.report(Unknown, "no entry created it")
			return
		}
		s := r.sessions.at(i)
		if s.flags&adopted != 0 {
			return
		}
		r.compareSession(s, r.sessionOf(&r.e.session))
		r.compareCreated(row.Created, s.created)
		switch is := s.flags&revoked != 0; {
		case is && row.Ended.IsZero():
			r.report(Changed, "it has not ended, and entry %d ended it", s.last)
		case !is && !row.Ended.IsZero():
			r.report(Changed, "it has ended, and no entry ended it")
		}
	})
}
