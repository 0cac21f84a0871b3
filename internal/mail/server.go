// Package mail sends mails: what they say, how they are handed to a mail server, and the outbox they wait in.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Server is a mail server that takes mails for others by SMTP (RFC 5321), and the address that they are from.
type Server struct {
	host, port     string
	user, password string
	implicit       bool // TLS from the first byte (RFC 8314), else STARTTLS (RFC 3207)
	plain          bool // without TLS, on loopback
	from           mail.Address
	tls            *tls.Config
	timeout        time.Duration // of one mail; sendTimeout unless a test sets it
}

// Limits of the time that one step may take. A mail server may need long to accept a mail, and a mail that is given up
// too early is sent twice; RFC 5321 section 4.5.3.2 allows it ten minutes. A code is good for no longer than that.
const (
	dialTimeout = 30 * time.Second
	sendTimeout = 2 * time.Minute
)

// maxURL and maxFrom bound the settings in bytes.
const (
	maxURL  = 2000
	maxFrom = 500
)

// NewServer reads the URL of a mail server, smtp://user:password@host:port, and the address that mails are from, such
// as "Northwind <files@northwind.example>". smtps is TLS from the first byte; smtp demands STARTTLS, unless the host is
// loopback, where it uses no TLS. The ports are 465 and 587 by default. Without a user nobody signs in. An error never
// has the password.
func NewServer(smtpURL, from string) (*Server, error) {
	s := &Server{timeout: sendTimeout}
	if err := s.parseURL(smtpURL); err != nil {
		return nil, fmt.Errorf("--smtp-url: %w; write smtp://USER:PASSWORD@HOST:PORT", err)
	}
	if err := s.parseFrom(from); err != nil {
		return nil, fmt.Errorf("--mail-from: %w; write 'Northwind <files@northwind.example>'", err)
	}
	return s, nil
}

func (s *Server) parseURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL { // err has the URL, and with it the password
		return errors.New("this is no URL; characters other than letters and digits in the password are written as %XX")
	}
	defaultPort := "587"
	switch u.Scheme {
	case "smtp":
	case "smtps":
		s.implicit, defaultPort = true, "465"
	default:
		return errors.New("the scheme is neither smtp nor smtps")
	}
	if u.Hostname() == "" {
		return errors.New("the host is missing")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("nothing may follow the port")
	}
	s.host, s.port = u.Hostname(), u.Port()
	if s.port == "" {
		s.port = defaultPort
	}
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return errors.New("the port is not a number from 1 to 65535")
	}
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	if (s.user == "") != (s.password == "") {
		return errors.New("user and password require each other")
	}
	if strings.ContainsFunc(s.user+s.password, unicode.IsControl) {
		return errors.New("the user or the password contains a control character")
	}
	s.plain = !s.implicit && isLoopback(s.host)
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	return nil
}

func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.IsLoopback()
}

func (s *Server) parseFrom(text string) error {
	a, err := mail.ParseAddress(text)
	if err != nil || len(text) > maxFrom {
		return errors.New("this is no e-mail address")
	}
	if !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("the name is not a single line of text")
	}
	if !plainAddress(a.Address) {
		return errors.New("the address has characters other than ASCII or a quoted part")
	}
	s.from = *a
	return nil
}

// plainAddress reports whether an address can stand in an SMTP command and in a header as it is (RFC 5321 section
// 4.1.2), without SMTPUTF8 and quoting.
func plainAddress(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && domain != "" && len(address) <= 254 &&
		!strings.ContainsFunc(address, func(r rune) bool {
			return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),:;<>[\]`, r)
		}) && !strings.Contains(domain, "@")
}

// Host is the host and port of the server.
func (s *Server) Host() string { return net.JoinHostPort(s.host, s.port) }

// From is the address that mails are from, with its name.
func (s *Server) From() string { return s.from.String() }

// domain is the part of the sender's address after the @.
func (s *Server) domain() string {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return domain
}

// describe is the text of an error with the server's reply as it is, and without the password.
func (s *Server) describe(err error) string {
	text := err.Error()
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		text = strings.Replace(text, reply.Error(), fmt.Sprintf("%d %s", reply.Code, reply.Msg), 1)
	}
	if s.password != "" {
		text = strings.ReplaceAll(text, s.password, "(password)")
	}
	return line(text)
}

// Security says how the connection is protected.
func (s *Server) Security() string {
	switch {
	case s.implicit:
		return "TLS"
	case s.plain:
		return "no TLS, on loopback"
	}
	return "STARTTLS"
}

// Check connects, signs in and names the sender, without sending a mail.
func (s *Server) Check(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.smtp.Mail(c.mailFrom()); err != nil {
		return fmt.Errorf("it does not accept mails from %s: %s", s.from.Address, s.describe(err))
	}
	return nil
}
