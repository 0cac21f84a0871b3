//go:build unix

package main

import "syscall"

// reservedDescriptors are those that no connection takes, nor the file that it reads or writes: for the database, the
// log and what the process opens now and then.
const reservedDescriptors = 64

// connections is how many connections a server holds at once: each may have a file open, so they get half of the
// descriptors that are not reserved. The Go runtime has raised the soft limit to the hard one.
func connections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxConnections
	}
	most := min(uint64(limit.Cur), 2*maxConnections+reservedDescriptors)
	return int(max((most-min(most, reservedDescriptors))/2, 16))
}
