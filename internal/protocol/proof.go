// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// "Proof before every deletion: listed, in the account and region of the status, under a
// name of our shape with our identity, with this CertId, and not refuted by its digest where
// both digests are known." Entries are those of the place and the identity; the rest is here.

// isNotOurs reports whether a certificate holds a name of the object and is another one: its
// digest has refuted it, now or before a restart, or is not the one that the status has of a certificate which had this
// very name before.
func (o Observed) isNotOurs(e Entry) bool {
	return e.Refuted || slices.Contains(o.Status.Foreign, e.CertID) || slices.ContainsFunc(o.Status.versions(), func(v Version) bool {
		return v.CertID != e.CertID && strings.EqualFold(v.Name, e.Name) && o.digestsDiffer(e, v.Digest)
	})
}

// digestsDiffer reports whether the list shows another digest than the status has. Which
// certificate of an SM pair a list describes is unknown (F61).
func (o Observed) digestsDiffer(e Entry, digest string) bool {
	return !o.Object.SM && isDigest(e.Digest) && isDigest(digest) && !strings.EqualFold(e.Digest, digest)
}

// doubt says why a certificate is not proven to be the one that the status knows by its
// CertId; nil where it is.
func (o Observed) doubt(e Entry) error {
	for _, v := range o.Status.versions() {
		if v.CertID == e.CertID && o.digestsDiffer(e, v.Digest) {
			return &UnprovenError{Problem: "its digest is another than it was"}
		}
	}
	return nil
}

// proven divides certificates into those that may be deleted and those that may not: they are
// not proven, or a binding keeps them. Those of which a deletion has failed already are in
// neither. Those of which the last deletion got no answer come last, so that they hold up no
// other.
func (o Observed) proven(entries []Entry) (proven []Entry, left []Undeleted) {
	for _, e := range entries {
		tried := slices.ContainsFunc(o.SoFar.Left, func(u Undeleted) bool { return u.CertID == e.CertID })
		err := o.doubt(e)
		if err == nil {
			err = HeldBy(o.Holders, e.CertID)
		}
		switch {
		case tried:
		case err != nil:
			left = append(left, Undeleted{CertID: e.CertID, Name: e.Name, Err: err, Refusal: true})
		default:
			proven = append(proven, e)
		}
	}
	slices.SortStableFunc(proven, func(a, b Entry) int { return cmp.Compare(o.silence(a), o.silence(b)) })
	return proven, left
}

func (o Observed) silence(e Entry) int {
	if slices.Contains(o.Tried.Unanswered, e.CertID) {
		return 1
	}
	return 0
}

// InConflict reports whether the last word on the object was that another certificate holds a
// name of it. A restart forgets which one, so that only what the status names is known to be
// the object's own.
func (o Observed) InConflict() bool { return o.Status.Reason == v1alpha1.ReasonNameConflict }

// stranger says that there is a version under the identity of the object that is newer than
// the current one, of other content, and not known to be ours: "Who shares our identity stops
// us." A version of ours is one that this process uploaded, or of which history says when it
// became the current one. One that a digest has refuted is nobody's version.
func (o Observed) stranger() error {
	current := o.Status.Current
	if current.CertID == 0 {
		return nil
	}
	for _, e := range o.Cloud.Entries {
		if e.CertID <= current.CertID || SameVersion(e.Name, current.Name) || !e.Uploaded.IsZero() || o.isNotOurs(e) {
			continue
		}
		if o.InConflict() && !e.Appeared {
			continue // it may well be the one that holds our name
		}
		ours := slices.ContainsFunc(o.Status.History, func(v Version) bool { return v.CertID == e.CertID && !v.Became.IsZero() })
		if !ours {
			return &SharedError{CertID: e.CertID, Name: e.Name, Appeared: e.Appeared}
		}
	}
	return nil
}
