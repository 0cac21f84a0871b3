package main

import "syscall"

// unsynchronized is STA_UNSYNC of adjtimex(2).
const unsynchronized = 0x40

// clock checks whether the kernel's clock is kept by a time daemon.
func (r *checkup) clock() {
	var t syscall.Timex
	switch _, err := syscall.Adjtimex(&t); {
	case err != nil:
		r.warn("clock", "it is not known whether a time daemon keeps the clock: %v", err)
	case t.Status&unsynchronized != 0:
		r.warn("clock", "no time daemon keeps the clock, by which links and retention end: "+
			"run one that slews it, such as chrony")
	default:
		r.ok("clock", "a time daemon keeps the clock")
	}
}
