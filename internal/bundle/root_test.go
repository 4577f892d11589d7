// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// under makes a chain whose root and intermediate edits change, and a Secret of it.
func under(tb testing.TB, rootKey, interKey crypto.Signer, root, inter, leaf func(*x509.Certificate)) ([]*bundletest.Cert, []byte) {
	tb.Helper()
	nothing := func(*x509.Certificate) {}
	edit := func(f func(*x509.Certificate)) func(*x509.Certificate) {
		if f == nil {
			return nothing
		}
		return f
	}
	r := bundletest.Issue(tb, at.CA("Test Root", edit(root)), rootKey, nil)
	i := bundletest.Issue(tb, at.CA("Test Intermediate", edit(inter)), interKey, r)
	l := bundletest.Issue(tb, at.Template("www.example.com", edit(leaf)), bundletest.P256(tb), i)
	return []*bundletest.Cert{l, i, r}, bundletest.SEC1PEM(tb, l.Key)
}

// TestRootsOfTheFileAreJudged has what clients check at a root. openssl verify refuses
// those with a warning, but for the kinds of keys and for the root that expires after
// today and before the leaf.
func TestRootsOfTheFileAreJudged(t *testing.T) {
	t.Parallel()
	_, network, _ := net.ParseCIDR("10.0.0.0/8")
	for name, tc := range map[string]struct {
		root func(*x509.Certificate)
		key  crypto.Signer
		want []string
	}{
		"a sound one":                          {},
		"one with a path length that suffices": {root: func(c *x509.Certificate) { c.MaxPathLen = 1 }},
		"a path length that does not":          {root: func(c *x509.Certificate) { c.MaxPathLenZero = true }, want: []string{WarnBrokenChain}},
		"constraints that allow the leaf":      {root: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} }},
		"constraints that forbid it":           {root: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"corp.example"} }, want: []string{WarnBrokenChain}},
		"constraints that exclude it":          {root: func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"www.example.com"} }, want: []string{WarnBrokenChain}},
		"constraints on what it has not":       {root: func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{network} }},
		"for mail only":                        {root: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, want: []string{WarnBrokenChain}},
		"not for signing":                      {root: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, want: []string{WarnBrokenChain}},
		"no CA":                                {root: func(c *x509.Certificate) { c.IsCA = false }, want: []string{WarnBrokenChain}},
		"a critical extension": {root: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 1}, Critical: true, Value: []byte{5, 0}}}
		}, want: []string{WarnCriticalExtension}},
		"expired":            {root: func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Second) }, want: []string{WarnRootNotValid}},
		"not valid yet":      {root: func(c *x509.Certificate) { c.NotBefore = testNow.Add(time.Hour) }, want: []string{WarnRootNotValid}},
		"before the leaf":    {root: func(c *x509.Certificate) { c.NotAfter = testNow.Add(time.Hour) }, want: []string{WarnRootEndsFirst}},
		"with the leaf":      {root: func(c *x509.Certificate) { c.NotAfter = testNow.Add(90 * 24 * time.Hour) }},
		"RSA with 1024 bits": {key: bundletest.RSAKey(t, 1024), want: []string{WarnWeakKey}},
		"RSA with 2048 bits": {key: bundletest.RSAKey(t, 2048)},
		"P-521":              {key: bundletest.ECKey(t, elliptic.P521()), want: []string{WarnUnusualKey}},
		"two faults":         {root: func(c *x509.Certificate) { c.MaxPathLenZero, c.NotAfter = true, testNow.Add(-time.Hour) }, want: []string{WarnBrokenChain, WarnRootNotValid}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := tc.key
			if key == nil {
				key = bundletest.P256(t)
			}
			certs, private := under(t, key, bundletest.P256(t), tc.root, nil, nil)
			for range certs {
				certs = append(certs[1:], certs[0])
				b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(certs...), private))
				if diff := cmp.Diff(tc.want, reasons(b)); diff != "" {
					t.Errorf("warnings (-want +got):\n%s%v", diff, b.Warnings)
				}
			}
		})
	}
}

