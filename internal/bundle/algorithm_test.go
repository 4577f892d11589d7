// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// TestKeysThatNoParserReadsAreNamed has keys as openssl makes them, by their structure.
func TestKeysThatNoParserReadsAreNamed(t *testing.T) {
	t.Parallel()
	pkcs8 := func(parameters any, algorithm ...int) []byte {
		var raw asn1.RawValue
		if parameters != nil {
			raw.FullBytes = bundletest.MustMarshal(parameters)
		}
		return bundletest.MustMarshal(struct {
			Version   int
			Algorithm pkix.AlgorithmIdentifier
			Key       []byte
		}{0, pkix.AlgorithmIdentifier{Algorithm: algorithm, Parameters: raw}, []byte("key")})
	}
	sec1 := func(parameters any) []byte {
		return bundletest.MustMarshal(struct {
			Version    int
			Key        []byte
			Parameters any `asn1:"explicit,tag:0"`
		}{1, make([]byte, 32), parameters})
	}
	explicit := struct{ Version int }{1}
	withoutCurve := bundletest.MustMarshal(struct {
		Version int
		Key     []byte
	}{1, make([]byte, 32)})
	secp256k1, p256 := asn1.ObjectIdentifier{1, 3, 132, 0, 10}, asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	for name, tc := range map[string]struct {
		der  []byte
		want string
	}{
		"a curve of Bitcoin":            {sec1(secp256k1), "is an EC key on the curve secp256k1, which browsers do not know: issue the certificate with a plain RSA or an ECDSA key on P-256"},
		"the same in PKCS#8":            {pkcs8(secp256k1, oidECPublicKey...), "on the curve secp256k1,"},
		"a curve of Brainpool":          {sec1(asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7}), "on the curve brainpoolP256r1,"},
		"a curve of ANSI":               {sec1(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 1}), "on the curve prime192v1,"},
		"a curve without a name here":   {sec1(asn1.ObjectIdentifier{1, 3, 132, 0, 16}), "on the curve 1.3.132.0.16,"},
		"explicit parameters":           {sec1(explicit), "with explicit parameters"},
		"explicit parameters in PKCS#8": {pkcs8(explicit, oidECPublicKey...), "with explicit parameters"},
		"no curve":                      {withoutCurve, "does not name its curve: write it again"},
		"a curve that can be read":      {pkcs8(p256, oidECPublicKey...), "is a damaged EC key: store the key again"},
		"RSA":                           {pkcs8(nil, oidRSA...), "is a damaged RSA key: store the key again"},
		"Ed448":                         {pkcs8(nil, 1, 3, 101, 113), "of the algorithm Ed448, which browsers do not take"},
		"X25519":                        {pkcs8(nil, 1, 3, 101, 110), "of the algorithm X25519,"},
		"Diffie and Hellman":            {pkcs8(nil, 1, 2, 840, 113549, 1, 3, 1), "of the algorithm DH,"},
		"an algorithm without a name":   {pkcs8(nil, 1, 2, 643, 7, 1, 1, 1, 1), "of the algorithm 1.2.643.7.1.1.1.1,"},
		"something else":                {bundletest.MustMarshal([]int{1, 2}), "is no private key that can be read: store a plain RSA or an ECDSA key, as openssl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := at.Simple()(t)
			for dress, value := range map[string][]byte{"PEM": bundletest.BlockPEM("PRIVATE KEY", tc.der), "DER": tc.der} {
				if dress == "DER" && name == "something else" {
					continue // may be anything
				}
				d["tls.key"] = value
				want := tc.want
				if dress == "DER" {
					want, _, _ = strings.Cut(want, ":")
				}
				if _, err := load(d); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %q", dress, err, want)
				}
			}
		})
	}
}

func TestDamageOfStorageIsToldFromFaultsOfIssuance(t *testing.T) {
	t.Parallel()
	h := at.Hierarchy(t, bundletest.P256(t))
	for name, tc := range map[string]struct {
		leaf []byte
		want string
	}{
		"a line end":          {append(h.Leaf.Raw[:len(h.Leaf.Raw):len(h.Leaf.Raw)], '\n'), "which has bytes behind its end: store it again"},
		"NULs":                {append(h.Leaf.Raw[:len(h.Leaf.Raw):len(h.Leaf.Raw)], make([]byte, 100)...), "which has bytes behind its end: store it again"},
		"another certificate": {append(h.Leaf.Raw[:len(h.Leaf.Raw):len(h.Leaf.Raw)], h.Inter.Raw...), "which shares its PEM block with another certificate: give each"},
		"a part of it":        {h.Leaf.Raw[:len(h.Leaf.Raw)-10], "cannot be parsed (x509: malformed certificate): store it again"},
	} {
		crt := append(bundletest.BlockPEM("CERTIFICATE", tc.leaf), bundletest.CertPEM(h.Inter)...)
		if _, err := load(bundletest.TLSData(crt, bundletest.SEC1PEM(t, h.Leaf.Key))); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

// TestAdviceForSMSpeaksOfSM2 has keys of other types under type SM.
func TestAdviceForSMSpeaksOfSM2(t *testing.T) {
	t.Parallel()
	p := at.Pair(t)
	contradicting := numbersOf(t, bundletest.RSAKey(t, 2048))
	contradicting.N.Add(contradicting.N, big.NewInt(2))
	pkcs8 := func(algorithm ...int) []byte {
		return bundletest.MustMarshal(struct {
			Version   int
			Algorithm pkix.AlgorithmIdentifier
			Key       []byte
		}{0, pkix.AlgorithmIdentifier{Algorithm: algorithm}, []byte("key")})
	}
	for name, der := range map[string][]byte{
		"RSA-PSS":             pkcs8(oidRSAPSS...),
		"DSA":                 pkcs8(oidDSA...),
		"Ed448":               pkcs8(1, 3, 101, 113),
		"RSA":                 bundletest.DEROf(bundletest.PKCS8PEM(t, bundletest.RSAKey(t, 2048))),
		"RSA that is damaged": bundletest.MustMarshal(contradicting),
		"a large key":         make([]byte, maxKeyBytes+1),
		"ECDSA":               bundletest.DEROf(bundletest.SEC1PEM(t, bundletest.P256(t))),
		"nothing known":       []byte("nonsense"),
	} {
		for _, key := range []string{"sign.key", "enc.key"} {
			d := p.Data(t)
			d[key] = bundletest.BlockPEM("PRIVATE KEY", der)
			_, err := Load(secretOf(d), Options{Type: SM, Now: testNow})
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(e.Fix, "SM2") || strings.Contains(e.Fix, "RSA") || strings.Contains(e.Fix, "ECDSA") {
				t.Errorf("%s in %s: %v", name, key, err)
			}
		}
	}
}
