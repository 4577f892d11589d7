// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

// Decide returns the next step for an object.
func Decide(o Observed) Step {
	switch {
	case !o.Object.Deleted.IsZero():
		return decideDeletion(o)
	case !o.ownsStatus(): // "A status speaks for the object only if its name carries its identity."
		return startAnew(o)
	case o.Object.Suspended: // "Suspend stops every call to the cloud."
		return Wait{Err: o.suspended()}
	case o.Object.Held != o.wantsHold():
		return Hold{Want: o.wantsHold()}
	case o.Content == nil && o.isUpToDate():
		return decidePruning(o)
	case len(o.Settings.AllowedAccounts) > 0 && !o.SoFar.Asked: // before any key is read
		return Learn{Urgency: o.urgency()}
	case o.SoFar.NoCloud == nil && !o.Settings.allows(o.Place.Account): // "Nothing is uploaded to an account that is not on the list."
		return Wait{Err: o.notAllowed()}
	case o.Content == nil:
		return Read{Reserve: o.Status.SecretShown && (!o.Status.AnswersSecret || o.Tried.Missing), Urgency: o.urgency()}
	case o.SoFar.NoCloud != nil:
		return Wait{Err: o.SoFar.NoCloud.Err}
	case o.Status.Place.DiffersFrom(o.Place): // "When account or region change, the object starts anew there."
		return startAnew(o)
	}
	return decideVersion(o)
}

// isUpToDate reports whether the status answers the spec, the Secret and every annotation
// with a verdict that only a change can overturn. It rests on caches alone: a restart with
// nothing to do makes no call and reads no Secret.
func (o Observed) isUpToDate() bool {
	s := &o.Status
	switch {
	case !s.AnswersSecret, s.Generation != o.Object.Generation, o.Object.Resync:
		return false
	case s.Current.CertID != 0 && s.Place.Region != o.Place.Region, o.Tried.Elsewhere:
		return false
	case s.Current.CertID != 0 && !o.Settings.allows(s.Place.Account): // the list has changed, or is new
		return false
	case o.Tried.Missing, o.Tried.Outdated:
		return false
	case s.Reason == v1alpha1.ReasonSynced:
		return s.Ready && s.Current.CertID != 0 && !o.Now.After(s.Current.NotAfter)
	}
	return s.Reason == v1alpha1.ReasonInvalidCertificate && s.Stalled
}

// suspended says what has changed since the object was last handled. All of it stays the same while
// nothing changes: the generation does not, which the status takes over with the word that the
// object is suspended.
func (o Observed) suspended() *SuspendedError {
	e := &SuspendedError{Moved: o.Status.NamesSecret && !o.Status.AnswersSecret, Gone: !o.Status.SecretShown && o.Status.Current.CertID != 0}
	if lived := o.Status.Place.Region; o.Status.Current.CertID != 0 && lived != o.Place.Region {
		e.Region = o.Place.Region
	}
	return e
}

func (o Observed) notAllowed() error {
	e := &AccountError{Account: o.Place.Account}
	if o.SoFar.NoAccount != nil {
		e.Why = o.SoFar.NoAccount.Err
	}
	return e
}

// wantsHold reports whether the finalizer has to be on the object: "A finalizer is held
// only where it is needed", which is where something is, or may be, in the cloud that has to
// go with the object. One that never uploaded gets it right before it does.
func (o Observed) wantsHold() bool {
	return o.Object.DeletesCertificates && (o.Object.Held || o.Status.Current.CertID != 0)
}

func (o Observed) ownsStatus() bool {
	return Owns(o.Object.Identity, o.Status.Current.CertID, o.Status.Current.Name)
}

// Owns reports whether a status that names this certificate is that of the object with this
// identity. One that was restored from another cluster or copied by hand names certificates of
// somebody else.
func Owns(identity string, certID int64, name string) bool {
	if certID == 0 && name == "" {
		return true
	}
	named, _, ok := bundle.ParseName(name)
	return ok && named == identity
}

// MaxMoves is how often an object starts anew in an hour before somebody has to look for
// what moves it back: two operators that do not agree would write its status without end.
const MaxMoves = 3

func startAnew(o Observed) Step {
	if recent := o.lastHour(o.Tried.Moves); len(recent) >= MaxMoves {
		return Brake{&MovesError{Count: len(recent), Until: recent[0].Add(time.Hour)}}
	}
	return StartAnew{}
}

// urgency orders uploads: renewals and new objects come before what a start finds undone,
// repairs come last.
func (o Observed) urgency() Urgency {
	switch {
	case o.Tried.Missing:
		return Repair
	case o.Status.Current.CertID == 0 && o.Object.Created.Before(o.Settings.Started):
		return Backlog // a time of creation is rounded down: what is made in the second of the start counts as found
	}
	return Prompt
}

// lastHour keeps the times of the last hour.
func (o Observed) lastHour(times []time.Time) []time.Time {
	var recent []time.Time
	for _, t := range times {
		if t.After(o.Now.Add(-time.Hour)) {
			recent = append(recent, t)
		}
	}
	return recent
}
