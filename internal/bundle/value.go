// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// maxBlocks bounds the work for blocks that are looked into for what they are.
const maxBlocks = 1024

// readBlocks returns the PEM blocks of a value, at least one.
func (l *loader) readBlocks(key string) ([]block, *Error) {
	value := l.secret.Data[key]
	switch {
	case isUTF16(value):
		return nil, l.invalid(key, "holds UTF-16 text", "save the whole file as UTF-8 or ASCII; > and >> of PowerShell write UTF-16")
	case hasBinary(value):
		return nil, l.invalid(key, "holds binary data beside PEM", "store PEM alone: convert what is DER with openssl x509 -inform der, and append it")
	case hasNUL(value):
		return nil, l.invalid(key, "holds NUL bytes within its text", "store the file again, as text and unchanged")
	}
	blocks, err := pemBlocks(value)
	if err != nil {
		return nil, l.invalid(key, "is damaged PEM ("+err.Error()+")", "store the file again, whole and unchanged")
	}
	if len(blocks) > maxBlocks {
		return nil, l.invalid(key, fmt.Sprintf("holds %d PEM blocks, the limit is %d", len(blocks), maxBlocks), "keep what belongs to this certificate")
	}
	if len(blocks) == 0 {
		found := l.recognise(value)
		return nil, l.invalid(key, found.problem, found.fix)
	}
	return blocks, nil
}

// isUTF16 reports whether a value is UTF-16 or UTF-32, with or without a byte order
// mark, as a whole or appended to ASCII.
func isUTF16(value []byte) bool {
	if bytes.HasPrefix(value, []byte{0xff, 0xfe}) || bytes.HasPrefix(value, []byte{0xfe, 0xff}) {
		return true
	}
	return alternatingNULs.Match(value) && !isBinary(value)
}

// alternatingNULs is longer than what DER has by chance, and shorter than a BEGIN line.
var alternatingNULs = regexp.MustCompile(`(?:\x00+[^\x00]){8}`)

// hasBinary reports whether a value holds PEM and binary data beside it, as cat makes
// of DER and PEM files: more control characters than texts have. ESC colours texts.
func hasBinary(value []byte) bool {
	const mostInText = 8
	controls := 0
	for _, c := range value {
		if c > 0 && c < ' ' && c != 0x1b && !strings.ContainsRune("\t\n\v\f\r", rune(c)) {
			controls++
		}
	}
	return controls > mostInText && holdsPEM(value)
}

// hasNUL reports whether a text has NUL bytes other than around it.
func hasNUL(value []byte) bool {
	return bytes.IndexByte(trimNULs(value), 0) >= 0 && !isBinary(value)
}

// trimNULs drops the NUL bytes around a text, which programs in C leave there, and
// the line ends among them.
func trimNULs(value []byte) []byte { return bytes.Trim(value, "\x00\r\n") }

// isBinary reports whether a value is of the binary formats, in which NUL bytes are
// nothing special. What holds PEM is text.
func isBinary(value []byte) bool {
	_, isContainer := recogniseContainer(value)
	return (isContainer || isDER(value)) && !holdsPEM(value)
}
