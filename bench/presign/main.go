// Presign prints a URL that permits one request for an S3 object for a day. It
// signs with AWS Signature Version 4 in the query, as in "Authenticating
// Requests: Using Query Parameters" of the Amazon S3 API Reference, with
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The path must not need escaping.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("presign: ")
	method := flag.String("method", "GET", "method of the request")
	region := flag.String("region", "us-east-1", "region of the server")
	flag.Parse()
	u, err := url.Parse(flag.Arg(0))
	if err != nil || u.Host == "" {
		log.Fatalf("%q is not the URL of an object", flag.Arg(0))
	}
	sign(u, *method, *region, time.Now().UTC())
	fmt.Println(u)
}

func sign(u *url.URL, method, region string, now time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	moment, day := now.Format("20060102T150405Z"), now.Format("20060102")
	scope := []string{day, region, "s3", "aws4_request"}
	u.RawQuery = url.Values{
		"X-Amz-Algorithm":     {algorithm},
		"X-Amz-Credential":    {os.Getenv("AWS_ACCESS_KEY_ID") + "/" + strings.Join(scope, "/")},
		"X-Amz-Date":          {moment},
		"X-Amz-Expires":       {"86400"},
		"X-Amz-SignedHeaders": {"host"},
	}.Encode()
	request := strings.Join([]string{method, u.EscapedPath(), u.RawQuery, "host:" + u.Host, "", "host",
		"UNSIGNED-PAYLOAD"}, "\n")
	toSign := fmt.Sprintf("%s\n%s\n%s\n%x", algorithm, moment, strings.Join(scope, "/"), sha256.Sum256([]byte(request)))
	key := []byte("AWS4" + os.Getenv("AWS_SECRET_ACCESS_KEY"))
	for _, part := range append(scope, toSign) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	u.RawQuery += fmt.Sprintf("&X-Amz-Signature=%x", key)
}
