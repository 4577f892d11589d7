// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
)

// escapes are those that JSON, YAML and shells write into a string, once or
// several times over: line ends, tabs, slashes and characters by their number.
var escapes = regexp.MustCompile(`\\+(?:[rnt/]|u[0-9A-Fa-f]{4})`)

func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	return escapes.ReplaceAllStringFunc(text, func(escape string) string {
		switch name := strings.TrimLeft(escape, `\`); name[0] {
		case '/':
			return "/"
		case 'u':
			r, _ := strconv.ParseUint(name[1:], 16, 16) // the expression matched four digits
			return string(rune(r))
		}
		return "\n"
	})
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
