// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// TestNoSignatureIsCheckedWithALargeKey takes certificates with RSA keys whose
// signature check would last for minutes. They can be parsed, or only outlined.
func TestNoSignatureIsCheckedWithALargeKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bits         uint
		unsound      bool
		flawed, kept bool
	}{
		"sound, at the limit":    {maxRSABits, false, false, true},
		"sound, above it":        {maxRSABits + 1, false, true, false},
		"sound, far above it":    {1 << 20, false, true, false},
		"outlined, at the limit": {maxRSABits, true, true, true},
		"outlined, above it":     {maxRSABits + 1, true, true, false},
		"outlined, far above it": {1 << 20, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := parseCertificate(withModulusOf(t, tc.bits, tc.unsound))
			if err != nil {
				t.Fatal(err)
			}
			if flawed, kept := c.flaw != nil, c.PublicKey != nil; flawed != tc.flawed || kept != tc.kept {
				t.Errorf("flawed: %t, with its public key: %t", flawed, kept)
			}
		})
	}
}

// withModulusOf returns a certificate with an RSA key of so many bits, and an
// unsound one if asked to, of which only an outline is made.
func withModulusOf(tb testing.TB, bits uint, unsound bool) []byte {
	tb.Helper()
	modulus := new(big.Int).Lsh(big.NewInt(1), bits-1)
	key, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus.SetBit(modulus, 0, 1), E: 1<<31 - 1})
	if err != nil {
		tb.Fatal(err)
	}
	commonName := "CA"
	if unsound {
		commonName = "C_A" // in a PrintableString, which has no underscore
	}
	name := bundletest.MustMarshal([]asn1.RawValue{{Tag: asn1.TagSet, IsCompound: true, Bytes: bundletest.MustMarshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}{oidCommonName, asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(commonName)}})}})
	type certificate struct {
		TBS struct {
			SerialNumber    int
			Algorithm       pkix.AlgorithmIdentifier
			Issuer          asn1.RawValue
			Validity        struct{ NotBefore, NotAfter time.Time }
			Subject, Public asn1.RawValue
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	var c certificate
	c.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	c.Signature = asn1.BitString{Bytes: []byte{1}, BitLength: 8}
	c.TBS.SerialNumber, c.TBS.Algorithm = 1, c.Algorithm
	c.TBS.Issuer, c.TBS.Subject = asn1.RawValue{FullBytes: name}, asn1.RawValue{FullBytes: name}
	c.TBS.Validity.NotBefore, c.TBS.Validity.NotAfter = testNow, testNow.Add(time.Hour)
	c.TBS.Public = asn1.RawValue{FullBytes: key}
	return bundletest.MustMarshal(c)
}
