// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"cmp"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

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
	return l.invalid(key, fmt.Sprintf("holds a certificate (number %d) that cannot be parsed (%s)", position, printable(cause.Error(), maxQuoted)), "store it again, or have it issued again")
}

// buildChain finds the leaf of the private key and orders its path.
//
// The result is a function of the set of certificates, whatever their order:
//   - the leaf is the certificate of the private key; of several, those that are
//     no CA come first, then those that are not self-signed; two that are left
//     are refused, because no rule could know which is meant;
//   - related is what can be reached from the leaf from issuer to issuer, and
//     what shares the leaf's key; anything else is refused;
//   - the path leads from the leaf to an issuer each, the one with the smallest
//     SHA-256 digest where cross-signing gives several, never to a certificate
//     whose subject and key the path has already, and never to a self-signed
//     one: roots are dropped, and with them the alternatives not taken.
func (l *loader) buildChain(crt, key string, certs []*certificate, private *privateKey, s scheme) ([]*certificate, *Error) {
	leaf, err := l.findLeaf(crt, key, certs, private, s)
	if err != nil {
		return nil, err
	}
	issuers := issuersFrom(leaf, certs, s)
	for _, c := range certs {
		if _, related := issuers[c]; related || private.matches(c) {
			continue
		}
		if leaf.IsCA && issued(leaf, c, s) {
			return nil, l.invalid(key, "belongs to the CA certificate "+describe(leaf)+" in "+printable(crt, maxQuoted)+", not to "+describe(c), "store the key of the server certificate; the key of a CA must not leave the cluster")
		}
		return nil, l.invalid(crt, "holds an unrelated certificate, "+describe(c), "keep the leaf and the chain of its issuers only")
	}
	path := []*certificate{leaf}
	for {
		next := nextIssuer(path, issuers, s)
		if next == nil {
			break
		}
		path = append(path, next)
	}
	l.warnDropped(crt, path, certs, s)
	return path, nil
}

func (l *loader) findLeaf(crt, key string, certs []*certificate, private *privateKey, s scheme) (*certificate, *Error) {
	var leaves []*certificate
	for _, c := range certs {
		if private.matches(c) {
			leaves = append(leaves, c)
		}
	}
	if len(leaves) == 0 {
		return nil, l.invalid(key, "does not match the public key of "+printable(crt, maxQuoted), "store the key and the certificate of the same issuance")
	}
	for _, unfit := range []func(*certificate) bool{
		func(c *certificate) bool { return c.IsCA },
		func(c *certificate) bool { return selfSigned(c, s) },
	} {
		if fit := slices.DeleteFunc(slices.Clone(leaves), unfit); len(fit) > 0 {
			leaves = fit
		}
	}
	if len(leaves) > 1 {
		leaves = sortedBySum(leaves)
		return nil, l.invalid(crt, fmt.Sprintf("holds %d leaf certificates for the key in %s, of them %s and %s", len(leaves), printable(key, maxQuoted), describe(leaves[0]), describe(leaves[1])), "keep the newest with its chain")
	}
	return leaves[0], nil
}

// issuersFrom returns what can be reached from the leaf, each with its issuers.
func issuersFrom(leaf *certificate, certs []*certificate, s scheme) map[*certificate][]*certificate {
	issuers := map[*certificate][]*certificate{}
	queue := []*certificate{leaf}
	for len(queue) > 0 {
		child := queue[0]
		queue = queue[1:]
		if _, done := issuers[child]; done {
			continue
		}
		issuers[child] = slices.DeleteFunc(slices.Clone(certs), func(parent *certificate) bool { return !issued(parent, child, s) })
		queue = append(queue, issuers[child]...)
	}
	return issuers
}

// nextIssuer returns the certificate that the path goes on with, nil at its end.
func nextIssuer(path []*certificate, issuers map[*certificate][]*certificate, s scheme) *certificate {
	candidates := slices.DeleteFunc(slices.Clone(issuers[path[len(path)-1]]), func(c *certificate) bool {
		return selfSigned(c, s) || slices.ContainsFunc(path, func(p *certificate) bool { return sameAuthority(p, c) })
	})
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, bySum)
}

// issued says whether parent signed child. A signature by an algorithm that no
// library checks any more (MD5, DSA) is judged by the names and key identifiers.
func issued(parent, child *certificate, s scheme) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := s.check(parent.Certificate, child.Certificate)
	if err == nil {
		return true
	}
	if _, insecure := errors.AsType[x509.InsecureAlgorithmError](err); !insecure && !errors.Is(err, x509.ErrUnsupportedAlgorithm) {
		return false
	}
	return len(parent.SubjectKeyId) == 0 || len(child.AuthorityKeyId) == 0 || bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
}

func selfSigned(c *certificate, s scheme) bool { return issued(c, c, s) }

// sameAuthority is true of a certificate and its cross-signed or renewed twin.
func sameAuthority(a, b *certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// warnDropped tells of certificates other than roots that are not uploaded.
func (l *loader) warnDropped(crt string, path, certs []*certificate, s scheme) {
	for _, c := range sortedBySum(certs) {
		if !slices.Contains(path, c) && !selfSigned(c, s) {
			l.warn(WarnAlternativesDropped, crt, "holds more than one path to a root; the upload leaves out "+describe(c))
		}
	}
}

func sortedBySum(certs []*certificate) []*certificate {
	return slices.SortedFunc(slices.Values(certs), bySum)
}

func bySum(a, b *certificate) int { return bytes.Compare(a.sum[:], b.sum[:]) }

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
