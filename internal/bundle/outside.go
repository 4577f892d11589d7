// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"regexp"
	"strings"
	"unicode"
)

// checkOutside judges the text before, between and after PEM blocks. People and
// tools write explanations there, which are ignored; what was meant to be a block
// is not. Beside no block at all, data is recognised by other means.
func checkOutside(text string, besideBlock bool) error {
	for line := range strings.FieldsFuncSeq(text, isLineEnd) {
		if damagedMark.MatchString(skeletonOf(line)) {
			return errDamagedMark
		}
	}
	if besideBlock && holdsData(text) {
		return errOutside
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
