// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescape undoes escapes, those of HTML and XML as well. It is no regular expression, whose
// matches would take hundreds of bytes each.
func unescape(text string) string {
	if strings.Contains(text, "&") {
		text = html.UnescapeString(text)
	}
	var plain strings.Builder
	for {
		i := strings.IndexAny(text, `\%`)
		if i < 0 {
			break
		}
		plain.WriteString(text[:i])
		text = text[i:]
		length, known := escapeLength(text)
		if known {
			plain.WriteString(unescapeOne(text[:length]))
		} else {
			plain.WriteString(text[:length])
		}
		text = text[length:]
	}
	if plain.Len() == 0 {
		return text
	}
	plain.WriteString(text)
	return plain.String()
}

// escapeLength returns how long the escape is that a text begins with: one of those that
// programming languages, JSON, YAML, shells and URLs write into a string, once or several times
// over: letters for line ends, characters by their number, a backslash before signs and before
// the end of a line. PEM has neither backslashes nor percent signs. Where it is none, it returns
// how much of the text can be passed over.
func escapeLength(text string) (length int, known bool) {
	if text[0] == '%' {
		return percentLength(text)
	}
	slashes := len(text) - len(strings.TrimLeft(text, `\`))
	name := text[slashes:]
	if name == "" {
		return slashes, false
	}
	length = slashes + nameLength(name)
	return length, length > slashes
}

// percentLength is escapeLength for those of URLs, where a percent sign may itself be escaped.
func percentLength(text string) (length int, known bool) {
	last := 1
	for strings.HasPrefix(text[last:], "25") {
		last += 2
	}
	for ; last > 0; last -= 2 {
		if areDigits(text[last:], 2, 16) {
			return last + 2, true
		}
	}
	return 1, false
}

// nameLength is how much of a text belongs to an escape behind its backslash; 0 where it is none.
func nameLength(name string) int {
	c, size := utf8.DecodeRuneInString(name)
	switch {
	case strings.ContainsRune("rnt", c):
		return 1
	case c == 'u' && areDigits(name[1:], 4, 16):
		return 5
	case c == 'U' && areDigits(name[1:], 8, 16):
		return 9
	case c == 'x' && areDigits(name[1:], 2, 16):
		return 3
	case (c == 'u' || c == 'x') && strings.HasPrefix(name[1:], "{"):
		digits, _, closed := strings.Cut(name[2:min(len(name), 9)], "}")
		if closed && digits != "" && areDigits(digits, len(digits), 16) {
			return len(digits) + 3
		}
	case '0' <= c && c <= '3' && areDigits(name[1:], 2, 8):
		return 3
	case !isASCIILetterOrDigit(c):
		return size
	}
	return 0
}

func isASCIILetterOrDigit(c rune) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// areDigits reports whether a text begins with so many digits of a base.
func areDigits(text string, n, base int) bool {
	if len(text) < n {
		return false
	}
	for _, c := range []byte(text[:n]) {
		if d := strings.IndexByte("0123456789abcdef", c|0x20); d < 0 || d >= base || c < '0' {
			return false
		}
	}
	return true
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
