package main

import (
	"fmt"
	"os"
	"testing"
)

// startServerTo is startServer with the log in a file.
func startServerTo(t *testing.T, stderr, data string, flags ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	printed, err := os.Create(stderr + ".stdout")
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	cmd := newServe(path, data, printed, flags...)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	eventually(t, func() error {
		log, err := os.ReadFile(stderr)
		if m := listening.FindSubmatch(log); m != nil {
			p.url = "http://" + string(m[1])
			return answers(p.url)
		}
		if err == nil {
			err = fmt.Errorf("it does not listen: %s", log)
		}
		return err
	})
	out, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	p.printed = string(out)
	p.key = secret.FindString(p.printed)
	return p
}

// ended waits until the process exits by itself and returns its exit code, or
// -1 if a signal killed it.
func (p *process) ended(t *testing.T) int {
	t.Helper()
	done := make(chan struct{})
	go func() { p.cmd.Wait(); close(done) }()
	eventually(t, func() error {
		select {
		case <-done:
			return nil
		default:
			return fmt.Errorf("it runs on")
		}
	})
	return p.cmd.ProcessState.ExitCode()
}
