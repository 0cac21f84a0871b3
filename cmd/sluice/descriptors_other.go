//go:build !unix

package main

// connections is how many connections a server holds at once.
func connections() int { return maxConnections }
