// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"
)

// pair is a private key and what the Secret holds of its certificate: a TLS
// bundle has one pair, an SM bundle has two.
type pair struct {
	crt, key string // keys of the Secret
	certs    []*certificate
	private  *privateKey
	issuers  issuers
	path     []*certificate // what is uploaded
}

func (p *pair) leaf() *certificate { return p.path[0] }

// certOf returns the certificate of a private key, nil if there is none.
func (p *pair) certOf(k *privateKey) *certificate {
	for _, c := range p.certs {
		if k.matches(c) {
			return c
		}
	}
	return nil
}

// matches reports whether the key of p is the one of a certificate in other.
func (p *pair) matches(other *pair) bool { return other.certOf(p.private) != nil }

// buildChain finds the leaf of the private key and orders its path.
//
// The result is a function of the set of certificates, whatever their order and
// the time:
//   - the leaf is the certificate of the private key; of several, those that are
//     no CA come first, then those that are not self-signed; two that are left
//     are refused, because no rule could know which is meant;
//   - the path leads from the leaf to an issuer each: never to one that ended
//     before the leaf began; of the rest to one with no flaw that clients refuse,
//     then to one that had begun when the leaf did, then to the one that is valid
//     longest, then to the one with the smallest SHA-256 digest; never to a
//     certificate whose subject and key the path has already, and never to a
//     self-signed one: roots are dropped, and with them the alternatives not taken;
//   - what cannot be reached from the leaf by signatures is a stranger. It is left
//     out if the issuer of the leaf is there, and refused if that is missing.
func (l *loader) buildChain(p *pair) *Error {
	leaf, err := l.findLeaf(p)
	if err != nil {
		return err
	}
	p.path = pathFrom(leaf, p.issuers)
	if err := l.judgeStrangers(p); err != nil {
		return err
	}
	if err := l.refuseFlawed(p.crt, p.path); err != nil {
		return err
	}
	if err := l.refuseEmptySM2ID(p); err != nil {
		return err
	}
	l.warnAlternatives(p)
	l.warnIssuerElsewhere(p)
	return nil
}

func (l *loader) findLeaf(p *pair) (*certificate, *Error) {
	var leaves []*certificate
	for _, c := range p.certs {
		if p.private.matches(c) {
			leaves = append(leaves, c)
		}
	}
	if len(leaves) == 0 {
		return nil, l.explainNoLeaf(p)
	}
	p.issuers = findIssuers(p.certs, checkSignature)
	for _, unfit := range []func(*certificate) bool{func(c *certificate) bool { return c.IsCA }, p.issuers.isSelfSigned} {
		if fit := slices.DeleteFunc(slices.Clone(leaves), unfit); len(fit) > 0 {
			leaves = fit
		}
	}
	if len(leaves) > 1 {
		leaves = sortedBySum(leaves)
		return nil, l.invalid(p.crt, fmt.Sprintf("holds %d leaf certificates for the key in %s, of them %s and %s", len(leaves), printable(p.key, maxQuoted), describe(leaves[0]), describe(leaves[1])), "keep the newest with its chain")
	}
	return leaves[0], nil
}

// explainNoLeaf says that the key belongs to none of the certificates, or that it
// cannot be known because a public key cannot be read.
func (l *loader) explainNoLeaf(p *pair) *Error {
	for _, c := range p.certs {
		isRoot := len(p.certs) > 1 && bytes.Equal(c.RawSubject, c.RawIssuer)
		if c.PublicKey != nil || c.IsCA || isRoot {
			continue // not the one that is meant
		}
		found := l.explainPublicKey(c)
		return l.invalid(p.crt, "holds "+describe(c)+", "+found.problem, found.fix)
	}
	err := l.invalid(p.key, "does not match the public key of "+printable(p.crt, maxQuoted), "store the key and the certificate of the same issuance")
	err.Kind = KindMismatch
	return err
}

// issuers holds the certificates that issued each certificate of a set. A
// self-signed one is among its own.
type issuers map[*certificate][]*certificate

// findIssuers checks every signature once, with check.
func findIssuers(certs []*certificate, check func(parent, child *x509.Certificate) error) issuers {
	found := issuers{}
	for _, child := range certs {
		for _, parent := range certs {
			if issued(parent, child, check) {
				found[child] = append(found[child], parent)
			}
		}
	}
	return found
}

