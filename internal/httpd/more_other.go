//go:build !linux

package httpd

import "net"

// writeMore writes p.
func writeMore(c *net.TCPConn, p []byte) error {
	_, err := c.Write(p)
	return err
}
