package store

import "slices"

// Columns gives what moves, as table.column, in order.
func (m *Move) Columns() (all []string) {
	for _, t := range m.tables {
		for _, column := range t.columns {
			all = append(all, t.name+"."+column)
		}
	}
	slices.Sort(all)
	return all
}
