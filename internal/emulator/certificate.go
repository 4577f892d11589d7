// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the list's Fingerprint is SHA-1
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

const (
	// maxChain bounds a chain in bytes of PEM [inf].
	maxChain = 64 << 10
	// maxKey bounds a private key in bytes of PEM [inf].
	maxKey = 16 << 10
)

// readPEM reads blocks of the given types out of text that holds nothing else:
// no text between blocks, no headers, no carriage returns, no blank lines and
// lines of 64 characters [src]. A block is compared with its own encoding, which
// settles all of these.
func readPEM(text string, types ...string) ([]*pem.Block, bool) {
	rest := []byte(text)
	if len(rest) > 0 && rest[len(rest)-1] != '\n' {
		rest = append(rest, '\n')
	}
	var blocks []*pem.Block
	for len(rest) > 0 {
		block, after := pem.Decode(rest)
		if block == nil || len(block.Headers) > 0 || !slices.Contains(types, block.Type) ||
			string(pem.EncodeToMemory(block)) != string(rest[:len(rest)-len(after)]) {
			return nil, false
		}
		blocks, rest = append(blocks, block), after
	}
	return blocks, len(blocks) > 0
}

// parseChain reads certificates, TLS or SM2.
func parseChain(text string) ([]*smx509.Certificate, *failure) {
	if len(text) > maxChain {
		return nil, fail("DataTooLongException")
	}
	blocks, ok := readPEM(text, "CERTIFICATE")
	if !ok {
		return nil, fail("CertificateFormatException", "The certificate is not clean PEM.")
	}
	var chain []*smx509.Certificate
	for _, block := range blocks {
		c, err := smx509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail("ParseCertificateFailed")
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// checkChain verifies order and signatures: leaf first, each certificate issued
// by the next, and no root behind a leaf [src]. A lone self-signed one passes.
func checkChain(chain []*smx509.Certificate, now time.Time) *failure {
	for n, c := range chain {
		if now.After(c.NotAfter) {
			return fail("CertificateExpired")
		}
		if n == 0 {
			continue
		}
		if string(c.RawIssuer) == string(c.RawSubject) {
			return fail("CertificateChainNotMatch", "The chain holds a root certificate.")
		}
		child := chain[n-1]
		if string(child.RawIssuer) != string(c.RawSubject) || child.CheckSignatureFrom(c) != nil {
			return fail("CertificateChainNotMatch")
		}
	}
	return nil
}

var errNotKey = fail("CertificateFormatException", "The private key is not a clean PEM block of a supported form.")

// checkTLSKey verifies that a private key belongs to a leaf. RSA is taken as
// PKCS#1 or PKCS#8, elliptic curves as SEC1 [src]; PKCS#8 for these is
// unconfirmed and refused unless an option says otherwise.
func checkTLSKey(leaf *smx509.Certificate, text string, acceptPKCS8EC bool) *failure {
	if len(text) > maxKey {
		return fail("DataTooLongException")
	}
	blocks, ok := readPEM(text, "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY")
	if !ok || len(blocks) != 1 {
		return errNotKey
	}
	switch block := blocks[0]; block.Type {
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		return matchRSA(leaf, key, err)
	case "EC PRIVATE KEY":
		key, err := x509.ParseECPrivateKey(block.Bytes)
		return matchEC(leaf, key, err)
	default:
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if k, ok := key.(*rsa.PrivateKey); ok {
			return matchRSA(leaf, k, err)
		}
		if k, ok := key.(*ecdsa.PrivateKey); ok && acceptPKCS8EC {
			return matchEC(leaf, k, err)
		}
		return errNotKey
	}
}

func matchRSA(leaf *smx509.Certificate, key *rsa.PrivateKey, err error) *failure {
	if err != nil {
		return errNotKey
	}
	return match(key.PublicKey.Equal(leaf.PublicKey))
}

func matchEC(leaf *smx509.Certificate, key *ecdsa.PrivateKey, err error) *failure {
	if err != nil {
		return errNotKey
	}
	return match(key.PublicKey.Equal(leaf.PublicKey))
}

// match uses the code for a bad certificate: no documented one is nearer [inf].
func match(same bool) *failure {
	if !same {
		return fail("CertificateFormatException", "The private key does not match the certificate.")
	}
	return nil
}

// checkSMKey verifies that an SM2 key in SEC1 form [doc] belongs to a leaf.
func checkSMKey(leaf *smx509.Certificate, text string) *failure {
	if len(text) > maxKey {
		return fail("DataTooLongException")
	}
	blocks, ok := readPEM(text, "EC PRIVATE KEY")
	if !ok || len(blocks) != 1 {
		return errNotKey
	}
	key, err := smx509.ParseSM2PrivateKey(blocks[0].Bytes)
	if err != nil {
		return errNotKey
	}
	return match(key.PublicKey.Equal(leaf.PublicKey))
}

// usable reports whether the leaf of an SM pair may be used for one of the
// purposes; a certificate without key usages may be used for all.
func usable(leaf *smx509.Certificate, purposes x509.KeyUsage) bool {
	return leaf.KeyUsage == 0 || leaf.KeyUsage&purposes != 0
}

// describe returns what lists show of a leaf.
func describe(leaf *smx509.Certificate) *record {
	r := &record{Certificate: Certificate{
		CommonName:   leaf.Subject.CommonName,
		SANs:         slices.Clone(leaf.DNSNames),
		SerialNumber: fmt.Sprintf("%032x", leaf.SerialNumber),
		Issuer:       leaf.Issuer.CommonName,
		Organization: strings.Join(leaf.Subject.Organization, ","),
		NotBefore:    leaf.NotBefore.UTC(),
		NotAfter:     leaf.NotAfter.UTC(),
		Algorithm:    algorithm(leaf),
	}}
	for _, ip := range leaf.IPAddresses {
		r.SANs = append(r.SANs, ip.String())
	}
	r.SHA256, r.SHA1 = digests(leaf)
	return r
}

func algorithm(leaf *smx509.Certificate) string {
	if sm2.IsSM2PublicKey(leaf.PublicKey) {
		return "SM2"
	}
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); ok {
		return "RSA"
	}
	return "ECC"
}

func digests(leaf *smx509.Certificate) (sha256Hex, sha1Hex string) {
	long, short := sha256.Sum256(leaf.Raw), sha1.Sum(leaf.Raw) //nolint:gosec // see above
	return strings.ToUpper(hex.EncodeToString(long[:])), strings.ToUpper(hex.EncodeToString(short[:]))
}
