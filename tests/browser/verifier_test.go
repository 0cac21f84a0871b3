package browser

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestVerifierVectors runs the vectors of internal/verifier in a browser. Its own tests run them in Node.
func TestVerifierVectors(t *testing.T) {
	c := newChromium(t)
	files := http.FileServer(http.Dir("../../internal/verifier"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(vectorsPage))
			return
		}
		w.Header().Set("Content-Type", typeOf[r.URL.Path])
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.open(t, s.URL+"/")
	c.until(t, "document.title !== ''")
	if title := ask[string](t, c, "document.title"); title != "done" {
		t.Fatalf("%s: %s", title, ask[string](t, c, "document.body.textContent"))
	}
	if n := ask[int](t, c, "Number(document.body.dataset.run)"); n < 90 {
		t.Errorf("%d vectors ran", n)
	}
}

var typeOf = map[string]string{
	"/verifier.mjs": "text/javascript", "/testdata/vectors.mjs": "text/javascript",
	"/testdata/vectors.json": "application/json",
}

const vectorsPage = `<!doctype html><body><script type="module">
import { cases } from '/testdata/vectors.mjs';
const list = cases(await (await fetch('/testdata/vectors.json')).json()), wrong = [];
for (const [name, run] of list) {
  try {
    const [got, want] = await run();
    if (JSON.stringify(got) !== JSON.stringify(want)) wrong.push([name, got, want]);
  } catch (e) {
    wrong.push([name, String(e)]);
  }
}
document.body.dataset.run = list.length;
document.body.textContent = JSON.stringify(wrong, null, 1);
document.title = wrong.length === 0 ? 'done' : 'wrong';
</script>`
