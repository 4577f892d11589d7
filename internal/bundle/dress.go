// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strconv"
	"strings"
)

// escapes are those that programming languages, JSON, YAML, shells and URLs write into
// a string, once or several times over: letters for line ends, characters by their
// number, a backslash before signs and before the end of a line. PEM has neither
// backslashes nor percent signs.
var escapes = regexp.MustCompile(`\\+(?:[rnt]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[ux]\{[0-9A-Fa-f]{1,6}\}|[0-3][0-7]{2}|[^\\0-9A-Za-z])|%(?:25)*[0-9A-Fa-f]{2}`)

// unescape undoes escapes, those of HTML and XML as well.
func unescape(text string) string {
	if strings.Contains(text, "&") {
		text = html.UnescapeString(text)
	}
	if !strings.ContainsAny(text, `\%`) {
		return text
	}
	return escapes.ReplaceAllStringFunc(text, unescapeOne)
}

func unescapeOne(escape string) string {
	if escape[0] == '%' {
		decoded, _ := hex.DecodeString(escape[len(escape)-2:]) // the expression matched two digits
		return string(decoded)
	}
	name := strings.TrimLeft(escape, `\`)
	switch c := name[0]; {
	case len(name) > 1 && strings.IndexByte("uUx", c) >= 0:
		return string(numberOf(strings.Trim(name[1:], "{}"), 16))
	case len(name) > 1 && '0' <= c && c <= '3':
		return string(numberOf(name, 8))
	case strings.IndexByte("rnt", c) >= 0:
		return "\n"
	}
	return name
}

// numberOf reads the digits of a character that an expression matched.
func numberOf(digits string, base int) rune {
	n, _ := strconv.ParseInt(digits, base, 32) // what is larger is no character, and zero neither
	return rune(n)
}

// maxLayers is how many encodings are taken off a value, and maxNames how many names
// and lines of text before one.
const (
	maxLayers = 4
	maxNames  = 8
	// maxNamedBytes bounds the work for a value in which names are passed over.
	maxNamedBytes = 128 << 10
)

// undressed is PEM or binary data, and the encodings that it was found under.
type undressed struct {
	core   []byte
	layers []string // the outermost first
}

// undress takes encodings off a value until PEM or a binary format appears, and passes
// over text before and behind what is encoded. Without such an end there is no telling
// whether a text is encoded: it returns nothing then.
func undress(value []byte) (undressed, bool) {
	if u, ok := peelAll(value); ok {
		return u, true
	}
	if len(value) > maxNamedBytes {
		return undressed{}, false
	}
	text := value
	for range maxNames {
		if first := firstLines(text); len(first) < len(text) {
			if u, ok := peelAll(first); ok {
				return u, true
			}
		}
		i := bytes.IndexAny(text, ":=\r\n")
		if i < 0 {
			break
		}
		text = text[i+1:]
		if u, ok := peelAll(text); ok && len(u.layers) > 0 {
			return u, true
		}
	}
	return undressed{}, false
}

// firstLines returns what a text begins with, but for quotes: up to the next quote, or
// the lines before the first that encoders do not write. A shorter line than those
// before it is their last.
func firstLines(text []byte) []byte {
	text = bytes.TrimLeft(text, " \t\r\n\"'`[{")
	if i := bytes.IndexAny(text, "\"'`,;<>]}"); i >= 0 {
		text = text[:i]
	}
	end, width := 0, 0
	for line := range bytes.Lines(text) {
		digits := bytes.TrimSpace(line)
		if width > 0 && len(digits) > width || bytes.ContainsAny(digits, " #") {
			break
		}
		end += len(line)
		if len(digits) > 0 && len(digits) < width {
			break
		}
		width = max(width, len(digits))
	}
	return text[:end]
}

func peelAll(value []byte) (undressed, bool) {
	u := undressed{core: value}
	for !holdsPEM(u.core) && !isBinary(u.core) {
		inner, layer := peel(u.core)
		if inner == nil || len(u.layers) == maxLayers {
			return undressed{}, false
		}
		u.core, u.layers = inner, append(u.layers, layer)
	}
	return u, true
}

// peel takes the outermost encoding off a value. It returns nothing where there is none.
func peel(value []byte) (inner []byte, layer string) {
	if isUTF16(value) {
		return bytes.ReplaceAll(bytes.Trim(value, "\xff\xfe"), []byte{0}, nil), "UTF-16" // of ASCII; all else is no encoding
	}
	digits := bytes.Trim(trimNULs(value), " \t\r\n\"'`,;{}[]<>")
	if head, data, ok := bytes.Cut(digits, []byte(";base64,")); ok && bytes.HasPrefix(head, []byte("data:")) {
		return decodeBase64(data), "a data: URI"
	}
	if inner := decodeHex(digits); inner != nil {
		return inner, "hexadecimal"
	}
	return decodeBase64(digits), "base64"
}

func holdsPEM(value []byte) bool { return bytes.Contains(value, []byte(pemBegin)) }

// decodeBase64 returns nothing where digits are not base64, of either alphabet, in
// lines or not, with or without padding.
func decodeBase64(digits []byte) []byte {
	digits = bytes.TrimRight(digits, "= \t\r\n")
	if !consistsOf(digits, func(c byte) bool { return classOf(c) != sign || strings.IndexByte("+/-_ \t\r\n", c) >= 0 }) {
		return nil
	}
	plain := make([]byte, 0, len(digits))
	for _, c := range digits {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		plain = append(plain, c)
	}
	decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(plain)))
	n, err := base64.RawStdEncoding.Decode(decoded, plain)
	if err != nil || n == 0 {
		return nil
	}
	return decoded[:n]
}

// decodeHex returns nothing where digits are not hexadecimal, with or without what
// programs write before and between the numbers.
func decodeHex(digits []byte) []byte {
	if !consistsOf(digits, func(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEFx\\:, \t\r\n", c) >= 0 }) {
		return nil
	}
	plain := []byte(hexSigns.Replace(string(digits)))
	n, err := hex.Decode(plain, plain)
	if err != nil || n == 0 {
		return nil
	}
	return plain[:n]
}

var hexSigns = strings.NewReplacer("0x", "", `\x`, "", ":", "", ",", "", " ", "", "\t", "", "\r", "", "\n", "")

func consistsOf(text []byte, isPart func(byte) bool) bool {
	for _, c := range text {
		if !isPart(c) {
			return false
		}
	}
	return true
}
