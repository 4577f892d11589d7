// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// certificate is a parsed certificate and the digest that orders and names it.
type certificate struct {
	*x509.Certificate
	sum [sha256.Size]byte
}

// scheme is how certificates of one type are parsed and their signatures
// checked: the standard library knows no SM2.
type scheme struct {
	parse func(der []byte) (*x509.Certificate, error)
	check func(parent, child *x509.Certificate) error
}

var tlsScheme = scheme{
	parse: x509.ParseCertificate,
	check: func(parent, child *x509.Certificate) error {
		// Not CheckSignatureFrom: it refuses SHA-1 and asks for the right to
		// sign, and here is only asked who signed.
		return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	},
}

var smScheme = scheme{
	parse: func(der []byte) (*x509.Certificate, error) {
		c, err := smx509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		return c.ToX509(), nil
	},
	check: func(parent, child *x509.Certificate) error {
		return (*smx509.Certificate)(parent).CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	},
}

// maxCertificates bounds the signature checks of one chain. Public chains have
// at most five certificates.
const maxCertificates = 32

// readCertificates parses the certificates under a key of the Secret, each once.
func (l *loader) readCertificates(key string, s scheme) ([]*certificate, *Error) {
	blocks, err := l.readBlocks(key)
	if err != nil {
		return nil, err
	}
	blocks, err = l.certificateBlocks(key, blocks)
	if err != nil {
		return nil, err
	}
	if len(blocks) > maxCertificates {
		return nil, l.invalid(key, fmt.Sprintf("holds %d different certificates, the limit is %d", len(blocks), maxCertificates), "keep the leaf and its intermediates")
	}
	certs := make([]*certificate, 0, len(blocks))
	for i, b := range blocks {
		c, err := l.parseCertificate(key, i+1, b.der, s)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// certificateBlocks keeps the certificates and drops duplicates before they cost
// anything.
func (l *loader) certificateBlocks(key string, blocks []block) ([]block, *Error) {
	seen := make(map[[sha256.Size]byte]bool)
	var kept, foreign []block
	for _, b := range blocks {
		switch b.label {
		case labelCertificate, "X509 CERTIFICATE":
			if sum := sha256.Sum256(b.der); !seen[sum] {
				seen[sum] = true
				kept = append(kept, b)
			}
		case "TRUSTED CERTIFICATE":
			return nil, l.invalid(key, "holds a TRUSTED CERTIFICATE, a format of openssl's own", "convert it with openssl x509 -in FILE")
		default:
			foreign = append(foreign, b)
		}
	}
	if len(kept) == 0 {
		return nil, l.explainForeign(key, foreign[0])
	}
	if len(foreign) > 0 {
		l.warn(WarnForeignContent, key, "holds PEM blocks that are no certificates; they were left out")
	}
	return kept, nil
}

// explainForeign names what stands where a certificate should. It repeats no
// label that it does not know: a label is text from the Secret.
func (l *loader) explainForeign(key string, b block) *Error {
	fix := "store the certificate under it, or name another key in spec.keys"
	switch {
	case isPrivateLabel(b.label):
		return l.invalid(key, "holds a private key and no certificate", fix)
	case b.label == "CERTIFICATE REQUEST", b.label == "NEW CERTIFICATE REQUEST":
		return l.invalid(key, "holds a certificate request, not a certificate", "have it signed and store the certificate")
	case b.label == "PKCS7", b.label == "CMS":
		return l.invalid(key, "is PKCS#7, not PEM certificates", fixPKCS7)
	default:
		return l.invalid(key, "holds no certificate", fix)
	}
}

func (l *loader) parseCertificate(key string, position int, der []byte, s scheme) (*certificate, *Error) {
	c, err := s.parse(der)
	if err != nil {
		return nil, l.explainUnparsable(key, position, der, err)
	}
	if public, ok := c.PublicKey.(*rsa.PublicKey); ok && public.N.BitLen() > maxRSABits {
		return nil, l.invalid(key, fmt.Sprintf("holds a certificate (number %d) with an RSA key of %d bits, the limit is %d", position, public.N.BitLen(), maxRSABits), "issue it with a smaller key")
	}
	return &certificate{Certificate: c, sum: sha256.Sum256(der)}, nil
}

func (l *loader) explainUnparsable(key string, position int, der []byte, cause error) *Error {
	if c, err := smx509.ParseCertificate(der); err == nil && sm2.IsSM2PublicKey(c.PublicKey) {
		return l.invalid(key, "is an SM2 certificate", "set spec.type to SM and give a sign and an encryption pair")
	}
	if signer, ok := parseSigner(der[:min(len(der), maxKeyBytes)]); ok && signer != nil {
		return l.invalid(key, "holds a private key labelled as a certificate", "store the certificate")
	}
	// What the parser says about a certificate is public, but bounded.
	return l.invalid(key, fmt.Sprintf("holds a certificate (number %d) that cannot be parsed (%s)", position, printable(cause.Error(), maxQuoted)), "store it again, or have it issued again with RSA or ECDSA P-256")
}

// describe names a certificate for a message.
func describe(c *certificate) string {
	name := cmp.Or(c.Subject.CommonName, firstOf(c.DNSNames), c.Subject.String())
	return fmt.Sprintf("%s (serial %s)", quote(name), truncate(c.SerialNumber.Text(16), maxSerialDigits))
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}
