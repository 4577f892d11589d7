// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"time"
)

// "A version is deleted only if no binding has it as bound, pending or leftover, and every
// binding has had its first read." A binding that fails holds what it holds.

// Holder is a binding that keeps versions of the object from being deleted.
type Holder struct {
	// Name is that of the CloudCertificateBinding.
	Name string
	// CertIDs are the versions that its target uses, or may come to use.
	CertIDs []int64
	// Unread reports whether the target was not read yet: it may use any version.
	Unread bool
	// Bound is the version that its target was last seen to use, since Since.
	Bound int64
	Since time.Time
}

// HeldBy says which of some bindings keep a version of the object; nil where none does. All are
// named: who wants the version gone has to see to each of them.
func HeldBy(holders []Holder, certID int64) error {
	held := &HeldError{}
	for _, h := range holders {
		switch {
		case h.Unread:
			held.Unread = append(held.Unread, h.Name)
		case slices.Contains(h.CertIDs, certID):
			held.Users = append(held.Users, h.Name)
		}
	}
	if len(held.Users)+len(held.Unread) == 0 {
		return nil
	}
	slices.Sort(held.Users)
	slices.Sort(held.Unread)
	return held
}

// followed is when the last binding was seen to use the current version; zero where none has
// it. The users of the versions before it are those of the bindings as well.
func (o Observed) followed() time.Time {
	var last time.Time
	for _, h := range o.Holders {
		if h.Bound == o.Status.Current.CertID && h.Since.After(last) {
			last = h.Since
		}
	}
	return last
}

// heldSurplus says why none of the superseded versions that are due can be deleted, because
// bindings keep all of them; nil where at least one is free. No list is read for those.
func (o Observed) heldSurplus() error {
	var left []Undeleted
	for _, v := range slices.Backward(o.Surplus()) {
		held := HeldBy(o.Holders, v.CertID)
		if held == nil {
			return nil
		}
		left = append(left, Undeleted{CertID: v.CertID, Name: v.Name, Err: held, Refusal: true})
	}
	if len(left) == 0 {
		return nil
	}
	return &RemainingError{Left: left}
}
