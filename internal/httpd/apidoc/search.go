package apidoc

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// searchEntry is something that the search finds: a page, a section, an operation, an object or an error.
type searchEntry struct {
	Title string `json:"t"`
	Href  string `json:"h"` // from /docs/
	Kind  string `json:"k"`
	Text  string `json:"x"` // the words by which it is found besides
}

// namesOf returns the names of members.
func namesOf(tables ...[]docMember) string {
	var names []string
	for _, m := range slices.Concat(tables...) {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

var wordOfText = regexp.MustCompile(`[\p{L}\p{N}_*-]{2,}(?:[\[.:][\p{L}\p{N}_-]+\]?)*`)

// words returns the distinct words of a text in lower case, without those of the title and the most frequent ones.
func words(text, title string) string {
	seen := map[string]bool{}
	for _, word := range append(strings.Fields(frequent), wordOfText.FindAllString(strings.ToLower(title), -1)...) {
		seen[word] = true
	}
	var list []string
	for _, word := range wordOfText.FindAllString(strings.ToLower(text), -1) {
		if !seen[word] {
			seen[word] = true
			list = append(list, word)
		}
	}
	return strings.Join(list, " ")
}

const frequent = "a all also an and any are as at be been by can cannot each for from has have if in is it its no " +
	"not of on one only or other than that the their them then there they this to until was were what when which " +
	"with without you"

// searchIndex returns all entries as JSON, one a line.
func (s *site) searchIndex() []byte {
	b := bytes.NewBufferString("[")
	for i, e := range s.entries {
		e.Text = words(e.Text, e.Title)
		var line bytes.Buffer
		enc := json.NewEncoder(&line)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil {
			panic(err) // it depends on no input
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(bytes.TrimSpace(line.Bytes()))
	}
	b.WriteString("\n]\n")
	return b.Bytes()
}
