package store

import (
	"sluice/internal/store/auditlog"
	"sluice/internal/store/records"
	"sluice/internal/store/sqldb"
)

// group is what the requests that share a transaction know of the database, and what they have not written yet. The
// next group uses what it knows, but only where the database tells that nothing else was written since.
type group struct {
	log     *auditlog.Group
	records *records.Group
	flushed bool // since the running request began
}

func newGroup() *group { return &group{log: auditlog.NewGroup(), records: records.NewGroup()} }

// maxKnown is how many objects a group keeps for the next.
const maxKnown = 4096

// start readies the group for another transaction. current says that what it knows is still so in the database.
func (g *group) start(current bool) {
	keep := current && g.records.Objects()+g.log.Heads() <= maxKnown
	g.log.Start(keep)
	g.records.Start(keep)
}

// save notes the state before a request that adds entries at head.
func (g *group) save(head *auditlog.Head) {
	g.log.Save(head)
	g.records.Save()
	g.flushed = false
}

// undo takes back what the running request has gathered since save, but for what was flushed.
func (g *group) undo() {
	g.log.Undo()
	g.records.Undo()
}

// Flush writes what the group has gathered.
func (g *group) Flush(s *sqldb.Session) error {
	if g.log.Unwritten()+g.records.Unwritten() == 0 {
		return nil
	}
	g.flushed = true
	if err := g.records.Flush(s); err != nil {
		return err
	}
	return g.log.Flush(s)
}
