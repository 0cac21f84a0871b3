package blob

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseS3URL(t *testing.T) {
	for raw, want := range map[string]S3Options{
		"s3://files?region=eu-central-1":        {Bucket: "files", Region: "eu-central-1"},
		"s3://files/?region=auto":               {Bucket: "files", Region: "auto"},
		"s3://my.files/a/B_1.x-y/?region=r-1":   {Bucket: "my.files", Prefix: "a/B_1.x-y", Region: "r-1"},
		"s3://files?region=r&path_style=false":  {Bucket: "files", Region: "r"},
		"s3://files/p?path_style=true&region=r": {Bucket: "files", Prefix: "p", Region: "r", PathStyle: true},
		"s3://files?region=r&endpoint=https://s3.example.com:9000": {
			Bucket: "files", Region: "r", Endpoint: "https://s3.example.com:9000",
		},
		"s3://files?region=r&endpoint=http%3A%2F%2F127.0.0.1%3A7070" +
			"&public_endpoint=https://files.example.com&path_style=true": {
			Bucket: "files", Region: "r", Endpoint: "http://127.0.0.1:7070",
			PublicEndpoint: "https://files.example.com", PathStyle: true,
		},
		"s3://files?region=r&endpoint=https://s3.example.com/&public_endpoint=https://files.example.com/": {
			Bucket: "files", Region: "r", Endpoint: "https://s3.example.com", PublicEndpoint: "https://files.example.com",
		},
		"s3://files?region=r&endpoint=http://[::1]:7070&path_style=true": {
			Bucket: "files", Region: "r", Endpoint: "http://[::1]:7070", PathStyle: true,
		},
	} {
		if got, err := ParseS3URL(raw); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", raw, got, err, want)
		}
	}

	const ok = "s3://files?region=r"
	for raw, want := range map[string]string{
		"":                                     "want s3://bucket/prefix",
		"files":                                "want s3://bucket/prefix",
		"https://files?region=r":               "want s3://bucket/prefix",
		"s3:files?region=r":                    "want s3://bucket/prefix",
		"s3://?region=r":                       "the bucket is missing",
		"s3:///p?region=r":                     "the bucket is missing",
		"s3://files":                           "the region is missing",
		"s3://files?endpoint=https://s3.local": "the region is missing",
		"s3://Files?region=r":                  "the bucket is not named",
		"s3://fi?region=r":                     "the bucket is not named",
		"s3://a..b?region=r":                   "the bucket is not named",
		"s3://files:80?region=r":               "the bucket is not named",
		"s3://a_b?region=r":                    "the bucket is not named",
		"s3://files/a//b?region=r":             "the prefix",
		"s3://files/a/../b?region=r":           "the prefix",
		"s3://files/.?region=r":                "the prefix",
		"s3://files//?region=r":                "the prefix",
		"s3://files/a%20b?region=r":            "the prefix",
		"s3://files/ä?region=r":                "the prefix",
		"s3://files/" + strings.Repeat("p", 257) + "?region=r": "the prefix",
		"s3://files?region=":                     "region is empty",
		"s3://files?region=a%20b":                "the region is not named",
		ok + "&region=s":                         "region is given 2 times",
		ok + "&endpoint=":                        "endpoint is empty",
		ok + "&endpoint=s3.local":                "endpoint: want http:// or https://",
		ok + "&endpoint=ftp://s3.local":          "endpoint: want http:// or https://",
		ok + "&endpoint=https://":                "endpoint: want http:// or https://",
		ok + "&endpoint=https://h/path":          "endpoint: want http:// or https://",
		ok + "&endpoint=https://h?x=1":           "endpoint: want http:// or https://",
		ok + "&endpoint=https://:80":             "endpoint: want http:// or https://",
		ok + "&endpoint=https://a:b@h":           "endpoint: want http:// or https://",
		ok + "&endpoint=http://10.0.0.1":         "endpoint is an address",
		ok + "&endpoint=http://[::1]:80":         "endpoint is an address",
		ok + "&public_endpoint=h":                "public_endpoint: want http:// or https://",
		ok + "&path_style=1":                     "path_style is true or false",
		ok + "&path_style":                       "path_style is true or false",
		ok + "&acl=public":                       "acl is none",
		ok + "&Region=r":                         "one of them is none",
		ok + "&%zz":                              "what follows ? cannot be read",
		ok + ";x=1":                              "what follows ? cannot be read",
		ok + "#f":                                "# has no meaning",
		ok + "#":                                 "# has no meaning",
		"s3://" + testSecret + "@files?region=r": "credentials do not belong here",
		"s3://" + testAccess + ":" + testSecret + "@files?region=r": "credentials do not belong here",
		"s3://a:" + testSecret + "/x@files?region=r":                "this is no URL",
		ok + "&secret_key=" + testSecret:                            "secret_key is none",
		ok + "&" + testSecret:                                       "one of them is none",
		ok + "&path_style=" + testSecret:                            "path_style is true or false",
		ok + "&endpoint=https://a:" + testSecret + "@h":             "endpoint: want http:// or https://",
		"s3://" + testSecret + "?region=r":                          "the bucket is not named",
		"s3://files/" + testSecret + "%?region=r":                   "this is no URL",
		"s3://files\x7f" + testSecret:                               "this is no URL",
	} {
		got, err := ParseS3URL(raw)
		if err == nil || !strings.Contains(err.Error(), want) || got != (S3Options{}) {
			t.Errorf("%q: %+v, %v, want %q", raw, got, err, want)
			continue
		}
		wantNoSecret(t, err)
	}
}

// FuzzParseS3URL checks that accepted options are well-formed, and that they hold
// everything that the URL says.
func FuzzParseS3URL(f *testing.F) {
	for _, seed := range []string{
		"s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1&path_style=true",
		"s3://bucket?region=r&public_endpoint=http://files.example.com",
		"s3://key:secret@bucket?region=r",
		"s3://bucket/../x?region=r&region=s",
		"s3://bucket?region=r&endpoint=http://[fe80::1%25eth0]:80&path_style=true",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := ParseS3URL(raw)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 250 {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if strings.ContainsAny(o.Prefix, "\\?#% ") || strings.Contains("/"+o.Prefix+"/", "//") && o.Prefix != "" {
			t.Errorf("%q: the prefix is %q", raw, o.Prefix)
		}
		for _, endpoint := range []string{o.Endpoint, o.PublicEndpoint} {
			u, err := url.Parse(endpoint)
			if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || endpoint != "" && u.Host == "" {
				t.Errorf("%q: the endpoint is %q", raw, endpoint)
			}
		}
		again := url.URL{Scheme: "s3", Host: o.Bucket, Path: "/" + o.Prefix}
		q := url.Values{"region": {o.Region}}
		for name, value := range map[string]string{"endpoint": o.Endpoint, "public_endpoint": o.PublicEndpoint} {
			if value != "" {
				q.Set(name, value)
			}
		}
		if o.PathStyle {
			q.Set("path_style", "true")
		}
		again.RawQuery = q.Encode()
		if p, err := ParseS3URL(again.String()); err != nil || p != o {
			t.Errorf("%q is read as %+v, and %q as %+v, %v", raw, o, again.String(), p, err)
		}
	})
}
