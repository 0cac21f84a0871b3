package brand

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
)

// Logo is a picture. Pages show it as an image only: a browser runs no script in it, and loads nothing for it.
type Logo struct {
	Type string // image/png or image/svg+xml
	Data []byte
}

// Limits of a logo: bytes of its file, and pixels of each side of a PNG.
const (
	MaxLogo     = 64 << 10
	MaxLogoSide = 2000
)

// DataURL is the logo as a data URL (RFC 2397).
func (l *Logo) DataURL() string {
	return "data:" + l.Type + ";base64," + base64.StdEncoding.EncodeToString(l.Data)
}

// readLogo reads a PNG or an SVG.
func readLogo(path string) (*Logo, error) {
	data, err := readFile(path, MaxLogo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := &Logo{Data: data}
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		l.Type, err = "image/png", checkPNG(data)
	} else {
		l.Type, err = "image/svg+xml", checkSVG(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// checkPNG decodes a PNG, after its size.
func checkPNG(data []byte) error {
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the PNG is damaged: %w", err)
	}
	if config.Width > MaxLogoSide || config.Height > MaxLogoSide {
		return fmt.Errorf("the PNG has %d × %d pixels; the limit is %d for each side", config.Width, config.Height,
			MaxLogoSide)
	}
	if _, err := png.Decode(bytes.NewReader(data)); err != nil {
		return fmt.Errorf("the PNG is damaged: %w", err)
	}
	return nil
}

// checkSVG checks that the data are one XML document whose root is the element svg.
func checkSVG(data []byte) error {
	d, root := xml.NewDecoder(bytes.NewReader(data)), false
	for {
		token, err := d.Token()
		switch {
		case err == io.EOF && root:
			return nil
		case err != nil:
			return errors.New("the file is neither a PNG nor an SVG")
		}
		start, ok := token.(xml.StartElement)
		if !ok || root {
			continue
		}
		if start.Name.Local != "svg" || start.Name.Space != "http://www.w3.org/2000/svg" {
			return errors.New("the file is neither a PNG nor an SVG: its root is not svg of http://www.w3.org/2000/svg")
		}
		root = true
	}
}
