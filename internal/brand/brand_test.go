package brand

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const drawing = `<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>`

func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write makes a folder with a brand file and some logos, and returns the path of the brand file.
func write(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	for name, data := range map[string][]byte{
		"brand.yaml": []byte(text), "logo.svg": []byte(drawing), "logo.png": picture(t, 20, 10),
		"wide.png": picture(t, MaxLogoSide+1, 1), "cut.png": picture(t, 20, 10)[:40],
		"large.svg": []byte(drawing + strings.Repeat(" ", MaxLogo)), "page.svg": []byte("<html/>"),
		"two.svg": []byte("<svg>"), "none.svg": nil,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "brand.yaml")
}

func TestLoad(t *testing.T) {
	got, err := Load(write(t, `
name: Northwind <Bank> & Söhne
logo: logo.svg
accent: "#0b5c4a"
contact: files@northwind.example
imprint: https://northwind.example/imprint
privacy: "https://northwind.example/privacy?a=1&b=2"
footer: |
  Northwind Bank AG
  Zürich
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Brand{
		Name: "Northwind <Bank> & Söhne", Logo: &Logo{"image/svg+xml", []byte(drawing)},
		Accent:  newAccent(Colour{0x0b, 0x5c, 0x4a}),
		Contact: "mailto:files@northwind.example", Imprint: "https://northwind.example/imprint",
		Privacy: "https://northwind.example/privacy?a=1&b=2", Footer: "Northwind Bank AG\nZürich",
	}
	if !reflect.DeepEqual(got, want) || got.ContactText() != "files@northwind.example" {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if got, err := Load(write(t, "logo: logo.png\ncontact: https://help.example/\nname:\n")); err != nil ||
		got.Logo.Type != "image/png" || got.ContactText() != "help.example" ||
		!strings.HasPrefix(got.Logo.DataURL(), "data:image/png;base64,iVBOR") {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLoadRefuses reads files that are wrong. The error says where, and what is expected.
func TestLoadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "the file is not a mapping",
		"- a":                                 "the file is not a mapping",
		"name: [a":                            "yaml: line 1",
		"name: a\nname: b":                    "line 2: name is there twice",
		"name: [a]":                           "line 1: name must be a text",
		"name: a\ncolour: b":                  "line 2: colour: there is no such member; the members are name,",
		"name: " + strings.Repeat("ü", 101):   "name: the limit is 100 characters, and the text has 101",
		`name: "a\u202eb"`:                    "name: the text contains a control character",
		"footer: " + strings.Repeat("a", 501): "footer: the limit is 500 characters, and the text has 501",
		`footer: "a\tb"`:                      "footer: the text contains a control character",
		"logo: nothing.svg":                   "nothing.svg: no such file or directory",
		"logo: .":                             "this is not a file",
		"logo: wide.png":                      "wide.png: the PNG has 2001 × 1 pixels; the limit is 2000 for each side",
		"logo: cut.png":                       "cut.png: the PNG is damaged",
		"logo: large.svg":                     "large.svg: the file is larger than 65536 bytes",
		"logo: page.svg":                      "page.svg: the file is neither a PNG nor an SVG: its root is not svg",
		"logo: two.svg":                       "two.svg: the file is neither a PNG nor an SVG",
		"logo: none.svg":                      "none.svg: the file is neither a PNG nor an SVG",
		`accent: "#ffee00"`: "accent: #ffee00 has a contrast of 1.1:1 with the light page, and text needs 4.5:1; " +
			"the nearest colour that has it is \"#7a7200\"",
		`accent: green`:                                           `accent: "green" is not a colour such as "#0b5c4a"`,
		`accent: "#fff"`:                                          `accent: "#fff" is not a colour`,
		`accent: "#+1234a"`:                                       `is not a colour`,
		"contact: javascript:alert(1)":                            "is neither an e-mail address nor a URL with https,",
		"contact: Ann <ann@bank.example>":                         "is neither an e-mail address nor a URL",
		"contact: 'mailto:a b'":                                   "the address contains a space",
		"imprint: javascript:alert(1)":                            "is not a URL with https or http",
		"privacy: https://":                                       "is not a URL with https or http",
		"privacy: https://a:b@c.example":                          "is not a URL with https or http",
		"imprint: https://a.example/" + strings.Repeat("a", 1000): "the limit is 1000 bytes, and the address has 1018",
		"footer: a # " + strings.Repeat("a", MaxFile):             "the file is larger than 65536 bytes",
	} {
		path := write(t, text)
		_, err := Load(path)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q:\n got %v\nwant %s", text, err, want)
		}
	}
	_, err := Load("/nowhere/brand.yaml")
	if err == nil || err.Error() != "/nowhere/brand.yaml: no such file or directory" {
		t.Errorf("%v", err)
	}
}

// TestContrast compares known ratios, and checks that every accent can be read on both pages and under its own text.
func TestContrast(t *testing.T) {
	if got := contrast(white, Colour{}); got != 21 {
		t.Errorf("black on white: %v", got)
	}
	if got := contrast(Colour{0x76, 0x76, 0x76}, white); got < 4.54 || got > 4.55 { // the well-known lightest grey
		t.Errorf("#767676 on white: %v", got)
	}
	for n := 0; n < 1<<24; n += 7919 {
		a, err := ParseAccent(Colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}.String())
		if err != nil {
			continue
		}
		for name, found := range map[string]float64{
			"light text": contrast(a.Light.Back, a.Light.Text), "light page": contrast(a.Light.Back, lightPage),
			"dark text": contrast(a.Dark.Back, a.Dark.Text), "dark page": contrast(a.Dark.Back, darkPage),
		} {
			if found < MinContrast {
				t.Errorf("%s: %s has %.2f", a.Light.Back, name, found)
			}
		}
	}
}
