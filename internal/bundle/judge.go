// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"
)

const (
	// clockTolerance: issuers date certificates by their own clock.
	clockTolerance = 5 * time.Minute
	// largeChainBytes is where OpenSSL clients give up (SSL_MAX_CERT_LIST_DEFAULT).
	largeChainBytes = 100 << 10
	// maxDays is what Apple's clients take since 2019, from private CAs as well.
	maxDays = 825
)

// judgeValidity refuses what has expired and what is not valid yet. The latter
// has a deadline, at which it is worth another read.
func (l *loader) judgeValidity(crt string, leaf *certificate) *Error {
	err := &Error{Kind: KindInvalid, Secret: l.secret.Name, Key: crt, NotBefore: leaf.NotBefore.UTC(), NotAfter: leaf.NotAfter.UTC()}
	switch {
	case l.now.After(leaf.NotAfter):
		err.Problem = "expired at " + stamp(leaf.NotAfter)
		err.Fix = "have it renewed"
	case l.now.Before(leaf.NotBefore.Add(-clockTolerance)):
		err.Problem = "is not valid before " + stamp(leaf.NotBefore)
		err.Fix = "it is uploaded when that time comes"
		err.Deadline = leaf.NotBefore.Add(-clockTolerance).UTC()
	default:
		return nil
	}
	return err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// judgeAuthority keeps the keys of certificate authorities in the cluster. A
// lone self-signed certificate may call itself a CA: openssl req -x509 does so
// for servers by default.
func (l *loader) judgeAuthority(p *pair) *Error {
	leaf := p.leaf()
	if !leaf.IsCA {
		return nil
	}
	if !p.issuers.isSelfSigned(leaf) {
		return l.invalid(p.crt, "is the CA certificate "+describe(leaf)+", not a server's", "reference the Secret of the server certificate; the key of a CA must not leave the cluster")
	}
	l.warn(WarnAuthority, p.crt, "is a self-signed CA certificate: clients may refuse it as a server's, and whoever has its key can issue more; issue one with CA:FALSE")
	return nil
}

// warnUsage tells of leaves that some clients refuse.
func (l *loader) warnUsage(crt string, leaf *certificate) {
	l.warnHosts(crt, leaf)
	const serving = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	if leaf.KeyUsage != 0 && leaf.KeyUsage&serving == 0 {
		l.warn(WarnKeyUsage, crt, "has key usages that no server can use: clients will refuse it; issue it with digital signature")
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !servesTLS(leaf) {
		l.warn(WarnKeyUsage, crt, "lacks the extended key usage server auth: clients will refuse it; issue it with server auth")
	}
	if features := featuresOf(leaf); len(features) > 0 {
		l.warn(WarnMustStaple, crt, "asks the listener for "+describeFeature(features[0])+": clients that heed it refuse a listener that does without; issue it without")
	}
	if days := daysOf(leaf); days > maxDays {
		l.warn(WarnLongValidity, crt, fmt.Sprintf("is valid for %d days: Apple's clients refuse more than %d; issue it for a shorter time", days, maxDays))
	}
}

// daysOf returns for how many days a certificate is valid, the last of them begun at
// least. A time.Duration ends after 292 years.
func daysOf(c *certificate) int64 {
	const day = 24 * 60 * 60
	return (c.NotAfter.Unix() - c.NotBefore.Unix() + day - 1) / day
}

var oidTLSFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// featuresOf returns the TLS extensions that a listener has to support with this
// certificate (RFC 7633).
func featuresOf(leaf *certificate) []int {
	var features []int
	if _, err := asn1.Unmarshal(extensionOf(leaf, oidTLSFeature), &features); err != nil {
		return nil
	}
	return features
}

func describeFeature(feature int) string {
	switch feature {
	case 5:
		return "a stapled OCSP response (TLS feature status_request)"
	case 17:
		return "stapled OCSP responses (TLS feature status_request_v2)"
	}
	return fmt.Sprintf("a TLS extension (TLS feature %d)", feature)
}

// warnChain tells of chains that some clients refuse.
func (l *loader) warnChain(p *pair) {
	l.warnClients(p)
	size := 0
	for i, c := range p.path {
		size += len(c.Raw)
		if i > 0 {
			l.warnIntermediateTime(p.crt, c, p.leaf())
		}
		switch c.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			l.warn(WarnWeakSignature, p.crt, fmt.Sprintf("holds %s, signed by %s: clients refuse it; have it issued with %s", describe(c), c.SignatureAlgorithm, l.digest()))
		}
	}
	if size > largeChainBytes {
		l.warn(WarnLargeChain, p.crt, fmt.Sprintf("makes a chain of %d KiB: clients give up above %d KiB; use fewer names or certificates", size>>10, largeChainBytes>>10))
	}
}

func (l *loader) warnIntermediateTime(crt string, c, leaf *certificate) {
	switch {
	case !l.isValid(c):
		l.warn(WarnIntermediateNotValid, crt, fmt.Sprintf("holds the intermediate %s that is valid from %s to %s only: clients may refuse the chain", describe(c), stamp(c.NotBefore), stamp(c.NotAfter)))
	case c.NotAfter.Before(leaf.NotAfter):
		l.warn(WarnIntermediateEndsFirst, crt, fmt.Sprintf("holds the intermediate %s that expires at %s, before the leaf does at %s: clients will refuse the chain from then on; renew it before", describe(c), stamp(c.NotAfter), stamp(leaf.NotAfter)))
	}
}

func (l *loader) isValid(c *certificate) bool {
	return !l.now.After(c.NotAfter) && !l.now.Before(c.NotBefore.Add(-clockTolerance))
}

// warnStrictParsers tells of certificates that clients written in Go cannot read,
// as with negative serial numbers, which other clients let pass.
func (l *loader) warnStrictParsers(crt string, path []*certificate) {
	for _, c := range path {
		if _, err := x509.ParseCertificate(c.Raw); err != nil {
			l.warn(WarnUnusualCertificate, crt, "holds "+describe(c)+", which clients written in Go refuse ("+printable(err.Error(), maxQuoted)+"): reissue it without that fault")
		}
	}
}
