// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"regexp"
)

// readBlocks returns the PEM blocks of a value, at least one.
func (l *loader) readBlocks(key string) ([]block, *Error) {
	value := l.secret.Data[key]
	if isUTF16(value) {
		return nil, l.invalid(key, "holds UTF-16 text", "save the whole file as UTF-8 or ASCII; > and >> of PowerShell write UTF-16")
	}
	if hasNUL(value) {
		return nil, l.invalid(key, "holds NUL bytes within its text", "store the file again, as text and unchanged")
	}
	blocks, err := pemBlocks(value)
	if err != nil {
		return nil, l.invalid(key, "is damaged PEM ("+err.Error()+")", "store the file again, whole and unchanged")
	}
	if len(blocks) == 0 {
		found := recognise(value)
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

var alternatingNULs = regexp.MustCompile(`(?:\x00+[^\x00]){4}`)

// hasNUL reports whether a text has NUL bytes other than around it.
func hasNUL(value []byte) bool {
	return bytes.IndexByte(trimNULs(value), 0) >= 0 && !isBinary(value)
}

// trimNULs drops the NUL bytes around a text, which programs in C leave there, and
// the line ends among them.
func trimNULs(value []byte) []byte { return bytes.Trim(value, "\x00\r\n") }

// isBinary reports whether a value is of the binary formats, in which NUL bytes are
// nothing special.
func isBinary(value []byte) bool {
	_, isContainer := recogniseContainer(value)
	return isContainer || isDER(value)
}
