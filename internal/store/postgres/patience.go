package postgres

import (
	"net"
	"sync"
	"time"
)

// patientConn gives up on a server that does not answer, for example because its machine is gone. The system would wait
// for a quarter of an hour. A deadline that the driver sets takes precedence.
type patientConn struct {
	net.Conn
	mu  sync.Mutex
	set bool
}

// SetDeadline implements net.Conn.
func (c *patientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = !t.IsZero()
	return c.Conn.SetDeadline(t)
}

func (c *patientConn) extend(set func(time.Time) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.set {
		set(time.Now().Add(patience))
	}
}

// Read implements net.Conn.
func (c *patientConn) Read(p []byte) (int, error) {
	c.extend(c.Conn.SetReadDeadline)
	return c.Conn.Read(p)
}

// Write implements net.Conn.
func (c *patientConn) Write(p []byte) (int, error) {
	c.extend(c.Conn.SetWriteDeadline)
	return c.Conn.Write(p)
}
