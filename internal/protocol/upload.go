// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

const (
	// AtHand is how long a certificate that was listed is taken to be there still: long
	// enough for thousands of objects to adopt from one list.
	AtHand = 2 * time.Minute
	// KeywordLimit is how long a taken name is looked up by keyword, which may be none by
	// which the list finds it. Then the whole list is read.
	KeywordLimit = time.Minute
	// LagLimit is how long a taken name may stay off the list: a list that lags behind, and a
	// deletion under way, are over by then (F22).
	LagLimit = 10 * time.Minute
	// MaxNames is how many names one content may get, each where the one before is held by
	// nothing that the list shows.
	MaxNames = 9
	// MaxHistory is how many superseded versions a status shows.
	MaxHistory = 50
	// MaxRecreations is how often one object is recreated in an hour before somebody has to
	// look for what deletes its certificates.
	MaxRecreations = 3
)

// decideVersion brings the content of the Secret into the cloud, once.
func decideVersion(o Observed) Step {
	same := o.holdsContent()
	if o.SoFar.Present || same && !o.Tried.Missing && !o.Object.Resync && !o.isDoubted() && !o.hasUnknownAccount() {
		return Keep{}
	}
	if o.SoFar.Found != nil {
		return o.adopt(*o.SoFar.Found)
	}
	known, ok := o.Cloud.holding(o.Content.Field)
	if ok && (!same || o.Tried.Missing) && !o.SoFar.Taken && o.isAtHand(known) {
		return o.adopt(known) // "Presence is a reason to adopt."
	}
	if o.SoFar.Taken {
		return decideTaken(o)
	}
	return decideUpload(o, same)
}

// holdsContent reports whether the status names a certificate of the content.
func (o Observed) holdsContent() bool {
	return o.Status.Current.CertID != 0 && o.Status.ContentHash == o.Content.Hash
}

// isDoubted reports whether it was an open question, when the status was written, whether
// the certificate is there. A restart forgets what else there is to know of it.
func (o Observed) isDoubted() bool { return o.Status.Reason == v1alpha1.ReasonProgressing }

// IsMereCheck reports whether the cloud is asked only because a person wants to know whether the
// certificate is there: nothing says that it is not.
func (o Observed) IsMereCheck() bool {
	return o.Object.Resync && o.Content != nil && o.holdsContent() && o.Status.Reason == v1alpha1.ReasonSynced && o.Status.Ready &&
		!o.Tried.Missing && !o.SoFar.Looked && !o.SoFar.Taken && !o.hasUnknownAccount()
}

// hasUnknownAccount reports whether the credentials have changed, and it cannot be learned
// whose account they reach: "Synced is not said again before the same upload was sent."
func (o Observed) hasUnknownAccount() bool {
	return o.Tried.Elsewhere && o.Place.Account == "" && o.Status.Place.Account != ""
}

// isAtHand reports whether a certificate was there a moment ago: it was listed just now, or
// is our own last upload, whose status the cache may not show yet. Of anything older the
// cloud is asked, by an upload: also of an upload from before the current version became it.
func (o Observed) isAtHand(e Entry) bool {
	if e.Fresh {
		became := o.Status.Current.Became.Add(time.Second) // a status knows whole seconds, cut off
		return e.Name == o.Tried.Name && e.Uploaded.After(became)
	}
	return o.Now.Sub(e.Seen) <= AtHand
}

// adopt makes a listed certificate the current version: "The name carries who and what, so
// it is the proof; a digest can only refute it."
func (o Observed) adopt(e Entry) Step {
	if refutes(e.Digest, o.Content.Digests) {
		return Wait{Err: &NameConflictError{Name: e.Name, CertID: e.CertID}, Refuted: e.CertID}
	}
	return Adopt{e}
}

