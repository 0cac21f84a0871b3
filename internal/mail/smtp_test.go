package mail_test

import (
	"bufio"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

// What a faultyServer does instead of a reply.
const (
	hang    = "hang"     // never replies
	breakUp = "break up" // closes the connection
)

// faultyServer speaks SMTP, and fails where its rule says so.
type faultyServer struct {
	Address string

	mu sync.Mutex
	// rule returns the reply to a step of the nth mail, or "" to accept: CONNECT, MAIL, RCPT, DATA, or END after the
	// text of a mail. Mails are counted from 0, by their MAIL.
	rule     func(step string, n int) string
	mails    int
	accepted []string // Message-IDs of the mails that it took
	ended    chan struct{}
}

func newFaultyServer(t *testing.T, rule func(step string, n int) string) *faultyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &faultyServer{Address: l.Addr().String(), rule: rule, ended: make(chan struct{})}
	t.Cleanup(func() { close(s.ended); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

// Accepted returns the Message-IDs of the mails that the server took.
func (s *faultyServer) Accepted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.accepted...)
}

// answer sends the reply to a step, and reports whether the connection goes on and the step was accepted.
func (s *faultyServer) answer(c net.Conn, step string, n int, ok string) (goesOn, accepted bool) {
	s.mu.Lock()
	reply := s.rule(step, n)
	s.mu.Unlock()
	switch reply {
	case hang:
		<-s.ended
		return false, false
	case breakUp:
		return false, false
	case "":
		reply, accepted = ok, true
	}
	_, err := c.Write([]byte(reply + "\r\n"))
	return err == nil, accepted
}

func (s *faultyServer) serve(c net.Conn) {
	defer c.Close()
	if goesOn, ok := s.answer(c, "CONNECT", -1, "220 faulty.example ESMTP"); !goesOn || !ok {
		return
	}
	in := textproto.NewReader(bufio.NewReader(c))
	n := -1
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		goesOn, accepted := true, false
		switch verb {
		case "EHLO":
			_, err = c.Write([]byte("250-faulty.example\r\n250 ENHANCEDSTATUSCODES\r\n"))
		case "MAIL":
			s.mu.Lock()
			n = s.mails
			s.mails++
			s.mu.Unlock()
			goesOn, _ = s.answer(c, verb, n, "250 2.1.0 Ok")
		case "RCPT":
			goesOn, _ = s.answer(c, verb, n, "250 2.1.5 Ok")
		case "DATA":
			if goesOn, accepted = s.answer(c, verb, n, "354 go on"); accepted {
				goesOn = s.take(c, in, n)
			}
		case "QUIT":
			_, _ = c.Write([]byte("221 2.0.0 Bye\r\n"))
			return
		default:
			_, err = c.Write([]byte("250 2.0.0 Ok\r\n"))
		}
		if !goesOn || err != nil {
			return
		}
	}
}

// take reads the text of a mail. The rule may refuse it, or break up after the mail was taken: "accept and break up".
func (s *faultyServer) take(c net.Conn, in *textproto.Reader, n int) (goesOn bool) {
	lines, err := in.ReadDotLines()
	if err != nil {
		return false
	}
	id := ""
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "Message-ID: "); ok {
			id = value
		}
	}
	s.mu.Lock()
	reply := s.rule("END", n)
	if reply == "" || reply == acceptAndBreakUp {
		s.accepted = append(s.accepted, id)
	}
	s.mu.Unlock()
	if reply == acceptAndBreakUp {
		return false
	}
	goesOn, _ = s.answer(c, "END", n, "250 2.0.0 Ok: queued")
	return goesOn
}

// acceptAndBreakUp takes a mail, and closes the connection before the reply.
const acceptAndBreakUp = "accept and break up"
