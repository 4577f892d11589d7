// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// strangersSection has files that hold more, or less, than the chain.
func (at Clock) strangersSection() Section {
	return Section{"TLS: what stands beside the chain", []Row{
		{Shape: "the right intermediate and its predecessor of the same name", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, h.Inter, Issue(tb, at.CA("Test Intermediate"), P256(tb), h.Root)}
		})},
		{Shape: "another intermediate of the issuer's name", Want: Refused, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, Issue(tb, at.CA("Test Intermediate"), P256(tb), h.Root)}
		})},
		{Shape: "the leaf and the root without the intermediate", Want: Refused, Data: at.made(func(_ testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, h.Root}
		})},
		{Shape: "the leaf alone, and its intermediate in `ca.crt`", Want: Warned, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, nil)
			d := TLSData(CertPEM(h.Leaf), SEC1PEM(tb, h.Leaf.Key))
			d["ca.crt"] = CertPEM(h.Root, h.Inter)
			return d
		}},
		{Shape: "the leaf alone, and its intermediate as DER in `ca.crt`", Want: Warned, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, nil)
			d := TLSData(CertPEM(h.Leaf), SEC1PEM(tb, h.Leaf.Key))
			d["ca.crt"] = h.Inter.Raw
			return d
		}},
		{Shape: "the leaf and the root, and the intermediate in `ca.crt`", Want: Refused, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, nil)
			d := TLSData(CertPEM(h.Leaf, h.Root), SEC1PEM(tb, h.Leaf.Key))
			d["ca.crt"] = CertPEM(h.Inter)
			return d
		}},
		{Shape: "a chain that lacks a CA between an intermediate and the root", Want: Warned, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, nil)
			issuing := Issue(tb, at.CA("Issuing CA"), P256(tb), h.Inter)
			leaf := Issue(tb, at.Template("www.example.com"), P256(tb), issuing)
			return TLSData(CertPEM(leaf, issuing, h.Root), SEC1PEM(tb, leaf.Key))
		}},
		{Shape: "cross-signed intermediates, of which one expired before the leaf was issued", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			old := Issue(tb, at.CA("Test Intermediate", func(c *x509.Certificate) {
				c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(0x2003), at.In(-1000*time.Hour), at.In(-500*time.Hour)
			}), h.Inter.Key, Issue(tb, at.CA("Old Root"), P256(tb), nil))
			return []*Cert{h.Leaf, old, h.Inter}
		})},
		{Shape: "an intermediate that expires before the leaf", Want: Warned, Data: at.chainOf(func(c *x509.Certificate) { c.NotAfter = at.In(24 * time.Hour) }, nil)},
	}}
}