// issued reports whether parent signed child. A signature that no library checks
// (MD5, DSA, or of a certificate that cannot be parsed) is judged by the names and
// key identifiers.
func issued(parent, child *certificate, check func(parent, child *x509.Certificate) error) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	err := check(parent.Certificate, child.Certificate)
	if err == nil {
		return true
	}
	if _, insecure := errors.AsType[x509.InsecureAlgorithmError](err); !insecure && !errors.Is(err, x509.ErrUnsupportedAlgorithm) {
		return hasEmptySM2ID(parent, child)
	}
	return len(parent.SubjectKeyId) == 0 || len(child.AuthorityKeyId) == 0 || bytes.Equal(parent.SubjectKeyId, child.AuthorityKeyId)
}

// checkSignature asks only who signed. CheckSignatureFrom would refuse SHA-1 and
// ask for the right to sign.
func checkSignature(parent, child *x509.Certificate) error {
	return (*smx509.Certificate)(parent).CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
}

func (i issuers) isSelfSigned(c *certificate) bool { return slices.Contains(i[c], c) }

// reachable returns what a chain of issuers leads to from the leaf, with the leaf.
func (i issuers) reachable(leaf *certificate) []*certificate {
	found := []*certificate{leaf}
	for next := 0; next < len(found); next++ {
		for _, parent := range i[found[next]] {
			if !slices.Contains(found, parent) {
				found = append(found, parent)
			}
		}
	}
	return found
}

func pathFrom(leaf *certificate, known issuers) []*certificate {
	path := []*certificate{leaf}
	for {
		candidates := slices.DeleteFunc(slices.Clone(known[path[len(path)-1]]), func(c *certificate) bool {
			return known.isSelfSigned(c) || endedBefore(c, leaf) ||
				slices.ContainsFunc(path, func(p *certificate) bool { return sameAuthority(p, c) })
		})
		if len(candidates) == 0 {
			return path
		}
		path = append(path, slices.MinFunc(candidates, preferenceAbove(path)))
	}
}

