// Sluice is a file-link service: files go in, short-lived signed links go out,
// and a log remembers why. See the root package for what the words mean.
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
	Serve   serveCommand   `cmd:"" help:"Run the server. On an empty data folder it makes an account and a first test key, and prints how to use them."`
	Key     keyCommand     `cmd:"" help:"Make, list and revoke API keys, also while a server runs."`
	Audit   auditCommand   `cmd:"" help:"Read, export, check and prove the audit log of a server."`
	Fsck    fsckCommand    `cmd:"" help:"Check the database, the audit logs and their index, also while a server runs."`
	Migrate migrateCommand `cmd:"" help:"Move a one-machine installation to PostgreSQL and S3."`
	Version versionCommand `cmd:"" help:"Print the version of this binary, as --version and -v do."`
}

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], os.Stdout, os.Stderr))
}

// untilSignal gives a context that ends with the first signal to stop. The
// second ends the program at once. Under nohup a hangup stays ignored.
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
		// Not left to what the signal did before: a shell that starts a program in
		// the background has it ignore an interrupt.
		if second, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(second))
		}
		os.Exit(exitFailed)
	}()
	return ctx
}

// run does what main does with everything that comes from the process given.
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
	case code >= 0: // --help was asked for and has been printed
		return code
	case err != nil:
		return complain(stderr, fmt.Errorf("%w; see sluice --help", err), exitUsage)
	}
	if parsed.Command() != "serve" { // which has a log
		for _, w := range out.warnings {
			fmt.Fprintf(stderr, "sluice: warning: %s\n", printable(w))
		}
	}
	if err := parsed.Run(); err != nil {
		return complain(stderr, err, exitCode(err))
	}
	return 0
}

// output is where commands print.
type output struct {
	stdout, stderr io.Writer
	warnings       []string // of what was found wrong before the command began
}

func complain(stderr io.Writer, err error, code int) int {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = unreachable(failed)
	}
	// One line, whatever a server or a folder has put into it.
	fmt.Fprintf(stderr, "sluice: %s\n", printable(strings.ReplaceAll(err.Error(), "\n", "; ")))
	return code
}

// usageError is a wrong use of the command line that parsing alone cannot see.
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
