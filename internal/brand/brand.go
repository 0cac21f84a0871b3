// Package brand reads how an operator presents itself to the recipients of files: its name and logo, a colour, and
// where it can be reached. Pages and mails show it.
package brand

import (
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Brand is what pages and mails show of the operator. Its zero value shows nothing. Each member but Accent may be "".
type Brand struct {
	Name    string
	Logo    *Logo  // nil for none
	Accent  Accent // the zero Accent stands for DefaultAccent
	Contact string // a URL: mailto, tel, https or http
	Imprint string // the URL of the legal notice
	Privacy string // the URL of the privacy policy
	Footer  string // a text of one or more lines
}

// The limits of a brand, in characters; those of files and URLs in bytes.
const (
	MaxFile   = 64 << 10
	MaxName   = 100
	MaxFooter = 500
	MaxURL    = 1000
)

// ContactText is the contact as people read it: an address or number without its scheme.
func (b Brand) ContactText() string {
	for _, scheme := range []string{"mailto:", "tel:", "https://", "http://"} {
		if rest, ok := strings.CutPrefix(b.Contact, scheme); ok {
			return strings.TrimSuffix(rest, "/")
		}
	}
	return b.Contact
}

// Load reads a brand from a YAML file. The path of its logo is relative to the folder of the file. An error names the
// file, and the line and member that are wrong.
//
//	name: Northwind Bank
//	logo: northwind.svg
//	accent: "#0b5c4a"
//	contact: files@northwind.example
//	imprint: https://northwind.example/imprint
//	privacy: https://northwind.example/privacy
//	footer: Northwind Bank AG, Zürich
func Load(path string) (Brand, error) {
	b, err := load(path)
	if err != nil {
		return Brand{}, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func load(path string) (b Brand, err error) {
	data, err := readFile(path, MaxFile)
	if err != nil {
		return b, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return b, err
	}
	if document.Kind != yaml.DocumentNode || document.Content[0].Kind != yaml.MappingNode {
		return b, errors.New("the file is not a mapping, such as name: Northwind Bank")
	}
	members, seen := document.Content[0].Content, map[string]bool{}
	for i := 0; i+1 < len(members); i += 2 {
		name, value := members[i], members[i+1]
		if seen[name.Value] {
			return b, fmt.Errorf("line %d: %s is there twice", name.Line, name.Value)
		}
		seen[name.Value] = true
		if value.Kind != yaml.ScalarNode {
			return b, fmt.Errorf("line %d: %.40s must be a text", name.Line, name.Value)
		}
		if err := b.set(name.Value, strings.TrimSpace(value.Value), filepath.Dir(path)); err != nil {
			return b, fmt.Errorf("line %d: %.40s: %w", name.Line, name.Value, err)
		}
	}
	return b, nil
}

// set sets the member of a name. An empty text leaves it as it is.
func (b *Brand) set(name, value, folder string) (err error) {
	switch name {
	case "name":
		b.Name, err = plain(value, MaxName, "")
	case "logo":
		if value != "" {
			if !filepath.IsAbs(value) {
				value = filepath.Join(folder, value)
			}
			b.Logo, err = readLogo(value)
		}
	case "accent":
		if value != "" {
			b.Accent, err = ParseAccent(value)
		}
	case "contact":
		b.Contact, err = contact(value)
	case "imprint":
		b.Imprint, err = webAddress(value)
	case "privacy":
		b.Privacy, err = webAddress(value)
	case "footer":
		b.Footer, err = plain(value, MaxFooter, "\n")
	default:
		err = errors.New("there is no such member; " +
			"the members are name, logo, accent, contact, imprint, privacy and footer")
	}
	return err
}

// plain checks a text that is shown. It may have the control characters in except.
func plain(text string, limit int, except string) (string, error) {
	switch {
	case !utf8.ValidString(text):
		return "", errors.New("the text is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) && !strings.ContainsRune(except, r)
	}):
		return "", errors.New("the text contains a control character")
	case utf8.RuneCountInString(text) > limit:
		return "", fmt.Errorf("the limit is %d characters, and the text has %d", limit, utf8.RuneCountInString(text))
	}
	return text, nil
}

// contact reads an e-mail address, or a URL of one of the schemes by which people can be reached.
func contact(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if a, err := mail.ParseAddress(value); err == nil && a.Name == "" && a.Address == value {
		return limited("mailto:" + value)
	}
	u, err := url.Parse(value)
	if err == nil {
		switch u.Scheme {
		case "mailto", "tel":
			if u.Opaque != "" {
				return limited(value)
			}
		case "https", "http":
			return webAddress(value)
		}
	}
	return "", fmt.Errorf("%.80q is neither an e-mail address nor a URL with https, http, mailto or tel", value)
}

func webAddress(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("%.80q is not a URL with https or http", value)
	}
	return limited(u.String())
}

func limited(address string) (string, error) {
	if len(address) > MaxURL {
		return "", fmt.Errorf("the limit is %d bytes, and the address has %d", MaxURL, len(address))
	}
	if strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`"<>`, r)
	}) {
		return "", errors.New("the address contains a space, a control character, a quotation mark or an angle bracket")
	}
	return address, nil
}

// readFile reads a regular file that has at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(bare(err), errors.New("this is not a file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, bare(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes", limit)
	}
	return data, nil
}

// bare removes the path from an error of the file system.
func bare(err error) error {
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err
	}
	return err
}
