// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

const (
	// Patience is how long a renewal may take while the version before it is served, before
	// Ready says so.
	Patience = 10 * time.Minute
	// MaxRestores is how often a version is placed again in an hour before somebody has to
	// look for what takes it out.
	MaxRestores = 3
	// firstHint and longestHint bound the time between two checks of what is under way.
	firstHint   = 2 * time.Second
	longestHint = 30 * time.Second
	// quietThrottle is how long a binding waits for its turn before its status says so.
	quietThrottle = time.Minute
)

// Decide returns the next step for a binding.
func Decide(o Observed) Step {
	switch {
	case !o.Object.Deleted.IsZero():
		return decideDeletion(o)
	case o.Object.Held != o.wantsHold():
		return Hold{Want: o.wantsHold()}
	case o.Consent.Refused != "":
		return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonNotAllowed, Message: o.Consent.Refused, Stalled: true}}
	case o.Consent.Rival != "":
		return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonOccupied, Message: o.Consent.Rival, Stalled: true}}
	case o.Slot == nil && o.isUpToDate():
		return Nothing{Until: o.Tried.CheckAt}
	case !o.Certificate.Exists, o.Certificate.Problem != "" && o.Status.Read:
		return o.notReady(nil)
	case o.SoFar.NoCloud != nil:
		return o.failed(o.SoFar.NoCloud, nil)
	case o.SoFar.Read != nil && o.SoFar.Read.Kind == Transient && o.isMereCheck():
		return o.unchecked(o.SoFar.Read)
	case o.SoFar.Read != nil:
		return o.failed(o.SoFar.Read, nil)
	case o.Slot == nil:
		return Read{}
	}
	return decideSlot(o)
}

// isMereCheck reports whether the target is read only to see that it is as it was: nothing says
// that it is not, and nobody has asked.
func (o Observed) isMereCheck() bool {
	s := &o.Status
	return s.Generation == o.Object.Generation && !o.Object.Suspended && !o.Object.Resync && s.Reason == v1alpha1.ReasonSynced && s.Ready &&
		s.Bound == o.Certificate.Current && s.Pending.CertID == 0
}

// unchecked leaves everything as it is while the target cannot be read, and tries again.
func (o Observed) unchecked(f *Failure) Step {
	again := o.againAfter(f)
	return Keep{
		Holds:   Holds{Bound: o.Status.Bound, Leftover: o.Status.Leftover},
		Message: o.servedMessage() + "; it could not be checked again: " + f.Text + "; it is tried again " + again.Pace.String(),
		Again:   again,
	}
}

// wantsHold reports whether the finalizer has to be on: where something of ours may be at the
// target that has to go with the binding.
func (o Observed) wantsHold() bool {
	return o.Object.Unbinds && o.Target.Unbindable && (o.Object.Held || o.mayHold() || o.readsOurs())
}

// isUpToDate reports whether the status answers spec, certificate and annotations, and nothing
// is under way. It rests on caches alone: a restart with nothing to do makes no call.
func (o Observed) isUpToDate() bool {
	s := &o.Status
	if s.Generation != o.Object.Generation || o.Object.Resync || o.Tried.Check || !s.Read {
		return false
	}
	if o.Object.Suspended {
		return s.Reason == v1alpha1.ReasonSuspended
	}
	return s.Reason == v1alpha1.ReasonSynced && s.Ready && o.Certificate.Problem == "" && s.Bound == o.Certificate.Current &&
		s.Pending.CertID == 0 && len(s.Leftover) == 0
}

// OnlyChecks reports whether the binding is up to date but for a check for drift.
func (o Observed) OnlyChecks() bool {
	o.Tried.Check = false
	return o.isUpToDate()
}

// notReady waits for the CloudCertificate. What is placed stays.
func (o Observed) notReady(holds *Holds) Step {
	problem := o.Certificate.Problem
	if !o.Certificate.Exists {
		problem = fmt.Sprintf("there is no CloudCertificate %q in this namespace; create it, or correct spec.certificateRef.name", o.Object.CertificateName)
	}
	return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonCertificateNotReady, Message: problem, Ready: o.whileServed()}, Holds: holds}
}

