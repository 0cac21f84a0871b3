package service

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// parsePublicURL parses the base URL of links. It refuses a URL that links cannot begin with, and a URL with secrets in
// it. Links that were given out keep their base URL.
func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var inside *url.Error
		if errors.As(err, &inside) {
			err = inside.Err // without the URL
		}
		return nil, err
	}
	port, portErr := strconv.Atoi(u.Port())
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want http:// or https://")
	case u.User != nil:
		return nil, errors.New("it has a user name, which every link would show")
	case strings.ContainsAny(text, "?#"):
		return nil, errors.New("it has a query or a fragment, so links would not reach the server")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && (portErr != nil || port < 1 || port > 65535):
		return nil, errors.New("its port is not a number from 1 to 65535")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return nil, errors.New("it has a space")
	case strings.ContainsAny(u.Host, `\,;"'<>|^{}`+"`") || strings.Contains(u.Path, `\`):
		return nil, errors.New("it has a character that is not allowed in a URL")
	case strings.Contains(u.Path, "//"):
		return nil, errors.New("its path has two slashes in a row, which the server does not serve")
	case strings.Contains(u.Path+"/", "/./") || strings.Contains(u.Path+"/", "/../"):
		return nil, errors.New("its path has a dot segment, which clients remove")
	}
	return u, nil
}
