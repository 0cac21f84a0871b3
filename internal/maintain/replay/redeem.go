package replay

// The flags of a redemption, beside the position of its link plus one.
const (
	awaits    uint32 = 1 << (31 - iota) // its delivery is not recorded yet
	delivered                           // its delivery is recorded
	whole                               // it sends the whole file
	limited                             // its link had a download limit
	foreign                             // its action is not known: it may be a redemption of a newer kind
	position  = foreign - 1
)

// linkRedeemed checks a redemption by the rules of gate/refuse.go, as far as the log records what they need.
func (r *Replay) linkRedeemed() {
	i := r.link()
	if i < 0 {
		return
	}
	r.compareLink(i)
	r.compareMinter(i)
	r.compareFileOf(i)
	r.checkUse(r.links.at(i))
	r.countDownload(r.links.at(i))
	r.awaitDelivery(i)
}

func (r *Replay) checkUse(l *linkState) {
	id := name(r.e.link.id)
	if l.flags&revoked != 0 {
		r.report(Revoked, "the link %s was redeemed after entry %d revoked it", id, l.last)
	}
	if l.file >= 0 {
		r.checkFileActive(int(l.file))
	}
	// The rules compare the time of the entry. It is cut to microseconds, and so is the end: at the very end of a
	// link both answers are right.
	if r.at != never && r.at > l.expires {
		r.report(Expired, "the link %s was redeemed after it had expired at %s", id, stamp(l.expires))
	}
	if l.key < 0 {
		return
	}
	k := r.keys.at(int(l.key))
	switch {
	case k.flags&revoked != 0:
		r.report(KeyEnded, "the link %s was redeemed after entry %d revoked the key that minted it", id, k.last)
	case k.flags&recorded == 0 || r.at == never:
	case r.at > k.expires:
		r.report(KeyEnded, "the link %s was redeemed after the key that minted it had expired at %s", id, stamp(k.expires))
	case k.scopes&linksWrite == 0:
		r.report(KeyEnded, "the link %s was redeemed when the key that minted it lacked links:write, as entry %d records",
			id, k.last)
	case k.lifetime != 0 && k.lifetime != never && l.created != never &&
		r.at-l.created > k.lifetime+fraction:
		r.report(KeyEnded, "the link %s was redeemed when it was older than the key allows that minted it, "+
			"as entry %d records", id, k.last)
	}
}

// The kinds of responses to a redemption.
type response int

const (
	noBytes response = iota // nothing of the file: HEAD, 304, 412 or 416, or unknown
	wholeFile
	somePart
	redirect
)

func (r *Replay) response() response {
	d := &r.e.delivery
	switch {
	case d.mode == nil || string(r.e.method) == `"HEAD"`:
		return noBytes
	case string(d.mode) == `"redirect"`:
		return redirect
	case string(d.status) == "200":
		return wholeFile
	case string(d.status) == "206":
		return somePart
	}
	return noBytes
}

// countDownload counts the downloads of a link: at least as many as certainly counted.
//
// A counted download of a limited link opens a grant of ten minutes, in which the same bearer may repeat it. The log
// does not show who a bearer is. So a redemption counts here only if no redemption that counted here lies less than ten
// minutes before it: no other assignment of the redemptions to grants has fewer of them. Without a limit every response
// counts that begins with the first byte; a part is not counted here, because it may begin elsewhere.
func (r *Replay) countDownload(l *linkState) {
	sends := r.response()
	if sends == noBytes {
		return
	}
	if l.sends++; l.flags&recorded == 0 {
		return
	}
	if l.flags&counted == 0 {
		if sends != somePart && l.downloads < 1<<31 {
			l.downloads++
		}
		return
	}
	s := r.limit.at(int(l.downloads))
	if s.max == 0 {
		if sends != somePart {
			s.counted++
		}
		return
	}
	if r.at == never || r.at < s.covered {
		return
	}
	s.counted++
	s.covered = r.at + grantLasts
	if s.downloads() > int64(s.max) && r.at >= s.strict && l.flags&adopted == 0 {
		r.report(Downloads, "it is at least download %d of %s, which may be downloaded %d times",
			s.downloads(), name(r.e.link.id), s.max)
	}
}

// awaitDelivery remembers a redemption whose delivery is to follow. A redirect has one only if Sluice failed.
func (r *Replay) awaitDelivery(i int) {
	at := r.redeemed.at(int(r.seq))
	if uint32(i+1) > position { // it does not fit: what is delivered of it is not judged
		*at = foreign
		return
	}
	*at = uint32(i + 1)
	sends := r.response()
	if sends == noBytes {
		return
	}
	*at |= awaits
	if sends == wholeFile {
		*at |= whole
	}
	if l := r.links.at(i); l.flags&counted != 0 && r.limit.at(int(l.downloads)).max != 0 {
		*at |= limited
	}
	if sends != redirect && r.e.requestID != nil {
		r.awaited.add(r.digest(r.e.requestID), r.seq, r.awaitsDelivery)
	}
}

