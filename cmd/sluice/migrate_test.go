package main

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"sluice/sluicetest"
)

func TestMigrateThin(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServer(t, data)
	c := &crashClients{key: p.key, http: nil}
	_ = c
	database, bucket := sluicetest.Postgres(t), sluicetest.S3(t)
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"migrate", "--data", data, "--to-database-url", database, "--to-blob-url", bucket}, &out, &errs)
	t.Logf("%d\n%s%s", code, &out, &errs)
	p.stop()
	out.Reset(); errs.Reset()
	code = run(t.Context(), []string{"migrate", "--data", data, "--to-database-url", database, "--to-blob-url", bucket}, &out, &errs)
	t.Logf("%d\n%s%s", code, &out, &errs)
	_ = io.Discard
}