// preferenceAbove orders the issuers of the end of a path: first those that clients
// let issue it, then those that had begun when the leaf did, then by the time they
// are valid, then by digest. The clock is no part of it. FROZEN: the content hash
// rests on it.
func preferenceAbove(path []*certificate) func(a, b *certificate) int {
	leaf := path[0]
	unfit := func(c *certificate) bool {
		return c.flaw != nil || unfitIssuer(c, len(path)-1) != "" || unknownCritical(c) != ""
	}
	late := func(c *certificate) bool { return c.NotBefore.After(leaf.NotBefore) }
	return func(a, b *certificate) int {
		return cmp.Or(falseFirst(unfit(a), unfit(b)), falseFirst(late(a), late(b)), b.NotAfter.Compare(a.NotAfter), bySum(a, b))
	}
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// endedBefore reports whether an issuer had expired when the leaf became valid.
func endedBefore(c, leaf *certificate) bool { return c.NotAfter.Before(leaf.NotBefore) }

// sameAuthority is true of a certificate and its cross-signed or renewed twin.
func sameAuthority(a, b *certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// judgeStrangers decides on certificates that are no part of the leaf's chain. One
// beside a chain that stands is no reason to lose a renewal.
func (l *loader) judgeStrangers(p *pair) *Error {
	leaf, related := p.leaf(), p.issuers.reachable(p.leaf())
	strangers := slices.DeleteFunc(sortedBySum(p.certs), func(c *certificate) bool {
		return slices.Contains(related, c) || p.private.matches(c)
	})
	if len(strangers) == 0 {
		return nil
	}
	if i := slices.IndexFunc(strangers, func(c *certificate) bool { return slices.Contains(p.issuers[c], leaf) }); i >= 0 && leaf.IsCA {
		return l.invalid(p.key, "belongs to the CA certificate "+describe(leaf)+" in "+printable(p.crt, maxQuoted)+", not to "+describe(strangers[i]), "store the key of the server certificate; the key of a CA must not leave the cluster")
	}
	if len(p.issuers[leaf]) == 0 {
		return l.explainMissingIssuer(p, strangers)
	}
	l.warnHole(p, strangers)
	for _, c := range strangers {
		l.warn(WarnUnrelatedCertificate, p.crt, "holds "+describe(c)+", which has not signed any certificate of the chain; it was left out")
	}
	return nil
}

// warnHole says what is missing before what is too much: where a root is a stranger, a
// certificate between it and the path may be missing. That it is a root itself, which
// nobody misses, cannot be known.
func (l *loader) warnHole(p *pair, strangers []*certificate) {
	top := p.path[len(p.path)-1]
	if len(p.issuers[top]) > 0 || l.issuerElsewhere(top) != nil || !slices.ContainsFunc(strangers, p.issuers.isSelfSigned) {
		return
	}
	l.warn(WarnUnrelatedCertificate, p.crt, "lacks "+quote(issuerOf(top))+", the issuer of "+describe(top)+": append it, unless it is a root")
}

// explainMissingIssuer says what is missing before what is too much.
func (l *loader) explainMissingIssuer(p *pair, strangers []*certificate) *Error {
	leaf := p.leaf()
	if c := l.issuerElsewhere(leaf); c != nil {
		if hasEmptySM2ID(c, leaf) {
			return l.invalid(p.crt, "holds "+describe(leaf)+", "+emptySM2ID, fixEmptySM2ID)
		}
		return l.invalid(p.crt, "lacks "+describe(c)+", the issuer of "+describe(leaf)+", which stands in ca.crt", "append it to "+printable(p.crt, maxQuoted))
	}
	for _, c := range strangers {
		if bytes.Equal(c.RawSubject, leaf.RawIssuer) {
			return l.invalid(p.crt, "holds "+describe(c)+", which has the name of the issuer of "+describe(leaf)+" but did not sign it", "store the intermediate certificate that the CA delivers with this leaf")
		}
	}
	return l.invalid(p.crt, "lacks the issuer "+quote(issuerOf(leaf))+" of "+describe(leaf)+", and holds "+describe(strangers[0])+", which did not sign it", "store the leaf with the intermediate certificates that the CA delivers with it")
}

const (
	emptySM2ID    = "which is signed with an empty SM2 id: no client verifies it"
	fixEmptySM2ID = "have it signed with the id 1234567812345678 of GM/T 0009 (openssl: -sigopt distid:1234567812345678)"
)

// refuseEmptySM2ID refuses what nobody verifies: SM2 signs an id along with the
// message, and openssl takes an empty one unless it is told the standard's.
func (l *loader) refuseEmptySM2ID(p *pair) *Error {
	for _, c := range p.path {
		for _, parent := range p.issuers[c] {
			if hasEmptySM2ID(parent, c) {
				return l.invalid(p.crt, "holds "+describe(c)+", "+emptySM2ID, fixEmptySM2ID)
			}
		}
	}
	return nil
}

// hasEmptySM2ID reports whether parent signed child with an empty SM2 id.
func hasEmptySM2ID(parent, child *certificate) bool {
	public, ok := parent.PublicKey.(*ecdsa.PublicKey)
	if !ok || !sm2.IsSM2PublicKey(public) || child.SignatureAlgorithm != smx509.SM2WithSM3 {
		return false
	}
	za, err := sm2.CalculateZA(public, nil)
	if err != nil {
		return false
	}
	digest := sm3.Sum(append(za, child.RawTBSCertificate...))
	return sm2.VerifyASN1(public, digest[:], child.Signature)
}

// warnAlternatives tells of certificates other than roots that belong to the chain
// and are not uploaded.
func (l *loader) warnAlternatives(p *pair) {
	related := p.issuers.reachable(p.leaf())
	for _, c := range sortedBySum(p.certs) {
		if slices.Contains(p.path, c) || p.issuers.isSelfSigned(c) || !slices.Contains(related, c) && !p.private.matches(c) {
			continue
		}
		why := "holds more than one path to a root; the upload leaves out " + describe(c)
		if endedBefore(c, p.leaf()) {
			why = "holds " + describe(c) + ", which expired at " + stamp(c.NotAfter) + ", before the leaf was issued; it was left out"
		}
		l.warn(WarnAlternativesDropped, p.crt, why)
	}
}

func sortedBySum(certs []*certificate) []*certificate {
	return slices.SortedFunc(slices.Values(certs), bySum)
}

func bySum(a, b *certificate) int { return bytes.Compare(a.sum[:], b.sum[:]) }