func (r *Replay) awaitsDelivery(seq int64) bool { return *r.redeemed.at(int(seq))&awaits != 0 }

// delivered follows an entry of deliveries: of many, which name their redemptions, or of one, in the form of older
// versions.
func (r *Replay) delivered() {
	if r.e.deliveries == nil {
		r.deliveredOne()
		return
	}
	s := scanner{b: r.e.deliveries}
	for s.open('['); s.more(); {
		var d deliveryPart
		d.parse(&s)
		r.deliveredBy(number(d.seq), &d)
	}
}

// deliveredOne follows the entry of one delivery, which has the request of its redemption.
func (r *Replay) deliveredOne() {
	i := r.link()
	if i < 0 {
		return
	}
	if r.e.file.id != nil {
		if f := r.file(); f >= 0 {
			r.compareContent(f)
		}
	}
	d := r.e.delivery
	if string(d.mode) == `"redirect"` { // Sluice failed to presign a URL
		if string(d.returned) == "true" {
			r.giveBack(r.links.at(i))
		}
		return
	}
	if r.e.requestID == nil || uint32(i+1) > position {
		return
	}
	seq := r.awaited.find(r.digest(r.e.requestID), func(seq int64) bool {
		at := *r.redeemed.at(int(seq))
		return at&awaits != 0 && int(at&position) == i+1
	})
	if seq < 0 {
		r.report(Delivery, "it records a delivery of %s that no redemption allowed, or that is recorded already",
			name(r.e.link.id))
		return
	}
	d.link, d.file = r.e.link.id, r.e.file.id
	r.deliveredBy(seq, &d)
}

// deliveredBy follows the delivery of the redemption at seq.
func (r *Replay) deliveredBy(seq int64, d *deliveryPart) {
	if seq < 0 || seq >= r.seq {
		r.report(Delivery, "it records the delivery of entry %d, which was not written yet", seq)
		return
	}
	at := r.redeemed.at(int(seq))
	switch {
	case *at&foreign != 0:
		return
	case *at&delivered != 0:
		r.report(Delivery, "it records a second delivery of entry %d", seq)
		return
	case *at&awaits == 0:
		r.report(Delivery, "it records the delivery of entry %d, which sends no bytes", seq)
		return
	}
	*at = *at&^awaits | delivered
	i := int(*at&position) - 1
	l := r.links.at(i)
	if d.link != nil && *r.links.ids.at(i) != idOf(r.seed, d.link, "link_") {
		r.report(Delivery, "it records the delivery of entry %d for %s, and that entry redeems another link",
			seq, name(d.link))
	}
	if l.file < 0 {
		return
	}
	if d.file != nil && *r.files.ids.at(int(l.file)) != idOf(r.seed, d.file, "file_") {
		r.report(Delivery, "it records that entry %d delivered %s, and that entry is of another file", seq, name(d.file))
	}
	r.checkSent(l, *at, seq, d)
}

// checkSent compares the bytes that were sent with the size of the file.
func (r *Replay) checkSent(l *linkState, redemption uint32, seq int64, d *deliveryPart) {
	f, sent := r.files.at(int(l.file)), number(d.bytes)
	complete := string(d.complete) == "true"
	switch {
	case sent < 0 || f.size < 0:
		return
	case sent > f.size:
		r.report(Delivery, "it records that entry %d delivered %d bytes of a file of %d", seq, sent, f.size)
	case redemption&whole != 0 && complete != (sent == f.size):
		r.report(Delivery, "it records that entry %d delivered %d of %d bytes, and complete is %t",
			seq, sent, f.size, complete)
	}
	if string(d.returned) == "true" {
		r.giveBack(l)
		return
	}
	if redemption&limited != 0 {
		r.countBytes(l, sent, f.size)
	}
}

// giveBack follows a delivery that failed because of Sluice. The download is given back if it was counted.
func (r *Replay) giveBack(l *linkState) {
	switch {
	case l.flags&counted != 0:
		r.limit.at(int(l.downloads)).returned++
	case l.downloads > 0:
		l.downloads--
	}
}

// countBytes checks that a link with a download limit sent no more than it may: for each counted download twice the
// size of the file.
func (r *Replay) countBytes(l *linkState, sent, size int64) {
	s := r.limit.at(int(l.downloads))
	before := s.sent
	if s.sent += sent; s.most == unlimited || l.flags&adopted != 0 {
		return
	}
	most := int64(s.most) + int64(s.returned)
	if size == 0 || most > never/2/size {
		return
	}
	if most *= 2 * size; before <= most && s.sent > most {
		r.report(Downloads, "with it %d bytes were sent for %d downloads of a file of %d", s.sent, s.most, size)
	}
}
