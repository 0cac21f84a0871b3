package report

import (
	"os"
	"testing"
)

func TestReport(t *testing.T) {
	l := newLog(t).story()
	data := l.report(map[string]string{"recipient": "ann@bank.example"}, l.entries...)
	os.WriteFile("/tmp/verifier/r.html", data, 0o644)
	c, err := Check(data, "")
	if err != nil {
		t.Fatalf("%v %s", err, AsFault(err).Check)
	}
	t.Logf("%+v", c.Head)
}
