// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
)

// numbersOf are those of a key as crypto/x509 writes it.
func numbersOf(tb testing.TB, key *rsa.PrivateKey) rsaKey {
	tb.Helper()
	var k rsaKey
	if _, err := asn1.Unmarshal(x509.MarshalPKCS1PrivateKey(key), &k); err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestRSAKeysThatGoRefuses(t *testing.T) {
	t.Parallel()
	key := bundletest.RSAKey(t, 2048)
	h := at.Hierarchy(t, key)
	phi := func(k *rsaKey) *big.Int {
		one := big.NewInt(1)
		return new(big.Int).Mul(new(big.Int).Sub(k.P, one), new(big.Int).Sub(k.Q, one))
	}
	withoutCRT := func(k *rsaKey) { k.Dp, k.Dq, k.QInv = new(big.Int), new(big.Int), new(big.Int) }
	withoutPrimes := func(k *rsaKey) { withoutCRT(k); k.P, k.Q = new(big.Int), new(big.Int) }
	for name, tc := range map[string]struct {
		change  func(k *rsaKey)
		refused string // in the message; empty: accepted
	}{
		"all of it":                        {change: func(*rsaKey) {}},
		"modulus and exponents alone":      {change: withoutPrimes},
		"the same, and d with two orders":  {change: func(k *rsaKey) { d := new(big.Int).Lsh(phi(k), 1); withoutPrimes(k); k.D.Add(k.D, d) }},
		"no values for CRT":                {change: withoutCRT},
		"a wrong value for CRT":            {change: func(k *rsaKey) { k.Dp.Add(k.Dp, big.NewInt(2)) }},
		"no private exponent":              {change: func(k *rsaKey) { k.D = new(big.Int) }},
		"neither it nor values for CRT":    {change: func(k *rsaKey) { withoutCRT(k); k.D = new(big.Int) }},
		"the order added to d":             {change: func(k *rsaKey) { k.D.Add(k.D, phi(k)) }},
		"the order added to d four times":  {change: func(k *rsaKey) { k.D.Add(k.D, new(big.Int).Lsh(phi(k), 2)) }},
		"the order taken from d":           {change: func(k *rsaKey) { k.D.Sub(k.D, phi(k)) }},
		"the primes in the other order":    {change: func(k *rsaKey) { k.P, k.Q = k.Q, k.P }},
		"a negative coefficient":           {change: func(k *rsaKey) { k.QInv.Sub(k.QInv, k.P) }},
		"the version of many primes":       {change: func(k *rsaKey) { k.Version = 1; k.QInv.Add(k.QInv, big.NewInt(2)) }},
		"another d":                        {change: func(k *rsaKey) { k.D.Add(k.D, big.NewInt(2)) }, refused: "numbers contradict each other"},
		"another d and no primes":          {change: func(k *rsaKey) { withoutPrimes(k); k.D.Add(k.D, big.NewInt(2)) }, refused: "numbers contradict each other"},
		"another modulus":                  {change: func(k *rsaKey) { k.N.Add(k.N, big.NewInt(2)) }, refused: "numbers contradict each other"},
		"a prime alone":                    {change: func(k *rsaKey) { k.Q = new(big.Int) }, refused: "numbers contradict each other"},
		"a prime that is none":             {change: func(k *rsaKey) { k.P, k.Q, k.D = new(big.Int).Set(k.N), big.NewInt(1), new(big.Int) }, refused: "numbers contradict each other"},
		"a negative prime":                 {change: func(k *rsaKey) { k.P.Neg(k.P); k.Q.Neg(k.Q) }, refused: "numbers contradict each other"},
		"neither d nor primes":             {change: func(k *rsaKey) { withoutPrimes(k); k.D = new(big.Int) }, refused: "numbers contradict each other"},
		"a public exponent of 33 bits":     {change: func(k *rsaKey) { k.E = big.NewInt(4294967297) }, refused: "with a public exponent of 33 bits, where"},
		"a public exponent of 200 bits":    {change: func(k *rsaKey) { k.E = new(big.Int).Lsh(big.NewInt(1), 199) }, refused: "exponent of 200 bits"},
		"the public exponent 0":            {change: func(k *rsaKey) { k.E = new(big.Int) }, refused: "with the public exponent 0, which none can have"},
		"the public exponent 1":            {change: func(k *rsaKey) { k.E = big.NewInt(1) }, refused: "with the public exponent 1,"},
		"an even public exponent":          {change: func(k *rsaKey) { k.E = big.NewInt(65536) }, refused: "with the public exponent 65536,"},
		"a public exponent of another key": {change: func(k *rsaKey) { k.E = big.NewInt(257) }, refused: "numbers contradict each other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := numbersOf(t, key)
			tc.change(&k)
			for _, value := range [][]byte{bundletest.BlockPEM("RSA PRIVATE KEY", bundletest.MustMarshal(k)), bundletest.BlockPEM("PRIVATE KEY", inPKCS8(bundletest.MustMarshal(k)))} {
				b, err := load(bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), value))
				if tc.refused != "" {
					if err == nil || !strings.Contains(err.Error(), tc.refused) {
						t.Errorf("got %v, want %q", err, tc.refused)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				mended, err := x509.ParsePKCS1PrivateKey(bundletest.DEROf([]byte(b.Material.PrivateKey)))
				if err != nil || !mended.PublicKey.Equal(&key.PublicKey) {
					t.Errorf("another key, or %v", err)
				}
			}
		})
	}
}

// TestGuessableRSAKeysAreNamed has primes that Fermat's method finds at once.
func TestGuessableRSAKeysAreNamed(t *testing.T) {
	t.Parallel()
	p := new(big.Int).Lsh(big.NewInt(3), 1022)
	next := func(after *big.Int) *big.Int {
		n := new(big.Int).Add(after, big.NewInt(1))
		for !n.ProbablyPrime(0) || new(big.Int).Mod(n, big.NewInt(65537)).Cmp(big.NewInt(1)) == 0 {
			n.Add(n, big.NewInt(1))
		}
		return n
	}
	p = next(p)
	q := next(p)
	k := rsaKey{N: new(big.Int).Mul(p, q), E: big.NewInt(65537), D: new(big.Int), P: p, Q: q}
	if found := explainRSA(&k); !strings.Contains(found.problem, "is guessed from its certificate") {
		t.Errorf("got %+v", found)
	}
}

// TestPrimesAreSoughtWithinBounds has moduli whose factors no exponent tells.
func TestPrimesAreSoughtWithinBounds(t *testing.T) {
	t.Parallel()
	large := rsaKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSABits-1, 1), E: big.NewInt(65537), D: big.NewInt(3), P: new(big.Int), Q: new(big.Int)}
	if found := explainRSA(&large); !strings.Contains(found.problem, "without its primes; they are computed up to 4096 bits only") {
		t.Errorf("got %+v", found)
	}
	// The order of a prime is known, but it has no factors.
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 3217), big.NewInt(1)) // Mersenne's
	order := new(big.Int).Sub(prime, big.NewInt(1))
	e := big.NewInt(65537)
	k := rsaKey{N: prime, E: e, D: new(big.Int).ModInverse(e, order), P: new(big.Int), Q: new(big.Int)}
	if found := explainRSA(&k); !strings.Contains(found.problem, "contradict each other") {
		t.Errorf("got %+v", found)
	}
}
