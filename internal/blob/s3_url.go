package blob

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// S3Options say where the blobs are. They hold no credentials; see OpenS3.
type S3Options struct {
	Bucket string
	Prefix string // of all keys, without a slash at either end; "" uses the whole bucket
	Region string // as the server names its region

	// Endpoint is a URL with http or https, a host, and perhaps a port. If it is
	// empty, AWS's endpoint for the region is used.
	Endpoint string
	// PublicEndpoint is where clients reach the same bucket with a URL of Presign.
	// If it is empty, Endpoint is used.
	PublicEndpoint string
	// PathStyle puts the bucket into the path of a URL instead of its host name.
	PathStyle bool
}

// maxS3Prefix keeps the names of objects far below the 1,024 bytes that S3 allows.
const maxS3Prefix = 256

var (
	bucketForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionForm    = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	prefixForm    = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
	hostForm      = regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?$`)
	parameterForm = regexp.MustCompile(`^[a-z_]{1,24}$`)
)

// ParseS3URL parses an S3 URL of the configuration,
//
//	s3://bucket/prefix?region=eu-central-1&endpoint=https://host:port&public_endpoint=https://host&path_style=true
//
// of which bucket and region are required. It refuses everything else, secrets
// above all. No error shows a part of the URL that could be a secret.
func ParseS3URL(raw string) (S3Options, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return S3Options{}, errors.New("S3 URL: this is no URL") // err quotes all of it
	case u.Scheme != "s3" || u.Opaque != "":
		return S3Options{}, errors.New("S3 URL: want s3://bucket/prefix")
	case u.User != nil:
		return S3Options{}, errors.New("S3 URL: credentials do not belong here: " +
			"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a shared credentials file")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return S3Options{}, errors.New("S3 URL: # has no meaning here")
	}
	o := S3Options{
		Bucket: u.Host,
		Prefix: strings.TrimPrefix(u.Path, "/"),
	}
	if len(o.Prefix) > 1 {
		o.Prefix = strings.TrimSuffix(o.Prefix, "/")
	}
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return S3Options{}, errors.New("S3 URL: what follows ? cannot be read")
	}
	for name, values := range parameters {
		if err := o.set(name, values); err != nil {
			return S3Options{}, fmt.Errorf("S3 URL: %w", err)
		}
	}
	if err := o.check(); err != nil {
		return S3Options{}, fmt.Errorf("S3 URL: %w", err)
	}
	return o, nil
}

func (o *S3Options) set(name string, values []string) error {
	texts := map[string]*string{"region": &o.Region, "endpoint": &o.Endpoint, "public_endpoint": &o.PublicEndpoint}
	text, isText := texts[name]
	switch {
	case !isText && name != "path_style":
		if !parameterForm.MatchString(name) {
			name = "one of them"
		}
		return fmt.Errorf("the parameters are region, endpoint, public_endpoint and path_style; %s is none", name)
	case len(values) != 1:
		return fmt.Errorf("%s is given %d times", name, len(values))
	case isText && values[0] == "":
		return fmt.Errorf("%s is empty", name)
	case isText && name != "region":
		*text = strings.TrimSuffix(values[0], "/") // an endpoint has no path: the slash means nothing
	case isText:
		*text = values[0]
	case values[0] != "true" && values[0] != "false":
		return errors.New("path_style is true or false")
	default:
		o.PathStyle = values[0] == "true"
	}
	return nil
}

// check refuses malformed names of buckets, regions and endpoints before a server
// is asked.
func (o S3Options) check() error {
	switch {
	case o.Bucket == "":
		return errors.New("the bucket is missing")
	case !bucketForm.MatchString(o.Bucket) || strings.Contains(o.Bucket, ".."):
		return errors.New("the bucket is not named as S3 names one: 3 to 63 lower-case letters, digits, dots and dashes")
	case o.Prefix != "" && !validPrefix(o.Prefix):
		return fmt.Errorf("the prefix is not one of at most %d letters, digits, dots, dashes and underscores "+
			"in parts that a slash divides", maxS3Prefix)
	case o.Region == "":
		return errors.New("the region is missing; stores that know none accept us-east-1")
	case !regionForm.MatchString(o.Region):
		return errors.New("the region is not named as one: letters, digits and dashes")
	}
	for name, endpoint := range map[string]string{"endpoint": o.Endpoint, "public_endpoint": o.PublicEndpoint} {
		if endpoint == "" {
			continue
		}
		host, err := endpointHost(endpoint)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := netip.ParseAddr(host); err == nil && !o.PathStyle {
			return fmt.Errorf("%s is an address, to which no bucket's name can be prepended: it needs path_style=true", name)
		}
	}
	return nil
}

func validPrefix(prefix string) bool {
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return len(prefix) <= maxS3Prefix && prefixForm.MatchString(prefix)
}

// endpointHost gives the host of an endpoint, without its port.
func endpointHost(endpoint string) (string, error) {
	bad := errors.New("want http:// or https://, a host, and no more than a port after it")
	scheme, rest, _ := strings.Cut(endpoint, "://")
	if scheme != "http" && scheme != "https" || !hostForm.MatchString(rest) {
		return "", bad
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return "", bad
	}
	return u.Hostname(), nil
}
