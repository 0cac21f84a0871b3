//go:build unix

package main

import "syscall"

// connections is how many connections a server holds at once: half of the
// descriptors it may have, so that files and the database always get theirs. The
// Go runtime has raised the soft limit to the hard one.
func connections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxConnections
	}
	return int(min(max(uint64(limit.Cur)/2, 16), maxConnections))
}
