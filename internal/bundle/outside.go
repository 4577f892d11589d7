// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
)

// isUTF16 reports whether a value holds NUL bytes and is none of the binary formats
// that have them: UTF-16 and UTF-32, with or without a byte order mark, as a whole
// or appended to ASCII.
func isUTF16(value []byte) bool {
	if bytes.HasPrefix(value, []byte{0xff, 0xfe}) || bytes.HasPrefix(value, []byte{0xfe, 0xff}) {
		return true
	}
	_, isContainer := recogniseContainer(value)
	return bytes.IndexByte(value, 0) >= 0 && !isContainer && !isDER(value)
}

// checkOutside judges the text before, between and after PEM blocks. People and
// tools write explanations there, which are ignored; what was meant to be a block
// is not. Beside no block at all, base64 is recognised by other means.
func checkOutside(text string, besideBlock bool) error {
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if damagedMark.MatchString(skeletonOf(line)) {
			return errDamagedMark
		}
		if besideBlock && hasBase64(line) {
			return errOutside
		}
	}
	return nil
}

// damagedMark matches the skeleton of a BEGIN or END line, with two dashes on one
// of its sides at least. Words such as "back-end certificate" have but one.
var damagedMark = func() *regexp.Regexp {
	const mark = `(?:BEGIN|END)[0-9A-F]{0,6}(?:X509|TRUSTED|NEW|ANY|RSA|EC|DSA|SM2|OPENSSH|ENCRYPTED|ENVELOPED|PRIVATE|PUBLIC)*(?:CERTIFICATE|KEY|PKCS7|CMS)`
	return regexp.MustCompile(`--` + mark + `|` + mark + `(?:REQUEST)?--`)
}()

// skeletonOf leaves of a line its letters, in upper case, its digits, and its
// dashes, whichever typography made of them. What damages a mark otherwise goes:
// spaces of any kind, underscores, percent signs.
func skeletonOf(line string) string {
	var skeleton strings.Builder
	for _, r := range line {
		switch {
		case r == '—' || r == '―': // stand for several
			skeleton.WriteString("--")
		case unicode.Is(unicode.Dash, r) || r == '\u00ad':
			skeleton.WriteByte('-')
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			skeleton.WriteRune(unicode.ToUpper(r))
		}
	}
	return skeleton.String()
}

// longWord is longer than the digests that explanations hold, and shorter than the
// lines of PEM.
var longWord = regexp.MustCompile(`[A-Za-z0-9+/]{48,}`)

// hasBase64 reports whether a line has a word as only base64 has it: long, and of
// both cases and digits, which tells it from hexadecimal.
func hasBase64(line string) bool {
	for _, word := range longWord.FindAllString(line, -1) {
		if strings.ContainsFunc(word, unicode.IsLower) && strings.ContainsFunc(word, unicode.IsUpper) && strings.ContainsFunc(word, unicode.IsDigit) {
			return true
		}
	}
	return false
}
