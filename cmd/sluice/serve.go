package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"sluice"
	"sluice/server"
)

// serveCommand is the configuration of a server. Every flag has an environment
// variable: --public-url is SLUICE_PUBLIC_URL.
type serveCommand struct {
	Listen    string `help:"Address to listen on." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Data      string `help:"Folder for the database, the files and the secrets." default:"./sluice-data" placeholder:"DIR"`
	PublicURL string `help:"Where links lead. Needed unless the server listens on loopback." placeholder:"URL"`
	LogFormat string `help:"Form of the log on stderr: ${enum}." enum:"text,json" default:"text"`
}

// How long an orderly stop waits for downloads and uploads to end.
const stopGrace = 30 * time.Second

// How often a running server looks for bytes without a record.
const sweepEvery = 10 * time.Minute

func (s *serveCommand) Run(ctx context.Context, out *output) error {
	log := s.logger(out)
	// The port is taken before anything is made, so that a start that fails
	// for want of it prints no key.
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("%w; choose another with --listen", err)
	}
	defer listener.Close()
	publicURL, err := s.publicURL(listener.Addr())
	if err != nil {
		return err
	}
	i, err := openData(s.Data, publicURL, true, log)
	if err != nil {
		return err
	}
	first, err := i.service.Start(ctx)
	if err == nil {
		err = s.serve(ctx, i, listener, first, log, out)
	}
	return errors.Join(err, i.close())
}

func (s *serveCommand) logger(out *output) *slog.Logger {
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out.stderr, nil))
	}
	return slog.New(slog.NewTextHandler(out.stderr, nil))
}

// publicURL is what was configured, or the listener's own address when only
// this machine can reach it. It is never taken from what a request claims.
func (s *serveCommand) publicURL(addr net.Addr) (string, error) {
	if s.PublicURL != "" {
		return s.PublicURL, nil
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsLoopback() {
		return "", usageError{fmt.Errorf("%s can be reached from other machines; say with --public-url where links shall lead", addr)}
	}
	return "http://" + addr.String(), nil
}

func (s *serveCommand) serve(ctx context.Context, i *installation, l net.Listener, first *sluice.First, log *slog.Logger, out *output) error {
	srv, err := server.New(i.service, server.Options{Log: log})
	if err != nil {
		return err
	}
	if first != nil {
		welcome(out.stdout, i.service.PublicURL(), first)
	}
	log.Info("listening", "address", l.Addr().String(), "public_url", i.service.PublicURL(), "version", version())

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	swept := make(chan struct{})
	go func() { defer close(swept); sweep(background, i.service, log) }()
	defer func() { stopBackground(); <-swept }()

	hs := srv.HTTPServer(s.Listen)
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping", "grace", stopGrace.String())
	grace, cancel := context.WithTimeout(background, stopGrace)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		log.Warn("transfers were cut off", "error", err)
		return hs.Close()
	}
	return nil
}

// sweep removes bytes without a record for as long as the server runs.
func sweep(ctx context.Context, svc *sluice.Service, log *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		swept, err := svc.Sweep(ctx, svc.Now().Add(-sluice.SweepAge))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("sweep failed", "error", err)
		case swept != sluice.Swept{}:
			log.Info("swept", "orphans", swept.Orphans, "unfinished", swept.Unfinished)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
