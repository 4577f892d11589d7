// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundletest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
)

// keysSection has files that hold more than the private key, and keys that need
// mending.
func (at Clock) keysSection() Section {
	return Section{"TLS: what stands beside the key", []Row{
		{Shape: "the request, the public key and parameters beside the private key", Want: Accepted, Note: "the key", Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			key := RSAKey(tb, 2048)
			request, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key)
			if err != nil {
				tb.Fatal(err)
			}
			d["tls.key"] = bytes.Join([][]byte{
				BlockPEM("DH PARAMETERS", MustMarshal(1)), d["tls.key"], BlockPEM("CERTIFICATE REQUEST", request),
				BlockPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)),
			}, nil)
			return d
		}},
		{Shape: "the private key twice, as SEC1 and as PKCS#8", Want: Accepted, Note: "the key", Data: func(tb testing.TB) Data {
			h := at.Hierarchy(tb, P256(tb))
			return TLSData(CertPEM(h.Leaf, h.Inter), append(SEC1PEM(tb, h.Leaf.Key), PKCS8PEM(tb, h.Leaf.Key)...))
		}},
		{Shape: "the private key under any label (`CERTIFICATE`, `PUBLIC KEY`)", Want: Accepted, Note: "the key", Data: at.dressed(nil, relabel("CERTIFICATE"))},
		{Shape: "an RSA key whose CRT values are wrong", Want: Accepted, Note: "with the right ones", Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			d["tls.key"] = brokenRSA(tb, func(k *pkcs1Key) { k.QInv.Add(k.QInv, big.NewInt(2)) })
			return d
		}},
		{Shape: "an RSA key of modulus and exponents, without primes", Want: Accepted, Note: "with the primes", Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			d["tls.key"] = brokenRSA(tb, func(k *pkcs1Key) {
				k.P, k.Q, k.Dp, k.Dq, k.QInv = new(big.Int), new(big.Int), new(big.Int), new(big.Int), new(big.Int)
			})
			return d
		}},
		{Shape: "an RSA key whose private exponent is zero, or larger than it need be", Want: Accepted, Note: "with the right one", Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			d["tls.key"] = brokenRSA(tb, func(k *pkcs1Key) { k.D = new(big.Int) })
			return d
		}},
		{Shape: "an RSA key with a public exponent of more than 31 bits", Want: Refused, Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			d["tls.key"] = brokenRSA(tb, func(k *pkcs1Key) { k.E = 1<<32 + 1 })
			return d
		}},
		{Shape: "an RSA key whose numbers contradict each other", Want: Refused, Data: func(tb testing.TB) Data {
			d := at.withRSA(2048)(tb)
			d["tls.key"] = brokenRSA(tb, func(k *pkcs1Key) { k.D.Add(k.D, big.NewInt(2)) })
			return d
		}},
		{Shape: "no `tls.key`, but keys that are no certificate's", Want: Missing, Data: func(tb testing.TB) Data {
			d := at.Simple()(tb)
			delete(d, "tls.key")
			d["postgres-admin-password"], d["postgres-admin.key"], d["chain"] = []byte("x"), []byte("x"), d["tls.crt"]
			return d
		}},
	}}
}

type pkcs1Key struct {
	Version      int
	N            *big.Int
	E            int
	D, P, Q      *big.Int
	Dp, Dq, QInv *big.Int
}

func brokenRSA(tb testing.TB, change func(*pkcs1Key)) []byte {
	tb.Helper()
	var k pkcs1Key
	if _, err := asn1.Unmarshal(x509.MarshalPKCS1PrivateKey(RSAKey(tb, 2048)), &k); err != nil {
		tb.Fatal(err)
	}
	change(&k)
	return BlockPEM("RSA PRIVATE KEY", MustMarshal(k))
}
