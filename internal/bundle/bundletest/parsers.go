// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
)

// parsersSection has what crypto/x509 does not parse.
func (at Clock) parsersSection() Section {
	const printable, utf8 = "\x13\x0fwww_example.com", "\x0c\x0fwww_example.com"
	return Section{"TLS: what parsers refuse", []Row{
		{Shape: "a root with a negative serial number", Want: Accepted, Note: "leaf and intermediates", Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, h.Inter, forge(tb, h.Root, nil, withNegativeSerial)}
		})},
		{Shape: "a leaf with a negative serial number", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{forge(tb, h.Leaf, h.Inter, withNegativeLeafSerial), h.Inter}
		})},
		{Shape: "an intermediate with a negative serial number", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{h.Leaf, forge(tb, h.Inter, h.Root, withNegativeSerial)}
		})},
		{Shape: "a stranger that cannot be parsed", Want: Warned, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			other := Issue(tb, at.CA("www_example.com"), P256(tb), nil)
			return []*Cert{h.Leaf, h.Inter, forge(tb, other, nil, inField(fieldSubject, utf8, printable))}
		})},
		{Shape: "a root whose key is larger than 8192 bits", Want: Accepted, Note: "leaf and intermediates", Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			large := MustMarshal(struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}{pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue}, bitString(MustMarshal(struct {
				N *big.Int
				E int
			}{new(big.Int).SetBit(big.NewInt(1), 16383, 1), 65537}))})
			return []*Cert{h.Leaf, h.Inter, forge(tb, h.Root, nil, func(f fields) fields {
				f[fieldPublicKey] = asn1.RawValue{FullBytes: large}
				return f
			})}
		})},
		{Shape: "_ in a PrintableString of the leaf's subject", Want: Refused, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, func(c *x509.Certificate) { c.Subject.CommonName = "www_example.com" })
			return TLSData(CertPEM(forge(tb, h.Leaf, h.Inter, inField(fieldSubject, utf8, printable)), h.Inter), SEC1PEM(tb, h.Leaf.Key))
		}},
		{Shape: "_ in a PrintableString of a name between root and intermediate", Want: Refused, Data: func(tb testing.TB) Data {
			root := Issue(tb, at.CA("www_example.com"), P256(tb), nil)
			inter := Issue(tb, at.CA("Test Intermediate"), P256(tb), root)
			leaf := Issue(tb, at.Template("www.example.com"), P256(tb), inter)
			strict := inField(fieldIssuer, utf8, printable)
			root = forge(tb, root, nil, func(f fields) fields { return inField(fieldSubject, utf8, printable)(strict(f)) })
			return TLSData(CertPEM(leaf, forge(tb, inter, root, strict), root), SEC1PEM(tb, leaf.Key))
		}},
		{Shape: "a certificate for a key of another algorithm (Ed448)", Want: Refused, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{withPublicKey(tb, h, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 113}}), h.Inter}
		})},
		{Shape: "a certificate for an RSA-PSS key", Want: Refused, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{withPublicKey(tb, h, pkix.AlgorithmIdentifier{Algorithm: oidRSAPSS}), h.Inter}
		})},
		{Shape: "a certificate for a key with explicit parameters", Want: Refused, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{withPublicKey(tb, h, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: MustMarshal([]int{1})}}), h.Inter}
		})},
		{Shape: "a certificate for a key on another curve", Want: Refused, Data: at.made(func(tb testing.TB, h Hierarchy) []*Cert {
			return []*Cert{withPublicKey(tb, h, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, Parameters: asn1.RawValue{FullBytes: MustMarshal(asn1.ObjectIdentifier{1, 3, 132, 0, 10})}}), h.Inter}
		})},
		{Shape: "bytes behind the end of a certificate, in its block", Want: Refused, Data: at.dressed(func(b []byte) []byte { return BlockPEM("CERTIFICATE", append(DEROf(b), '\n')) }, nil)},
		{Shape: "two certificates in one block", Want: Refused, Data: at.dressed(func(b []byte) []byte { return BlockPEM("CERTIFICATE", append(DEROf(b), DEROf(b)...)) }, nil)},
		{Shape: "a DNS name in UTF-8", Want: Refused, Data: func(tb testing.TB) Data {
			h := at.chain(tb, nil, func(c *x509.Certificate) { c.DNSNames = []string{"muenchen.example"} })
			return TLSData(CertPEM(forge(tb, h.Leaf, h.Inter, inField(fieldExtensions, "mue", "m\xc3\xbc")), h.Inter), SEC1PEM(tb, h.Leaf.Key))
		}},
	}}
}

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// withPublicKey is the leaf with a public key of another algorithm, without sense.
func withPublicKey(tb testing.TB, h Hierarchy, algorithm pkix.AlgorithmIdentifier) *Cert {
	tb.Helper()
	return forge(tb, h.Leaf, h.Inter, func(f fields) fields {
		f[fieldPublicKey] = asn1.RawValue{FullBytes: MustMarshal(struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{algorithm, bitString([]byte("key"))})}
		return f
	})
}
