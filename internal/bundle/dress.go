// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
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

// maxLayers is how many encodings are taken off a value.
const maxLayers = 1

// undressed is what stands under the encodings of a value.
type undressed struct {
	core   []byte
	layers []string // the encodings that were taken off, the outermost first
}

// undress takes encodings off a value until PEM or a binary format appears.
func undress(value []byte) undressed {
	u := undressed{core: value}
	for len(u.layers) < maxLayers && !holdsPEM(u.core) && !isBinary(u.core) {
		inner, layer := peel(u.core)
		if inner == nil {
			break
		}
		u.core, u.layers = inner, append(u.layers, layer)
	}
	return u
}

// peel takes the outermost encoding off a value. It returns nothing where there is none.
func peel(value []byte) (inner []byte, layer string) {
	return decodeBase64(value), "base64"
}

func holdsPEM(value []byte) bool { return bytes.Contains(value, []byte(pemBegin)) }

// decodeBase64 returns nothing where text is not base64.
func decodeBase64(text []byte) []byte {
	digits := bytes.TrimRight(bytes.Join(bytes.Fields(text), nil), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(string(digits))
	if err != nil || len(decoded) == 0 {
		return nil
	}
	return decoded
}
