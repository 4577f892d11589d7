// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"io"
)

const redacted = "[redacted: certificate and private key]"

// Material is the PEM of a bundle: LF line ends, no blank line, no text between
// blocks, the leaf first, no root; RSA keys as PKCS#1, EC and SM2 keys as SEC1,
// Ed25519 keys as PKCS#8. TLS fills the first two fields, SM the other four.
//
// It redacts itself in every fmt verb, in JSON and in slog. Keep it in exported
// fields: fmt cannot ask a value in an unexported field to format itself.
type Material struct {
	Certificate, PrivateKey               string
	SignCertificate, SignPrivateKey       string
	EncryptCertificate, EncryptPrivateKey string
}

// Format implements fmt.Formatter: no verb shows the material.
func (Material) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText implements encoding.TextMarshaler, which JSON and slog use.
func (Material) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format implements fmt.Formatter. Material's own is not enough: under a verb
// that does not fit (%s of a pointer inside a map) fmt reports the mistake by
// printing all fields without asking them.
func (b Bundle) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "%s bundle %s %s", string(b.Type), b.Hash.String(), redacted)
}
