// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// decideDeletion brings a deleted object to its end.
func decideDeletion(o Observed) Step {
	why := o.leavesCloudAlone()
	switch {
	case !o.Object.Held:
		return Nothing{} // "Retain needs no finalizer."
	case why != nil:
		return Release{Err: why}
	case !o.SoFar.Asked: // when an upload was last sent there decides which list is young enough
		return Learn{Urgency: Repair}
	case !o.ownsStatus(), o.Status.Place.DiffersFrom(o.Place):
		return startAnew(o)
	case o.SoFar.Anew: // "The status is reset and published first, and nothing in the old place is touched."
		return Wait{Err: &SettlingError{Until: o.Now}}
	case o.SoFar.NoCloud != nil:
		return o.blocked(o.SoFar.NoCloud, nil)
	case o.Now.Before(o.quietSince()):
		return Wait{Err: &SettlingError{Until: o.quietSince()}}
	case o.SoFar.List != nil:
		return o.blocked(o.SoFar.List, nil)
	case o.Cloud.Listed.Before(o.quietSince()):
		return List{Since: o.quietSince()}
	}
	if stranger := o.stranger(); stranger != nil {
		return o.blocked(&Failure{Err: stranger, Refusal: true}, nil)
	}
	return decideCleanUp(o)
}

// leavesCloudAlone says why a deletion does not touch the cloud; nil where it does.
func (o Observed) leavesCloudAlone() error {
	switch {
	case o.Object.Orphan:
		return &UntouchedError{Why: "the annotation " + v1alpha1.AnnotationOrphan + " asks for it"}
	case !o.Object.DeletesCertificates:
		return &UntouchedError{Why: "spec.deletionPolicy is " + string(v1alpha1.DeletionPolicyRetain)}
	case o.Object.Suspended:
		return &UntouchedError{Why: "spec.suspend is true"}
	}
	return nil
}

// quietSince is when every upload that may have been sent for a deleted object has ended: by
// this process, which knows, or by one before it, which ended before this one began. A list that
// was not good enough is read once more.
func (o Observed) quietSince() time.Time {
	last := slices.MaxFunc([]time.Time{o.Object.Deleted, o.Tried.Sent, o.Settings.Started}, time.Time.Compare)
	return slices.MaxFunc([]time.Time{last.Add(o.Settings.SettleDelay), o.Tried.ListAgain}, time.Time.Compare)
}

// decideCleanUp deletes every certificate of the object that a complete list shows.
func decideCleanUp(o Observed) Step {
	entries, alone, complete := o.mine()
	if settled := o.Status.Current.Became.Add(o.Settings.OwnWriteAge); !complete && o.Now.Before(settled) {
		return Wait{Err: &SettlingError{Until: settled}} // the list may lag behind the upload of the current version
	} else if !complete && o.Cloud.Listed.Before(settled) {
		return List{Since: settled}
	}
	if o.mayBeElsewhere(entries) {
		return o.blocked(&Failure{Err: unknownAccount(entries), Refusal: true}, alone)
	}
	if o.SoFar.Delete != nil {
		return o.blocked(o.SoFar.Delete, alone)
	}
	proven, left := o.proven(entries)
	if len(proven) > 0 {
		return Delete{proven}
	}
	left = append(left, o.SoFar.Left...)
	switch {
	case len(left) > 0:
		return o.blocked(&Failure{Err: &RemainingError{Left: left}, Refusal: !slices.ContainsFunc(left, func(u Undeleted) bool { return !u.Refusal })}, alone)
	case o.Cloud.Unreadable > 0: // "A deletion demands that every entry of the list can be read."
		return o.blocked(&Failure{Err: &UnreadableError{Count: o.Cloud.Unreadable}, Refusal: true}, alone)
	}
	return Release{Err: o.unlisted(alone), Alone: alone}
}

// mine are the listed certificates of the object, the oldest first and the current one last,
// and those to leave alone: not ours, or not known to be while a name of the object is in
// conflict. They are not complete if the current one is not among them, and nobody knows why.
func (o Observed) mine() (entries, alone []Entry, complete bool) {
	current := o.Status.Current.CertID
	complete = current == 0
	var last []Entry
	for _, e := range slices.Backward(o.Cloud.Entries) {
		complete = complete || e.CertID == current
		switch {
		case o.isNotOurs(e), o.InConflict() && e.Uploaded.IsZero() && !o.Status.names(e):
			alone = append(alone, e)
		case e.CertID == current:
			last = append(last, e)
		default:
			entries = append(entries, e)
		}
	}
	return append(entries, last...), alone, complete || o.Cloud.DeletedCurrent
}

// mayBeElsewhere reports whether a list may be another account's: it shows certificates of the
// object, but none of those that its status names, and there is no account to compare.
func (o Observed) mayBeElsewhere(entries []Entry) bool {
	compared := o.Place.Account != "" && o.Status.Place.Account != ""
	return !compared && len(o.Status.versions()) > 0 && len(entries) > 0 && !slices.ContainsFunc(entries, o.Status.names)
}

func unknownAccount(entries []Entry) error {
	why := &UnprovenError{Problem: "the account of the credentials cannot be learned, and its list shows nothing that the status names: it may be another account"}
	remaining := &RemainingError{}
	for _, e := range entries {
		remaining.Left = append(remaining.Left, Undeleted{CertID: e.CertID, Name: e.Name, Err: why, Refusal: true})
	}
	return remaining
}

// blocked waits for a deletion to become possible. "Any refusal that lasted for all of
// --orphan-after releases the object."
func (o Observed) blocked(failure *Failure, alone []Entry) Step {
	if at, limited := o.OrphanAt(); failure.Refusal && limited && !o.Now.Before(at) {
		return Release{Err: failure.Err, Alone: alone}
	}
	return Wait{Err: failure.Err}
}

// OrphanAt is when a deleted object is released although it was refused, if ever.
func (o Observed) OrphanAt() (at time.Time, limited bool) {
	since := o.Object.Deleted
	if o.Tried.FailedOtherwise.After(since) {
		since = o.Tried.FailedOtherwise
	}
	return since.Add(o.Settings.OrphanAfter), o.Settings.OrphanAfter > 0
}

// unlisted says that the status names certificates which a complete list did not show, and
// which were therefore not deleted: they are gone, or not ours to see. What the list shows and
// is left alone is none of them.
func (o Observed) unlisted(alone []Entry) error {
	for _, v := range o.Status.versions() {
		if !slices.ContainsFunc(alone, func(e Entry) bool { return e.CertID == v.CertID }) {
			return &UntouchedError{Why: "the cloud does not list the rest"}
		}
	}
	return nil
}
