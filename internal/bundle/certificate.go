// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// certificate is a certificate and the digest that orders and names it.
type certificate struct {
	*x509.Certificate
	sum [sha256.Size]byte
	// flaw says why no client can read the certificate, nil if clients can. Of a
	// flawed certificate only the outline is known: enough to find its place in a
	// chain, and so to tell whether the flaw matters.
	flaw *finding
}

// maxCertificates bounds the signature checks of one chain. Public chains have
// at most five certificates.
const maxCertificates = 32

// readCertificates parses the certificates under a key of the Secret, each once.
func (l *loader) readCertificates(key string) ([]*certificate, *Error) {
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
		c, err := parseCertificate(b.der)
		if err != nil {
			return nil, l.explainUnparsable(key, i+1, b, err)
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
		switch {
		case b.label == "TRUSTED CERTIFICATE":
			return nil, l.invalid(key, "holds a TRUSTED CERTIFICATE, a format of openssl's own", "convert it with openssl x509 -in FILE")
		case b.isCertificate():
			if sum := sha256.Sum256(b.der); !seen[sum] {
				seen[sum] = true
				kept = append(kept, b)
			}
		default:
			foreign = append(foreign, b)
		}
	}
	if len(kept) == 0 {
		return nil, l.explainForeign(key, foreign[0])
	}
	return kept, l.judgeForeign(key, foreign)
}

// isCertificate reports whether a block is a certificate, or was meant to be one. Its
// bytes decide: labels are often wrong. One that is labelled as a certificate and is
// nothing else has to be read, too, so that it is never left out.
func (b block) isCertificate() bool {
	if b.label == labelCertificate || b.label == "X509 CERTIFICATE" {
		return true
	}
	if _, ok := outlineOf(b.der); ok {
		return true
	}
	return strings.Contains(b.label, "CERT") && !isRequestLabel(b.label)
}

// judgeForeign decides on blocks that are left out. Such as may hold certificates are
// not: the chain would lack them.
func (l *loader) judgeForeign(key string, foreign []block) *Error {
	const known = "holds PEM blocks that are no certificates; they were left out"
	for _, b := range foreign {
		if isPrivateKey(b.der) {
			l.warn(WarnForeignContent, key, known)
			continue
		}
		switch found, hidden := hiddenIn(b); {
		case hidden:
			return l.invalid(key, "holds a PEM block that "+found.problem+", beside certificates", found.fix)
		case b.isKnownForeign():
			l.warn(WarnForeignContent, key, known)
		default:
			l.warn(WarnForeignContent, key, "holds PEM blocks of a kind that is not known; they were left out")
		}
	}
	return nil
}

func (b block) isKnownForeign() bool { return isPrivateLabel(b.label) || isBystander(b.label) }

// hiddenIn recognises blocks that hold certificates in another format than PEM has, or
// encoded once more.
func hiddenIn(b block) (finding, bool) {
	if b.label == "PKCS7" || b.label == "CMS" {
		return finding{"is PKCS#7", fixPKCS7}, true
	}
	if found, ok := recogniseContainer(b.der); ok {
		return found, true
	}
	if len(b.der) < shortestRecoded {
		return finding{}, false // too small for a certificate, and there may be thousands
	}
	u, ok := undress(b.der)
	if !ok || len(u.layers) == 0 && !holdsPEM(u.core) {
		return finding{}, false
	}
	return finding{"was encoded twice", "store it encoded once"}, true
}

// explainForeign names what stands where a certificate should. It repeats no
// label that it does not know: a label is text from the Secret.
func (l *loader) explainForeign(key string, b block) *Error {
	fix := "store the certificate under it, or name another key in spec.keys"
	found, hidden := hiddenIn(b)
	switch {
	case isPrivateLabel(b.label) || isPrivateKey(b.der):
		return l.invalid(key, "holds a private key and no certificate", fix)
	case hidden:
		return l.invalid(key, found.problem+", not PEM certificates", found.fix)
	case isRequestLabel(b.label):
		return l.invalid(key, "holds a certificate request, not a certificate", "have it signed and store the certificate")
	default:
		return l.invalid(key, "holds no certificate", fix)
	}
}

