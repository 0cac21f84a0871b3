// Slow opens many downloads of one URL at once and reads them slowly. It prints
// a line once all have been open for the given time, and fails if one ends
// early.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("slow: ")
	downloads := flag.Int("downloads", 1000, "downloads")
	rate := flag.Int64("rate", 4096, "bytes to read from each per second")
	hold := flag.Duration("hold", 20*time.Second, "how long to keep all of them open")
	flag.Parse()

	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	ended := make(chan error, *downloads)
	var open sync.WaitGroup
	var read atomic.Int64
	for range *downloads {
		open.Add(1)
		go func() { ended <- download(client, flag.Arg(0), *rate, &open, &read) }()
	}
	all := make(chan struct{})
	go func() { open.Wait(); close(all) }()
	select {
	case err := <-ended:
		log.Fatal(err)
	case <-all:
	}
	select {
	case err := <-ended:
		log.Fatal(err)
	case <-time.After(*hold):
	}
	fmt.Printf("%d downloads were open for %v, and read %.1f MB\n", *downloads, *hold, float64(read.Load())/1e6)
}

// dial opens a connection with a small receive buffer, so that the kernel takes
// little more than is read.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetReadBuffer(4096)
}

// download reads slowly until the download ends and returns the cause.
func download(client *http.Client, url string, rate int64, open *sync.WaitGroup, read *atomic.Int64) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("unexpected response: %s", answer.Status)
	}
	open.Done()
	for {
		n, err := io.CopyN(io.Discard, answer.Body, rate)
		read.Add(n)
		if err != nil {
			return fmt.Errorf("a download ended: %w", err)
		}
		time.Sleep(time.Second)
	}
}
