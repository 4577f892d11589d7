// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the list's Fingerprint is SHA-1
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

const (
	// maxChain bounds a chain in bytes of PEM. It is a guess (F65).
	maxChain = 64 << 10
	// maxKey bounds a private key in bytes of PEM. It is a guess (F65).
	maxKey = 16 << 10
)

// readPEM reads blocks of the given types out of text that holds nothing else:
// no text between blocks, no headers, no carriage returns, no blank lines, and only
// lines of 64 characters (F12). Comparing each block with its own encoding verifies all
// of these at once. Of text that is not clean it returns the blocks before the flaw.
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
			return blocks, false
		}
		blocks, rest = append(blocks, block), after
	}
	return blocks, len(blocks) > 0
}

// parseChain reads certificates, TLS or SM2. With a failure it returns those before
// the first that cannot be read.
func parseChain(text string) ([]*smx509.Certificate, *failure) {
	if len(text) > maxChain {
		return nil, fail("DataTooLongException")
	}
	blocks, clean := readPEM(text, "CERTIFICATE")
	var chain []*smx509.Certificate
	for _, block := range blocks {
		c, err := smx509.ParseCertificate(block.Bytes)
		if err != nil {
			return chain, fail("ParseCertificateFailed")
		}
		chain = append(chain, c)
	}
	if !clean {
		return chain, fail("CertificateFormatException", "The certificate is not clean PEM.")
	}
	return chain, nil
}

// checkChain verifies validity, order and signatures: leaf first, each certificate
// issued by the next. A root may stand at the end (F10). That expired certificates are
// refused is a guess (F66).
func checkChain(chain []*smx509.Certificate, now time.Time) *failure {
	for n, c := range chain {
		if now.After(c.NotAfter) {
			return fail("CertificateExpired")
		}
		if n > 0 && !issued(c, chain[n-1]) {
			return fail("CertificateChainNotMatch")
		}
	}
	return nil
}

// issued reports whether c issued child. Signatures over SHA-1 are taken, as the cloud
// took them until 2024 at least (F10).
func issued(c, child *smx509.Certificate) bool {
	if string(child.RawIssuer) != string(c.RawSubject) || string(child.Raw) == string(c.Raw) {
		return false
	}
	err := child.CheckSignatureFrom(c)
	if _, insecure := errors.AsType[x509.InsecureAlgorithmError](err); insecure {
		err = c.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	}
	return err == nil
}

// publicKey is the public half of a private key.
type publicKey interface {
	Equal(other crypto.PublicKey) bool
}

// readPair verifies a chain and the private key of its leaf in the order that was
// recorded (F11): the form of the key, the key against the first certificate, then
// everything else. An issuer before the leaf is therefore reported as a key that does
// not match.
func readPair(certificate, key string, readKey func(string) (publicKey, *failure), sm bool, now time.Time) (*smx509.Certificate, *failure) {
	public, failed := readKey(key)
	if failed != nil {
		return nil, failed
	}
	chain, failed := parseChain(certificate)
	if len(chain) == 0 {
		return nil, failed
	}
	leaf := chain[0]
	if sm2.IsSM2PublicKey(leaf.PublicKey) != sm {
		return nil, fail("ParseCertificateFailed", "SM2 certificates have parameters of their own.")
	}
	if !public.Equal(leaf.PublicKey) {
		return nil, fail("NotMatch.CertificateAndPrivateKey")
	}
	if failed != nil {
		return nil, failed
	}
	return leaf, checkChain(chain, now)
}

// readKeyBlock reads the one block of a private key. An encrypted one is refused, whether
// its type says so or a Proc-Type header (F11).
func readKeyBlock(text string, types ...string) (*pem.Block, *failure) {
	if len(text) > maxKey {
		return nil, fail("DataTooLongException")
	}
	blocks, clean := readPEM(text, types...)
	if !clean || len(blocks) != 1 {
		return nil, fail("PrivateKeyFormatException")
	}
	return blocks[0], nil
}

// readTLSKey reads a private key. RSA is taken as PKCS#1 or PKCS#8, P-256 as SEC1 (F10).
// PKCS#8 for elliptic curves is unconfirmed (F12) and refused unless an option says
// otherwise. That other curves are taken and Ed25519 is refused is a guess (F66).
func (s *Server) readTLSKey(text string) (publicKey, *failure) {
	block, failed := readKeyBlock(text, "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY")
	if failed != nil {
		return nil, failed
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fail("PrivateKeyFormatException")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return &key.PublicKey, nil
	case *ecdsa.PrivateKey:
		if block.Type == "EC PRIVATE KEY" || s.options.AcceptPKCS8EC {
			return &key.PublicKey, nil
		}
	}
	return nil, fail("PrivateKeyFormatException")
}

// readSMKey reads an SM2 key as SEC1 or PKCS#8 (F5).
func readSMKey(text string) (publicKey, *failure) {
	block, failed := readKeyBlock(text, "EC PRIVATE KEY", "PRIVATE KEY")
	if failed != nil {
		return nil, failed
	}
	var key any
	var err error
	if block.Type == "PRIVATE KEY" {
		key, err = smx509.ParsePKCS8PrivateKey(block.Bytes)
	} else {
		key, err = smx509.ParseSM2PrivateKey(block.Bytes)
	}
	private, ok := key.(*sm2.PrivateKey)
	if err != nil || !ok {
		return nil, fail("PrivateKeyFormatException")
	}
	return &private.PublicKey, nil
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
		KeyBits:      keyBits(leaf),
		Signature:    leaf.SignatureAlgorithm.String(),
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

func keyBits(leaf *smx509.Certificate) int {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen()
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize
	}
	return 0
}

func digests(leaf *smx509.Certificate) (sha256Hex, sha1Hex string) {
	long, short := sha256.Sum256(leaf.Raw), sha1.Sum(leaf.Raw) //nolint:gosec // see above
	return strings.ToUpper(hex.EncodeToString(long[:])), strings.ToUpper(hex.EncodeToString(short[:]))
}
