// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
)

// rsaKey is RSAPrivateKey of PKCS#1, as crypto/x509 reads it, but for the public
// exponent, which may be of any size here.
type rsaKey struct {
	Version int
	N, E    *big.Int
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
	return &k, err == nil && k.Version <= 1 && k.N.Sign() > 0
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

var (
	errExponent    = errors.New("public exponent")
	errNoPrimes    = errors.New("no primes")
	errContradicts = errors.New("numbers contradict each other")
	errGuessable   = errors.New("guessable")
)

// mend makes a key of numbers that crypto/x509 refuses as they are, where those that
// are missing or wrong follow from the rest: the values for the Chinese remainder
// theorem, a private exponent that is zero or larger than it need be, and primes that
// are zero, as in keys that were stored as modulus and exponents.
func (k *rsaKey) mend() (*rsa.PrivateKey, error) {
	if k.E.BitLen() > 31 || k.E.Cmp(big.NewInt(3)) < 0 || k.E.Bit(0) == 0 {
		return nil, errExponent
	}
	primes, err := k.primes()
	if err != nil {
		return nil, err
	}
	d, err := k.exponent(primes)
	if err != nil {
		return nil, err
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: int(k.E.Int64())}, D: d, Primes: primes}
	if key.Validate() != nil {
		return nil, errGuessable // all else was proven
	}
	key.Precompute()
	return key, nil
}

// maxFactorBits bounds the work for a key without primes: a try takes 50 ms.
const maxFactorBits = 4096

// primes returns the factors of the modulus, and proves that they are.
func (k *rsaKey) primes() ([]*big.Int, error) {
	primes := []*big.Int{k.P, k.Q}
	for _, more := range k.More {
		primes = append(primes, more.Prime)
	}
	if k.P.Sign() == 0 && k.Q.Sign() == 0 && len(k.More) == 0 && k.D.Sign() > 0 {
		if k.N.BitLen() > maxFactorBits {
			return nil, errNoPrimes
		}
		primes = factor(k.N, new(big.Int).Mul(k.E, k.D))
	}
	product := big.NewInt(1)
	for _, prime := range primes {
		if !prime.ProbablyPrime(0) {
			return nil, errContradicts
		}
		product.Mul(product, prime)
	}
	if product.Cmp(k.N) != 0 {
		return nil, errContradicts
	}
	return primes, nil
}

// factor finds the two factors of n by a multiple of its order plus one (NIST SP
// 800-56B, appendix C). Each base finds them in one of two cases.
func factor(n, multiple *big.Int) []*big.Int {
	one := big.NewInt(1)
	order := new(big.Int).Sub(multiple, one)
	twos := order.TrailingZeroBits()
	odd := new(big.Int).Rsh(order, twos)
	minusOne := new(big.Int).Sub(n, one)
	for _, base := range []int64{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37} {
		root := new(big.Int).Exp(big.NewInt(base), odd, n)
		for range twos {
			square := new(big.Int).Mul(root, root)
			square.Mod(square, n)
			if square.Cmp(one) == 0 && root.Cmp(one) != 0 && root.Cmp(minusOne) != 0 {
				p := new(big.Int).GCD(nil, nil, root.Sub(root, one), n)
				return []*big.Int{p, new(big.Int).Div(n, p)}
			}
			root = square
		}
	}
	return nil
}

// exponent returns the private exponent: as it stands there, or computed where that is
// zero, or the right one and a multiple of the order.
func (k *rsaKey) exponent(primes []*big.Int) (*big.Int, error) {
	order := big.NewInt(1)
	for _, prime := range primes {
		below := new(big.Int).Sub(prime, big.NewInt(1))
		common := new(big.Int).GCD(nil, nil, order, below)
		order.Mul(order, below.Div(below, common))
	}
	d := new(big.Int).ModInverse(k.E, order)
	if d == nil {
		return nil, errContradicts
	}
	if k.D.Sign() == 0 {
		return d, nil
	}
	if beyond := new(big.Int).Sub(k.D, d); beyond.Mod(beyond, order).Sign() != 0 {
		return nil, errContradicts
	}
	if k.D.Sign() > 0 && k.D.Cmp(k.N) < 0 {
		return k.D, nil
	}
	return d, nil
}

// explainRSA says why there is no mending a key.
func explainRSA(k *rsaKey) finding {
	const again = "store the key again from where it was made, or issue the certificate with a new one"
	contradicts := finding{"is an RSA key whose numbers contradict each other (modulus, exponents and primes)", again}
	if !k.isBounded() {
		return contradicts
	}
	_, err := k.mend()
	switch {
	case errors.Is(err, errExponent) && k.E.BitLen() > 31:
		return finding{"is an RSA key with a public exponent of " + strconv.Itoa(k.E.BitLen()) + " bits, where clients take 31 at most", "issue the certificate with a key of the exponent 65537"}
	case errors.Is(err, errExponent):
		return finding{"is an RSA key with the public exponent " + k.E.String() + ", which none can have", again}
	case errors.Is(err, errNoPrimes):
		return finding{fmt.Sprintf("is an RSA key without its primes; they are computed up to %d bits only", maxFactorBits), again}
	case errors.Is(err, errGuessable):
		return finding{"is an RSA key that is guessed from its certificate: the primes are too close, or the private exponent is too small", "issue the certificate with a new key"}
	}
	return contradicts
}
