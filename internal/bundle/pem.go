// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// maxValueBytes is what a whole Secret can hold (corev1.MaxSecretSize).
const maxValueBytes = 1 << 20

// block is one PEM block. It may hold a private key, so it redacts itself as
// Material does.
type block struct {
	secret
	label     string
	encrypted bool // by RFC 1421 headers, the old OpenSSL way
	der       []byte
}

var (
	errUnterminated = errors.New("BEGIN without its END")
	errBadBase64    = errors.New("damaged base64")
	errDamagedMark  = errors.New("a BEGIN or END line that cannot be read")
	errOutside      = errors.New("base64 or the like outside of BEGIN and END")
)

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemDash  = "-----"
)

// pemBlocks finds the PEM blocks of a text and ignores explanations around them,
// byte order marks, NUL bytes around them, indentation, blank lines, any line ends, even a missing one
// between two blocks. encoding/pem is stricter about all that and silent about what
// it cannot read; here that is an error, because dropping it would upload a chain
// that the user did not mean.
func pemBlocks(text []byte) ([]block, error) {
	rest := unescape(string(trimNULs(text)))
	var blocks []block
	for {
		outside, after, found := strings.Cut(rest, pemBegin)
		if err := checkOutside(outside, found || len(blocks) > 0); err != nil {
			return nil, err
		}
		if !found {
			return blocks, nil
		}
		label, after, found := strings.Cut(after, pemDash)
		if !found || strings.ContainsAny(label, "\r\n") {
			return nil, errUnterminated
		}
		body, after, found := strings.Cut(after, pemEnd+label+pemDash)
		if !found || strings.Contains(body, pemBegin) {
			return nil, errUnterminated
		}
		b, err := decodeBlock(label, body)
		if err != nil {
			return nil, fmt.Errorf("%w in block %d", err, len(blocks)+1)
		}
		blocks = append(blocks, b)
		rest = after
	}
}

// decodeBlock separates headers from the base64: those of old encrypted keys (RFC
// 1421), and those that keystores write beside certificates.
func decodeBlock(label, body string) (block, error) {
	if strings.Contains(body, "Proc-Type:") || strings.Contains(body, "DEK-Info:") {
		return block{label: label, encrypted: true}, nil
	}
	digits := strings.Join(strings.Fields(withoutHeaders(body)), "")
	der, err := base64.StdEncoding.DecodeString(digits)
	if err != nil || len(der) == 0 {
		return block{}, fmt.Errorf("%w, %s,", errBadBase64, damageOf(digits))
	}
	return block{label: label, der: der}, nil
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// damageOf says what is wrong with base64. It shows no more than a character that is
// none of it.
func damageOf(digits string) string {
	body := strings.TrimRight(digits, "=")
	for _, r := range body {
		switch {
		case r == '=':
			return "which goes on behind its padding"
		case strings.ContainsRune(base64Alphabet, r):
		case unicode.IsPrint(r) && r != unicode.ReplacementChar:
			return "with " + quote(string(r)) + " in it"
		default:
			return fmt.Sprintf("with the character %U in it", r)
		}
	}
	if body == "" {
		return "with nothing in it"
	}
	return "with characters missing"
}

// withoutHeaders drops the lines up to the last that has a colon, which base64 never
// has, and those that continue it (RFC 1421): they are indented deeper, and a blank
// line ends them.
func withoutHeaders(body string) string {
	if !strings.Contains(body, ":") {
		return body
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(body), "\n")
	last := len(lines) - 1
	for !strings.Contains(lines[last], ":") {
		last--
	}
	end := last + 1
	for end < len(lines) && indentOf(lines[end]) > indentOf(lines[last]) && !isBlank(lines[end]) {
		end++
	}
	if end < len(lines) && isBlank(lines[end]) && !isBlank(strings.Join(lines[end:], "")) {
		return strings.Join(lines[end:], "\n")
	}
	return strings.Join(lines[last+1:], "\n")
}

func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

func encodeChain(path []*certificate) string {
	var out bytes.Buffer
	for _, c := range path {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: labelCertificate, Bytes: c.Raw}))
	}
	return out.String()
}
