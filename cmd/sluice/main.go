// Sluice is a file-link service: files go in, short-lived signed links go out,
// and a log remembers why. See the root package for what the words mean.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	Migrate migrateCommand `cmd:"" help:"Move a one-machine installation to PostgreSQL and S3."`
	Version versionCommand `cmd:"" help:"Print the version of this binary."`
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
	var c commands
	code := -1
	parser, err := kong.New(&c,
		kong.Name("sluice"),
		kong.Description("Short-lived, single-purpose links to files, and a log of why each file left."),
		kong.DefaultEnvars("SLUICE"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) { code = n }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&output{stdout: stdout, stderr: stderr}),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help was asked for and has been printed
		return code
	}
	if err != nil {
		return complain(stderr, fmt.Errorf("%w; see sluice --help", err), exitUsage)
	}
	if err := parsed.Run(); err != nil {
		return complain(stderr, err, exitCode(err))
	}
	return 0
}

// output is where commands print.
type output struct{ stdout, stderr io.Writer }

func complain(stderr io.Writer, err error, code int) int {
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
