package replay

// fileState is what the log says of a file.
type fileState struct {
	size     int64
	created  int64
	expires  int64 // with the flag dated
	sha256   uint64
	kind     uint32 // purpose, type, and which names are personal
	name     uint32
	metadata uint32
	title    uint32
	linked   uint32
	last     uint32 // seq of the newest entry that says so
	flags    uint32
}

// fileOf reads what an entry says of a file.
func (r *Replay) fileOf(p *filePart) fileState {
	f := fileState{
		size: number(p.size), sha256: r.digest64(p.sha256), kind: r.digest(p.purpose, p.mediaType, p.personal),
		name: r.digest(p.filename), metadata: r.digest(r.sum(p.metadata, p.metadataSum)), last: uint32(r.seq),
		flags: r.e.names,
	}
	if p.held != nil {
		f.flags |= recorded
		f.title, f.linked = r.digest(p.title), r.digest(r.sum(p.linked, p.linkedSum))
		if string(p.held) == "true" {
			f.flags |= held
		}
	}
	if p.expires != nil {
		f.flags, f.expires = f.flags|dated, moment(p.expires)
	}
	return f
}

func (r *Replay) digest64(value []byte) uint64 {
	return uint64(r.digest(value))<<32 | uint64(r.digest(nil, value))
}

// file returns the position of the file of the entry, or -1 if the entry has none.
func (r *Replay) file() int {
	if r.e.file.id == nil {
		return -1
	}
	id := idOf(r.seed, r.e.file.id, "file_")
	if i := r.files.find(id); i >= 0 {
		return i
	}
	r.report(Unknown, "no earlier entry created the file %s", name(r.e.file.id))
	i := r.files.add(id)
	*r.files.at(i) = r.fileOf(&r.e.file)
	r.files.at(i).flags |= adopted
	return i
}

func (r *Replay) fileCreated() {
	id := idOf(r.seed, r.e.file.id, "file_")
	i := r.files.find(id)
	if i < 0 {
		i = r.files.add(id)
	} else {
		r.report(Twice, "it creates the file %s a second time", name(r.e.file.id))
	}
	f := r.fileOf(&r.e.file)
	f.created = r.at
	*r.files.at(i) = f
	r.mintedWith = r.seq
}

// compareContent compares what never changes: the bytes of a file, its type and purpose, and the end of its retention.
func (r *Replay) compareContent(i int) {
	now := r.fileOf(&r.e.file)
	r.compareFixed(r.files.at(i), &r.e.file, &now)
}

func (r *Replay) compareFixed(f *fileState, p *filePart, now *fileState) {
	id := name(r.e.file.id)
	if p.sha256 != nil && now.sha256 != f.sha256 {
		r.report(Changed, "it shows the sha256 %s of %s, and an earlier entry another one", name(p.sha256), id)
	}
	if p.size != nil && now.size != f.size {
		r.report(Changed, "it shows that %s has %d bytes, and an earlier entry shows %d", id, now.size, f.size)
	}
	if p.sha256 != nil && now.kind != f.kind {
		r.report(Changed, "it shows another purpose, type or list of personal names of %s than an earlier entry",
			id)
	}
	f.sha256, f.size, f.kind = now.sha256, now.size, now.kind
	if now.flags&dated == 0 { // an entry of an older version, or one that has no details
		return
	}
	if f.flags&dated != 0 && now.expires != f.expires {
		r.report(Changed, "it shows that the retention of %s ends at %s, and an earlier entry shows %s", id,
			stamp(now.expires), stamp(f.expires))
	}
	f.flags, f.expires = f.flags|dated, now.expires
}

// compareFile compares all that an entry shows of a file with what was known.
func (r *Replay) compareFile(i int, p *filePart) {
	f, now, id := r.files.at(i), r.fileOf(p), name(r.e.file.id)
	r.compareFixed(f, p, &now)
	if f.flags&adopted != 0 {
		return
	}
	if now.name != f.name {
		r.report(Changed, "it shows another filename of %s than entry %d set", id, f.last)
		f.name = now.name
	}
	if now.metadata != f.metadata {
		r.report(Changed, "it shows other metadata of %s than entry %d set", id, f.last)
		f.metadata = now.metadata
	}
	if now.flags&f.flags&recorded == 0 {
		return
	}
	if now.title != f.title || now.linked != f.linked {
		r.report(Changed, "it shows another title or other linked resources of %s than entry %d set", id, f.last)
		f.title, f.linked = now.title, now.linked
	}
	if (now.flags^f.flags)&held != 0 {
		r.report(Changed, "it shows that %s was held or released, which no earlier entry did", id)
		f.flags ^= held
	}
}

// fileUpdated follows a change of a file. The values that the change replaced must be those that were known.
func (r *Replay) fileUpdated() {
	i := r.file()
	if i < 0 {
		return
	}
	f := r.files.at(i)
	if f.flags&revoked != 0 {
		r.report(Deleted, "the file %s was changed after entry %d deleted it", name(r.e.file.id), f.last)
	}
	if r.e.file.held != nil {
		was := r.e.file
		replaced(r.e.file.before, was.member)
		was.hide(r.e.names)
		r.compareFile(i, &was)
	} else {
		r.compareContent(i)
	}
	next := r.fileOf(&r.e.file)
	next.flags |= f.flags & (adopted | revoked)
	next.created = f.created
	if next.flags&dated == 0 {
		next.flags, next.expires = next.flags|f.flags&dated, f.expires
	}
	*f = next
}

func (r *Replay) fileDeleted() {
	i := r.file()
	if i < 0 {
		return
	}
	f, id := r.files.at(i), name(r.e.file.id)
	r.compareFile(i, &r.e.file)
	switch {
	case f.flags&revoked != 0:
		r.report(Twice, "it deletes the file %s, which entry %d deleted", id, f.last)
	case f.flags&held != 0 || string(r.e.file.held) == "true":
		r.report(Held, "it deletes the file %s, which is held", id)
	}
	f.flags |= revoked
	f.last = uint32(r.seq)
}

func (r *Replay) fileRead() {
	i := r.file()
	if i < 0 {
		return
	}
	r.compareFile(i, &r.e.file)
	if f := r.files.at(i); f.flags&revoked != 0 {
		r.report(Deleted, "the file %s was read after entry %d deleted it", name(r.e.file.id), f.last)
	}
}
