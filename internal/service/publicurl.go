package service

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// parsePublicURL reads where links lead. It refuses what the URL of a link
// could not begin with, or would give away: links that were given out keep it.
func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var inside *url.Error
		if errors.As(err, &inside) {
			err = inside.Err // which does not repeat the URL
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
		return nil, errors.New("it has a character that no URL has")
	case strings.Contains(u.Path, "//"):
		return nil, errors.New("its path has two slashes in a row, which the server does not serve")
	case strings.Contains(u.Path+"/", "/./") || strings.Contains(u.Path+"/", "/../"):
		return nil, errors.New("its path has a dot segment, which clients take out")
	}
	return u, nil
}