// TestOneSoundRootIsEnough has the roots of a cross-signed CA, of which clients need
// one.
func TestOneSoundRootIsEnough(t *testing.T) {
	t.Parallel()
	old := bundletest.Issue(t, at.CA("Old Root", func(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Hour) }), bundletest.P256(t), nil)
	root := bundletest.Issue(t, at.CA("New Root"), bundletest.P256(t), nil)
	cross := bundletest.Issue(t, at.CA("New Root"), root.Key, old)
	inter := bundletest.Issue(t, at.CA("Intermediate"), bundletest.P256(t), root)
	leaf := bundletest.Issue(t, at.Template("www.example.com"), bundletest.P256(t), inter)
	for name, tc := range map[string]struct {
		certs []*bundletest.Cert
		want  []string
	}{
		"the one that expired": {[]*bundletest.Cert{leaf, inter, cross, old}, []string{WarnRootNotValid}},
		"the other beside it":  {[]*bundletest.Cert{leaf, inter, cross, old, root}, nil},
		"neither":              {[]*bundletest.Cert{leaf, inter, cross}, nil},
	} {
		b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(tc.certs...), bundletest.SEC1PEM(t, leaf.Key)))
		if diff := cmp.Diff(tc.want, reasons(b)); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

func TestAuthorityKeyIdentifiersAreHeldAgainstTheIssuer(t *testing.T) {
	t.Parallel()
	withID := func(id any) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: oidAuthorityKeyID, Value: bundletest.MustMarshal(id)}}
		}
	}
	byKey := func(id string) func(*x509.Certificate) {
		return withID(struct {
			Key []byte `asn1:"tag:0"`
		}{[]byte(id)})
	}
	bySerial := func(n int64) func(*x509.Certificate) {
		return withID(struct {
			Serial *big.Int `asn1:"tag:2"`
		}{big.NewInt(n)})
	}
	named := func(c *x509.Certificate) { c.SubjectKeyId = []byte("the key") }
	for name, tc := range map[string]struct {
		inter, leaf func(*x509.Certificate)
		want        []string
	}{
		"the issuer's":                    {inter: named, leaf: byKey("the key")},
		"another":                         {inter: named, leaf: byKey("another"), want: []string{WarnBrokenChain}},
		"none":                            {inter: named, leaf: withID(struct{}{})},
		"the serial number of the issuer": {leaf: bySerial(0x2002)},
		"another serial number":           {leaf: bySerial(0x2003), want: []string{WarnBrokenChain}},
		"another root by an intermediate": {inter: byKey("another"), want: []string{WarnBrokenChain}},
		"another root by its number":      {inter: bySerial(1), want: []string{WarnBrokenChain}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certs, key := under(t, bundletest.P256(t), bundletest.P256(t), nil, tc.inter, tc.leaf)
			b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(certs...), key))
			if diff := cmp.Diff(tc.want, reasons(b)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s%v", diff, b.Warnings)
			}
		})
	}
}

func TestKeysOfIntermediatesAreJudged(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key  crypto.Signer
		want []string
	}{
		"P-384":              {bundletest.ECKey(t, elliptic.P384()), nil},
		"P-224":              {bundletest.ECKey(t, elliptic.P224()), []string{WarnUnusualKey}},
		"P-521":              {bundletest.ECKey(t, elliptic.P521()), []string{WarnUnusualKey}},
		"Ed25519":            {edwards, []string{WarnUnusualKey}},
		"RSA with 1024 bits": {bundletest.RSAKey(t, 1024), []string{WarnWeakKey}},
		"RSA with 2048 bits": {bundletest.RSAKey(t, 2048), nil},
	} {
		certs, key := under(t, bundletest.P256(t), tc.key, nil, nil, nil)
		b := mustLoad(t, bundletest.TLSData(bundletest.CertPEM(slices.Clone(certs[:2])...), key))
		if diff := cmp.Diff(tc.want, reasons(b)); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s%v", name, diff, b.Warnings)
		}
	}
}
