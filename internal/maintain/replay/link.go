package replay

// linkState is what the log says of a link.
type linkState struct {
	created, expires int64
	file, key        int32  // positions; -1 for none
	words            uint32 // reason and metadata
	ips              uint32
	look             uint32 // disposition and filename
	last             uint32 // seq of the newest entry that says so
	flags            uint32
	downloads        uint32 // that counted for certain; with the flag counted, the position of the limitState
	sends            uint32 // redemptions that may have counted
}

// limitState is what the log says of a link that has a download limit, or had one.
type limitState struct {
	sent     int64  // bytes that were sent and not given back, at least
	covered  int64  // a redemption before that time may be the repetition of a counted one
	strict   int64  // before that time a redemption may be the repetition of one under an earlier limit
	max      uint32 // 0 for none
	most     uint32 // the highest so far; unlimited if there was none once
	counted  uint32 // downloads that were counted, at least
	returned uint32 // downloads that were given back, at most
}

const unlimited uint32 = 1<<32 - 1

// downloads returns the fewest downloads that count.
func (s *limitState) downloads() int64 { return max(0, int64(s.counted)-int64(s.returned)) }

// linkOf reads what an entry says of a link, apart from its file, its key and the number of its downloads.
func (r *Replay) linkOf(p *linkPart) linkState {
	l := linkState{expires: moment(p.expires), words: r.digest(p.reason, r.sum(p.metadata, p.metadataSum)),
		last: uint32(r.seq)}
	if p.asks != nil {
		l.flags |= recorded
		l.ips, l.look = r.digest(p.ips), r.digest(p.disposition, p.filename)
		if string(p.asks) == "true" {
			l.flags |= asks
		}
	}
	return l
}

// maxOf returns the download limit that an entry records, or 0 for none.
func maxOf(p *linkPart) uint32 {
	return uint32(min(max(0, number(p.maxDownloads)), int64(unlimited-1)))
}

// maxDownloads returns the download limit of a link, or 0 for none.
func (r *Replay) maxDownloads(l *linkState) uint32 {
	if l.flags&counted == 0 {
		return 0
	}
	return r.limit.at(int(l.downloads)).max
}

// link returns the position of the link of the entry, or -1 if the entry has none.
func (r *Replay) link() int {
	if r.e.link.id == nil {
		return -1
	}
	id := idOf(r.seed, r.e.link.id, "link_")
	if i := r.links.find(id); i >= 0 {
		return i
	}
	r.report(Unknown, "no earlier entry created the link %s", name(r.e.link.id))
	i := r.links.add(id)
	l := r.linkOf(&r.e.link)
	l.created, l.file, l.key, l.flags = r.at, int32(r.file()), -1, l.flags|adopted
	*r.links.at(i) = l
	return i
}

func (r *Replay) linkCreated() {
	id := idOf(r.seed, r.e.link.id, "link_")
	i := r.links.find(id)
	if i < 0 {
		i = r.links.add(id)
	} else {
		r.report(Twice, "it creates the link %s a second time", name(r.e.link.id))
	}
	l := r.linkOf(&r.e.link)
	l.created, l.file, l.key = r.at, int32(r.file()), -1
	if string(r.e.actorType) == "key" {
		l.key = int32(r.keys.find(idOf(r.seed, r.e.actorID, "key_")))
	} else {
		l.flags |= operators
	}
	if l.flags&recorded != 0 {
		l.flags |= complete
		r.setMax(&l, maxOf(&r.e.link), true)
	}
	*r.links.at(i) = l
	if l.file >= 0 {
		r.compareFile(int(l.file), &r.e.file)
		r.checkFileActive(int(l.file))
	}
	r.checkLifetime(&l, int(l.key))
}

func (r *Replay) checkFileActive(i int) {
	if f := r.files.at(i); f.flags&revoked != 0 {
		r.report(Deleted, "%s opens %s, which entry %d deleted", name(r.e.link.id), name(r.e.file.id), f.last)
	}
}

// checkLifetime checks that a key gave a link no later end than the key allows.
func (r *Replay) checkLifetime(l *linkState, key int) {
	if key < 0 || l.created == never {
		return
	}
	k := r.keys.at(key)
	if k.flags&recorded == 0 || k.lifetime == 0 || k.lifetime == never || !r.settled(k) {
		return
	}
	if l.expires == never || l.expires-l.created > k.lifetime+fraction {
		r.report(Actor, "%s lives longer than a key allows that minted or changed it, as entry %d records",
			name(r.e.link.id), k.last)
	}
}

// setMax sets the download limit of a link. The limit of a new link holds from its first download. Another one may
// leave grants open that were opened before.
func (r *Replay) setMax(l *linkState, limit uint32, first bool) {
	if l.flags&counted == 0 {
		if limit == 0 {
			return
		}
		before := l.downloads
		l.downloads, l.flags = uint32(r.limit.add()), l.flags|counted
		s := r.limit.at(int(l.downloads))
		*s = limitState{max: limit, most: limit, counted: before, covered: -never, strict: -never}
		if !first {
			s.most = unlimited
			r.loosen(s)
		}
		return
	}
	s := r.limit.at(int(l.downloads))
	if limit == 0 {
		s.most = unlimited
	} else {
		s.most = max(s.most, limit)
	}
	if limit != 0 && (s.max == 0 || limit < s.max) {
		r.loosen(s)
	}
	s.max = limit
}

