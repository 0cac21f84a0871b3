package mail_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/mail"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// TestSettings refuses settings that cannot work. No error has the password.
func TestSettings(t *testing.T) {
	const from = "Northwind <files@northwind.example>"
	for url, want := range map[string]string{
		"smtp://ann:Passw0rd@mail.example":                   "",
		"smtps://ann:Passw0rd@mail.example:465/":             "",
		"smtp://mail.example:25":                             "",
		"smtp://[::1]:1025":                                  "",
		"smtp://ann%40bank.example:a%2Fb%3AcPassw0rd@m.test": "",
		"mail.example:587":                                   "neither smtp nor smtps",
		"http://ann:Passw0rd@mail.example":                   "neither smtp nor smtps",
		"smtp://":                                            "the host is missing",
		"smtp://:25":                                         "the host is missing",
		"smtp://ann:Passw0rd@mail.example:0":                 "the port is not a number",
		"smtp://ann:Passw0rd@mail.example:99999":             "the port is not a number",
		"smtp://ann:Passw0rd@mail.example:x":                 "no URL",
		"smtp://ann:Passw0rd%@mail.example":                  "no URL",
		"smtp://ann:Passw0rd\n@mail.example":                 "no URL",
		"smtp://ann:Passw0rd%0d%0aX@mail.example":            "a control character",
		"smtp://ann@mail.example":                            "require each other",
		"smtp://:Passw0rd@mail.example":                      "require each other",
		"smtp://ann:Passw0rd@mail.example/path":              "nothing may follow the port",
		"smtp://ann:Passw0rd@mail.example?tls=no":            "nothing may follow the port",
		"smtp://" + strings.Repeat("a", 3000):                "no URL",
	} {
		_, err := mail.NewServer(url, from)
		checkSetting(t, url, "--smtp-url", want, err)
	}
	for address, want := range map[string]string{
		from:                                 "",
		"files@northwind.example":            "",
		"Zürich <files@northwind.example>":   "",
		"":                                   "no e-mail address",
		"Northwind":                          "no e-mail address",
		"a@b.example, c@d.example":           "no e-mail address",
		"Ann\r\nBcc: <eve@evil.example>":     "no e-mail address",
		"<fïles@northwind.example>":          "other than ASCII",
		`"a b"@northwind.example`:            "other than ASCII",
		"=?utf-8?q?a=0Db?= <a@b.example>":    "single line",
		strings.Repeat("a", 500) + "@b.test": "no e-mail address",
	} {
		_, err := mail.NewServer("smtp://mail.example", address)
		checkSetting(t, address, "--mail-from", want, err)
	}
}

func checkSetting(t *testing.T, value, flag, want string, err error) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%q: %v", value, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), flag)):
		t.Errorf("%q: %v, want %q", value, err, want)
	case err != nil && strings.Contains(err.Error(), "Passw0rd"):
		t.Errorf("%q: the error has the password: %v", value, err)
	}
}

// certificate writes a certificate for loopback and its key, and returns their files and the pool that trusts it.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret), roots
}

// TestTLS sends by STARTTLS and by TLS from the first byte, with a password. It refuses a server without STARTTLS, a
// certificate that nobody vouches for, and a wrong password, which no error has.
func TestTLS(t *testing.T) {
	cert, key, roots := certificate(t)
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("ann@northwind:s3cr3t%pass/word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tls := []string{"--smtp-tls-cert", cert, "--smtp-tls-key", key, "--smtp-auth-file", passwords}
	startTLS := sluicetest.NewMailpit(t, append(tls, "--smtp-require-starttls")...)
	implicit := sluicetest.NewMailpit(t, append(tls, "--smtp-require-tls")...)
	plain := sluicetest.NewMailpit(t)
	const user = "ann%40northwind:s3cr3t%25pass%2Fword@"
	for name, c := range map[string]struct {
		url     string
		trusted bool
		demand  bool
		want    string
	}{
		"STARTTLS":          {"smtp://" + user + startTLS.Address, true, true, ""},
		"TLS":               {"smtps://" + user + implicit.Address, true, true, ""},
		"no STARTTLS":       {"smtp://" + plain.Address, true, true, "does not support STARTTLS"},
		"loopback":          {"smtp://" + plain.Address, false, false, ""},
		"unknown authority": {"smtp://" + user + startTLS.Address, false, true, "unknown authority"},
		"wrong password":    {"smtp://ann%40northwind:s3cr3t%25wrong@" + startTLS.Address, true, true, "535"},
		"no user":           {"smtp://" + startTLS.Address, true, true, "530"},
		"TLS where none is": {"smtps://" + plain.Address, true, true, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			w := northwind(t, c.url)
			if c.demand {
				pool := x509.NewCertPool()
				if c.trusted {
					pool = roots
				}
				w.Server.DemandTLS(pool)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for what, err := range map[string]error{
				"Check": w.Server.Check(ctx), "Send": w.Send(ctx, letter(service.MailCode, "en"), epoch),
			} {
				switch {
				case c.want == "" && err != nil:
					t.Errorf("%s: %v", what, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s: %v, want %q", what, err, c.want)
				case err != nil && strings.Contains(err.Error(), "s3cr3t"):
					t.Errorf("%s: the error has the password: %v", what, err)
				}
			}
		})
	}
	for name, server := range map[string]*sluicetest.Mailpit{"STARTTLS": startTLS, "TLS": implicit, "loopback": plain} {
		if n := len(server.Await(t, 1)); n != 1 { // Check sends none
			t.Errorf("%s: %d mails", name, n)
		}
	}
}

// TestCheck says why a server cannot be used.
func TestCheck(t *testing.T) {
	for step, want := range map[string]string{
		"":        "",
		"CONNECT": "554",
		"MAIL":    "it does not accept mails from files@northwind.example: 554 5.7.1 no",
	} {
		server := newFaultyServer(t, func(at string, _ int) string {
			if at == step {
				return "554 5.7.1 no"
			}
			return ""
		})
		s := northwind(t, "smtp://"+server.Address).Server
		if err := s.Check(t.Context()); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", step, err, want)
		}
	}
	hanging := newFaultyServer(t, func(string, int) string { return hang })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := northwind(t, "smtp://"+hanging.Address).Server.Check(ctx); err == nil {
		t.Error("a server that says nothing is well")
	}
}
