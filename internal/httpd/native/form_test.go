package native

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
)

// readForm reads a form as the service does.
func readForm(body []byte) (n service.NewFile, content []byte, err error) {
	form, err := openForm(bytes.NewReader(body), "multipart/form-data; boundary=cut")
	if err != nil {
		return n, nil, err
	}
	file, err := form.untilFile()
	if err != nil {
		return n, nil, err
	}
	if content, err = io.ReadAll(file); err != nil {
		return n, nil, err
	}
	n, err = form.describe()
	return n, content, err
}

// FuzzForm reads arbitrary forms. An invalid form fails with a code for a client error; a valid one reads the same
// with the standard library.
func FuzzForm(f *testing.F) {
	head := "--cut\r\nContent-Disposition: form-data; name="
	whole := head + "\"purpose\"\r\n\r\ngeneric\r\n" + head + "\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n" + head +
		"\"metadata[k]\"\r\n\r\nv\r\n--cut--\r\n"
	for _, seed := range []string{
		whole, "", "--cut--", strings.ReplaceAll(whole, "\r\n", "\n"), whole[:len(whole)/2], whole + whole,
		strings.ReplaceAll(whole, "--cut", "--cut-"),
		head + "\"metadata\"\r\n\r\n{\"a\":\"1\"}\r\n" + whole, strings.Replace(whole, "a.txt", "%22\\\"%0D%0A../x", 1),
		strings.Repeat(head+"a\r\n\r\n\r\n", 90),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, content, err := readForm(body)
		if err != nil {
			if code := sluice.CodeOf(err); code != sluice.CodeValidation && code != sluice.CodeTooLarge {
				t.Fatalf("%v", err)
			}
			return
		}
		std, err := multipart.NewReader(bytes.NewReader(body), "cut").ReadForm(1 << 20)
		if err != nil {
			t.Fatalf("the standard library says %v", err)
		}
		defer std.RemoveAll()
		if got := strings.Join(std.Value["purpose"], "\x00"); got != n.Purpose {
			t.Fatalf("purpose %q, the standard library says %q", n.Purpose, got)
		}
		want := strings.Join(std.Value["file"], "\x00")
		for _, h := range std.File["file"] {
			file, err := h.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(file)
			file.Close()
			want = string(b)
		}
		if string(content) != want {
			t.Fatalf("content %q, the standard library says %q", content, want)
		}
	})
}

// TestFormBudget checks the budget of text in a form, wherever the text is. The file does not count.
func TestFormBudget(t *testing.T) {
	head := "--cut\r\nContent-Disposition: form-data; name="
	purpose, end := head+"purpose\r\n\r\ngeneric\r\n", "--cut--\r\n"
	file := func(size int) string { return head + "file\r\n\r\n" + strings.Repeat("x", size) + "\r\n" }
	line := strings.Repeat("x", 1000) + "\r\n"
	heads := head + "title\r\n" + strings.Repeat("X: "+line, 600) + "\r\n\r\n"
	for name, test := range map[string]struct {
		body string
		code sluice.Code
	}{
		"a large file":             {purpose + file(2<<20) + end, ""},
		"text before":              {strings.Repeat(line, 600) + purpose + file(1) + end, sluice.CodeTooLarge},
		"text after":               {purpose + file(1) + end + strings.Repeat(line, 600), ""},
		"heads before":             {purpose + heads + file(1) + end, sluice.CodeTooLarge},
		"heads after":              {purpose + file(1) + heads + end, sluice.CodeTooLarge},
		"heads after a large file": {purpose + file(2<<20) + heads + end, sluice.CodeTooLarge},
		"a head that is too long": {head + "file\r\nX: " + strings.Repeat("x", 600<<10) + "\r\n\r\n\r\n" + end,
			sluice.CodeTooLarge},
		"a preamble without a newline": {strings.Repeat("x", 600<<10) + "\r\n" + purpose + file(1) + end,
			sluice.CodeValidation},
	} {
		if _, _, err := readForm([]byte(test.body)); sluice.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want code %q", name, err, test.code)
		}
	}
}
