package digitalriver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
)

// sentence is a sentence, parameter or example on Digital River's page "File Links",
// with its test.
type sentence struct {
	text  string
	holds func(t *testing.T, c *client, file string)
}

const nobody = "link_01kjvktdcj8xnzpwc57x5g67k8"

// atTheEnd checks that a link created by a function works until its expiry and not
// after it.
func atTheEnd(t *testing.T, c *client, send func(expires string) answer) {
	t.Helper()
	now := c.Clock.Now().Truncate(time.Second)
	send(now.Format(time.RFC3339)).fails(t, 400, "bad_request", "invalid_parameter expiresTime")
	send("2020-04-25T20:36:00Z").fails(t, 400, "bad_request", "invalid_parameter expiresTime")
	l := send(now.Add(2 * time.Second).Format(time.RFC3339))
	url := l.want(t, l.status).text("url")
	if a := c.do(t, "GET", url, "", "Authorization", ""); a.status != 200 {
		t.Errorf("before its expiry the link responds with %d", a.status)
	}
	c.Clock.Advance(now.Add(2 * time.Second).Sub(c.Clock.Now()))
	if a := c.do(t, "GET", url, "", "Authorization", ""); a.status != 410 {
		t.Errorf("at its expiry the link responds with %d", a.status)
	}
}

// three creates three links, one per second, and returns them newest first.
func three(t *testing.T, c *client, file string) (ids []string) {
	t.Helper()
	for range 3 {
		ids = append([]string{c.link(t, file, soon).text("id")}, ids...)
		c.Clock.Advance(time.Second)
	}
	return ids
}

