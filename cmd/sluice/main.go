// Sluice is a file-link service. It stores files, mints short-lived signed
// links to them, and records in an audit log why each file left. The root
// package defines the terms.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"sluice"
)

// Exit codes, the same for every command.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3 // not found, forbidden, gone
)

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server. In an empty data folder, create an account and a first test key, and print how to use them."`
	Key     keyCommand     `cmd:"" help:"Create, list, rotate and revoke API keys. A running server sees the change at once."`
	Session sessionCommand `cmd:"" help:"List and end the sessions of the console. A running server sees the end at once."`
	Audit   auditCommand   `cmd:"" help:"Read, export, verify and prove the audit log of a server."`
	Fsck    fsckCommand    `cmd:"" help:"Check the database, the audit logs and their index, also while a server runs."`
	Backup  backupCommand  `cmd:"" help:"Back up an installation to a folder or to S3, while servers run."`
	Restore restoreCommand `cmd:"" help:"Restore an installation from a backup, and check it."`
	Doctor  doctorCommand  `cmd:"" help:"Check the configuration, the machine and the storage of a server, and say what to do."`
	Secrets secretsCommand `cmd:"" help:"Print, rotate and check the secrets: the keys that sign links and checkpoints."`
	Migrate migrateCommand `cmd:"" help:"Move a single-machine installation to PostgreSQL and S3."`
	Version versionCommand `cmd:"" help:"Print the version of this binary. --version and -v do the same."`
}

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], os.Stdout, os.Stderr))
}

// untilSignal returns a context that is canceled by the first interrupt,
// SIGTERM or SIGHUP. A second signal exits at once. SIGHUP stays ignored under
// nohup.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	stop := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		stop = append(stop, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stop...)
	go func() {
		<-signals
		cancel()
		// Exit here instead of restoring the default action: a shell starts
		// background programs with SIGINT ignored.
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second))
		}
		os.Exit(exitFailed)
	}()
	return ctx
}

// run is main with the process's context, arguments and streams as parameters.
// It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if err := dropEmpty(); err != nil {
		return complain(stderr, err, exitFailed)
	}
	var c commands
	code := -1
	known := map[string]bool{}
	out := &output{stdout: stdout, stderr: stderr}
	parser, err := kong.New(&c,
		kong.Name("sluice"),
		kong.Description(description),
		environment(known),
		kong.Vars{"scopes": strings.ReplaceAll(joinScopes(sluice.AllScopes()), ",", ", ")},
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(out),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	out.warnings = unknownVariables(known)
	args, incomplete := expand(parser.Model.Node, args)
	if incomplete {
		parser.Stdout = stderr
	}
	parsed, err := parser.Parse(args)
	switch {
	case code >= 0 && incomplete:
		return exitUsage
	case code >= 0: // --help was printed
		return code
	case err != nil:
		return complain(stderr, fmt.Errorf("%w; see sluice --help", err), exitUsage)
	}
	if parsed.Command() != "serve" { // serve logs its warnings
		for _, w := range out.warnings {
			fmt.Fprintf(stderr, "sluice: warning: %s\n", printable(w))
		}
	}
	if err := parsed.Run(); err != nil {
		return complain(stderr, err, exitCode(err))
	}
	return 0
}

// output holds the streams that commands print to.
type output struct {
	stdout, stderr io.Writer
	warnings       []string // problems found before the command ran
}

func complain(stderr io.Writer, err error, code int) int {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = unreachable(failed)
	}
	// Print one line, even if the message came from a server or a folder.
	fmt.Fprintf(stderr, "sluice: %s\n", printable(strings.ReplaceAll(err.Error(), "\n", "; ")))
	return code
}

// usageError marks an invalid command line that the parser alone cannot reject.
type usageError struct{ error }

func exitCode(err error) int {
	if errors.As(err, &usageError{}) {
		return exitUsage
	}
	switch sluice.CodeOf(err) {
	case sluice.CodeValidation:
		return exitUsage
	case sluice.CodeNotFound, sluice.CodeForbidden, sluice.CodeGone:
		return exitRefused
	}
	return exitFailed
}
