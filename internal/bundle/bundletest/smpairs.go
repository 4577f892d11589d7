// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto/x509"
	"testing"
)

// smPairRows are pairs that users of SM stacks have reported.
func (at Clock) smPairRows() []Row {
	subjects := func(hosts []string) func(testing.TB) Data {
		return at.changed(func(tb testing.TB, p Pair, d Data) {
			named := func(name string, for_ func(*x509.Certificate)) *x509.Certificate {
				return at.Template(name, for_, func(c *x509.Certificate) { c.DNSNames = hosts })
			}
			d["sign.crt"] = CertPEM(Issue(tb, named("server sign", ForSigning), p.Sign.Key, p.Inter), p.Inter)
			d["enc.crt"] = CertPEM(Issue(tb, named("server enc", ForEncryption), p.Enc.Key, p.Inter), p.Inter)
		})
	}
	return []Row{
		{Shape: "subjects that differ, as in the recipes of Tongsuo and TASSL", Want: Warned, Data: subjects([]string{"www.example.com"})},
		{Shape: "subjects that differ, and no alternative names", Want: Warned, Data: subjects(nil)},
		{Shape: "signed with an empty SM2 id", Want: Refused, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["sign.crt"] = CertPEM(withEmptySM2ID(tb, p.Sign, p.Inter), p.Inter)
		})},
		{Shape: "the same, with the issuer in `ca.crt`", Want: Warned, Data: at.changed(func(tb testing.TB, p Pair, d Data) {
			d["sign.crt"], d["ca.crt"] = CertPEM(withEmptySM2ID(tb, p.Sign, p.Inter)), CertPEM(p.Inter)
			d["enc.crt"] = CertPEM(withEmptySM2ID(tb, p.Enc, p.Inter))
		})},
		{Shape: "sign and encryption certificate in one file", Want: Refused, Data: at.changed(func(_ testing.TB, p Pair, d Data) {
			d["enc.crt"] = CertPEM(p.Sign, p.Enc, p.Inter)
		})},
		{Shape: "an intermediate that is no CA", Want: Warned, Data: func(tb testing.TB) Data {
			var p Pair
			p.Root = Issue(tb, at.CA("SM Root"), SMKey(tb), nil)
			p.Inter = Issue(tb, at.CA("SM Intermediate", func(c *x509.Certificate) { c.IsCA = false }), SMKey(tb), p.Root)
			p.Sign = Issue(tb, at.Template("www.example.com", ForSigning), SMKey(tb), p.Inter)
			p.Enc = Issue(tb, at.Template("www.example.com", ForEncryption), SMKey(tb), p.Inter)
			return p.Data(tb)
		}},
	}
}
