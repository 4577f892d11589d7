// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// decidePruning deletes the superseded versions that are due, and does nothing where none
// are.
func decidePruning(o Observed) Step {
	begun, due, stranger, held := o.SoFar.Together != nil, o.PruneAt(), o.stranger(), o.heldSurplus()
	switch {
	case !begun && (due.IsZero() || due.After(o.Now) || o.SoFar.NoCloud != nil):
		return Nothing{Until: o.NextCheck()}
	case o.Status.Place.DiffersFrom(o.Place):
		return Read{} // the credentials turned out to be another account's: the object starts anew
	case stranger != nil:
		return Pruned{stranger}
	case o.SoFar.List != nil:
		return Pruned{o.SoFar.List.Err}
	case held != nil:
		return Pruned{held}
	case !begun:
		return ListTogether{Since: o.provingSince().Add(-AtHand)}
	case !o.showsCurrent(o.SoFar.Together): // "A superseded version goes only if the current one is in the same list."
		return Pruned{&CurrentMissingError{CertID: o.Status.Current.CertID, Name: o.Status.Current.Name}}
	case o.SoFar.Delete != nil:
		return Pruned{o.SoFar.Delete.Err}
	}
	return o.deleteSurplus()
}

// provingSince is since when a list is wanted that proves what may be pruned.
func (o Observed) provingSince() time.Time {
	if o.Tried.Proving.IsZero() {
		return o.Now
	}
	return o.Tried.Proving
}

// deleteSurplus deletes the superseded versions that are proven, the oldest first. "One that
// cannot be deleted holds up no other."
func (o Observed) deleteSurplus() Step {
	var listed []Entry
	var unlisted []Undeleted
	for _, v := range slices.Backward(o.Surplus()) {
		i := slices.IndexFunc(o.SoFar.Together, func(e Entry) bool { return e.CertID == v.CertID })
		if i < 0 {
			unlisted = append(unlisted, Undeleted{CertID: v.CertID, Name: v.Name, Err: &UnprovenError{Problem: "the cloud does not list it"}, Refusal: true})
			continue
		}
		listed = append(listed, o.SoFar.Together[i])
	}
	proven, unproven := o.proven(listed)
	if len(proven) > 0 {
		return Delete{proven}
	}
	if left := slices.Concat(unlisted, unproven, o.SoFar.Left); len(left) > 0 {
		return Pruned{&RemainingError{Left: left}}
	}
	return Pruned{}
}

// Surplus are the shown superseded versions that revisionHistoryLimit does not keep, the
// newest first.
func (o Observed) Surplus() []Version {
	if o.Object.Keep < 0 || o.Object.Keep >= len(o.Status.History) {
		return nil
	}
	return o.Status.History[o.Object.Keep:]
}

// PruneAt is when superseded versions may be deleted; zero where there are none to delete:
// "not before the current version has been published for --prune-delay", and seen by every
// binding that has it for as long; and a second more, because a status knows whole seconds, cut
// off.
func (o Observed) PruneAt() time.Time {
	if len(o.Surplus()) == 0 || !o.Status.Ready || o.Status.Current.Became.IsZero() {
		return time.Time{} // nobody knows whether the users of the others have had time to follow
	}
	since := o.Status.Current.Became
	if followed := o.followed(); followed.After(since) {
		since = followed
	}
	at := since.Add(o.Settings.PruneDelay + time.Second)
	if o.Tried.PruneAfter.After(at) && !o.isLetGo() {
		return o.Tried.PruneAfter
	}
	return at
}

// isLetGo reports whether the last attempt failed because of bindings alone, and they keep no
// longer all that is to be deleted: there is nothing to wait for.
func (o Observed) isLetGo() bool { return o.Tried.PruneHeld && o.heldSurplus() == nil }

// NextCheck is when an object that is up to date must be checked again although nothing
// changed; zero for never: when its certificate has expired, or when superseded versions may be
// deleted.
func (o Observed) NextCheck() time.Time {
	var expiry time.Time
	if o.Status.Reason == v1alpha1.ReasonSynced {
		expiry = o.Status.Current.NotAfter.Add(time.Second) // notAfter itself is still valid
	}
	prune := o.PruneAt()
	if prune.IsZero() || !expiry.IsZero() && expiry.Before(prune) {
		return expiry
	}
	return prune.Add(time.Second)
}

// ShowsAll reports whether certificates that were listed together hold the current version
// and all that are to be deleted.
func (o Observed) ShowsAll(listed []Entry) bool {
	return o.showsCurrent(listed) && !slices.ContainsFunc(o.Surplus(), func(v Version) bool {
		return !slices.ContainsFunc(listed, func(e Entry) bool { return e.CertID == v.CertID })
	})
}

func (o Observed) showsCurrent(listed []Entry) bool {
	current := o.Status.Current
	return slices.ContainsFunc(listed, func(e Entry) bool {
		return e.CertID == current.CertID && !e.Refuted && SameVersion(e.Name, current.Name) && !o.digestsDiffer(e, current.Digest)
	})
}
