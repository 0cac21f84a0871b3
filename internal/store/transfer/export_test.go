package transfer

import "slices"

// Columns gives the columns that are copied, as table.column, in order.
func (t *Transfer) Columns() (all []string) {
	for _, table := range t.tables {
		for _, column := range table.columns {
			all = append(all, table.name+"."+column)
		}
	}
	slices.Sort(all)
	return all
}
