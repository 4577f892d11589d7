// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
	"slices"
)

// rsaKey is RSAPrivateKey of PKCS#1, as crypto/x509 reads it.
type rsaKey struct {
	Version int
	N       *big.Int
	E       int
	D, P, Q *big.Int
	Dp      *big.Int    `asn1:"optional"`
	Dq      *big.Int    `asn1:"optional"`
	QInv    *big.Int    `asn1:"optional"`
	More    []morePrime `asn1:"optional,omitempty"`
}

type morePrime struct{ Prime, Exponent, Coefficient *big.Int }

// parseRSA reads the numbers of an RSA key in PKCS#1 or PKCS#8 without a check.
func parseRSA(der []byte) (*rsaKey, bool) {
	var outer struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &outer); err == nil {
		der = outer.Key
	}
	var k rsaKey
	_, err := asn1.Unmarshal(der, &k)
	return &k, err == nil && k.Version <= 1 && k.N.Sign() > 0 && k.P.Sign() > 0 && k.Q.Sign() > 0 && k.D.Sign() > 0
}

// isBounded reports whether the numbers can be those of a key within the limit.
// Validation takes seconds where they are larger, whatever their product is.
func (k *rsaKey) isBounded() bool {
	primes := k.P.BitLen() + k.Q.BitLen()
	for _, more := range k.More {
		primes += more.Prime.BitLen()
	}
	// A product has as many bits as its factors, or one less for each but the first.
	return primes <= k.N.BitLen()+1+len(k.More) &&
		!slices.ContainsFunc([]*big.Int{k.N, k.D, k.Dp, k.Dq, k.QInv}, func(n *big.Int) bool {
			return n != nil && n.BitLen() > maxRSABits
		})
}

// largeRSA returns the size of an RSA key above the limit, zero for all else.
func largeRSA(der []byte) int {
	if k, ok := parseRSA(der); ok && k.N.BitLen() > maxRSABits {
		return k.N.BitLen()
	}
	return 0
}

// mend makes a key of numbers whose values for the Chinese remainder theorem are
// wrong: crypto/x509 refuses it, but they follow from the rest, which is proven.
func (k *rsaKey) mend() (*rsa.PrivateKey, bool) {
	if k.Version != 0 {
		return nil, false
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: k.E}, D: k.D, Primes: []*big.Int{k.P, k.Q}}
	if key.Validate() != nil {
		return nil, false
	}
	key.Precompute()
	return key, true
}
