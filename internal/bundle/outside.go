// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"unicode"
)

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
// of its sides at least. No letter stands before the mark, not even beyond a single
// dash: "backend certificate" and "back-end certificate" are words. Behind it stand
// dashes or nothing: "begin certificate chain" is a sentence.
var damagedMark = func() *regexp.Regexp {
	const mark = `(?:BEGIN|END)[0-9A-F]{0,6}(?:X509|TRUSTED|NEW|ANY|RSA|EC|DSA|SM2|OPENSSH|ENCRYPTED|ENVELOPED|PRIVATE|PUBLIC)*(?:CERTIFICATE|KEY|PKCS7|CMS)(?:REQUEST)?`
	return regexp.MustCompile(`--` + mark + `(?:-|$)|(?:^|\d|--|(?:^|\d)-)` + mark + `--`)
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

const (
	// longWord is longer than most digests that explanations hold.
	longWord = 48
	// fullLine is what a line of PEM has at least, the last of a block excepted.
	fullLine = 60
)

var base64Word = regexp.MustCompile(`[A-Za-z0-9+/]+`)

// hasBase64 reports whether a line is part of a block that lost its marks: base64
// and nothing else, or a word of it in which DER or PEM begins. A path or a pin
// beside other words is neither.
func hasBase64(line string) bool {
	for _, word := range base64Word.FindAllString(line, -1) {
		if len(word) < longWord || !isMixed(word) {
			continue
		}
		if len(word) >= fullLine && strings.Trim(line, " \t\"',;=\\") == word || beginsBlock(word) {
			return true
		}
	}
	return false
}

// isMixed reports whether a word is of both cases and digits, which tells base64
// from hexadecimal.
func isMixed(word string) bool {
	return strings.ContainsFunc(word, unicode.IsLower) && strings.ContainsFunc(word, unicode.IsUpper) && strings.ContainsFunc(word, unicode.IsDigit)
}

// beginsBlock reports whether base64 begins as a certificate or a key in DER does,
// or as PEM. The word may have been cut anywhere.
func beginsBlock(word string) bool {
	decoded, _ := base64.RawStdEncoding.DecodeString(word) // what comes before an error counts
	if bytes.HasPrefix(decoded, []byte(pemBegin)) {
		return true
	}
	return len(decoded) > 1 && decoded[0] == 0x30 &&
		(decoded[1] >= 0x81 && decoded[1] <= 0x83 || int(decoded[1]) == len(decoded)-2)
}
