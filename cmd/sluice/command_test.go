package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice"
)

// A wrong command line is refused with exit code 2 and a helpful message.
func TestMisuse(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	misspelt := filepath.Join(t.TempDir(), "purposes.yaml")
	if err := os.WriteFile(misspelt, []byte("purposes:\n  - name: invoice\n    typs: [application/pdf]\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	empty, folder := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const key = "--key=sk_test_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	serve := func(more ...string) []string {
		return append([]string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, more...)
	}
	create := func(more ...string) []string {
		return append([]string{"key", "create", "--data", data, "--mode", "live", "--name", "x"}, more...)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"public URL":     {serve("--public-url", "files.example.com"), `public URL: want http:// or https://`},
		"listen":         {serve("--listen", "nonsense"), `--listen: "nonsense" is not an address; write HOST:PORT`},
		"port":           {serve("--listen", "127.0.0.1:99999"), `--listen: "127.0.0.1:99999" is not an address`},
		"metrics listen": {serve("--metrics-listen", "9090"), `--metrics-listen: "9090" is not an address`},
		"purposes": {serve("--purposes", misspelt),
			`line 3: a purpose has no member "typs"; its members are name, title, types,`},
		"no purposes file": {serve("--purposes", "none.yaml"), "--purposes: open none.yaml: no such file"},
		"proxies": {serve("--trusted-proxies", "10.0.0.0/8,proxy"),
			`"proxy" is neither an address, such as 10.0.0.1, nor a network`},
		"scope": {create("--scopes", "files:reed"),
			`--scopes: unknown scope "files:reed"; choose from files:read,files:content,`},
		"expiry": {create("--expires", "soon"),
			"--expires: want a duration of at least a second, such as 12h or 30d"},
		"mode":  {[]string{"key", "create", "--data", data, "--name", "x"}, "--mode=test|live"},
		"links": {create("--max-link-lifetime", "1500ms"), "--max-link-lifetime: want whole seconds"},
		"key id": {[]string{"key", "revoke", "--data", data, "key_nope"},
			`"key_nope" is not an id: want key_ and 26 letters and digits`},
		"rotated id": {[]string{"key", "rotate", "--data", data, "nope"}, `"nope" is not an id`},
		"action": {[]string{"audit", "ls", key, "--action", "link.redemed"},
			`unknown action "link.redemed"; choose from account.created,`},
		"file id": {[]string{"audit", "ls", key, "--file-id", "nope"}, `--file-id: "nope" is not an id: want file_`},
		"outcome": {[]string{"audit", "tail", key, "--outcome", "denied"},
			`--outcome: "denied" is neither allowed nor refused`},
		"no key":         {[]string{"audit", "ls"}, "no API key: set SLUICE_KEY or give --key"},
		"empty folder":   {[]string{"audit", "verify", empty}, "is not an exported log: it has no checkpoint, key or tile"},
		"another folder": {[]string{"audit", "verify", folder}, "is not an exported log"},
	} {
		t.Run(name, func(t *testing.T) {
			said := sluiceRun(t, exitUsage, c.args...)
			if !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 || strings.Contains(said, "struct") {
				t.Errorf("sluice %q printed %q, want %q", c.args, said, c.want)
			}
		})
	}
	said := sluiceRun(t, exitRefused, "key", "revoke", "--data", data, "key_01jd3x2m0000000000000000aa")
	if !strings.Contains(said, "no key key_01jd3x2m0000000000000000aa, or it is already revoked") {
		t.Errorf("%q", said)
	}
}

// Arguments without a command print help or the version.
func TestHelp(t *testing.T) {
	for line, c := range map[string]struct {
		code int
		want string
	}{
		"":                  {exitUsage, "Usage: sluice <command>"},
		"audit":             {exitUsage, "audit redact"},
		"help":              {0, "Usage: sluice <command>"},
		"help audit verify": {0, "Usage: sluice audit verify"},
		"help nonsense":     {exitUsage, "unexpected argument nonsense"},
		"nonsense":          {exitUsage, "unexpected argument nonsense"},
		"--version":         {0, "sluice " + version()},
		"-v":                {0, "sluice " + version()},
		"key create --help": {0, "files:read, files:content"},
		"serve --help":      {0, "SLUICE_RATE_LIMIT=false"},
	} {
		t.Run(line, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(context.Background(), strings.Fields(line), &stdout, &stderr)
			shown, other := &stdout, &stderr
			if c.code != 0 {
				shown, other = other, shown
			}
			text := strings.Join(strings.Fields(shown.String()), " ")
			if code != c.code || !strings.Contains(text, c.want) || other.Len() > 0 {
				t.Errorf("exit code %d, prints %q and %q", code, &stdout, &stderr)
			}
		})
	}
}

// If no server responds, the error names the server.
func TestUnreachable(t *testing.T) {
	address := freeAddress(t)
	said := sluiceRun(t, exitFailed, "audit", "ls", "--url", "http://"+address, "--key", "x")
	if !strings.HasPrefix(said, "sluice: no server responds at http://"+address+": ") || strings.Contains(said, "Get ") {
		t.Errorf("%q", said)
	}
}

// A server's configuration does not change the effect of another command.
func TestEnvironmentOfServer(t *testing.T) {
	p := startServer(t, filepath.Join(t.TempDir(), "data"))
	data := filepath.Dir(p.cmd.Args[len(p.cmd.Args)-1]) + "/data"
	for name, value := range map[string]string{
		"SLUICE_MAX_LINK_LIFETIME": "15m", "SLUICE_ANCHOR": "file:/nowhere/anchor.txt", "SLUICE_WITNESS": "nonsense",
		"SLUICE_SINCE": "24h",
		"SLUICE_NAME":  "another", "SLUICE_MODE": "live", "SLUICE_N": "1", "SLUICE_JSON": "true",
		"SLUICE_ACTION":  "key.revoked",
		"SLUICE_EXPIRES": "1s", "SLUICE_SCOPES": "audit:read", "SLUICE_FORMAT": "csv", "SLUICE_URL": p.url,
		"SLUICE_KEY": p.key, "SLUICE_DATA": data,
	} {
		t.Setenv(name, value)
	}
	quiet := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), args, &stdout, &stderr); code != 0 {
			t.Fatalf("sluice %q: %d %s", args, code, &stderr)
		}
		return stdout.String()
	}
	quiet("key", "create", "--mode", "test", "--name", "plain")
	list := quiet("key", "list", "--json")
	if !strings.Contains(list, `"name":"plain"`) || strings.Contains(list, "max_link_lifetime") ||
		!strings.Contains(list, "keys:admin") {
		t.Errorf("%s", list)
	}
	if listed := quiet("audit", "ls"); !strings.Contains(listed, "TIME ") || strings.Count(listed, "\n") < 3 {
		t.Errorf("%s", listed)
	}
	log := filepath.Join(t.TempDir(), "log")
	quiet("audit", "export", log)
	quiet("audit", "verify", log)
}

