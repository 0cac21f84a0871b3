package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"

	"sluice/internal/service"
)

func init() { lookEvery = 50 * time.Millisecond }

// Send sends a letter through a connection of its own.
func (w *Writer) Send(ctx context.Context, l service.Letter, now time.Time) error {
	m, err := w.message(l, now)
	if err != nil {
		return err
	}
	c, err := w.Server.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if f := c.send(m); f != nil {
		return f
	}
	return nil
}

// DemandTLS has a server on loopback treated like one elsewhere. It trusts the given certificates.
func (s *Server) DemandTLS(roots *x509.CertPool) {
	s.plain = false
	s.tls = &tls.Config{ServerName: s.host, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// SetSendTimeout sets how long one step of SMTP may take.
func (s *Server) SetSendTimeout(d time.Duration) { s.timeout = d }
