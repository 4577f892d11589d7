// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

const (
	// Patience is how long a renewal may take while the version before it is served, before
	// Ready says so.
	Patience = 10 * time.Minute
	// MaxRestores is how often a version is placed again in an hour before somebody has to
	// look for what takes it out.
	MaxRestores = 3
)

// Decide returns the next step for a binding.
func Decide(o Observed) Step {
	switch {
	case !o.Object.Deleted.IsZero():
		return decideDeletion(o)
	case o.Object.Held != o.wantsHold():
		return Hold{Want: o.wantsHold()}
	case o.Consent.Refused != "":
		return Wait{Reason: v1alpha1.ReasonNotAllowed, Message: o.Consent.Refused, Stalled: true}
	case o.Consent.Rival != "":
		return Wait{Reason: v1alpha1.ReasonOccupied, Message: o.Consent.Rival, Stalled: true}
	case o.Slot == nil && o.isUpToDate():
		return Nothing{Until: o.Tried.LookAt}
	case !o.Certificate.Exists, o.Certificate.Problem != "" && o.Status.Read:
		return o.notReady(nil)
	case o.Pass.NoCloud != nil:
		return o.failed(o.Pass.NoCloud, nil)
	case o.Pass.Read != nil:
		return o.failed(o.Pass.Read, nil)
	case o.Slot == nil:
		return Read{}
	}
	return decideSlot(o)
}

// wantsHold reports whether the finalizer has to be on: where something of ours may be at the
// target that has to go with the binding.
func (o Observed) wantsHold() bool {
	return o.Object.Unbinds && o.Target.Unbindable && (o.Object.Held || o.mayHold())
}

// isUpToDate reports whether the status answers spec, certificate and annotations, and nothing
// is under way. It rests on caches alone: a restart with nothing to do makes no call.
func (o Observed) isUpToDate() bool {
	s := &o.Status
	if s.Generation != o.Object.Generation || o.Object.Resync || o.Tried.Look || !s.Read {
		return false
	}
	if o.Object.Suspended {
		return s.Reason == v1alpha1.ReasonSuspended
	}
	return s.Reason == v1alpha1.ReasonSynced && s.Ready && o.Certificate.Problem == "" && s.Bound == o.Certificate.Current &&
		s.Pending.CertID == 0 && len(s.Leftover) == 0
}

// notReady waits for the CloudCertificate. What is placed stays.
func (o Observed) notReady(holds *Holds) Step {
	problem := o.Certificate.Problem
	if !o.Certificate.Exists {
		problem = fmt.Sprintf("there is no CloudCertificate %q in this namespace; create it, or correct spec.certificateRef.name", o.Object.CertificateName)
	}
	return Wait{Reason: v1alpha1.ReasonCertificateNotReady, Message: problem, Ready: o.whileServed(), Holds: holds}
}

// whileServed keeps Ready while the target uses a version of ours.
func (o Observed) whileServed() Readiness {
	if o.isPlaced() {
		return Unchanged
	}
	return Not
}

// failed says why a call did not do what it was made for. None of it is final: a renewal is
// never lost to a code that nobody knew.
func (o Observed) failed(f *Failure, holds *Holds) Step {
	w := Wait{Message: f.Text, After: f.After, Again: Slowly, Holds: holds}
	switch f.Kind {
	case Progressing:
		return o.progressing(f.Text, f.After, holds)
	case Throttled:
		w.Reason, w.Ready, w.Again = v1alpha1.ReasonThrottled, o.whileServed(), Soon
	case TargetNotFound:
		w.Reason = v1alpha1.ReasonTargetNotFound
	case Denied:
		w.Reason = v1alpha1.ReasonAccessDenied
	case QuotaExceeded:
		w.Reason = v1alpha1.ReasonQuotaExceeded
	case NoCredentials:
		w.Reason = v1alpha1.ReasonCredentialsUnavailable
	case Refused:
		w.Reason = v1alpha1.ReasonBindFailed
	case Transient:
		w.Reason, w.Again = v1alpha1.ReasonBindFailed, Quickly
	}
	return w
}

// progressing waits for a change that is under way: no failure while the version before is
// served, and for ten minutes.
func (o Observed) progressing(message string, after time.Duration, holds *Holds) Step {
	ready := o.whileServed()
	if since := o.Status.PendingSince; !since.IsZero() && o.Now.Sub(since) >= Patience {
		ready = Not
	}
	return Wait{Reason: v1alpha1.ReasonProgressing, Message: message, Ready: ready, Again: Soon, After: after, Holds: holds}
}
