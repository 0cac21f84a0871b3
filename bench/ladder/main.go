//go:build linux

// Ladder answers downloads of one file of 4 KiB with a part of what Sluice does for them, so that two runs show the
// price of what one of them leaves out. It prints the URL of the file. ladder.sh measures all rungs; bench/README.md
// says what they are.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/blob"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/server"
	"sluice/internal/service"
	"sluice/internal/store"
	"sluice/internal/token"
	"sluice/ledger"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ladder: ")
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	dir := flag.String("dir", ".", "empty folder for the file and the log")
	rung := flag.String("rung", "raw", "raw, http, decide, seal, group or journal")
	flag.Parse()
	debug.SetGCPercent(400) // as sluice serve does
	floor := make([]byte, 8<<20)
	defer runtime.KeepAlive(floor)
	if err := run(*listen, *dir, *rung); err != nil {
		log.Fatal(err)
	}
}

func run(listen, dir, rung string) error {
	s, err := open(dir, "http://"+listen)
	if err != nil {
		return err
	}
	url, link, err := s.share()
	if err != nil {
		return err
	}
	front, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(url)
	switch rung {
	case "raw", "http":
		answer, err := s.answer(url)
		if err != nil {
			return err
		}
		if rung == "raw" {
			return serveRaw(front, answer)
		}
		return s.serve(front, s.Service, s.config.Store, func(h *httpd.Server) {
			h.UseResponder(newSender(s.Service.Links, answer))
		})
	}
	m, err := newMemory(rung, s.config.Store, link, filepath.Join(dir, "journal"))
	if err != nil {
		return err
	}
	return s.serve(front, s.Service, m, func(*httpd.Server) {})
}

// share is a service with a file and a link to it.
type share struct {
	*service.Service
	config service.Config
}

func open(dir, publicURL string) (*share, error) {
	signing, err := token.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	checkpoints, _, err := ledger.GenerateKey(rand.Reader, "ladder")
	if err != nil {
		return nil, err
	}
	records, err := store.OpenSQLite(filepath.Join(dir, "sluice.db"), store.Options{})
	if err != nil {
		return nil, err
	}
	disk, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	c := service.Config{
		Store: records, Blobs: blob.Cached(disk), SigningKeys: []token.Key{signing}, RequireSeals: true,
		PublicURL: publicURL, LedgerKeys: []string{checkpoints}, LedgerOrigin: "ladder",
	}
	svc, err := service.New(c)
	return &share{svc, c}, err
}

// share stores a file of random bytes, and mints a link to it with a key.
func (s *share) share() (url string, l sluice.Link, err error) {
	ctx := context.Background()
	account, err := s.Accounts.Create(ctx, "ladder")
	if err != nil {
		return "", l, err
	}
	operator := service.Operator(sluice.LedgerID{Account: account.ID, Mode: sluice.Test})
	key, err := s.Keys.Create(ctx, operator, service.NewKey{Name: "ladder", Scopes: sluice.AllScopes()})
	if err != nil {
		return "", l, err
	}
	file, err := s.Files.Create(ctx, operator, "generic", io.LimitReader(rand.Reader, 4096),
		func() (service.NewFile, error) { return service.NewFile{Purpose: "generic", Filename: "4096"}, nil })
	if err != nil {
		return "", l, err
	}
	minting := operator
	minting.Actor, minting.Key = sluice.Actor{Type: sluice.ActorKey, ID: key.Key.ID, Name: "ladder"}, key.Key
	if l, err = s.Links.Mint(ctx, minting, service.NewLink{FileID: file.File.ID}); err == nil {
		url, err = s.Links.URL(l)
	}
	return url, l, err
}

// serve serves the links of a service as sluice serve does, with a gate that has another store.
func (s *share) serve(l net.Listener, svc *service.Service, records service.Store, adjust func(*httpd.Server)) error {
	g, err := gate.New(gate.Config{Service: svc, Store: records, Blobs: s.config.Blobs})
	if err != nil {
		return err
	}
	h := server.New(svc, g, server.Options{Options: httpd.Options{Rates: map[sluice.Mode]httpd.Rate{}}})
	adjust(h)
	return fastpath.NewServer(h, h.HTTPServer("")).Serve(h.LimitedListener(l, 4096))
}

// answer returns the bytes of Sluice's answer to a request for a link.
func (s *share) answer(url string) ([]byte, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go s.serve(l, s.Service, s.config.Store, func(*httpd.Server) {})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer l.Close()
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	if err := request.Write(c); err != nil {
		return nil, err
	}
	var seen bytes.Buffer
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &seen)), request)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d, %v", response.StatusCode, err)
	}
	return seen.Bytes(), nil
}

// serveRaw answers whatever ends with an empty line: the system calls of HTTP, and nothing else.
func serveRaw(l net.Listener, answer []byte) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			request := make([]byte, 2<<10)
			for n := 0; ; {
				m, err := c.Read(request[n:])
				if n += m; err != nil {
					return
				}
				if bytes.HasSuffix(request[:n], []byte("\r\n\r\n")) {
					if _, err := c.Write(answer); err != nil {
						return
					}
					n = 0
				}
			}
		}()
	}
}

// sender is a Responder that checks the token, decides nothing, and sends.
type sender struct {
	links      *service.Links
	head, body []byte
}

func newSender(links *service.Links, answer []byte) *sender {
	head, body, _ := bytes.Cut(answer, []byte("Date: "))
	_, body, _ = bytes.Cut(body, []byte("\r\n\r\n"))
	return &sender{links, head, body}
}

// connection is what a connection keeps between its answers.
type connection struct {
	head []byte
	body bytes.Reader
}

func (s *sender) Respond(d *httpd.Direct) (*httpd.Decided, error) {
	d.Start()
	_, link, ok := s.links.OpenToken(d.Token)
	if !ok || !d.Decide() {
		return nil, fmt.Errorf("no such link")
	}
	d.Link = link // its log line is one of a download, and not written
	c, ok := d.State.(*connection)
	if !ok {
		c = &connection{}
		d.State = c
	}
	c.head = slices.Grow(append(c.head[:0], s.head...), httpd.HeadRoom)
	if err := d.SendHead(http.StatusOK, c.head, true); err != nil {
		return nil, err
	}
	c.body.Reset(s.body)
	_ = d.Conn.ExtendWrites(time.Now().Add(time.Minute))
	_, err := d.Conn.ReadFrom(&c.body)
	d.End(err != nil)
	return nil, err
}

// appendSealed appends an entry as it is stored, as a line of a journal.
func appendSealed(dst []byte, e sluice.Entry) []byte {
	s, err := audit.Seal(e, rand.Reader)
	if err != nil {
		panic(err)
	}
	_ = audit.IndexTermsOf(e)
	return append(append(strconv.AppendInt(dst, e.Seq, 10), s.Leaf...), s.Disclosures...)
}