// An empty variable counts as unset.
func TestEmptyVariables(t *testing.T) {
	known := knownVariables(t)
	for name := range known {
		t.Setenv(name, "")
	}
	// Use a separate folder, because the default is relative to the current
	// folder.
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := newServe(path, filepath.Join(t.TempDir(), "data"), nil)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	address := freeAddress(t)
	cmd.Args = append(cmd.Args, "--listen", address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the server does not listen: %s", &stderr)
		}
		time.Sleep(20 * time.Millisecond)
	}
	said := sluiceRun(t, exitUsage, "audit", "ls")
	if !strings.Contains(said, "set SLUICE_KEY") {
		t.Errorf("%q", said)
	}
}

func knownVariables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for line := range strings.Lines(sluiceRun(t, 0, "serve", "--help") + sluiceRun(t, 0, "audit", "ls", "--help")) {
		for _, word := range strings.FieldsFunc(line, func(r rune) bool {
			return r != '_' && r != '$' &&
				(r < 'A' || r > 'Z')
		}) {
			if name, ok := strings.CutPrefix(word, "$"); ok && strings.HasPrefix(name, envPrefix) {
				known[name] = true
			}
		}
	}
	if len(known) < 15 {
		t.Fatalf("the help names %v", known)
	}
	return known
}

// A warning names an unknown variable, and the likely intended one.
func TestUnknownVariables(t *testing.T) {
	t.Setenv("SLUICE_LISTN", "127.0.0.1:1")
	t.Setenv("SLUICE_PORT_8080_TCP", "tcp://10.0.0.1:8080")
	t.Setenv("SLUICE_SERVICE_HOST", "10.0.0.1")
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{"version"}, &stdout, &stderr)
	want := "sluice: warning: the environment variable SLUICE_LISTN has no effect; did you mean SLUICE_LISTEN?\n"
	if code != 0 || stderr.String() != want {
		t.Errorf("%d %q, want %q", code, &stderr, want)
	}
	stderr.Reset()
	run(context.Background(), []string{"serve", "--listen", "nonsense", "--log-format", "json"}, &stdout, &stderr)
	if said := stderr.String(); !strings.Contains(said,
		`"level":"WARN","msg":"the environment variable SLUICE_LISTN has no effect`) {
		t.Errorf("serve logs %q", said)
	}
}

// Addresses and networks of proxies are accepted in common forms.
func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", " 10.0.0.0/8 ": "10.0.0.0/8", "2001:db8::1": "2001:db8::1/128", "::/0": "::/0",
	} {
		var n proxyNetwork
		if err := n.UnmarshalText([]byte(text)); err != nil || n.String() != want {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "proxy", "10.0.0.1/33", "fe80::1%eth0", "10.0.0.1:80"} {
		var n proxyNetwork
		if err := n.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %v", text, n)
		}
	}
}

// The lifetime of a key can be given in days.
func TestExpiresInDays(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	said := sluiceRun(t, 0, "key", "create", "--data", data, "--mode", "test", "--name", "brief", "--expires", "30d",
		"--max-link-lifetime", "2d")
	lines := strings.Split(said, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "id: "+sluice.PrefixKey) ||
		!strings.HasPrefix(lines[1], "secret: sk_test_") {
		t.Errorf("%q", said)
	}
	if list := sluiceRun(t, 0, "key", "list", "--data", data, "--json"); !strings.Contains(list,
		`"max_link_lifetime":"48h0m0s"`) {
		t.Errorf("%s", list)
	}
}
