// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
)

// Positions of the fields of a version 3 TBSCertificate.
const (
	fieldVersion = iota
	fieldSerial
	fieldAlgorithm
	fieldIssuer
	fieldValidity
	fieldSubject
	fieldPublicKey
	fieldExtensions
)

type fields = []asn1.RawValue

// forge makes what no library issues: it edits the fields of a certificate and has
// the parent sign the result, or the certificate itself where that is nil.
func forge(tb testing.TB, c, parent *Cert, edit func(fields) fields) *Cert {
	tb.Helper()
	signer := c.Key
	if parent != nil {
		signer = parent.Key
	}
	return signAgain(tb, c, edit, func(tbs []byte) []byte {
		digest := sha256.Sum256(tbs)
		signature, err := ecdsa.SignASN1(rand.Reader, signer.(*ecdsa.PrivateKey), digest[:])
		if err != nil {
			tb.Fatal(err)
		}
		return signature
	})
}

// withEmptySM2ID has the parent sign an SM2 certificate as openssl does unless it
// is told an id.
func withEmptySM2ID(tb testing.TB, c, parent *Cert) *Cert {
	tb.Helper()
	return signAgain(tb, c, func(f fields) fields { return f }, func(tbs []byte) []byte {
		key := parent.Key.(*sm2.PrivateKey)
		za, err := sm2.CalculateZA(&key.PublicKey, nil)
		if err != nil {
			tb.Fatal(err)
		}
		digest := sm3.Sum(append(za, tbs...))
		signature, err := sm2.SignASN1(rand.Reader, key, digest[:], nil)
		if err != nil {
			tb.Fatal(err)
		}
		return signature
	})
}

func signAgain(tb testing.TB, c *Cert, edit func(fields) fields, sign func(tbs []byte) []byte) *Cert {
	tb.Helper()
	var outer struct {
		TBS, Algorithm asn1.RawValue
		Signature      asn1.BitString
	}
	var inner fields
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		tb.Fatal(err)
	}
	if _, err := asn1.Unmarshal(outer.TBS.FullBytes, &inner); err != nil {
		tb.Fatal(err)
	}
	inner = edit(inner)
	outer.TBS = asn1.RawValue{FullBytes: MustMarshal(inner)}
	signature := sign(outer.TBS.FullBytes)
	outer.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	forged := *c.Certificate
	forged.Raw = MustMarshal(outer)
	return &Cert{Certificate: &forged, Key: c.Key}
}

// withNegativeSerial is -24574, with the bytes of 0x2002 but for the sign.
func withNegativeSerial(f fields) fields {
	f[fieldSerial] = asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{0xa0, 0x02}}
	return f
}

// NegativeSerial is that of a leaf with the bytes of 0x1001 but for the sign.
const NegativeSerial = 0x1001 - 0x8000

func withNegativeLeafSerial(f fields) fields {
	f[fieldSerial] = asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{0x90, 0x01}}
	return f
}

// asVersion1 drops the version and what it brought.
func asVersion1(f fields) fields { return f[fieldSerial:fieldExtensions] }

// inField replaces bytes, of which there must be as many, in one field.
func inField(field int, before, after string) func(fields) fields {
	return func(f fields) fields {
		f = slices.Clone(f)
		f[field] = asn1.RawValue{FullBytes: bytes.ReplaceAll(f[field].FullBytes, []byte(before), []byte(after))}
		return f
	}
}

// chain makes a hierarchy whose intermediate, and whose leaf, edits change.
func (at Clock) chain(tb testing.TB, inter, leaf func(*x509.Certificate)) Hierarchy {
	tb.Helper()
	unchanged := func(*x509.Certificate) {}
	if inter == nil {
		inter = unchanged
	}
	if leaf == nil {
		leaf = unchanged
	}
	var h Hierarchy
	h.Root = Issue(tb, at.CA("Test Root"), P256(tb), nil)
	h.Inter = Issue(tb, at.CA("Test Intermediate", inter), P256(tb), h.Root)
	h.Leaf = Issue(tb, at.Template("www.example.com", leaf), P256(tb), h.Inter)
	return h
}

// chainOf is the Secret of a hierarchy that edits change.
func (at Clock) chainOf(inter, leaf func(*x509.Certificate)) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		h := at.chain(tb, inter, leaf)
		return TLSData(CertPEM(h.Leaf, h.Inter), SEC1PEM(tb, h.Leaf.Key))
	}
}

// made is a sound hierarchy of which a row makes its certificates.
func (at Clock) made(certs func(testing.TB, Hierarchy) []*Cert) func(testing.TB) Data {
	return func(tb testing.TB) Data {
		h := at.chain(tb, nil, nil)
		return TLSData(CertPEM(certs(tb, h)...), SEC1PEM(tb, h.Leaf.Key))
	}
}