// whileServed keeps Ready while the target uses a version of ours.
func (o Observed) whileServed() verdict.Ready {
	if o.isPlaced() {
		return verdict.Unchanged
	}
	return verdict.False
}

// inPassing is what Ready becomes of what passes by itself and says nothing of the target, such as a product
// that does not answer. While ours is served it stays, as at a mere check; of a renewal for ten minutes, as
// while one is under way.
func (o Observed) inPassing() verdict.Ready {
	if isRenewal := o.Status.Bound != o.Certificate.Current; isRenewal && o.Now.Sub(o.Certificate.Since) >= Patience {
		return verdict.False
	}
	return o.whileServed()
}

// failed says why a call did not do what it was made for. None of it is final: a renewal is
// never lost to a code that nobody knew.
func (o Observed) failed(f *Failure, holds *Holds) Step {
	v := verdict.Verdict{Message: o.about(f), Again: verdict.Again{Pace: verdict.Slowly}}
	switch f.Kind {
	case Progressing:
		return o.progressing(v.Message+"; it goes on when that has ended", f.After, holds)
	case Throttled:
		v.Reason, v.Ready = v1alpha1.ReasonThrottled, o.whileServed()
		since := o.Tried.ThrottledSince
		v.Quiet = since.IsZero() || o.Now.Sub(since) < quietThrottle || o.OnlyChecks() // nobody waits for a check
		v.Message += "; it goes on by itself"
		v.Again = o.hint(f.After)
	case TargetNotFound:
		v.Reason = v1alpha1.ReasonTargetNotFound
	case Denied:
		v.Reason = v1alpha1.ReasonAccessDenied
	case QuotaExceeded:
		v.Reason = v1alpha1.ReasonQuotaExceeded
	case NoCredentials:
		v.Reason = v1alpha1.ReasonCredentialsUnavailable
	case Refused, InUse:
		v.Reason = v1alpha1.ReasonBindFailed
	case Transient:
		v.Reason, v.Ready, v.Again.Pace = v1alpha1.ReasonBindFailed, o.inPassing(), verdict.Soon
		if f.After > 0 { // a product that does not answer is probed, in turn
			v.Again = o.hint(f.After)
		}
	}
	if pace := v.Again.Pace.String(); pace != "" {
		v.Message += "; it is tried again " + pace
	}
	return Wait{Verdict: v, Holds: holds}
}

// about is the text of a failure, with the target that it is about.
func (o Observed) about(f *Failure) string {
	if strings.Contains(f.Text, o.Target.Text) {
		return f.Text
	}
	return o.Target.Text + ": " + f.Text
}

// progressing waits for a change that is under way: no failure while the version before is
// served, and for ten minutes.
func (o Observed) progressing(message string, after time.Duration, holds *Holds) Step {
	ready := o.whileServed()
	if since := o.Status.PendingSince; !since.IsZero() && o.Now.Sub(since) >= Patience {
		ready = verdict.False
	}
	return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonProgressing, Message: message, Ready: ready, Again: o.hint(after)}, Holds: holds}
}

// hint is when something that is under way is checked again: as it was told, or as long again
// as it has taken by now, from two seconds to half a minute.
func (o Observed) hint(after time.Duration) verdict.Again {
	if after == 0 {
		after = firstHint
		if since := o.underWaySince(); !since.IsZero() {
			after = min(max(o.Now.Sub(since), firstHint), longestHint)
		}
	}
	return verdict.Again{Pace: verdict.In, After: after}
}

// underWaySince is since when something has been under way; zero where that is not known. A placement that
// was refused for a while, because a quota was full, is under way since it was accepted.
func (o Observed) underWaySince() time.Time {
	since := o.Status.PendingSince
	if since.IsZero() {
		return o.Tried.SameSince
	}
	if n := len(o.Tried.Placed); n > 0 && o.Tried.Placed[n-1].After(since) {
		return o.Tried.Placed[n-1]
	}
	return since
}
