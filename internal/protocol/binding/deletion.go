// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// decideDeletion brings a deleted binding to its end. What it placed is taken out only where
// the spec asks for it, the target has another place to serve from, and nobody waits for it.
func decideDeletion(o Observed) Step {
	why := o.leavesTargetAlone()
	switch {
	case !o.Object.Held:
		return Nothing{} // Leave needs no finalizer
	case why != "" && o.mayHold():
		return Release{Left: why}
	case why != "", !o.mayHold():
		return Release{}
	case o.SoFar.NoCloud != nil:
		return o.blocked(o.SoFar.NoCloud)
	case o.SoFar.Read != nil && o.SoFar.Read.Kind == TargetNotFound:
		return Release{} // nothing can be left where nothing is
	case o.SoFar.Read != nil:
		return o.blocked(o.SoFar.Read)
	case o.Slot == nil:
		return Read{}
	case o.Slot.Incomplete != "":
		return o.blocked(&Failure{Text: "it was not read completely: " + o.Slot.Incomplete})
	}
	return decideUnbinding(o)
}

// leavesTargetAlone says why a deletion does not touch the target; empty where it does.
func (o Observed) leavesTargetAlone() string {
	switch {
	case o.Object.Orphan:
		return "the annotation " + v1alpha1.AnnotationOrphan + " asks for it"
	case !o.Object.Unbinds:
		return "spec.onDelete is " + string(v1alpha1.BindingLeave)
	case !o.Target.Unbindable:
		return "the only certificate of a slot is never taken away"
	case o.Object.Suspended:
		return "spec.suspend is true"
	case o.Consent.Refused != "":
		return o.Consent.Refused
	case o.isInherited():
		return "another binding has the slot, or waits for it, and goes on with it"
	}
	return ""
}

// decideUnbinding takes every certificate of ours out of the slot that was read.
func decideUnbinding(o Observed) Step {
	var serving []ID
	leaving := false
	for _, e := range o.Slot.Entries {
		switch {
		case !e.InSlot, o.isDefault(e.ID), !o.isOurs(e.ID):
		case e.Progress == Serving:
			serving = append(serving, e.ID)
		default:
			leaving = true
		}
	}
	settled := o.settledAt()
	switch {
	case len(serving) == 0 && !leaving && o.Now.Before(settled):
		return o.deleting("waiting for a placement in flight", settled.Sub(o.Now))
	case len(serving) == 0 && !leaving:
		return Release{}
	case o.SoFar.Remove != nil:
		return o.blocked(o.SoFar.Remove)
	case o.Slot.Busy, o.SoFar.Removed, len(serving) == 0:
		return o.deleting("taking its certificates out of "+o.Target.Text, 0)
	}
	return Remove{IDs: slices.Compact(serving)}
}

// placementSettles is how long a placement whose answer was lost may take to show: calls end within seconds,
// and what they started shows within the minute.
const placementSettles = time.Minute

// settledAt is when a placement that was pending has certainly shown, or come to nothing.
func (o Observed) settledAt() time.Time {
	if o.Status.Pending.CertID == 0 {
		return time.Time{}
	}
	return slices.MaxFunc([]time.Time{o.Status.PendingSince, o.Object.Deleted}, time.Time.Compare).Add(placementSettles)
}

// blocked waits for an unbinding to become possible. A refusal that lasted for all of
// --orphan-after releases the binding.
func (o Observed) blocked(f *Failure) Step {
	if f.Kind == Progressing || f.Kind == Throttled {
		return o.deleting(f.Text, f.After)
	}
	at, limited := o.orphanAt()
	if f.isRefusal() && limited && !o.Now.Before(at) {
		return Release{Left: f.Text}
	}
	reason := v1alpha1.ReasonDeletionBlocked
	if f.Kind == NoCredentials {
		reason = v1alpha1.ReasonCredentialsUnavailable
	}
	end := `; to let the object go without touching the target, set the annotation ` + v1alpha1.AnnotationOrphan + `: "true"`
	v := verdict.Verdict{Reason: reason, Again: o.againAfter(f), Refusal: f.isRefusal()}
	if f.isRefusal() && limited {
		end += "; it is released with what is there at " + at.UTC().Format(time.RFC3339)
		v.Again.AtMost = at.Sub(o.Now) + time.Second
	}
	v.Message = fmt.Sprintf("its certificates cannot be taken out of %s: %s%s", o.Target.Text, f.Text, end)
	return Wait{Verdict: v}
}

// deleting waits for a change that is under way.
func (o Observed) deleting(message string, after time.Duration) Step {
	return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonProgressing, Message: "being deleted; " + message, Again: o.hint(after)}}
}

// orphanAt is when a deleted binding is released although it was refused, if ever.
func (o Observed) orphanAt() (at time.Time, limited bool) {
	since := o.Object.Deleted
	if o.Tried.FailedOtherwise.After(since) {
		since = o.Tried.FailedOtherwise
	}
	return since.Add(o.OrphanAfter), o.OrphanAfter > 0
}