// decideUpload sends the content: "An upload may be sent at any time by anybody, and waits
// for no list", except where there is a reason to look first: it is asked for, or the name was
// refused, or the content may be there under another name.
func decideUpload(o Observed, same bool) Step {
	unsure := !same && o.mayHaveOtherName()
	taken := strings.EqualFold(o.Tried.Taken, o.name())
	if asked := same && !o.Tried.Missing; asked || unsure || taken {
		if step := o.lookFirst(unsure, taken); step != nil {
			return step
		}
	}
	if err := o.tooMany(same); err != nil {
		return Wait{Err: err}
	}
	return Upload{Name: o.name(), Repair: same}
}

// lookFirst looks for the content before an upload; nil where that is done. "Listing denied:
// uploads go on", and so they do where the list is away, unless they would make a second
// certificate or learn nothing.
func (o Observed) lookFirst(unsure, taken bool) Step {
	failure := o.SoFar.LookUp
	switch {
	case failure == nil && !o.SoFar.Looked:
		return LookUp{}
	case failure == nil && unsure:
		return o.missEverywhere()
	case failure == nil || failure.Denied:
		return nil
	case failure.Throttled, unsure, taken && !o.isNamed(o.name()):
		return Wait{Err: failure.Err}
	}
	return nil
}

// missEverywhere makes sure that content which may have another prefix is in the cloud under
// none; nil where that is known. "Only a complete list counts as a miss, because a keyword may
// find nothing of what is there." The list has to be younger than every upload that may have
// ended without our knowing, so that one serves all new objects. A name that this process has
// tried itself is known.
func (o Observed) missEverywhere() Step {
	since := o.Settings.Started
	if o.Tried.Lost.After(since) {
		since = o.Tried.Lost
	}
	switch {
	case SameVersion(o.Tried.Name, o.Object.Names[0]), !o.Cloud.Listed.Before(since):
		return nil
	case o.SoFar.List == nil:
		return List{Since: since}
	case o.SoFar.List.Denied:
		return nil
	}
	return Wait{Err: o.SoFar.List.Err}
}

// isNamed reports whether the status names a certificate by a name.
func (o Observed) isNamed(name string) bool {
	return o.Status.Current.CertID != 0 && strings.EqualFold(o.Status.Current.Name, name)
}

// mayHaveOtherName reports whether the content may be in the cloud under another prefix,
// which no upload would meet: an earlier upload whose outcome was never written may have used
// one. That is so where the prefix is not the one of the current version, or the spec has
// changed since the status answered it, or there is no status to tell.
func (o Observed) mayHaveOtherName() bool {
	if o.Status.Current.CertID == 0 {
		return o.Object.Prefixed || o.Object.Generation > 1
	}
	return o.Status.Generation != o.Object.Generation || !o.hasNameOf(o.Status.Current.Name)
}

// hasNameOf reports whether a name has a prefix that the spec gives.
func (o Observed) hasNameOf(name string) bool {
	return slices.ContainsFunc(o.Object.Names, func(n string) bool { return strings.EqualFold(prefixOf(n), prefixOf(name)) })
}

// decideTaken says what it means that the cloud refused the name as taken.
func decideTaken(o Observed) Step {
	named := o.isNamed(o.Tried.Taken)
	waited := o.Now.Sub(o.Tried.TakenSince)
	switch {
	case o.SoFar.LookUp != nil:
		return o.withoutList(named, o.SoFar.LookUp)
	case !o.SoFar.Looked:
		return LookUp{}
	case named && o.Now.Sub(o.Status.Current.Became) < o.Settings.OwnWriteAge:
		return Keep{} // it is there: the list lags behind
	case !named && waited <= KeywordLimit:
		return Wait{Err: &NameTakenError{Name: o.Tried.Taken, Since: o.Tried.TakenSince}}
	}
	since := o.Tried.TakenSince
	if waited >= LagLimit {
		since = since.Add(LagLimit)
	}
	known, listed := o.Cloud.holding(o.Content.Field)
	switch {
	case o.SoFar.List != nil:
		return o.withoutList(named, o.SoFar.List)
	case o.Cloud.Listed.Before(since):
		return List{Since: since}
	case listed:
		return o.adopt(known)
	}
	return decideUnlisted(o, waited)
}

