package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/alecthomas/kong"
)

const description = "Short-lived, single-purpose links to files, and a log of why each file left.\n\n" +
	"Run sluice help COMMAND or sluice COMMAND --help for the help of a command."

// expand rewrites short forms of arguments: help, --version and -v. A command
// without its subcommand becomes a request for its help, and incomplete is
// true.
func expand(model *kong.Node, args []string) (expanded []string, incomplete bool) {
	switch {
	case len(args) == 1 && (args[0] == "--version" || args[0] == "-v"):
		return []string{"version"}, false
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help"), false
	}
	for _, arg := range args {
		i := slices.IndexFunc(model.Children, func(n *kong.Node) bool { return n.Name == arg })
		if i < 0 {
			return args, false
		}
		model = model.Children[i]
	}
	if len(model.Children) == 0 {
		return args, false
	}
	return append(slices.Clone(args), "--help"), true
}

// unreachable describes a request that got no response, in terms of the server
// instead of Go.
func unreachable(failed *url.Error) error {
	server := failed.URL
	if u, err := url.Parse(failed.URL); err == nil {
		server = u.Scheme + "://" + u.Host
	}
	var dial *net.OpError
	if errors.As(failed, &dial) && dial.Op == "dial" {
		return fmt.Errorf("no server responds at %s: %w; is it running, and is the address right?", server, dial.Err)
	}
	return fmt.Errorf("%s: %w", server, failed.Err)
}
