package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
)

// env-from-json NAME MEMBER sets an environment variable to the first value of
// a member in the JSON output of the last command.
func setFromJSON(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"` + args[1] + `":"([^"]*)"`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no member %s in %q", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}

// ask METHOD PATH [TYPE BODY] sends a request to the server at $SLUICE_URL with
// the key $SLUICE_KEY. Body and path may contain Go string escapes.
func askServer(ts *testscript.TestScript, _ bool, args []string) {
	var body io.Reader
	for i := range args {
		ts.Check(json.Unmarshal([]byte(`"`+strings.ReplaceAll(args[i], `"`, `\"`)+`"`), &args[i]))
	}
	if len(args) > 2 {
		body = strings.NewReader(args[3])
	}
	req, err := http.NewRequest(args[0], ts.Getenv("SLUICE_URL")+args[1], body)
	ts.Check(err)
	if key := ts.Getenv("SLUICE_KEY"); key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	if len(args) > 2 {
		req.Header.Set("Content-Type", args[2])
	}
	req.Header.Set("User-Agent", "=HYPERLINK(\"http://evil.example\") \u202egpj.exe")
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	ts.Check(err)
	if res.StatusCode/100 != 2 {
		ts.Fatalf("%s: %s", res.Status, text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}

// safe FILE checks that the output contains no invisible characters.
func safeForTerminal(ts *testscript.TestScript, neg bool, args []string) {
	at := strings.IndexFunc(ts.ReadFile(args[0]), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
	if (at < 0) == neg {
		ts.Fatalf("%s is unsafe from byte %d on: %q", args[0], at, ts.ReadFile(args[0]))
	}
}

// until NAME PATTERN waits until the output file of a background command
// matches a pattern.
func untilFile(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[1])
	var text []byte
	for range 2400 { // a minute
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // the file may not exist yet
		if pattern.Match(text) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	ts.Fatalf("%s does not fit %q: %q", args[0], args[1], text)
}
