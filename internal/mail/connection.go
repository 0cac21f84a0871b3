package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// connection is a connection to a mail server, after EHLO, TLS and sign-in. It sends one mail at a time.
type connection struct {
	server *Server
	client *gomail.Client
	smtp   *smtp.Client
	conn   net.Conn
	stop   func() bool // lets conn outlive the end of its context
	broken bool        // it must not be used for another mail
}

// connect opens a connection, which breaks when ctx ends.
func (s *Server) connect(ctx context.Context) (_ *connection, err error) {
	c := &connection{server: s}
	defer func() {
		if err != nil && c.conn != nil {
			c.conn.Close()
		}
	}()
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		return c.dial(ctx, dialing, network, address)
	}
	port, _ := strconv.Atoi(s.port) // checked by parseURL
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(s.timeout), gomail.WithTLSConfig(s.tls), gomail.WithoutSMTPUTF8(),
		gomail.WithoutNoop(),
		gomail.WithDialContextFunc(dial),
	}
	if s.plain || s.implicit { // dial has done the handshake of an implicit TLS
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	} else {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.user != "" {
		options = append(options, gomail.WithUsername(s.user), gomail.WithPassword(s.password),
			gomail.WithOpportunisticSMTPAuth(s.mechanisms()...))
	}
	if c.client, err = gomail.NewClient(s.host, options...); err != nil {
		return nil, err
	}
	if c.smtp, err = c.client.DialToSMTPClientWithContext(ctx); err != nil {
		return nil, fmt.Errorf("the mail server %s: %s", s.Host(), s.describe(err))
	}
	return c, nil
}

// mechanisms are the ways to sign in, the best first. Those that show the password to the server need TLS or loopback.
func (s *Server) mechanisms() []gomail.SMTPAuthType {
	if s.plain {
		return []gomail.SMTPAuthType{
			gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc,
			gomail.SMTPAuthCramMD5,
		}
	}
	return []gomail.SMTPAuthType{
		gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin,
		gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthCramMD5,
	}
}

// dial connects within the time of dialing, with TLS if it is implicit. The connection breaks when ctx ends.
func (c *connection) dial(ctx, dialing context.Context, network, address string) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(dialing, dialTimeout)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(dialing, network, address)
	if err != nil {
		return nil, err
	}
	c.conn = plain
	c.stop = context.AfterFunc(ctx, func() { plain.Close() })
	if !c.server.implicit {
		return plain, nil
	}
	encrypted := tls.Client(plain, c.server.tls)
	return encrypted, encrypted.HandshakeContext(dialing)
}

// close ends the connection politely if the server still responds.
func (c *connection) close() {
	c.stop()
	_ = c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	_ = c.smtp.Quit() // the connection is closed either way
	c.conn.Close()
}

func (c *connection) mailFrom() string { return "<" + c.server.from.Address + ">" }

// failure says why a mail was not accepted.
type failure struct {
	status    string // reply code and enhanced status code (RFC 3463), such as "550 5.1.1"; "" if there was no reply
	permanent bool   // the server will never accept this mail
}

func (f *failure) Error() string {
	if f.status == "" {
		return "the connection broke before the mail server replied"
	}
	return "the mail server replied " + f.status
}

// send hands a mail over. When it returns nil the server has taken responsibility for it (RFC 5321 section 4.2.5).
// Otherwise it has not, as far as is known: after a connection that broke it may have.
func (c *connection) send(m *gomail.Msg) *failure {
	err := c.client.SendWithSMTPClient(c.smtp, m)
	if err == nil {
		return nil
	}
	c.broken = true
	if m.IsDelivered() { // only the RSET after it failed
		return nil
	}
	f := &failure{}
	var refused *gomail.SendError
	if !errors.As(err, &refused) || refused.ErrorCode() == 0 {
		return f
	}
	code := refused.ErrorCode()
	f.status = strconv.Itoa(code)
	if enhanced := refused.EnhancedStatusCode(); enhanced != "" {
		f.status += " " + enhanced
	}
	switch refused.Reason {
	case gomail.ErrSMTPMailFrom: // the sender is the operator's setting: it is the same for all mails
		c.broken = code == 421
	case gomail.ErrSMTPRcptTo:
		f.permanent, c.broken = code >= 500, code == 421
	default: // go-mail does not reset the connection after these
		f.permanent = code >= 500
	}
	return f
}
