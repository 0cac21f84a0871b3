package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"sluice"
	"sluice/api"
	"sluice/client"
)

func Example() {
	url, key := exampleServer()
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c, err := client.New(url, key)
	if err != nil {
		log.Fatal(err)
	}
	report := strings.NewReader("Sales went up.\n") // any io.Reader, such as a file; it is streamed
	file, err := c.Upload(ctx, report, client.NewFile{Purpose: "report", Filename: "q3.txt"})
	if err != nil {
		log.Fatal(err)
	}
	link, err := c.MintLink(ctx, file.ID, api.NewLink{Reason: "quarterly report for the bank"})
	if err != nil {
		log.Fatal(err)
	}
	// Anyone with link.URL can download the file. The copy appears once it is complete and its SHA-256 is verified.
	done, err := c.DownloadFile(ctx, link.URL, filepath.Join(dir, "q3.txt"), client.DownloadOptions{SHA256: file.SHA256})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Size, "bytes")
	// Output: 15 bytes
}

func ExampleError() {
	ctx := context.Background()
	c := exampleClient()
	_, err := c.File(ctx, "file_01jd3x2m0000000000000000aa")
	var e *client.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code, e.Status, e.Code == sluice.CodeNotFound)
	}
	// Output: not_found 404 true
}

func ExampleClient_Files() {
	ctx := context.Background()
	c := exampleClient()
	for _, name := range []string{"a.txt", "b.txt"} {
		_, err := c.Upload(ctx, strings.NewReader("text"), client.NewFile{Purpose: "evidence", Filename: name})
		if err != nil {
			log.Fatal(err)
		}
	}
	for file, err := range c.Files(ctx, api.FileQuery{Purpose: "evidence"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(file.Filename, file.Size)
	}
	// Output:
	// b.txt 4
	// a.txt 4
}

func ExampleClient_UpdateLink() {
	ctx := context.Background()
	c := exampleClient()
	file, err := c.Upload(ctx, strings.NewReader("text"), client.NewFile{Purpose: "report", Link: &api.NewLink{}})
	if err != nil {
		log.Fatal(err)
	}
	lifetime := api.Lifetime(60) // seconds
	change := api.LinkChange{ExpiresInSeconds: &lifetime, MaxDownloads: api.Some(int64(1))}
	link, err := c.UpdateLink(ctx, file.Link.ID, change)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.RevokeLink(ctx, link.ID); err != nil {
		log.Fatal(err)
	}
	var e *client.Error
	_, err = c.Download(ctx, link.URL, os.Stdout, client.DownloadOptions{})
	if errors.As(err, &e) {
		fmt.Println(*link.MaxDownloads, e.Code, e.Reason)
	}
	// Output: 1 gone revoked
}

func ExampleIdempotencyKey() {
	ctx := context.Background()
	c := exampleClient()
	var ids []string
	for range 2 { // for example by a program that was restarted
		key, err := c.CreateKey(ctx, api.NewKey{Name: "billing"}, client.IdempotencyKey("create billing key"))
		if err != nil {
			log.Fatal(err)
		}
		ids = append(ids, key.ID)
	}
	fmt.Println(ids[0] == ids[1])
	// Output: true
}

func ExampleClient_Entries() {
	ctx := context.Background()
	c := exampleClient()
	file, err := c.Upload(ctx, strings.NewReader("text"), client.NewFile{Purpose: "report"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.HoldFile(ctx, file.ID); err != nil {
		log.Fatal(err)
	}
	for entry, err := range c.Entries(ctx, api.EntryQuery{EntryFilter: api.EntryFilter{FileID: file.ID}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(entry.Action, entry.Outcome)
	}
	// Output:
	// file.held allowed
	// file.created allowed
}
