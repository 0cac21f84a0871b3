package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"sluice/internal/brand"
	"sluice/internal/jobs"
	"sluice/internal/mail"
	"sluice/internal/obs"
	"sluice/internal/service"
)

// mailFlags say how mails are sent.
type mailFlags struct {
	SMTPURL  string `name:"smtp-url" help:"Mail server for codes, links and notices: smtp[s]://USER:PASSWORD@HOST:PORT. smtp demands STARTTLS, unless the host is loopback. Give it as SLUICE_SMTP_URL: the flags of a process are shown to all users of the machine. Without it no mails are sent." placeholder:"URL"`
	MailFrom string `help:"Sender of the mails, such as 'Northwind <files@northwind.example>'. Required with --smtp-url." placeholder:"ADDRESS"`

	mailServer *mail.Server // nil for none; set by check
}

func (f *mailFlags) check() (err error) {
	if (f.SMTPURL == "") != (f.MailFrom == "") {
		return errors.New("--smtp-url and --mail-from require each other")
	}
	if f.SMTPURL != "" {
		f.mailServer, err = mail.NewServer(f.SMTPURL, f.MailFrom)
	}
	return err
}

// warn logs that the password of the mail server is an argument of this process.
func (f *mailFlags) warn(args []string, log *slog.Logger) {
	u, err := url.Parse(f.SMTPURL)
	if err != nil || u.User == nil {
		return
	}
	for _, arg := range args {
		if strings.HasPrefix(arg, "--smtp-url") {
			log.Warn("the password in --smtp-url is shown to all users of this machine; set SLUICE_SMTP_URL instead")
		}
	}
}

// outbox makes the outbox of a server, which sends in the name of a brand. It is nil without a mail server.
func (f *mailFlags) outbox(i *installation, b brand.Brand, metrics *obs.Metrics, log *slog.Logger) *mail.Outbox {
	if f.mailServer == nil {
		return nil
	}
	return &mail.Outbox{
		Mails: i.service.Mails, Store: i.store, Log: log, Observer: metrics,
		Writer: &mail.Writer{Server: f.mailServer, Brand: b},
	}
}

// mailState is the job that measures the mails that wait. A server without a mail server measures them too: nobody
// sends them if no server of the database has one.
func mailState(svc *service.Service, metrics *obs.Metrics) jobs.Job {
	return jobs.Job{Name: "mail state", Every: 15 * time.Second, Run: func(ctx context.Context) (int, error) {
		state, now, err := svc.Mails.State(ctx)
		if err == nil {
			metrics.MailsWaiting(state, now)
		}
		return 0, err
	}}
}

// mailTimeout bounds the check of the mail server.
const mailTimeout = 20 * time.Second

// mail checks that the mail server takes mails from the configured sender. It sends none.
func (r *checkup) mail(ctx context.Context, server *mail.Server) {
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	if err := server.Check(ctx); err != nil {
		r.fail("mail", "%v", err)
		return
	}
	r.ok("mail", "%s accepts mails from %s (%s)", server.Host(), server.From(), server.Security())
}