// grantLasts is how long a counted download may be repeated, gate.GrantLasts.
const grantLasts = 10 * minute

// loosen has the limit judged again once no earlier grant can be open.
func (r *Replay) loosen(s *limitState) {
	latest := r.latest
	if r.at != never {
		latest = max(latest, r.at)
	}
	s.strict = latest + grantLasts
}

// compareLink compares all that an entry shows of a link with what was known.
func (r *Replay) compareLink(i int) { r.comparePart(i, &r.e.link) }

func (r *Replay) comparePart(i int, p *linkPart) {
	l, id := r.links.at(i), name(r.e.link.id)
	if l.flags&adopted != 0 {
		return
	}
	now := r.linkOf(p)
	if now.expires != l.expires {
		r.report(Changed, "it shows that %s expires at %s, and entry %d set %s", id, stamp(now.expires), l.last,
			stamp(l.expires))
		l.expires = now.expires
	}
	if now.words != l.words {
		r.report(Changed, "it shows another reason or other metadata of %s than entry %d set", id, l.last)
		l.words = now.words
	}
	if now.flags&l.flags&recorded == 0 {
		return
	}
	if now.ips != l.ips {
		r.report(Changed, "it shows other allowed_ips of %s than entry %d set", id, l.last)
		l.ips = now.ips
	}
	if now.look != l.look {
		r.report(Changed, "it shows another disposition or filename of %s than entry %d set", id, l.last)
		l.look = now.look
	}
	if (now.flags^l.flags)&asks != 0 {
		r.report(Changed, "it shows that the password of %s was set or removed, which no earlier entry did", id)
		l.flags ^= asks
	}
	if is, was := maxOf(p), r.maxDownloads(l); is != was {
		r.report(Changed, "it shows a max_downloads of %d for %s, and entry %d set %d", is, id, l.last, was)
		r.setMax(l, is, false)
	}
}

// compareMinter compares the key that an entry of a redemption names with the one that minted the link. An entry of
// an older version may not name it.
func (r *Replay) compareMinter(i int) {
	l := r.links.at(i)
	if l.flags&adopted != 0 || l.flags&recorded == 0 || l.key < 0 && l.flags&operators == 0 {
		return
	}
	named := -1
	if r.e.key.id != nil {
		if named = r.keys.find(idOf(r.seed, r.e.key.id, "key_")); named < 0 {
			named = -2
		}
	}
	if named != int(l.key) {
		r.report(Changed, "it shows another key as the one that minted %s than its creation does", name(r.e.link.id))
		return
	}
	if named >= 0 {
		if k := r.keys.at(named); k.flags&(adopted|recorded) == recorded && r.digest(r.e.key.name) != k.name {
			r.report(Changed, "it shows another name of %s than entry %d set", name(r.e.key.id), k.last)
			k.name = r.digest(r.e.key.name)
		}
	}
}

// compareFileOf compares the file of an entry with the one that the link was minted for.
func (r *Replay) compareFileOf(i int) {
	l, f := r.links.at(i), r.file()
	if f < 0 {
		return
	}
	if l.file < 0 {
		l.file = int32(f)
	}
	if int(l.file) != f {
		r.report(Changed, "it shows %s as the file of %s, which was minted for another one",
			name(r.e.file.id), name(r.e.link.id))
		l.file = int32(f)
	}
	r.compareFile(f, &r.e.file)
}

// linkUpdated follows a change of a link. The values that the change replaced must be those that were known.
func (r *Replay) linkUpdated() {
	i := r.link()
	if i < 0 {
		return
	}
	l := r.links.at(i)
	switch {
	case l.flags&revoked != 0:
		r.report(Revoked, "the link %s was changed after entry %d revoked it", name(r.e.link.id), l.last)
	case r.at != never && r.at > l.expires:
		r.report(Expired, "the link %s was changed after it had expired at %s", name(r.e.link.id), stamp(l.expires))
	}
	if r.e.link.asks != nil {
		was := r.e.link
		replaced(r.e.link.before, was.member)
		was.hide(r.e.names)
		r.comparePart(i, &was)
	}
	r.compareFileOf(i)
	next, expired := r.linkOf(&r.e.link), l.expires
	next.created, next.file, next.key, next.downloads, next.sends = l.created, l.file, l.key, l.downloads, l.sends
	next.flags |= l.flags & (adopted | revoked | counted | operators | complete)
	*l = next
	switch {
	case next.flags&recorded != 0:
		r.setMax(l, maxOf(&r.e.link), false)
	case next.flags&counted != 0: // an entry of an older version does not say whether the limit was changed
		r.setMax(l, 0, false)
	}
	if next.expires != expired && next.expires > r.at && next.flags&adopted == 0 { // an end that is now is always allowed
		r.checkLifetime(l, int(l.key))
		if string(r.e.actorType) == "key" {
			r.checkLifetime(l, r.keys.find(idOf(r.seed, r.e.actorID, "key_")))
		}
	}
}

func (r *Replay) linkRevoked() {
	i := r.link()
	if i < 0 {
		return
	}
	r.compareLink(i)
	r.compareFileOf(i)
	l := r.links.at(i)
	if l.flags&revoked != 0 {
		r.report(Twice, "it revokes the link %s, which entry %d revoked", name(r.e.link.id), l.last)
	}
	l.flags |= revoked
	l.last = uint32(r.seq)
}
