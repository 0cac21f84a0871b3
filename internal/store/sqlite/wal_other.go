//go:build !linux

package sqlite

// walParam gives no parameter: SQLite writes its WAL itself.
func walParam() string { return "" }
