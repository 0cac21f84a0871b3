package brand

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Accent is the colour of buttons, links and frames, on the light and the dark page.
type Accent struct{ Light, Dark Shade }

// Shade is a colour, and that of a text on it.
type Shade struct{ Back, Text Colour }

// Colour is a colour of sRGB.
type Colour struct{ R, G, B uint8 }

func (c Colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// MinContrast is the contrast that text must have with its background (WCAG 2.2, success criterion 1.4.3).
const MinContrast = 4.5

// The lightest and darkest areas that text of the accent's colour stands on.
var (
	lightPage = Colour{0xf4, 0xf5, 0xf6}
	darkPage  = Colour{0x1e, 0x20, 0x23}
	white     = Colour{0xff, 0xff, 0xff}
	nearBlack = Colour{0x10, 0x14, 0x1a}
)

// DefaultAccent is the colour of pages without a brand.
func DefaultAccent() Accent { return newAccent(Colour{0x1f, 0x5f, 0xbf}) }

// ParseAccent reads a colour as six hexadecimal digits after #. The colour must have a contrast of MinContrast with
// white, for the text on buttons, and with the light page. The error names the nearest colour that has. The dark page
// gets a lighter colour of the same hue.
func ParseAccent(text string) (Accent, error) {
	digits, ok := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || len(digits) != 6 {
		return Accent{}, fmt.Errorf("%.40q is not a colour such as \"#0b5c4a\"", text)
	}
	c := Colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}
	if found := contrast(c, lightPage); found < MinContrast {
		return Accent{}, fmt.Errorf("%s has a contrast of %.1f:1 with the light page, and text needs %.1f:1; "+
			"the nearest colour that has it is %q", c, found, MinContrast, toward(c, Colour{}, lightPage))
	}
	return newAccent(c), nil
}

func newAccent(c Colour) Accent {
	dark := toward(c, white, darkPage)
	return Accent{Shade{c, white}, Shade{dark, nearBlack}}
}

// toward mixes a colour with as little of another as gives it the contrast that text needs on a page.
func toward(c, other, page Colour) Colour {
	for part := 0; ; part++ {
		mixed := Colour{mix(c.R, other.R, part), mix(c.G, other.G, part), mix(c.B, other.B, part)}
		if part == 100 || contrast(mixed, page) >= MinContrast {
			return mixed
		}
	}
}

// mix returns a with some hundredths of b.
func mix(a, b uint8, part int) uint8 { return uint8((int(a)*(100-part) + int(b)*part + 50) / 100) }

// contrast is the contrast ratio of two colours (WCAG 2.2, definition of contrast ratio), from 1 to 21.
func contrast(a, b Colour) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is the relative luminance of a colour (WCAG 2.2, definition of relative luminance).
func luminance(c Colour) float64 {
	part := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*part(c.R) + 0.7152*part(c.G) + 0.0722*part(c.B)
}
