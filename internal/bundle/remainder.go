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

// holdsData reports whether a text beside PEM blocks holds what was meant to be one,
// in whatever encoding. It is known by its beginning, or, as it may be cut anywhere, by
// its looks: words and names rarely change between small letters, capitals, digits and
// signs, encoded bytes do so all the time. Successive lines are judged together.
func holdsData(text string) bool {
	var run strings.Builder
	for line := range strings.FieldsFuncSeq(text, isLineEnd) {
		if beginsData(line) {
			return true
		}
		digits := digitsOf(line)
		run.WriteString(digits)
		if digits != "" && !strings.HasSuffix(digits, "=") {
			continue
		}
		if looksEncoded(run.String()) {
			return true
		}
		run.Reset()
	}
	return looksEncoded(run.String())
}

func isLineEnd(r rune) bool { return r == '\r' || r == '\n' }

// digitsOf returns what a line has but for its decoration, if that is one word or
// groups of one length, as encoders write; empty for all other lines. A colon is in
// headers, and in the hexadecimal of openssl's explanations.
func digitsOf(line string) string {
	line = strings.Trim(line, " \t\u00a0\"'`,;\\>#|*+/()[]{}")
	if strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII || r == ':' }) {
		return ""
	}
	words := strings.Fields(line)
	if len(words) > 1 && strings.Trim(words[0], "0123456789abcdef") == "" && len(words[0]) != len(words[1]) {
		words = words[1:] // the number of the line
	}
	for i, word := range words {
		if last := i == len(words)-1; len(word) > len(words[0]) || !last && len(word) < len(words[0]) {
			return ""
		}
	}
	return strings.Join(words, "")
}

const (
	// shortestData is what the shortest private key takes in base64. The digests that
	// explanations hold take less.
	shortestData = 64
	// shortestRecoded is less than any certificate takes in other encodings, and more
	// than any digest.
	shortestRecoded = 256
)

// looksEncoded judges digits by how often neighbours are of different classes. Random
// base64 changes in 64 of 100 places, hexadecimal in 47, base32 in 20, and lists of
// numbers in more than 60. Paths change less, and have more slashes than base64.
func looksEncoded(digits string) bool {
	digits = strings.TrimRight(digits, "=")
	size := len(digits)
	if size < shortestData {
		return false
	}
	var count [4]int
	changes, before := 0, -1
	for i := range size {
		class := classOf(digits[i])
		count[class]++
		if class != before {
			changes++
		}
		before = class
	}
	percent := func(n int) int { return 100 * n / size }
	switch {
	case count[lower] > 0 && count[upper] > 0:
		return count[digit] > 0 && percent(changes) >= 40 && percent(count[sign]) <= 10 && base64Digits.MatchString(digits)
	case size < shortestRecoded:
		return false
	case count[sign] == 0:
		return percent(changes) >= 12
	}
	return percent(changes) >= 60 && percent(count[sign]) >= 15
}

const (
	lower = iota
	upper
	digit
	sign
)

func classOf(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return lower
	case 'A' <= c && c <= 'Z':
		return upper
	case '0' <= c && c <= '9':
		return digit
	}
	return sign
}

var (
	base64Digits = regexp.MustCompile(`^[A-Za-z0-9+/_-]+$`)
	base64Words  = regexp.MustCompile(`[A-Za-z0-9+/][A-Za-z0-9+/_-]{15,}`)
	// hexBeginning is how certificates, keys and PEM begin in hexadecimal: a sequence
	// that begins with a long sequence or the number of a version, or five dashes.
	// Signatures, which openssl explains in hexadecimal, are sequences of long numbers.
	hexBeginning = regexp.MustCompile(`(?i)\b(?:0x)?30` + sep + `(?:` + sep + `[0-7][0-9a-f]|81` + sep + `[0-9a-f]{2}|82(?:` + sep + `[0-9a-f]{2}){2})` + sep +
		`(?:30` + sep + `8[0-3]|02` + sep + `01` + sep + `0[0-3])|\b(?:0x)?2d(?:` + sep + `2d){4}`)
)

// sep is what stands between two bytes in hexadecimal.
const sep = `[ :,]{0,2}(?:0x)?`

// beginsData reports whether encoded data begins in a line.
func beginsData(line string) bool {
	for _, word := range base64Words.FindAllString(line, -1) {
		if isMixed(word) && beginsBlock(word) {
			return true
		}
	}
	return hexBeginning.MatchString(line)
}

// isMixed reports whether a word is of both cases and digits, which tells base64
// from hexadecimal.
func isMixed(word string) bool {
	return strings.ContainsFunc(word, unicode.IsLower) && strings.ContainsFunc(word, unicode.IsUpper) && strings.ContainsFunc(word, unicode.IsDigit)
}

// beginsBlock reports whether base64 begins as a certificate or a key in DER does,
// or as PEM, in UTF-16 as well, or as base64 of them. The word may have been cut
// anywhere.
func beginsBlock(word string) bool {
	decoded, _ := base64.RawStdEncoding.DecodeString(urlDigits.Replace(word)) // what comes before an error counts
	for _, begin := range []string{pemBegin, "-\x00-\x00", "\xff\xfe-\x00"} {
		if bytes.HasPrefix(decoded, []byte(begin)) {
			return true
		}
	}
	return beginsDER(decoded) || len(decoded) >= 8 && base64Digits.Match(bytes.TrimRight(decoded, "=\r\n")) && beginsBlock(string(decoded))
}

// urlDigits turns the alphabet for URLs into that of PEM.
var urlDigits = strings.NewReplacer("-", "+", "_", "/")

// beginsDER reports whether bytes begin with a sequence that begins as those of
// certificates, keys and their containers do. They may have been cut.
func beginsDER(der []byte) bool {
	if len(der) < 6 || der[0] != 0x30 {
		return false
	}
	inner := 2
	switch length := int(der[1]); {
	case length > 0x80 && length < 0x84:
		inner += length - 0x80
	case length < len(der)-inner || length > 0x80:
		return false
	}
	return der[inner] == 0x30 || der[inner] == 0x02 || der[inner] == 0x06
}
