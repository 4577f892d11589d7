// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"testing"
	"time"
)

// clientsSection has what the cloud may take and clients refuse.
func (at Clock) clientsSection() Section {
	leaf := func(edit func(*x509.Certificate)) func(testing.TB) Data { return at.chainOf(nil, edit) }
	inter := func(edit func(*x509.Certificate)) func(testing.TB) Data { return at.chainOf(edit, nil) }
	root := func(edit func(*x509.Certificate)) func(testing.TB) Data {
		return func(tb testing.TB) Data {
			root := Issue(tb, at.CA("Test Root", edit), P256(tb), nil)
			inter := Issue(tb, at.CA("Test Intermediate"), P256(tb), root)
			leaf := Issue(tb, at.Template("www.example.com"), P256(tb), inter)
			return TLSData(CertPEM(leaf, inter, root), SEC1PEM(tb, leaf.Key))
		}
	}
	extension := func(critical bool, value []byte, oid ...int) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
		}
	}
	validFor := func(d time.Duration) func(testing.TB) Data {
		return at.chainOf(
			func(c *x509.Certificate) { c.NotAfter = at.In(9000 * 24 * time.Hour) },
			func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(d) })
	}
	forEver := func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 2900000) }
	null := []byte{asn1.TagNull, 0}
	return Section{"TLS: what clients refuse", []Row{
		{Shape: "a precertificate", Want: Refused, Data: leaf(extension(true, null, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 3))},
		{Shape: "an unknown critical extension in the leaf", Want: Warned, Data: leaf(extension(true, null, 1, 3, 6, 1, 4, 1, 55555, 1))},
		{Shape: "an unknown critical extension in an intermediate", Want: Warned, Data: inter(extension(true, null, 1, 3, 6, 1, 4, 1, 55555, 2))},
		{Shape: "an intermediate that is no CA", Want: Warned, Data: inter(func(c *x509.Certificate) { c.IsCA = false })},
		{Shape: "an intermediate of X.509 version 1", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, forge(tb, h.Inter, h.Root, asVersion1)}
		})},
		{Shape: "an intermediate that may not signing certificates", Want: Warned, Data: inter(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })},
		{Shape: "an intermediate for mail only", Want: Warned, Data: inter(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })},
		{Shape: "more intermediates than a path length allows", Want: Warned, Data: func(tb testing.TB) Data {
			h := at.chain(tb, func(c *x509.Certificate) { c.MaxPathLenZero = true }, nil)
			issuing := Issue(tb, at.CA("Issuing CA"), P256(tb), h.Inter)
			leaf := Issue(tb, at.Template("www.example.com"), P256(tb), issuing)
			return TLSData(CertPEM(leaf, issuing, h.Inter), SEC1PEM(tb, leaf.Key))
		}},
		{Shape: "name constraints that forbid the leaf", Want: Warned, Data: inter(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"corp.example"}
		})},
		{Shape: "name constraints that allow the leaf", Want: Accepted, Note: "as it is", Data: inter(func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.com"}
		})},
		{Shape: "a path length in the root of the file that the chain exceeds", Want: Warned, Data: root(func(c *x509.Certificate) { c.MaxPathLenZero = true })},
		{Shape: "name constraints in the root of the file that forbid the leaf", Want: Warned, Data: root(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"corp.example"} })},
		{Shape: "a root in the file that has expired", Want: Warned, Data: root(func(c *x509.Certificate) { c.NotAfter = at.In(-time.Hour) })},
		{Shape: "a root in the file that expires before the leaf", Want: Warned, Data: root(func(c *x509.Certificate) { c.NotAfter = at.In(time.Hour) })},
		{Shape: "an authority key identifier of another issuer", Want: Warned, Data: leaf(extension(false, MustMarshal(struct {
			Key []byte `asn1:"tag:0"`
		}{[]byte("another key")}), 2, 5, 29, 35))},
		{Shape: "an intermediate with an RSA key of 1024 bits", Want: Warned, Data: at.withKeyOfCA(func(tb testing.TB) crypto.Signer { tb.Helper(); return RSAKey(tb, 1024) })},
		{Shape: "an intermediate with an Ed25519 key", Want: Warned, Data: at.withKeyOfCA(func(tb testing.TB) crypto.Signer {
			tb.Helper()
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				tb.Fatal(err)
			}
			return key
		})},
		{Shape: "a mail address as the only alternative name", Want: Warned, Data: leaf(func(c *x509.Certificate) {
			c.DNSNames, c.EmailAddresses = nil, []string{"web@example.com"}
		})},
		{Shape: "a URI as the only alternative name", Want: Warned, Data: leaf(func(c *x509.Certificate) {
			c.DNSNames, c.URIs = nil, []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/web"}}
		})},
		{Shape: "a URL as DNS name", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = []string{"https://www.example.com/"} })},
		{Shape: "a port in a DNS name", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "www.example.com:8443") })},
		{Shape: "an IP address as DNS name", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "192.0.2.1") })},
		{Shape: "other alternative names than hosts alone (a registered ID)", Want: Warned, Data: leaf(func(c *x509.Certificate) {
			c.DNSNames, c.ExtraExtensions = nil, []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 5, 0x88, 3, 0x2a, 3, 4}}}
		})},
		{Shape: "a wildcard for a whole domain of the first level (`*.com`)", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "*.com") })},
		{Shape: "a DNS name that ends in a number (`192.0.2.256`)", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "192.0.2.256") })},
		{Shape: "a DNS name with a hyphen at an end of a label", Want: Warned, Data: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "-x.example.com") })},
		{Shape: "must-staple", Want: Warned, Data: leaf(extension(false, MustMarshal([]int{5}), 1, 3, 6, 1, 5, 5, 7, 1, 24))},
		{Shape: "must-staple, version 2", Want: Warned, Data: leaf(extension(false, MustMarshal([]int{17}), 1, 3, 6, 1, 5, 5, 7, 1, 24))},
		{Shape: "another TLS feature", Want: Warned, Data: leaf(extension(false, MustMarshal([]int{23}), 1, 3, 6, 1, 5, 5, 7, 1, 24))},
		{Shape: "825 days", Want: Accepted, Note: "as it is", Data: validFor(825 * 24 * time.Hour)},
		{Shape: "825 days and twelve hours", Want: Warned, Data: validFor(825*24*time.Hour + 12*time.Hour)},
		{Shape: "valid for 2,900,000 days", Want: Warned, Data: at.chainOf(forEver, forEver)},
		{Shape: "more than 825 days", Want: Warned, Data: at.chainOf(
			func(c *x509.Certificate) { c.NotAfter = at.In(9000 * 24 * time.Hour) },
			func(c *x509.Certificate) { c.NotAfter = at.In(3649 * 24 * time.Hour) })},
	}}
}

// withKeyOfCA is a chain whose intermediate has a key of some kind.
func (at Clock) withKeyOfCA(key func(testing.TB) crypto.Signer) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		inter := Issue(tb, at.CA("Test Intermediate"), key(tb), Issue(tb, at.CA("Test Root"), P256(tb), nil))
		leaf := Issue(tb, at.Template("www.example.com"), P256(tb), inter)
		return TLSData(CertPEM(leaf, inter), SEC1PEM(tb, leaf.Key))
	}
}
