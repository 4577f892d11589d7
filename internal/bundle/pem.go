// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
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
)

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemDash  = "-----"
)

// pemBlocks finds the PEM blocks of a text and ignores everything around them:
// byte order marks, explanations, indentation, blank lines, any line ends, even
// a missing one between two blocks. encoding/pem is stricter about all that and
// silent about what it cannot read; here a damaged block is an error, because
// dropping it would upload a chain that the user did not mean.
func pemBlocks(text []byte) ([]block, error) {
	rest := string(text)
	if strings.Contains(rest, `-----\n`) { // written by something that escaped the line ends
		rest = strings.NewReplacer(`\r`, "", `\n`, "\n").Replace(rest)
	}
	var blocks []block
	for {
		_, after, found := strings.Cut(rest, pemBegin)
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
			return nil, err
		}
		blocks = append(blocks, b)
		rest = after
	}
}

// decodeBlock separates RFC 1421 headers, which only old encrypted keys have,
// from the base64.
func decodeBlock(label, body string) (block, error) {
	if strings.Contains(body, "Proc-Type:") || strings.Contains(body, "DEK-Info:") {
		return block{label: label, encrypted: true}, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil || len(der) == 0 {
		return block{}, errBadBase64
	}
	return block{label: label, der: der}, nil
}

func encodeChain(path []*certificate) string {
	var out bytes.Buffer
	for _, c := range path {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: labelCertificate, Bytes: c.Raw}))
	}
	return out.String()
}
