// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
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
			return nil, l.explainUnparsable(key, i+1, b.der, err)
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
	if len(foreign) > 0 {
		l.warn(WarnForeignContent, key, "holds PEM blocks that are no certificates; they were left out")
	}
	return kept, nil
}

// isCertificate goes by the label, and by the content where the label is none
// that is known: a certificate under a mistyped label is not left out.
func (b block) isCertificate() bool {
	switch {
	case b.label == labelCertificate, b.label == "X509 CERTIFICATE":
		return true
	case b.isKnownForeign():
		return false
	}
	_, ok := outlineOf(b.der)
	return ok
}

func (b block) isKnownForeign() bool {
	return isPrivateLabel(b.label) || isBystander(b.label) || b.label == "PKCS7" || b.label == "CMS"
}

// explainForeign names what stands where a certificate should. It repeats no
// label that it does not know: a label is text from the Secret.
func (l *loader) explainForeign(key string, b block) *Error {
	fix := "store the certificate under it, or name another key in spec.keys"
	switch {
	case isPrivateLabel(b.label):
		return l.invalid(key, "holds a private key and no certificate", fix)
	case isRequestLabel(b.label):
		return l.invalid(key, "holds a certificate request, not a certificate", "have it signed and store the certificate")
	case b.label == "PKCS7", b.label == "CMS":
		return l.invalid(key, "is PKCS#7, not PEM certificates", fixPKCS7)
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
		return &certificate{Certificate: outline, sum: sha256.Sum256(der), flaw: flawOf(err)}, nil
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

func (l *loader) explainUnparsable(key string, position int, der []byte, cause error) *Error {
	if _, ok := parseSigner(der[:min(len(der), maxKeyBytes)]); ok {
		return l.invalid(key, "holds a private key labelled as a certificate", "store the certificate")
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
func flawOf(err error) *finding {
	cause := err.Error()
	switch {
	case strings.Contains(cause, "invalid RDNSequence"):
		return &finding{"whose subject or issuer has characters that its string type does not allow (" + printable(cause, maxQuoted) + ")", "have it issued with names of type UTF8String"}
	case strings.Contains(cause, "SAN ") && strings.Contains(cause, "is malformed"):
		return &finding{"which has a subject alternative name that is not ASCII", "issue it with the name in punycode (xn--…)"}
	}
	return &finding{"which cannot be parsed (" + printable(cause, maxQuoted) + ")", "have it issued again without that fault"}
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
