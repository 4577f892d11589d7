// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"encoding/asn1"
	"math/big"
)

// rsaKey is RSAPrivateKey of PKCS#1 with two primes.
type rsaKey struct {
	Version      int
	N            *big.Int
	E            int
	D, P, Q      *big.Int
	Dp, Dq, QInv *big.Int
}

// mendRSA reads an RSA key whose values for the Chinese remainder theorem are
// wrong: crypto/x509 refuses it, but they follow from the rest, which is proven.
func mendRSA(der []byte) (*rsa.PrivateKey, bool) {
	k, ok := parseRSA(der)
	if !ok {
		return nil, false
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: k.E}, D: k.D, Primes: []*big.Int{k.P, k.Q}}
	if key.Validate() != nil {
		return nil, false
	}
	key.Precompute()
	return key, true
}

// isContradictoryRSA reports whether DER is an RSA key that parseSigner cannot mend.
func isContradictoryRSA(der []byte) bool {
	if _, ok := parseRSA(der); !ok {
		return false
	}
	_, ok := parseSigner(der)
	return !ok
}

// parseRSA reads the numbers of an RSA key in PKCS#1 or PKCS#8 without a check.
func parseRSA(der []byte) (rsaKey, bool) {
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
	return k, err == nil && k.Version == 0 && k.N.Sign() > 0 && k.P.Sign() > 0 && k.Q.Sign() > 0 && k.D.Sign() > 0
}
