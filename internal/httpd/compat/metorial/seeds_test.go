package metorial_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice"
)

// sentence is a sentence, parameter or example in Metorial's documentation, with its
// test.
type sentence struct {
	text  string
	holds func(t *testing.T, c *client, file string)
}

// hold runs the test of every sentence with a server of its own and a file. Requests
// are as on the page: with a Bearer key, and with nothing else that the page does not
// show.
func hold(t *testing.T, sentences []sentence) {
	for _, s := range sentences {
		t.Run(s.text, func(t *testing.T) {
			c := newClient(t)
			s.holds(t, c, c.file(t))
		})
	}
}

// is fails unless the members of an object have the given values, formatted with %v.
func (o object) is(t *testing.T, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := fmt.Sprint(o[name]); got != value {
			t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
}

// opens checks that a link is public: a request without headers downloads it.
func (c *client) opens(t *testing.T, l object) {
	t.Helper()
	if a := c.do(t, "GET", l.text("url"), "", "Authorization", ""); a.status != 200 || string(a.body) != "hello" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func noLinkHere(method string) func(*testing.T, *client, string) {
	return func(t *testing.T, c *client, file string) {
		other := c.link(t, c.file(t), "").text("id")
		for _, id := range []string{"lin_Rm4Mnheq2bfEPhBhP7SY", other} {
			body := map[string]string{"PATCH": "{}"}[method]
			c.do(t, method, "/files/"+file+"/links/"+id, body).fails(t, 404, "not_found", "fileLink")
		}
		if method == "GET" {
			l := c.link(t, file, "")
			c.do(
				t, method, "/files/"+file+"/links/"+l.text("id"), "",
			).ok(
				t,
			).is(
				t,
				map[string]string{"id": l.text("id")},
			)
		}
	}
}

func noFileHere(method, tail string) func(*testing.T, *client, string) {
	return func(t *testing.T, c *client, file string) {
		tail := strings.Replace(tail, "LINK", c.link(t, file, "").text("id"), 1)
		body := map[string]string{"PATCH": "{}", "POST": "{}"}[method]
		c.do(t, method, "/files/fil_Rm4Mnheq2bfEPhBhP7SY"+tail, body).fails(t, 404, "not_found", "file")
		c.do(t, method, "/files/"+file+tail, body).ok(t)
	}
}

// expiresAt changes the expiry of a link.
func expiresAt(method string) func(*testing.T, *client, string) {
	return func(t *testing.T, c *client, file string) {
		path := "/files/" + file + "/links"
		if method == "PATCH" {
			path += "/" + c.link(t, file, "").text("id")
		}
		for _, at := range []string{"2026-10-15T16:41:26.490Z", "2026-03-04T05:06:09Z"} {
			l := c.do(t, method, path, `{"expires_at": "`+at+`"}`).ok(t)
			got, err := time.Parse(time.RFC3339, l.text("expires_at"))
			want, _ := time.Parse(time.RFC3339, at)
			if err != nil || !got.Equal(want) {
				t.Errorf("expires_at is %v, want %s", l["expires_at"], at)
			}
			c.opens(t, l)
		}
		l := c.do(t, "GET", "/files/"+file+"/links?order=desc&limit=1", "").ok(t)["items"].([]any)[0].(map[string]any)
		c.Clock.Advance(2 * time.Second)
		if a := c.do(t, "GET", l["url"].(string), "", "Authorization", ""); a.status != 410 {
			t.Errorf("after its expiry the link responds with %d", a.status)
		}
	}
}

// endless omits the optional expires_at.
func endless(t *testing.T, c *client, file string) {
	for _, body := range []string{"", "{}"} {
		l := c.link(t, file, body)
		c.Clock.Advance(3 * 365 * 24 * time.Hour)
		if at, given := l["expires_at"]; !given || at != nil {
			t.Errorf("expires_at is %v", at)
		}
		c.opens(t, l)
	}
}

// TestFileLinksPage tests the adapter against the page "File Links".
func TestFileLinksPage(t *testing.T) {
	hold(t, []sentence{
		{"Files are private by default.", func(t *testing.T, c *client, file string) {
			for _, path := range []string{"/files/" + file, "/files", "/files/" + file + "/links"} {
				c.do(t, "GET", path, "", "Authorization", "").fails(t, 401, "unauthorized")
			}
			c.listIs(t, "/files/"+file+"/links")
			c.do(t, "GET", "/files/"+file+"/content", "").fails(t, 404, "not_found", "endpoint")
		}},
		{"If you want to share a file, you can create a link for it.", func(t *testing.T, c *client, file string) {
			c.opens(t, c.link(t, file, "{}"))
		}},
		{
			"Links are public and do not require authentication to access, so be careful with what you share.",
			func(t *testing.T, c *client, file string) {
				l := c.link(t, file, "{}")
				c.opens(t, l)
				entries := c.Entries(t, c.Ledger(sluice.Test))
				if !slices.ContainsFunc(
					entries,
					func(e sluice.Entry) bool { return e.Action == sluice.LinkRedeemed && e.Link.ID == l.text("id") },
				) {
					t.Error("the access is not recorded")
				}
			},
		},
		{"File Links object: items, pagination", func(t *testing.T, c *client, file string) {
			c.upload(
				t, "x",
				field{"purpose", "user_image"},
				field{"file", "sample.png"},
				field{"title", "Sample Image"},
			).ok(
				t,
			)
			list := c.do(t, "GET", "/files", "").ok(t)
			item := object(list["items"].([]any)[1].(map[string]any))
			item.is(t, map[string]string{
				"object": "file", "status": "active", "file_name": "sample.png", "file_size": "1",
				"file_type": "image/png", "title": "Sample Image",
				"purpose": "map[identifier:user_image name:User image]", "created_at": "2026-03-04T05:06:07.890Z",
				"updated_at": "2026-03-04T05:06:07.890Z",
			})
			object(list).is(t, map[string]string{"pagination": "map[has_more_after:false has_more_before:false]"})
			if !strings.HasPrefix(item.text("id"), "file_") {
				t.Errorf("%v", item)
			}
		}},
		{
			"List file links: Returns a list of links associated with a specific file.",
			func(t *testing.T, c *client, file string) {
				var ids []string
				for range 3 {
					ids = append(ids, c.link(t, file, "").text("id"))
					c.Clock.Advance(time.Second)
				}
				c.link(t, c.file(t), "")
				c.listIs(t, "/files/"+file+"/links", ids...)
			},
		},
		{"List file links: file_id: The unique identifier for the file", noFileHere("GET", "/links")},
		{
			"Get file link by ID: Retrieves the details of a specific file link by its ID.",
			func(t *testing.T, c *client, file string) {
				l := c.link(t, file, "")
				got := c.do(t, "GET", "/files/"+file+"/links/"+l.text("id"), "").ok(t)
				if fmt.Sprint(got) != fmt.Sprint(l) {
					t.Errorf("%v, want %v", got, l)
				}
			},
		},
		{"Get file link by ID: file_id: The unique identifier for the file", noFileHere("GET", "/links/LINK")},
		{"Get file link by ID: link_id: The unique identifier for the link", noLinkHere("GET")},
		{"Create file link: Creates a new link for a specific file.", func(t *testing.T, c *client, file string) {
			one, two := c.link(t, file, "{}"), c.link(t, file, "{}")
			if one["id"] == two["id"] || one["url"] == two["url"] {
				t.Errorf("%v %v", one, two)
			}
			one.is(
				t,
				map[string]string{
					"object":     "file.file_link",
					"file_id":    file,
					"created_at": "2026-03-04T05:06:07.890Z",
				},
			)
		}},
		{"Create file link: file_id: The unique identifier for the file", noFileHere("POST", "/links")},
		{"Create file link: expires_at Date", expiresAt("POST")},
		{"Create file link: expires_at Optional", endless},
		{
			"Update file link by ID: Updates a file link’s properties, such as expiration.",
			func(t *testing.T, c *client, file string) {
				l := c.link(t, file, "")
				path := "/files/" + file + "/links/" + l.text("id")
				got := c.do(t, "PATCH", path, `{"expires_at":"`+soon+`"}`).ok(t)
				got.is(
					t,
					map[string]string{
						"expires_at": soon,
						"id":         l.text("id"),
						"url":        l.text("url"),
						"created_at": l.text("created_at"),
					},
				)
				c.do(t, "GET", path, "").ok(t).is(t, map[string]string{"expires_at": soon})
			},
		},
		{"Update file link by ID: file_id: The unique identifier for the file", noFileHere("PATCH", "/links/LINK")},
		{"Update file link by ID: link_id: The unique identifier for the link", noLinkHere("PATCH")},
		{"Update file link by ID: expires_at Date", expiresAt("PATCH")},
		{"Update file link by ID: expires_at Optional", func(t *testing.T, c *client, file string) {
			l := c.link(t, file, `{"expires_at":"`+soon+`"}`)
			for _, body := range []string{"", "{}"} {
				c.do(
					t, "PATCH", "/files/"+file+"/links/"+l.text("id"), body,
				).ok(
					t,
				).is(
					t,
					map[string]string{"expires_at": soon},
				)
			}
		}},
		{"Delete file link by ID: Deletes a specific file link by its ID.", func(t *testing.T, c *client, file string) {
			l, other := c.link(t, file, ""), c.link(t, file, "")
			path := "/files/" + file + "/links/" + l.text("id")
			if got := c.do(t, "DELETE", path, "").ok(t); fmt.Sprint(got) != fmt.Sprint(l) {
				t.Errorf("%v, want %v", got, l)
			}
			for method, body := range map[string]string{"GET": "", "PATCH": "{}", "DELETE": ""} {
				c.do(t, method, path, body).fails(t, 404, "not_found", "fileLink")
			}
			c.listIs(t, "/files/"+file+"/links", other.text("id"))
			if a := c.do(t, "GET", l.text("url"), "", "Authorization", ""); a.status != 410 {
				t.Errorf("the link responds with %d", a.status)
			}
			c.opens(t, other)
		}},
		{"Delete file link by ID: file_id: The unique identifier for the file", noFileHere("DELETE", "/links/LINK")},
		{"Delete file link by ID: link_id: The unique identifier for the link", noLinkHere("DELETE")},
	})
}

// TestFilesPage tests the adapter against the older page "Files".
func TestFilesPage(t *testing.T) {
	hold(t, []sentence{
		{
			"Files are used to store binary data, such as documents, images, or other media.",
			func(t *testing.T, c *client, _ string) {
				all := make([]byte, 256)
				for i := range all {
					all[i] = byte(i)
				}
				f := c.upload(t, string(all), field{"purpose", "generic"}, field{"file", "blob.bin"}).ok(t)
				l := c.link(t, f.text("id"), "")
				if a := c.do(t, "GET", l.text("url"), "", "Authorization", ""); string(a.body) != string(all) {
					t.Errorf("got %d bytes", len(a.body))
				}
			},
		},
		{
			"These files can be attached to messages or utilized in other contexts within the system.",
			func(t *testing.T, c *client, file string) {
				c.do(t, "PATCH", c.URL+"/v1/files/"+file, `{"linked_resources":[{"type":"message","id":"m1"}]}`).ok(t)
				c.do(t, "GET", "/files/"+file, "").ok(t).is(t, map[string]string{"id": file})
			},
		},
		{
			"id: A unique identifier for the file, used to reference the file across the API.",
			func(t *testing.T, c *client, file string) {
				if other := c.file(t); other == file {
					t.Error("two files have one id")
				}
				for _, path := range []string{c.URL + "/v1/files/", c.URL + "/compat/stripe/v1/files/", "/files/"} {
					c.do(t, "GET", path+file, "").ok(t).is(t, map[string]string{"id": file})
				}
			},
		},
		{
			"purpose: Defines the purpose of the file. This determines how and where the file will be used.",
			func(t *testing.T, c *client, _ string) {
				for _, purpose := range []string{"user_image", "organization_image", "generic", "attachment", "report", "invoice"} {
					f := c.upload(t, "x", field{"purpose", purpose}, field{"file", "a.png"}).ok(t)
					if got := f["purpose"].(map[string]any); got["identifier"] != purpose || got["name"] == "" {
						t.Errorf("%v", f)
					}
				}
				f := c.upload(t, "x", field{"purpose", "import"}, field{"file", "a.csv"}).ok(t)
				c.do(t, "POST", "/files/"+f.text("id")+"/links", "{}").fails(t, 403, "forbidden")
			},
		},
		{
			"name: The human-readable name of the file, typically provided during upload.",
			func(t *testing.T, c *client, file string) {
				c.do(
					t, "GET", "/files/"+file, "",
				).ok(
					t,
				).is(
					t,
					map[string]string{"name": "example.txt", "file_name": "example.txt"},
				)
			},
		},
		{
			"size: The size of the file in bytes, representing the file’s storage requirement.",
			func(t *testing.T, c *client, _ string) {
				f := c.upload(t, strings.Repeat("ü", 512), field{"purpose", "attachment"}, field{"file", "a.txt"}).ok(t)
				f.is(t, map[string]string{"size": "1024", "file_size": "1024"})
			},
		},
		{
			`mime_type: The MIME type of the file, indicating its format (e.g., "text/plain" for plain text files).`,
			func(t *testing.T, c *client, file string) {
				f := c.do(t, "GET", "/files/"+file, "").ok(t)
				if !strings.HasPrefix(f.text("mime_type"), "text/plain") || f["mime_type"] != f["file_type"] {
					t.Errorf("%v", f)
				}
			},
		},
		{
			"created_at: The date and time when the file was created, in ISO 8601 format.",
			func(t *testing.T, c *client, file string) {
				c.Clock.Advance(time.Hour)
				c.do(
					t, "GET", "/files/"+file, "",
				).ok(
					t,
				).is(
					t,
					map[string]string{"created_at": "2026-03-04T05:06:07.890Z"},
				)
			},
		},
		{
			"List Files: Retrieve a list of all files, optionally filtered by various criteria.",
			func(t *testing.T, c *client, file string) {
				c.Clock.Advance(time.Second)
				second := c.file(t)
				c.listIs(t, "/files", file, second)
				c.listIs(t, "/files?purpose=attachment&id="+second+"&created_at[gt]=2026-03-04T05:06:07.890Z", second)
			},
		},
		{
			"List Files: id Optional: Filter files by their unique identifiers.",
			func(t *testing.T, c *client, file string) {
				second, third := c.file(t), c.file(t)
				both := []string{file, third}
				slices.Sort(both)
				for _, q := range []string{"id=%s&id=%s", "id=%s,%s", "id[]=%s&id[]=%s", "id[0]=%s&id[1]=%s"} {
					c.listIs(t, "/files?"+fmt.Sprintf(q, file, third), both...)
				}
				c.listIs(t, "/files?id="+second, second)
				c.listIs(t, "/files?id=file_none")
			},
		},
		{
			"List Files: created_at Optional: Filter files based on their creation date.",
			func(t *testing.T, c *client, file string) {
				c.Clock.Advance(time.Second)
				second := c.file(t)
				const at = "2026-03-04T05:06:07.890Z"
				c.listIs(t, "/files?created_at="+at, file)
				c.listIs(t, "/files?created_at[gt]="+at, second)
				c.listIs(t, "/files?created_at[gte]="+at, file, second)
				c.listIs(t, "/files?created_at[lt]="+at)
				c.listIs(t, "/files?created_at[lte]="+at, file)
				c.listIs(t, "/files?created_at[lte]=2026-03-04T06:06:08.89%2B01:00", file, second)
			},
		},
		{
			"List Files: purpose Optional: Filter files by their designated purpose.",
			func(t *testing.T, c *client, file string) {
				c.Clock.Advance(time.Second)
				other := c.upload(t, "x", field{"purpose", "generic"}, field{"file", "a"}).ok(t).text("id")
				c.listIs(t, "/files?purpose=attachment", file)
				c.listIs(t, "/files?purpose=generic", other)
				c.listIs(t, "/files?purpose=generic&purpose=attachment", file, other)
				c.listIs(t, "/files?purpose=user_image")
			},
		},
		{
			"Get File: Retrieve details of a specific file by its unique identifier.",
			func(t *testing.T, c *client, file string) {
				c.do(
					t, "GET", "/files/"+file, "",
				).ok(
					t,
				).is(
					t,
					map[string]string{"id": file, "name": "example.txt", "size": "5"},
				)
			},
		},
		{"Get File: fileId: The unique identifier of the file.", noFileHere("GET", "")},
		{
			"Create File Link: Retrieve a downloadable link for a specific file by its unique identifier.",
			func(t *testing.T, c *client, file string) {
				l := c.link(t, file, "")
				c.opens(t, l)
				// The example on the page is a GET: it retrieves the created link.
				c.listIs(t, "/files/"+file+"/links", l.text("id"))
			},
		},
		{"Create File Link: fileId: The unique identifier of the file.", noFileHere("POST", "/links")},
		{"Create File: Upload a new file to the system.", func(t *testing.T, c *client, _ string) {
			c.upload(
				t, "%PDF",
				field{"purpose", "attachment"},
				field{"file", "new.pdf"},
			).ok(
				t,
			).is(
				t,
				map[string]string{"object": "file", "file_type": "application/pdf", "status": "active"},
			)
		}},
		{
			"After the file is uploaded it it can be referenced by its unique identifier in other API calls.",
			func(t *testing.T, c *client, file string) {
				c.do(t, "GET", "/files/"+file, "").ok(t)
				c.do(t, "PATCH", "/files/"+file, `{"title":"T"}`).ok(t).is(t, map[string]string{"title": "T"})
				c.link(t, file, "")
				c.do(t, "DELETE", "/files/"+file, "").ok(t).is(t, map[string]string{"status": "deleted"})
			},
		},
		{
			"Note that the base URL for this endpoint is different from the other API endpoints",
			func(t *testing.T, c *client, _ string) {
				body, contentType := form("hello", field{"purpose", "attachment"}, field{"file", "a.txt"})
				for _, u := range []string{c.URL + "/compat/metorial/files", c.URL + "/files"} {
					c.do(t, "POST", u, body, "Content-Type", contentType, "Metorial-Version", "2025-01-01-pulsar").ok(t)
				}
			},
		},
		{"Moreover, you should use Multipart Form Data for the request body.", func(t *testing.T, c *client, _ string) {
			c.do(
				t, "POST", "/files", "purpose=attachment", "Content-Type", "application/x-www-form-urlencoded",
			).fails(
				t, 400, "bad_request",
			)
		}},
		{"Create File: purpose: Defines how the file will be used.", func(t *testing.T, c *client, _ string) {
			c.upload(t, "x", field{"file", "a.txt"}).fails(t, 400, "invalid_data", "required purpose")
			c.upload(t, "x", field{"file", "a.txt"}, field{"purpose", "attachment"}).ok(t)
		}},
		{"Create File: file: The binary data of the file to be uploaded.", func(t *testing.T, c *client, _ string) {
			c.upload(t, "x", field{"purpose", "attachment"}).fails(t, 400, "invalid_data", "required file")
			f := c.upload(t, "", field{"purpose", "attachment"}, field{"file", "empty.txt"}).ok(t)
			f.is(t, map[string]string{"size": "0"})
		}},
	})
}