// withoutList says what a taken name means where the list cannot be read: what the status
// names is there, unless the check for drift has missed it.
func (o Observed) withoutList(named bool, failure *Failure) Step {
	if named && (failure.Denied || !o.Tried.Missing && !failure.Throttled) {
		return Keep{}
	}
	return Wait{Err: failure.Err}
}

// decideUnlisted says what becomes of a name that is taken by nothing which a complete list
// shows: "A name that stays taken is no certificate. Ready is not True, and once lists have
// had time to catch up the content goes up under another name."
func decideUnlisted(o Observed, waited time.Duration) Step {
	taken := &NameTakenError{Name: o.Tried.Taken, Since: o.Tried.TakenSince, Unlisted: true, Unreadable: o.Cloud.Unreadable}
	if waited < LagLimit || taken.Unreadable > 0 {
		return Wait{Err: taken}
	}
	following := slices.IndexFunc(o.Object.Names, func(n string) bool { return strings.EqualFold(n, o.Tried.Taken) }) + 1
	if following == len(o.Object.Names) {
		taken.Exhausted = true
		return Wait{Err: taken}
	}
	return Upload{Name: o.Object.Names[following], Repair: o.holdsContent()}
}

// name is the name of the content in the cloud. Content that is known to be there, or to
// have been, keeps the name that it has, also under a new prefix: its upload must meet it. The
// last name that was tried comes first: it may stand in for the one of the status.
func (o Observed) name() string {
	names := []string{o.Tried.Name}
	for _, v := range o.Status.versions() {
		names = append(names, v.Name)
	}
	if known, ok := o.Cloud.holding(o.Content.Field); ok {
		names = append(names, known.Name)
	}
	for _, name := range names {
		if SameVersion(name, o.Object.Names[0]) {
			return bundle.LowerFields(name)
		}
	}
	return o.Object.Names[0]
}

// SameVersion reports whether two names are of the same identity and content.
func SameVersion(a, b string) bool {
	identity, field, ok := bundle.ParseName(a)
	otherIdentity, otherField, otherOK := bundle.ParseName(b)
	return ok && otherOK && identity == otherIdentity && field == otherField
}

// tooMany says why an upload has to wait that the object has not earned: it recreated or
// uploaded too many in the last hour. Versions are counted from the status, so that a restart
// forgets none.
func (o Observed) tooMany(repair bool) error {
	if repair {
		recent := o.lastHour(o.Tried.Recreated)
		if len(recent) < MaxRecreations {
			return nil
		}
		return &RecreationError{CertID: o.Status.Current.CertID, Count: len(recent), Until: recent[0].Add(time.Hour)}
	}
	limit := min(o.Settings.MaxVersionsPerHour, MaxHistory)
	if limit <= 0 {
		return nil
	}
	var times []time.Time
	for _, v := range o.Status.versions() {
		times = append(times, v.Became)
	}
	recent := o.lastHour(times)
	if len(recent) < limit {
		return nil
	}
	slices.SortFunc(recent, time.Time.Compare)
	return &VersionRateError{Limit: limit, Until: recent[len(recent)-limit].Add(time.Hour)}
}

// refutes reports whether a listed digest is well formed and of another certificate.
func refutes(listed string, digests []string) bool {
	return isDigest(listed) && !slices.ContainsFunc(digests, func(d string) bool { return strings.EqualFold(d, listed) })
}

// isDigest reports whether a SHA-256 digest is well formed.
func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// prefixOf is what stands before identity and content in a name.
func prefixOf(name string) string {
	identity, field, ok := bundle.ParseName(name)
	if !ok {
		return name
	}
	return name[:len(name)-len("_"+identity+"_"+field)]
}
