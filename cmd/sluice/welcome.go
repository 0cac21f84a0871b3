package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

// welcome prints the first key, which is not shown again, and commands to
// paste. They upload a file, mint a link, download the file and read the log.
// They need a POSIX shell, curl and expr, and print an error if they fail. Before
// them it prints the address of the console, unless at, the base URL of the
// console's server, is "".
func welcome(w io.Writer, svc *service.Service, lifetime time.Duration, first *service.First, at string) {
	fmt.Fprintf(w, `Welcome to Sluice at %s

This is your first key. It is shown only once; the server stores its hash. It is
a test key. Test and live are two modes, each with its own files, links, keys and
log. For production, create a key with sluice key create --mode live.

`, svc.PublicURL())
	if at != "" {
		fmt.Fprintf(w, "In a browser, the console is at %s/console.\n\n", strings.TrimSuffix(at, "/"))
	}
	p, ok := firstPurpose(svc.Purposes())
	if !ok {
		fmt.Fprintf(w, "  KEY=%s\n\nNone of your purposes allows links, so no file can be shared yet.\n\n", first.Secret)
		return
	}
	file := "Hello;filename=hello.txt"
	if len(p.Types) > 0 && !slices.Contains(p.Types, "text/plain") {
		file += ";type=" + p.Types[0]
	}
	fmt.Fprintf(w, `Paste these lines into another terminal. To share a file of your own, write
file=@report.pdf instead of file=%[4]s.

  KEY=%[2]s
  # upload a file
  ANSWER=$(curl -sS %[1]s/v1/files -H "Authorization: Bearer $KEY" -F purpose=%[3]s -F 'file=%[4]s'); FILE=$(expr "$ANSWER" : '.*"id":"\(file_[0-9a-z]*\)"') && echo "$FILE" || echo "The upload failed: $ANSWER"
  # mint a link to it, and say why
  ANSWER=$(curl -sS %[1]s/v1/files/${FILE:?upload a file first}/links -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{"expires_in_seconds":%[5]d,"reason":"first light"}'); URL=$(expr "$ANSWER" : '.*"url":"\([^"]*\)"') && echo "$URL" || echo "No link was made: $ANSWER"
  # download it, without a key
  curl -sS -fOJ "${URL:?mint a link first}" -w 'saved %%{filename_effective}\n'
  # and see who minted the link, why, and each time it was opened
  curl -sS %[1]s/v1/audit_entries -H "Authorization: Bearer $KEY"

`, svc.PublicURL(), first.Secret, p.Name, file, seconds(p, lifetime))
}

// firstPurpose chooses the purpose of the first file: attachment if possible,
// else the first purpose by name that allows links. It prefers purposes that
// allow text.
func firstPurpose(all []sluice.Purpose) (first sluice.Purpose, ok bool) {
	best := 0
	for _, p := range all {
		score := 0
		switch text := len(p.Types) == 0 || slices.Contains(p.Types, "text/plain"); {
		case !p.Linkable:
		case text && p.Name == "attachment":
			score = 3
		case text:
			score = 2
		default:
			score = 1
		}
		if score > best {
			first, best = p, score
		}
	}
	return first, best > 0
}

// seconds returns the lifetime of the first link: an hour, or less if that is
// not allowed.
func seconds(p sluice.Purpose, most time.Duration) int64 {
	d := time.Hour
	for _, limit := range []time.Duration{p.MaxLinkLifetime, most} {
		if limit > 0 {
			d = min(d, limit)
		}
	}
	return int64(d / time.Second)
}
