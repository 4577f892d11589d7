// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// buildChain finds the leaf of the private key and orders its path.
//
// The result is a function of the set of certificates, whatever their order:
//   - the leaf is the certificate of the private key; of several, those that are
//     no CA come first, then those that are not self-signed; two that are left
//     are refused, because no rule could know which is meant;
//   - related is what can be reached from the leaf from issuer to issuer, and
//     what shares the leaf's key; anything else is refused;
//   - the path leads from the leaf to an issuer each, the one with the smallest
//     SHA-256 digest where cross-signing gives several, never to a certificate
//     whose subject and key the path has already, and never to a self-signed
//     one: roots are dropped, and with them the alternatives not taken.
func (l *loader) buildChain(crt, key string, certs []*certificate, private *privateKey, s scheme) ([]*certificate, *Error) {
	leaf, err := l.findLeaf(crt, key, certs, private, s)
	if err != nil {
		return nil, err
	}
	issuers := issuersFrom(leaf, certs, s)
	for _, c := range certs {
		if _, related := issuers[c]; related || private.matches(c) {
			continue
		}
		if leaf.IsCA && issued(leaf, c, s) {
			return nil, l.invalid(key, "belongs to the CA certificate "+describe(leaf)+" in "+printable(crt, maxQuoted)+", not to "+describe(c), "store the key of the server certificate; the key of a CA must not leave the cluster")
		}
		return nil, l.invalid(crt, "holds an unrelated certificate, "+describe(c), "keep the leaf and the chain of its issuers only")
	}
	path := []*certificate{leaf}
	for {
		next := nextIssuer(path, issuers, s)
		if next == nil {
			break
		}
		path = append(path, next)
	}
	l.warnDropped(crt, path, certs, s)
	return path, nil
}

func (l *loader) findLeaf(crt, key string, certs []*certificate, private *privateKey, s scheme) (*certificate, *Error) {
	var leaves []*certificate
	for _, c := range certs {
		if private.matches(c) {
			leaves = append(leaves, c)
		}
	}
	if len(leaves) == 0 {
		err := l.invalid(key, "does not match the public key of "+printable(crt, maxQuoted), "store the key and the certificate of the same issuance")
		err.Kind = KindMismatch
		return nil, err
	}
	for _, unfit := range []func(*certificate) bool{
		func(c *certificate) bool { return c.IsCA },
		func(c *certificate) bool { return selfSigned(c, s) },
	} {
		if fit := slices.DeleteFunc(slices.Clone(leaves), unfit); len(fit) > 0 {
			leaves = fit
		}
	}
	if len(leaves) > 1 {
		leaves = sortedBySum(leaves)
		return nil, l.invalid(crt, fmt.Sprintf("holds %d leaf certificates for the key in %s, of them %s and %s", len(leaves), printable(key, maxQuoted), describe(leaves[0]), describe(leaves[1])), "keep the newest with its chain")
	}
	return leaves[0], nil
}

// issuersFrom returns what can be reached from the leaf, each with its issuers.
func issuersFrom(leaf *certificate, certs []*certificate, s scheme) map[*certificate][]*certificate {
	issuers := map[*certificate][]*certificate{}
	queue := []*certificate{leaf}
	for len(queue) > 0 {
		child := queue[0]
		queue = queue[1:]
		if _, done := issuers[child]; done {
			continue
		}
		issuers[child] = slices.DeleteFunc(slices.Clone(certs), func(parent *certificate) bool { return !issued(parent, child, s) })
		queue = append(queue, issuers[child]...)
	}
	return issuers
}

// nextIssuer returns the certificate that the path goes on with, nil at its end.
func nextIssuer(path []*certificate, issuers map[*certificate][]*certificate, s scheme) *certificate {
	candidates := slices.DeleteFunc(slices.Clone(issuers[path[len(path)-1]]), func(c *certificate) bool {
		return selfSigned(c, s) || slices.ContainsFunc(path, func(p *certificate) bool { return sameAuthority(p, c) })
	})
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, bySum)
}

// issued says whether parent signed child. A signature by an algorithm that no
// library checks any more (MD5, DSA) is judged by the names and key identifiers.
func issued(parent, child *certificate, s scheme) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := s.check(parent.Certificate, child.Certificate)
	if err == nil {
		return true
	}
	if _, insecure := errors.AsType[x509.InsecureAlgorithmError](err); !insecure && !errors.Is(err, x509.ErrUnsupportedAlgorithm) {
		return false
	}
	return len(parent.SubjectKeyId) == 0 || len(child.AuthorityKeyId) == 0 || bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
}

func selfSigned(c *certificate, s scheme) bool { return issued(c, c, s) }

// sameAuthority is true of a certificate and its cross-signed or renewed twin.
func sameAuthority(a, b *certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// warnDropped tells of certificates other than roots that are not uploaded.
func (l *loader) warnDropped(crt string, path, certs []*certificate, s scheme) {
	for _, c := range sortedBySum(certs) {
		if !slices.Contains(path, c) && !selfSigned(c, s) {
			l.warn(WarnAlternativesDropped, crt, "holds more than one path to a root; the upload leaves out "+describe(c))
		}
	}
}

func sortedBySum(certs []*certificate) []*certificate {
	return slices.SortedFunc(slices.Values(certs), bySum)
}

func bySum(a, b *certificate) int { return bytes.Compare(a.sum[:], b.sum[:]) }