// TestFileLinksPage tests the adapter against the page, sentence by sentence.
func TestFileLinksPage(t *testing.T) {
	for _, s := range []sentence{
		{"File Links provide a secure and convenient way to share the contents of a File object with customers by generating a unique URL.", func(t *testing.T, c *client, file string) {
			one, two := c.link(t, file, soon), c.link(t, file, soon)
			if one["url"] == two["url"] || one["url"] == "" {
				t.Errorf("%v %v", one, two)
			}
			if a := c.do(t, "GET", one.text("url")[:len(one.text("url"))-4]+"AAAA", "", "Authorization", ""); a.status != 404 {
				t.Errorf("a forged URL responds with %d", a.status)
			}
		}},
		{"This URL allows customers to access the file's content without requiring authentication.", func(t *testing.T, c *client, file string) {
			if a := c.do(t, "GET", c.link(t, file, soon).text("url"), "", "Authorization", ""); a.status != 200 || string(a.body) != "hello" {
				t.Errorf("%d %q", a.status, a.body)
			}
			c.do(t, "GET", "/files/"+file+"/content", "", "Authorization", "").fails(t, 401, "unauthorized", "unauthorized")
		}},
		{"File Links are particularly useful for sharing documents, invoices, or other files associated with order management, enhancing the customer experience by simplifying access to important information.", func(t *testing.T, c *client, _ string) {
			for _, purpose := range []string{"customer_invoice", "customer_credit_memo", "tax_document_customer_upload"} {
				f := c.upload(t, "%PDF", field{"purpose", purpose}, field{"file", "a.pdf"}).want(t, 201).text("id")
				a := c.do(t, "GET", c.link(t, f, soon).text("url"), "", "Authorization", "")
				if a.status != 200 || a.header.Get("Content-Type") != "application/pdf" || !strings.Contains(a.header.Get("Content-Disposition"), "a.pdf") {
					t.Errorf("%s: %d %v", purpose, a.status, a.header)
				}
			}
		}},
		{"Gets all the file links specified in the request. /file-links", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			c.listIs(t, "/file-links", ids...)
			c.listIs(t, "/file-links?fileId="+file+"&expired=false&ids="+ids[1]+"&limit=1&createdTime[gt]=2026-03-04T05:06:07Z", ids[1])
		}},
		{"createdTime: A filter on the list based on the createdTime field.", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			for i, id := range ids {
				at := c.do(t, "GET", "/file-links/"+id, "").want(t, 200).text("createdTime")
				c.listIs(t, "/file-links?createdTime="+at, ids[i])
			}
		}},
		{"createdTime: The value can be a string with an ISO-8601 UTC format datetime", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			for _, at := range []string{"2026-03-04T05:06:08Z", "2026-03-04T05:06:08.000Z", "2026-03-04T05:06:08.123456Z"} {
				c.listIs(t, "/file-links?createdTime="+at, ids[1])
			}
		}},
		{"createdTime: or it can be a dictionary with the following options: createdTime[gt]=2020-09-22T12:09:44Z", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			c.listIs(t, "/file-links?createdTime[gt]=2020-09-22T12:09:44Z", ids...)
			c.listIs(t, "/file-links?createdTime[gt]=2026-03-04T05:06:08Z", ids[:1]...)
			c.listIs(t, "/file-links?createdTime[gte]=2026-03-04T05:06:08Z", ids[:2]...)
			c.listIs(t, "/file-links?createdTime[lt]=2026-03-04T05:06:08Z", ids[2:]...)
			c.listIs(t, "/file-links?createdTime[lte]=2026-03-04T05:06:08Z", ids[1:]...)
		}},
		{"endingBefore: A cursor for use in pagination. The endingBefore parameter is an object ID that defines your place in the list.", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			c.listIs(t, "/file-links?endingBefore="+ids[2], ids[:2]...)
			c.listIs(t, "/file-links?endingBefore="+ids[0])
			c.do(t, "GET", "/file-links?endingBefore="+nobody, "").fails(t, 400, "bad_request", "invalid_parameter endingBefore")
		}},
		{"endingBefore: if you make a list request and receive 100 objects, starting with xyz your subsequent calls can include endingBefore=xyz in order to fetch the previous page of the list.", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			page, more := c.list(t, "/file-links?limit=1&endingBefore="+ids[2])
			if !slices.Equal(page, ids[1:2]) || !more {
				t.Errorf("%v %v", page, more)
			}
		}},
		{"startingAfter: A cursor for use in pagination. The startingAfter parameter is an object ID that defines your place in the list.", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			c.listIs(t, "/file-links?startingAfter="+ids[0], ids[1:]...)
			c.listIs(t, "/file-links?startingAfter="+ids[2])
			c.do(t, "GET", "/file-links?startingAfter="+nobody, "").fails(t, 400, "bad_request", "invalid_parameter startingAfter")
		}},
		{"startingAfter: if you make a list request and receive 100 objects, ending with xyz, your subsequent calls can include startingAfter=xyz in order to fetch the next page of the list.", func(t *testing.T, c *client, file string) {
			var ids []string
			for range 101 {
				ids = append([]string{c.link(t, file, soon).text("id")}, ids...)
				c.Clock.Advance(time.Millisecond)
			}
			page, more := c.list(t, "/file-links?limit=100")
			if !slices.Equal(page, ids[:100]) || !more {
				t.Errorf("%d %v", len(page), more)
			}
			page, more = c.list(t, "/file-links?limit=100&startingAfter="+page[99])
			if !slices.Equal(page, ids[100:]) || more {
				t.Errorf("%v %v", page, more)
			}
		}},
		{"limit: A limit on the number of objects returned.", func(t *testing.T, c *client, file string) {
			c.listIs(t, "/file-links?limit=2", three(t, c, file)[:2]...)
		}},
		{"limit: Limit can range between 1 and 100, and the default is 10.", func(t *testing.T, c *client, file string) {
			for range 11 {
				c.link(t, file, soon)
			}
			for query, want := range map[string]int{"": 10, "?limit=1": 1, "?limit=100": 11} {
				if ids, _ := c.list(t, "/file-links"+query); len(ids) != want {
					t.Errorf("%s: %d", query, len(ids))
				}
			}
			for _, limit := range []string{"0", "101", "-1", "1.5", "ten"} {
				c.do(t, "GET", "/file-links?limit="+limit, "").fails(t, 400, "bad_request", "invalid_parameter limit")
			}
		}},
		{"ids: Only return objects with these IDs.", func(t *testing.T, c *client, file string) {
			ids := three(t, c, file)
			for _, q := range []string{"ids=%s&ids=%s", "ids=%s,%s", "ids[0]=%s&ids[1]=%s", "ids[]=%s&ids[]=%s", "0=%s&1=%s"} {
				c.listIs(t, "/file-links?"+fmt.Sprintf(q, ids[0], ids[2]), ids[0], ids[2])
			}
			c.listIs(t, "/file-links?ids="+nobody)
		}},
		{"fileId: Only return links with this file identifier.", func(t *testing.T, c *client, file string) {
			ids, other := three(t, c, file), c.file(t)
			one := c.link(t, other, soon).text("id")
			c.listIs(t, "/file-links?fileId="+file, ids...)
			c.listIs(t, "/file-links?fileId="+other, one)
		}},
		{"expired: Filter links by expired state. By default, all links are returned.", func(t *testing.T, c *client, file string) {
			brief := c.link(t, file, "2026-03-04T05:06:09Z").text("id")
			c.Clock.Advance(5 * time.Second)
			good := c.link(t, file, soon).text("id")
			for query, want := range map[string][]string{
				"": {good, brief}, "?expired=true": {brief}, "?expired=1": {brief}, "?expired=false": {good},
				"?expired=0": {good},
			} {
				c.listIs(t, "/file-links"+query, want...)
			}
			c.do(t, "GET", "/file-links/"+brief, "").want(t, 200).is(t, map[string]string{"expired": "true"})
			c.do(t, "GET", "/file-links/"+good, "").want(t, 200).is(t, map[string]string{"expired": "false"})
		}},
		{"Creates a new file link object. /file-links", func(t *testing.T, c *client, file string) {
			l := c.do(t, "POST", "/file-links", `{"fileId":"`+file+`","expiresTime":"`+soon+`","metadata":{"order":"6735"}}`).want(t, 201)
			l.is(t, map[string]string{"createdTime": "2026-03-04T05:06:07Z", "expired": "false", "expiresTime": soon, "fileId": file, "metadata": "map[order:6735]"})
			c.do(t, "GET", "/file-links/"+l.text("id"), "").want(t, 200).is(t, map[string]string{"url": l.text("url")})
		}},
		{"Create: The identifier of the file to create a link to. file_b9bb0bce-c20e-4519-945e-45983a1b239b", func(t *testing.T, c *client, file string) {
			c.link(t, file, soon).is(t, map[string]string{"fileId": file})
			c.do(t, "POST", "/file-links", `{"fileId":"file_b9bb0bce-c20e-4519-945e-45983a1b239b","expiresTime":"`+soon+`"}`).fails(t, 400, "bad_request", "invalid_parameter fileId")
			c.do(t, "POST", "/file-links", `{"expiresTime":"`+soon+`"}`).fails(t, 400, "bad_request", "missing_parameter fileId")
		}},
		{"Create: A future timestamp, after which the link will no longer be usable. 2020-04-25T20:36:00Z", func(t *testing.T, c *client, file string) {
			c.do(t, "POST", "/file-links", `{"fileId":"`+file+`"}`).fails(t, 400, "bad_request", "missing_parameter expiresTime")
			atTheEnd(t, c, func(expires string) answer {
				return c.do(t, "POST", "/file-links", fmt.Sprintf(`{"fileId":%q,"expiresTime":%q}`, file, expires))
			})
		}},
		{"Retrieves the details of a file link. /file-links/{id}", func(t *testing.T, c *client, file string) {
			l := c.link(t, file, soon)
			if got := c.do(t, "GET", "/file-links/"+l.text("id"), "").want(t, 200); fmt.Sprint(got) != fmt.Sprint(l) {
				t.Errorf("%v, want %v", got, l)
			}
		}},
		{"Retrieve: You must supply the unique identifier of the file link.", func(t *testing.T, c *client, file string) {
			c.do(t, "GET", "/file-links/"+nobody, "").fails(t, 404, "not_found", "not_found id")
			c.do(t, "GET", "/file-links/", "").fails(t, 404, "not_found", "not_found")
		}},
		{"Retrieve: The identifier of the file link to be retrieved.", func(t *testing.T, c *client, file string) {
			c.do(t, "GET", "/file-links/"+file, "").fails(t, 404, "not_found", "not_found id")
			id := c.link(t, file, soon).text("id")
			c.do(t, "GET", "/file-links/"+id, "").want(t, 200).is(t, map[string]string{"id": id})
		}},
		{"Updates an existing file link. /file-links/{id}", func(t *testing.T, c *client, file string) {
			l := c.link(t, file, soon)
			const later = "2026-03-04T20:36:00Z"
			got := c.do(t, "POST", "/file-links/"+l.text("id"), `{"expiresTime":"`+later+`"}`).want(t, 200)
			got.is(t, map[string]string{"id": l.text("id"), "url": l.text("url"), "expiresTime": later, "createdTime": l.text("createdTime")})
			c.do(t, "GET", "/file-links/"+l.text("id"), "").want(t, 200).is(t, map[string]string{"expiresTime": later})
		}},
		{"Expired links can no longer be updated.", func(t *testing.T, c *client, file string) {
			id := c.link(t, file, soon).text("id")
			c.Clock.Advance(time.Hour)
			c.do(t, "POST", "/file-links/"+id, `{"expiresTime":"2026-03-05T00:00:00Z"}`).fails(t, 409, "conflict", "restricted_update")
			c.do(t, "GET", "/file-links/"+id, "").want(t, 200).is(t, map[string]string{"expired": "true", "expiresTime": soon})
		}},
		{"Update: The identifier of the file link to be updated.", func(t *testing.T, c *client, file string) {
			c.do(t, "POST", "/file-links/"+nobody, `{"expiresTime":"`+soon+`"}`).fails(t, 404, "not_found", "not_found id")
		}},
		{"Update: A future timestamp, after which the link will no longer be usable. 2020-04-25T20:36:00Z", func(t *testing.T, c *client, file string) {
			id := c.link(t, file, soon).text("id")
			c.do(t, "POST", "/file-links/"+id, `{}`).fails(t, 400, "bad_request", "missing_parameter expiresTime")
			atTheEnd(t, c, func(expires string) answer {
				return c.do(t, "POST", "/file-links/"+id, fmt.Sprintf(`{"expiresTime":%q}`, expires))
			})
		}},
		{"Permanently deletes a file link. /file-links/{id}", func(t *testing.T, c *client, file string) {
			l := c.link(t, file, soon)
			path := "/file-links/" + l.text("id")
			c.do(t, "DELETE", path, "").want(t, 204)
			for method, body := range map[string]string{"GET": "", "POST": `{"expiresTime":"` + soon + `"}`, "DELETE": ""} {
				c.do(t, method, path, body).fails(t, 404, "not_found", "not_found id")
			}
			c.listIs(t, "/file-links")
			if a := c.do(t, "GET", l.text("url"), "", "Authorization", ""); a.status != 410 {
				t.Errorf("its URL responds with %d", a.status)
			}
		}},
		{"Delete: Supply the unique identifier of the file link. FileLink ID", func(t *testing.T, c *client, file string) {
			c.do(t, "DELETE", "/file-links/"+nobody, "").fails(t, 404, "not_found", "not_found id")
			c.do(t, "DELETE", "/file-links", "").fails(t, 405, "method_not_allowed", "method_not_allowed")
		}},
		{"Delete: No body", func(t *testing.T, c *client, file string) {
			a := c.do(t, "DELETE", "/file-links/"+c.link(t, file, soon).text("id"), "", "Content-Type", "")
			if a.status != 204 || len(a.body) > 0 {
				t.Errorf("%d %q", a.status, a.body)
			}
			if e := c.Entries(t, c.Ledger(sluice.Test)); e[len(e)-1].Action != sluice.LinkEnded {
				t.Errorf("the last entry is %s", e[len(e)-1].Action)
			}
		}},
	} {
		t.Run(s.text, func(t *testing.T) {
			c := newClient(t)
			s.holds(t, c, c.file(t))
		})
	}
}
