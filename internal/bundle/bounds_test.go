// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math"
	"math/big"
	"strings"
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

// TestRSAKeysAreBoundedBeforeTheyAreValidated has keys that fit into the limit of
// bytes and whose numbers take seconds to validate.
func TestRSAKeysAreBoundedBeforeTheyAreValidated(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	one := big.NewInt(1)
	odd := func(bits uint, n int64) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(2*n+1))
	}
	key := func(p, q *big.Int, n int64) []byte {
		return bundletest.MustMarshal(rsaKey{N: new(big.Int).Mul(p, q), E: big.NewInt(65537), D: odd(16, n), P: p, Q: q, Dp: one, Dq: one, QInv: one})
	}
	unfit := func(n int64) []byte {
		return bundletest.MustMarshal(rsaKey{N: odd(2048, n), E: big.NewInt(65537), D: odd(2048, n), P: odd(26000, n), Q: odd(26000, n), Dp: one, Dq: one, QInv: one})
	}
	withoutCRT := func() []byte {
		return bundletest.MustMarshal(struct {
			Version int
			N       *big.Int
			E       int
			D, P, Q *big.Int
		}{0, odd(2048, 1), 65537, odd(2048, 1), odd(26000, 1), odd(26000, 2)})
	}
	many := func(label string) []byte {
		var all []byte
		for n := range int64(60) {
			all = append(all, bundletest.BlockPEM(label, unfit(n))...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		value []byte
		want  string // in the message
	}{
		"a modulus above the limit":                {bundletest.BlockPEM("RSA PRIVATE KEY", key(odd(13000, 1), odd(13000, 2), 3)), "is an RSA key of 25999 bits, the limit is 8192"},
		"the same in PKCS#8":                       {bundletest.BlockPEM("PRIVATE KEY", inPKCS8(key(odd(13000, 1), odd(13000, 2), 3))), "is an RSA key of 25999 bits, the limit is 8192"},
		"primes that do not fit the modulus":       {bundletest.BlockPEM("RSA PRIVATE KEY", unfit(1)), "contradict each other"},
		"such without values for CRT":              {bundletest.BlockPEM("RSA PRIVATE KEY", withoutCRT()), "contradict each other"},
		"many of them":                             {many("RSA PRIVATE KEY"), "more than 4 private keys"},
		"many of them under a label of no key":     {many("MY DATA"), "more than 4 private keys"},
		"the key of the certificate and many more": {append(bundletest.SEC1PEM(t, h.Leaf.Key), many("MY DATA")...), "more than 4 private keys"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fastest := time.Duration(math.MaxInt64) // of several: a busy machine may hold one up
			for range 5 {
				begun := time.Now()
				_, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), tc.value))
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				fastest = min(fastest, time.Since(begun))
			}
			// What is within the limits takes milliseconds.
			if fastest > 2*time.Second {
				t.Errorf("took %s at best", fastest)
			}
		})
	}
}

func inPKCS8(der []byte) []byte {
	return bundletest.MustMarshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}, der})
}