// parseCertificate parses certificates of both types. smx509 knows SM2, and takes
// negative serial numbers as most clients do. The error is for what is no
// certificate at all.
func parseCertificate(der []byte) (*certificate, error) {
	parsed, err := smx509.ParseCertificate(der)
	if err != nil {
		outline, ok := outlineOf(der)
		if !ok {
			return nil, err
		}
		return &certificate{Certificate: outline, sum: sha256.Sum256(der), flaw: flawOf(der, err)}, nil
	}
	c := &certificate{Certificate: parsed.ToX509(), sum: sha256.Sum256(der)}
	if bits := rsaBits(c.PublicKey); bits > maxRSABits {
		c.PublicKey = nil // so that no signature is checked with it
		c.flaw = &finding{fmt.Sprintf("which has an RSA key of %d bits, the limit is %d", bits, maxRSABits), "issue it with a smaller key"}
	}
	return c, nil
}

// rsaBits returns the size of an RSA key, zero for any other.
func rsaBits(public any) int {
	if key, ok := public.(*rsa.PublicKey); ok {
		return key.N.BitLen()
	}
	return 0
}

func (l *loader) explainUnparsable(key string, position int, b block, cause error) *Error {
	if isPrivateKey(b.der) {
		return l.invalid(key, "holds a private key labelled as a certificate", "store the certificate")
	}
	if found, hidden := hiddenIn(b); hidden {
		return l.invalid(key, fmt.Sprintf("holds a certificate (number %d) that %s", position, found.problem), found.fix)
	}
	// What the parser says about a certificate is public, but bounded.
	return l.invalid(key, fmt.Sprintf("holds a certificate (number %d) that cannot be parsed (%s)", position, printable(cause.Error(), maxQuoted)), "store it again, whole and unchanged, as the CA delivered it")
}

// refuseFlawed refuses a chain that no client could read. What is flawed but not
// uploaded, as roots are, decides nothing.
func (l *loader) refuseFlawed(crt string, path []*certificate) *Error {
	for _, c := range path {
		if c.flaw != nil {
			return l.invalid(crt, "holds "+describe(c)+", "+c.flaw.problem, c.flaw.fix)
		}
	}
	return nil
}

// flawOf names the cause of a parser's refusal, and the fix that follows from it.
func flawOf(der []byte, err error) *finding {
	cause := err.Error()
	var whole asn1.RawValue
	rest, _ := asn1.Unmarshal(der, &whole)
	_, isCertificate := outlineOf(rest)
	switch {
	case isCertificate:
		return &finding{"which shares its PEM block with another certificate", "give each certificate BEGIN and END lines of its own"}
	case len(rest) > 0:
		return &finding{"which has bytes behind its end", "store it again, as the CA delivered it"}
	case strings.Contains(cause, "elliptic curve"), strings.Contains(cause, "ECDSA parameters"):
		return &finding{"which has a key on a curve that cannot be read", "have it issued with a key on another curve"}
	case strings.Contains(cause, "invalid RDNSequence"):
		return &finding{"whose subject or issuer has characters that its string type does not allow (" + printable(cause, maxQuoted) + ")", "have it issued with names of type UTF8String"}
	case strings.Contains(cause, "SAN ") && strings.Contains(cause, "is malformed"):
		return &finding{"which has a subject alternative name that is not ASCII", "issue it with the name in punycode (xn--…)"}
	}
	return &finding{"which cannot be parsed (" + printable(cause, maxQuoted) + ")", "reissue it without that fault"}
}

// describe names a certificate for a message.
func describe(c *certificate) string {
	name := cmp.Or(c.Subject.CommonName, firstOf(c.DNSNames), c.Subject.String())
	return fmt.Sprintf("%s (serial %s)", quote(name), truncate(c.SerialNumber.Text(16), maxSerialDigits))
}

func issuerOf(c *certificate) string {
	return cmp.Or(c.Issuer.CommonName, c.Issuer.String(), commonNameOf(c.RawIssuer))
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func isSM2(c *certificate) bool { return sm2.IsSM2PublicKey(c.PublicKey) }
