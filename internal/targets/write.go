// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// clientToken returns what makes a call idempotent. It follows from the seed and from
// everything that the call changes, so that no other call has it; at most 64 ASCII characters
// are taken (T11).
func clientToken(seed string, sent ...string) string {
	h := sha256.New()
	for _, part := range append([]string{seed}, sent...) {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// prepare reports whether a slot needs a call for a certificate, and refuses what holds for every
// placement: nothing is placed in what is being changed, or switched off.
func (s State) prepare(t Target, c Certificate) (send bool, failure *Error) {
	serves, _ := s.Holds(t, c)
	switch {
	case serves:
		return false, nil
	case c.CertID <= 0 || c.Region == "":
		return false, &Error{Class: Refused, Message: fmt.Sprintf("no certificate has the identifier %q", c.Identifier())}
	case c.SM && !TakesSM(t.Product):
		return false, &Error{Class: Refused, Message: fmt.Sprintf("%s is not given SM certificates by this operator", t.Product)}
	case s.Off != "":
		return false, &Error{Class: Refused, Message: s.Off}
	case s.Busy:
		return false, busy(t, s)
	}
	return true, nil
}

func busy(t Target, s State) *Error {
	return &Error{Class: Progressing, RetryAfter: progressHint, Message: fmt.Sprintf("%s is %s", t, s.Status)}
}

// mayRemove verifies what holds for every removal, and returns the entries that the state has.
func mayRemove(t Target, s State, r Removal) ([]Entry, *Error) {
	switch {
	case s.Incomplete != "":
		return nil, &Error{Message: "nothing is removed: " + s.Incomplete}
	case s.Busy:
		return nil, busy(t, s)
	}
	var there []Entry
	for _, wanted := range r.Entries {
		at := slices.IndexFunc(s.Entries, func(e Entry) bool {
			return e.CertIdentifier == wanted.CertIdentifier && e.ProviderID == wanted.ProviderID && e.Role == wanted.Role && e.Domain == wanted.Domain
		})
		if wanted.Role == RoleDefault {
			return nil, &Error{Class: Refused, Message: fmt.Sprintf("%s is a default, and a default is not removed", wanted.CertIdentifier)}
		}
		if at >= 0 {
			there = append(there, s.Entries[at])
		}
	}
	return there, nil
}

// identifiers returns those of entries, sorted and joined, for tokens.
func identifiers(entries []Entry) string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.CertIdentifier)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// single is what adapters of products have in common that give a slot one certificate, which a
// call replaces.
type single struct{}

// Owner implements Adapter: nobody else is known to manage such slots.
func (single) Owner(context.Context, Target, State) (Owner, error) { return Owner{}, nil }

// Remove implements Adapter: neither a default nor the only certificate of a domain is removed.
func (single) Remove(_ context.Context, t Target, s State, r Removal) error {
	_, err := mayRemove(t, s, r)
	return asError(err)
}
