// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

var (
	// oidPoison marks what a CA logs before it issues (RFC 6962).
	oidPoison          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	// clientsKnow are extensions that clients handle although the parser here
	// leaves them, or some forms of them, to its caller: alternative names without
	// hosts, constraints on directory names, and the rules on policies.
	clientsKnow = []asn1.ObjectIdentifier{oidSubjectAltName, oidNameConstraints, {2, 5, 29, 33}, {2, 5, 29, 36}, {2, 5, 29, 54}}
)

// refusePrecertificate refuses what a CA never meant to be served.
func (l *loader) refusePrecertificate(crt string, leaf *certificate) *Error {
	if !hasExtension(leaf, oidPoison) {
		return nil
	}
	return l.invalid(crt, "is the precertificate of "+describe(leaf)+", which every client must refuse", "store the certificate that the CA issued after it")
}

// warnClients tells of chains that a client refuses when it verifies them up to a
// root, of the file if there is one. The checks are those of x509.Certificate.Verify, which would stop at the
// first and does not always say of which certificate it speaks.
func (l *loader) warnClients(p *pair) {
	crt, path := p.crt, p.path
	for i, c := range path {
		if unknown := unknownCritical(c); unknown != "" {
			l.warn(WarnCriticalExtension, crt, "holds "+describe(c)+" with the critical extension "+unknown+", which clients do not know: they refuse it; have it issued without")
		}
		if i == 0 {
			continue
		}
		if why := unfitIssuer(c, i-1); why != "" {
			l.warn(WarnBrokenChain, crt, "holds "+describe(c)+" as the issuer of "+describe(path[i-1])+", but "+why+": clients refuse the chain")
		}
		if names := namesAnother(c, path[i-1]); names != "" {
			l.warn(WarnBrokenChain, crt, names)
		}
		if reason, what := weaknessOf(c.PublicKey); reason != "" {
			l.warn(reason, crt, "holds "+describe(c)+" with "+what)
		}
	}
	if c, why := violatedConstraint(path); c != nil {
		l.warn(WarnBrokenChain, crt, "holds "+describe(c)+", "+forbids(why))
	}
	l.warnRoots(p)
}

func forbids(why string) string {
	return "whose name constraints forbid the leaf (" + printable(why, 2*maxQuoted) + "): clients refuse the chain"
}

var oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}

// namesAnother says that a certificate names another issuer by its authority key
// identifier than the one that signed it. Go does not mind; OpenSSL looks for the issuer
// by it (X509_check_akid) and finds none.
func namesAnother(issuer, c *certificate) string {
	var id struct {
		Key    []byte        `asn1:"optional,tag:0"`
		Issuer asn1.RawValue `asn1:"optional,tag:1"`
		Serial *big.Int      `asn1:"optional,tag:2"`
	}
	if _, err := asn1.Unmarshal(extensionOf(c, oidAuthorityKeyID), &id); err != nil {
		return ""
	}
	otherKey := len(id.Key) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(id.Key, issuer.SubjectKeyId)
	if !otherKey && (id.Serial == nil || id.Serial.Cmp(issuer.SerialNumber) == 0) {
		return ""
	}
	return "holds " + describe(c) + ", whose authority key identifier names another certificate than " + describe(issuer) + ", which signed it: clients that use OpenSSL do not find the issuer and refuse the chain; reissue it, or store the certificate that it names"
}

// unfitIssuer says why clients do not let a certificate issue others, with so many
// intermediates between it and the leaf. Empty if they do. FROZEN, as are
// unknownCritical and clientsKnow: the choice among issuers rests on them.
func unfitIssuer(c *certificate, below int) string {
	switch {
	case c.Version < 3:
		return fmt.Sprintf("it is of X.509 version %d, which has no CA flag", c.Version)
	case !c.BasicConstraintsValid || !c.IsCA:
		return "it is no CA certificate (CA:FALSE)"
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return "it lacks the key usage certificate sign"
	case c.MaxPathLen >= 0 && below > c.MaxPathLen:
		return fmt.Sprintf("its path length of %d allows fewer CA certificates below it than the %d here", c.MaxPathLen, below)
	case len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 && !servesTLS(c):
		return "its extended key usages do not include server auth"
	}
	return ""
}

func servesTLS(c *certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// unknownCritical returns the first critical extension that clients do not know.
func unknownCritical(c *certificate) string {
	for _, oid := range c.UnhandledCriticalExtensions {
		if !slices.ContainsFunc(clientsKnow, oid.Equal) {
			return printable(oid.String(), maxQuoted)
		}
	}
	return ""
}

// violatedConstraint returns the certificate whose name constraints the leaf
// violates, and how. It verifies copies that are sound in every other respect,
// with the end of the path as the root.
func violatedConstraint(path []*certificate) (*certificate, string) {
	if !slices.ContainsFunc(path[1:], func(c *certificate) bool { return hasExtension(c, oidNameConstraints) }) {
		return nil, ""
	}
	roots, intermediates := smx509.NewCertPool(), smx509.NewCertPool()
	for i, c := range path[1:] {
		pool := intermediates
		if i == len(path)-2 {
			pool = roots
		}
		pool.AddCert(withoutOtherFaults(c))
	}
	_, err := withoutOtherFaults(path[0]).Verify(smx509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: path[0].NotBefore,
		KeyUsages: []smx509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return &certificate{Certificate: invalid.Cert}, invalid.Error()
	}
	return nil, ""
}

func withoutOtherFaults(c *certificate) *smx509.Certificate {
	sound := smx509.Certificate(*c.Certificate)
	sound.NotBefore, sound.NotAfter = time.Time{}, time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)
	sound.BasicConstraintsValid, sound.IsCA, sound.MaxPathLen = true, true, -1
	sound.KeyUsage, sound.ExtKeyUsage, sound.UnknownExtKeyUsage = 0, nil, nil
	sound.UnhandledCriticalExtensions = nil
	return &sound
}

func hasExtension(c *certificate, oid asn1.ObjectIdentifier) bool { return extensionOf(c, oid) != nil }

// extensionOf returns the value of an extension, nil if there is none.
func extensionOf(c *certificate, oid asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Value
		}
	}
	return nil
}
