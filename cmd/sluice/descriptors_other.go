//go:build !unix

package main

// connections returns the largest number of connections that a server holds
// open.
func connections() int { return maxConnections }
