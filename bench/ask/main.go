// Ask repeats one HTTP request on several open connections and measures the
// responses, like wrk. Unlike wrk, it supports responses without a body, such
// as those to HEAD. It prints its results in the format of downloads.lua and
// fails if a response has an unexpected status.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("ask: ")
	method := flag.String("method", "GET", "method")
	header := flag.String("header", "", "a header to send, as `Name: value`")
	status := flag.Int("status", http.StatusOK, "expected status of every response")
	connections := flag.Int("connections", 32, "connections")
	duration := flag.Duration("duration", 5*time.Second, "how long to run")
	flag.Parse()
	request, err := http.NewRequest(*method, flag.Arg(0), nil)
	if err != nil {
		log.Fatal(err)
	}
	if name, value, ok := strings.Cut(*header, ":"); ok {
		request.Header.Set(textproto.TrimString(name), textproto.TrimString(value))
	}

	var wire strings.Builder
	if err := request.Write(&wire); err != nil {
		log.Fatal(err)
	}
	clients := make([]client, *connections)
	var all sync.WaitGroup
	start := time.Now()
	for i := range clients {
		all.Go(func() {
			if err := clients[i].ask(request, wire.String(), *status, start.Add(*duration)); err != nil {
				log.Fatal(err)
			}
		})
	}
	all.Wait()
	report(clients, time.Since(start))
}

// client is one connection and its measurements.
type client struct {
	took  []time.Duration
	bytes int64
}

func (c *client) ask(request *http.Request, wire string, status int, until time.Time) error {
	conn, err := net.Dial("tcp", request.URL.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for start := time.Now(); start.Before(until); start = time.Now() {
		if _, err := io.WriteString(conn, wire); err != nil {
			return err
		}
		answer, err := http.ReadResponse(answers, request)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, answer.Body)
		if err != nil {
			return err
		}
		if answer.StatusCode != status {
			return fmt.Errorf("unexpected response: %s", answer.Status)
		}
		c.took, c.bytes = append(c.took, time.Since(start)), c.bytes+n
	}
	return nil
}

func report(clients []client, elapsed time.Duration) {
	var took []time.Duration
	var bytes int64
	for _, c := range clients {
		took, bytes = append(took, c.took...), bytes+c.bytes
	}
	if len(took) == 0 {
		log.Fatal("no responses")
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return took[int(share*float64(len(took)-1))].Seconds() * 1000
	}
	fmt.Printf("%.0f %.1f %.3f %.3f %d 0\n", float64(len(took))/elapsed.Seconds(), float64(bytes)/1e6/elapsed.Seconds(),
		at(0.50), at(0.99), len(took))
}
