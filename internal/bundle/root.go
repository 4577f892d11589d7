// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// ending is a root of the file, which is not uploaded, and the path up to the
// certificate that it issued. Clients have roots of their own; the one that the CA
// delivers is what they are known to have.
type ending struct {
	path []*certificate
	root *certificate
}

// fault is a reason for which clients refuse a chain.
type fault struct{ reason, message string }

// endings returns the roots that a path may end in, the same for one set of
// certificates whatever their order.
func (p *pair) endings() []ending {
	var found []ending
	for i, c := range p.path {
		for _, root := range p.issuers[c] {
			if root != c && p.issuers.isSelfSigned(root) {
				found = append(found, ending{p.path[:i+1], root})
			}
		}
	}
	slices.SortFunc(found, func(a, b ending) int { return cmp.Or(len(a.path)-len(b.path), bySum(a.root, b.root)) })
	return found
}

// warnRoots tells of roots with which clients refuse the chain, unless there is one
// with which they do not.
func (l *loader) warnRoots(p *pair) {
	var first []fault
	for _, e := range p.endings() {
		faults := l.faultsOf(e)
		if len(faults) == 0 {
			return
		}
		if first == nil {
			first = faults
		}
	}
	for _, f := range first {
		l.warn(f.reason, p.crt, f.message)
	}
}

func (l *loader) faultsOf(e ending) []fault {
	if e.root.flaw != nil {
		return nil // it cannot be judged, and other clients may be able to read it
	}
	child, leaf := e.path[len(e.path)-1], e.path[0]
	var faults []fault
	add := func(reason, message string) { faults = append(faults, fault{reason, message}) }
	if why := unfitRoot(e.root, len(e.path)-1); why != "" {
		add(WarnBrokenChain, "holds the root "+describe(e.root)+" as the issuer of "+describe(child)+", but "+why+": clients refuse the chain")
	}
	if unknown := unknownCritical(e.root); unknown != "" {
		add(WarnCriticalExtension, "holds the root "+describe(e.root)+" with the critical extension "+unknown+", which clients do not know: they refuse it")
	}
	whole := append(slices.Clone(e.path), e.root)
	if c, why := violatedConstraint(whole); c != nil && bytes.Equal(c.Raw, e.root.Raw) {
		add(WarnBrokenChain, "holds the root "+describe(e.root)+", "+forbids(why))
	}
	if names := namesAnother(e.root, child); names != "" {
		add(WarnBrokenChain, names)
	}
	switch {
	case !l.isValid(e.root):
		add(WarnRootNotValid, fmt.Sprintf("holds the root %s that is valid from %s to %s only: clients that know no other root of the chain refuse it", describe(e.root), stamp(e.root.NotBefore), stamp(e.root.NotAfter)))
	case e.root.NotAfter.Before(leaf.NotAfter):
		add(WarnRootEndsFirst, fmt.Sprintf("holds the root %s that expires at %s, before the leaf does at %s: clients that know no other root of the chain will refuse it from then on; renew it before", describe(e.root), stamp(e.root.NotAfter), stamp(leaf.NotAfter)))
	}
	if reason, what := weaknessOf(e.root.PublicKey); reason != "" {
		add(reason, "holds the root "+describe(e.root)+" with "+what)
	}
	return faults
}

// unfitRoot says why clients do not let a root issue certificates. Roots of X.509
// version 1 are still taken.
func unfitRoot(root *certificate, below int) string {
	if root.Version < 3 {
		return ""
	}
	return unfitIssuer(root, below)
}
