//go:build unix

package main

import "syscall"

// reservedDescriptors is the number of file descriptors kept free for the database, the log and short-lived files.
const reservedDescriptors = 64

// connections returns the largest number of connections that a server holds open. Each may have a file open, so it is
// half of the descriptors that are not reserved. The Go runtime has raised the soft limit to the hard limit.
func connections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxConnections
	}
	most := min(uint64(limit.Cur), 2*maxConnections+reservedDescriptors)
	return int(max((most-min(most, reservedDescriptors))/2, 16))
}
