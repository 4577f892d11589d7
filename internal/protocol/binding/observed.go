// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package binding holds the rules by which a certificate is carried to a place that uses it,
// and by which nothing is lost there. Decide says, from everything that a decision may rest
// on, which step comes next. It is a pure function: it knows no clock, lock, context, client
// or Kubernetes machinery, so that every rule can be read, and tried as a row of a table.
//
// docs/design/2026-11-26-binding.md says why the rules are what they are.
package binding

import (
	"slices"
	"strconv"
	"time"
)

// Observed is everything that a decision may rest on, as plain values.
type Observed struct {
	// Now is the time of the decision.
	Now time.Time
	// OrphanAfter is how long a deletion may be refused before the object is released; 0 is
	// for ever.
	OrphanAfter time.Duration
	// Object is the CloudCertificateBinding without its status.
	Object Object
	// Status is what its status says, and what this reconcile has made of it so far.
	Status Status
	// Certificate is the CloudCertificate that the binding refers to.
	Certificate Certificate
	// Target is the slot that the certificate goes to.
	Target Target
	// Consent says whether the binding may have it.
	Consent Consent
	// Slot is what was read; nil until it was read in this reconcile, and where a write has
	// made that out of date.
	Slot *Slot
	// Tried is what this process tried for the binding.
	Tried Tried
	// SoFar is what this reconcile has found out and done until now.
	SoFar SoFar
}

// ID names a certificate in CAS. A number alone does not: each of the two regions of CAS
// counts for itself.
type ID struct {
	// CertID is at least 1; 0 stands for no certificate.
	CertID int64
	// Region is one of the two regions of CAS.
	Region string
}

// String returns the identifier that products use: 12345-cn-hangzhou.
func (id ID) String() string { return strconv.FormatInt(id.CertID, 10) + "-" + id.Region }

// Object is a CloudCertificateBinding without its status.
type Object struct {
	// Name is its name, and CertificateName that of its CloudCertificate, for messages.
	Name, CertificateName string
	// Generation counts the changes of the spec.
	Generation int64
	// Deleted is when its deletion was asked for; zero while it was not.
	Deleted time.Time
	// Held reports whether the finalizer is on.
	Held bool
	// Suspended, Restores, Unbinds and Orphan are what the spec and the annotation ask for:
	// suspend, onDrift: Restore, onDelete: Unbind.
	Suspended, Restores, Unbinds, Orphan bool
	// Adopt are the foreign certificates that may be replaced.
	Adopt []string
	// Resync reports whether a check is asked for that was not handled yet.
	Resync bool
}

// adoptAny is the entry of Object.Adopt for whatever is in the way.
const adoptAny = "*"

// Status is what the status of the binding says.
type Status struct {
	// Generation is the generation of the spec that it answers.
	Generation int64
	// Read reports whether the target was ever read.
	Read bool
	// Bound is the version that the target was last seen to use, and Pending the one that is
	// being placed, since PendingSince.
	Bound, Pending ID
	PendingSince   time.Time
	// Leftover are earlier versions that are to be taken out.
	Leftover []ID
	// Reason and Ready are its condition.
	Reason string
	Ready  bool
}

// Certificate is a CloudCertificate, by its status.
type Certificate struct {
	// Exists reports whether there is one.
	Exists bool
	// Problem says why it cannot be carried anywhere now; empty if it can.
	Problem string
	// Current is its current version, valid from NotBefore to NotAfter.
	Current             ID
	NotBefore, NotAfter time.Time
	// Since is when it became that.
	Since time.Time
	// DNSNames are the hosts that it is for. NamesCut reports whether there are more.
	DNSNames []string
	NamesCut bool
	// SM reports whether it is a pair of SM2 certificates.
	SM bool
	// Versions are all certificates under its identity that are known: the current one and
	// those before it.
	Versions []ID
	// Held are the versions that other bindings have as bound, pending or left over.
	Held []ID
}

// Target is a slot.
type Target struct {
	// Text names it for people.
	Text string
	// Shared reports whether there is room for several certificates: an Additional slot.
	Shared bool
	// Unbindable reports whether ours may be taken out: of an Additional slot, or of an object
	// of the cluster.
	Unbindable bool
	// Domain is the one that the slot serves; empty where it serves any.
	Domain string
	// Region is the region of CAS that it takes certificates from; empty where nobody knows
	// for certain, and the product decides.
	Region string
	// Live reports whether a read certainly shows what a write did: that of an object of the cluster.
	Live bool
	// TakesSM reports whether it takes pairs of SM2 certificates.
	TakesSM bool
}

// Consent says whether a binding may have its slot.
type Consent struct {
	// Refused says why not, for people; empty if it may.
	Refused string
	// AnyAdopted reports whether adopt: ["*"] is allowed.
	AnyAdopted bool
	// Rival says which older binding has the slot, for people; empty if none does.
	Rival string
	// Heirs are the other bindings that want the slot: younger ones wait for it, and an older one
	// has it by now.
	Heirs []Heir
	// Needed are versions that other bindings have in additional slots of the same listener.
	Needed []ID
}

// Heir is a binding that has the slot when this one goes.
type Heir struct {
	// Same reports whether it is of the same CloudCertificate: what this one placed is its own.
	Same bool
	// Adopt are the certificates of others that it may replace. AnyAdopted reports whether the
	// entry for whatever is in the way counts.
	Adopt      []string
	AnyAdopted bool
}

// Slot is what was read of a target: the whole resource that it belongs to.
type Slot struct {
	// Entries are all its certificates.
	Entries []Entry
	// Copies are the versions of which the product keeps a copy that was imported for the
	// CloudCertificate and that is served in none of the entries.
	Copies []ID
	// Incomplete says why these may not be all; empty if they are.
	Incomplete string
	// Busy reports whether it is being changed, and Doing is the product's word for that.
	Busy  bool
	Doing string
	// Off says why the slot cannot be used; empty if it can.
	Off string
}

// Entry is one certificate of a resource.
type Entry struct {
	// ID is that of CAS; its CertID is 0 where the certificate is not of CAS, and always
	// foreign.
	ID ID
	// Text names it for people, and in Object.Adopt.
	Text string
	// InSlot reports whether it is in the slot of the binding.
	InSlot bool
	// Default reports whether it is what the resource serves where no other fits, or the only
	// certificate of a domain.
	Default bool
	// Progress is how far it has come.
	Progress Progress
}

// Progress is how far a certificate has come in a slot.
type Progress int

const (
	// Unknown is a word that nobody knows: neither served nor certainly not.
	Unknown Progress = iota
	// Serving is served.
	Serving
	// Arriving will be served.
	Arriving
	// Leaving is being taken out.
	Leaving
)

// Tried is what this process tried for a binding. All of it may be forgotten at any time: it
// says when something is tried again, and spares calls.
type Tried struct {
	// Check reports whether it is time to check for drift, and CheckAt when that is next.
	Check   bool
	CheckAt time.Time
	// OwnerKnown reports whether it was asked who else manages the resource, and Owner who
	// does; empty for nobody.
	OwnerKnown bool
	Owner      string
	// Placed are when a placement of the current version was accepted, the oldest first.
	Placed []time.Time
	// ThrottledSince is since when it has been waiting for its turn; zero if it is not.
	ThrottledSince time.Time
	// SameSince is since when every check has come to the same; zero if the last one was the end of
	// what was under way.
	SameSince time.Time
	// FailedOtherwise is when a deletion last failed for another reason than a refusal.
	FailedOtherwise time.Time
}

// SoFar is what a reconcile has found out and done since it began.
type SoFar struct {
	// NoCloud says why there are no credentials; nil where there are, or nobody asked.
	NoCloud *Failure
	// Read, Inspect, Place, Remove and Discard say why the step of that name failed.
	Read, Inspect, Place, Remove, Discard *Failure
	// Recorded reports whether the intent to place the current version is in the status.
	Recorded bool
	// Placed, Removed and Discarded report whether a write was accepted.
	Placed, Removed, Discarded bool
}

// Failure is a call that could not be made, or did not do what it was made for.
type Failure struct {
	Kind Kind
	// Text says what is wrong and what to do, for people.
	Text string
	// After is how long to wait before another try is worth it; 0 where nothing is known.
	After time.Duration
}

// Kind is what kind of failure one is.
type Kind int

const (
	// Transient passes by itself, or nothing is known of it.
	Transient Kind = iota
	// Progressing means that the resource is being changed.
	Progressing
	// Throttled means that the call has to wait for its turn.
	Throttled
	// TargetNotFound means that the target does not exist for these credentials.
	TargetNotFound
	// Refused means that a person has to change something.
	Refused
	// Denied means that a permission is missing.
	Denied
	// QuotaExceeded means that the resource is full.
	QuotaExceeded
	// NoCredentials means that there are none, or that the cloud does not take them.
	NoCredentials
	// InUse means that something uses a copy that was to be deleted.
	InUse
)

// isRefusal reports whether waiting may never help.
func (f *Failure) isRefusal() bool {
	switch f.Kind {
	case Refused, Denied, NoCredentials:
		return true
	}
	return false
}

// isOurs reports whether a certificate is one of the CloudCertificate's, or one that this
// binding placed. It is a matter of identity: the hosts of a certificate prove nothing. What it
// placed for another CloudCertificate is another binding's as soon as that one has it.
func (o Observed) isOurs(id ID) bool {
	switch {
	case id.CertID == 0:
		return false
	case id == o.Certificate.Current, slices.Contains(o.Certificate.Versions, id):
		return true
	case slices.Contains(o.Consent.Needed, id):
		return false
	}
	return id == o.Status.Bound || id == o.Status.Pending || slices.Contains(o.Status.Leftover, id)
}

// adopts reports whether the spec names a foreign certificate as one to replace.
func (o Observed) adopts(e Entry) bool { return slices.Contains(o.Object.Adopt, e.Text) }

// isPlaced reports whether the target was seen to use a version of ours.
func (o Observed) isPlaced() bool { return o.Status.Bound.CertID != 0 }

// isInherited reports whether another binding goes on with what this one placed. One that could
// not, because it would take it for somebody else's, leaves nothing to wait for.
func (o Observed) isInherited() bool {
	return slices.ContainsFunc(o.Consent.Heirs, func(h Heir) bool {
		return h.Same || slices.Contains(h.Adopt, o.Status.Bound.String()) || h.AnyAdopted && slices.Contains(h.Adopt, adoptAny)
	})
}

// mayHold reports whether the target may use a version of ours.
func (o Observed) mayHold() bool {
	return o.isPlaced() || o.Status.Pending.CertID != 0 || len(o.Status.Leftover) > 0
}
