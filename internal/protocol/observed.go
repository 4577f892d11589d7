// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package protocol holds the rules by which a CloudCertificate and the cloud are brought
// together. Decide says, from everything that a decision may rest on, which step comes
// next. It is a pure function: it knows no clock, lock, context, client or Kubernetes
// machinery, so that every rule can be read, and tried as a row of a table.
//
// docs/design/2026-11-23-protocol.md says why the rules are what they are. What stands in
// quotes here is a sentence of that page.
package protocol

import (
	"slices"
	"strings"
	"time"
)

// Observed is everything that a decision may rest on, as plain values.
type Observed struct {
	// Now is the time of the decision.
	Now time.Time
	// Settings are those of the operator.
	Settings Settings
	// Object is the CloudCertificate without its status, as the cache shows it.
	Object Object
	// Status is what its status says, and what this reconcile has made of it so far.
	Status Status
	// Place is where spec and credentials lead.
	Place Place
	// Content is what the Secret holds; nil until it was read.
	Content *Content
	// Cloud is what is known of the certificates of this object in Place.
	Cloud Cloud
	// Holders are the bindings that may keep versions of this object; those that have none,
	// and had their first read, may be left out.
	Holders []Holder
	// Tried is what this process tried for this object.
	Tried Tried
	// SoFar is what this reconcile has found out and done until now.
	SoFar SoFar
}

// Settings are the settings of the operator that decisions rest on.
type Settings struct {
	// Started is when this process began to make calls. Calls of an earlier leader had all
	// ended by then.
	Started time.Time
	// MaxVersionsPerHour bounds the uploads of one object; 0 is no limit.
	MaxVersionsPerHour int
	// PruneDelay is how long a superseded version is kept after its successor was published.
	PruneDelay time.Duration
	// SettleDelay is how long a deletion waits for uploads that may be in flight.
	SettleDelay time.Duration
	// OrphanAfter is how long a deletion may be refused before the object is released; 0 is
	// for ever.
	OrphanAfter time.Duration
	// OwnWriteAge is how long what this process wrote outweighs a list.
	OwnWriteAge time.Duration
	// AllowedAccounts are those to which certificates may be uploaded; empty is all.
	AllowedAccounts []string
}

// allows reports whether certificates may be uploaded to an account. Where there is a list,
// one that could not be learned is not on it.
func (s *Settings) allows(account string) bool {
	return len(s.AllowedAccounts) == 0 || slices.Contains(s.AllowedAccounts, account)
}

// Object is a CloudCertificate without its status.
type Object struct {
	// Identity is the field of every name in the cloud that says whose certificate it is.
	Identity string
	// Names are the names that the content may get, in the order in which they are tried;
	// empty until the content is known.
	Names []string
	// Prefixed reports whether the spec sets a prefix.
	Prefixed bool
	// Generation counts the changes of the spec.
	Generation int64
	// Created is when it was made, in whole seconds.
	Created time.Time
	// Deleted is when its deletion was asked for; zero while it was not.
	Deleted time.Time
	// Held reports whether the finalizer is on it.
	Held bool
	// DeletesCertificates reports whether deletionPolicy is Delete.
	DeletesCertificates bool
	// Keep is revisionHistoryLimit; negative where it is not set.
	Keep int
	// Suspended is spec.suspend.
	Suspended bool
	// SM reports whether it is an SM pair.
	SM bool
	// Orphan reports whether the annotation asks to leave the cloud alone.
	Orphan bool
	// Resync reports whether the annotation asks for a check that was not made yet.
	Resync bool
}

// Place is where certificates live. Those of one account and region mean nothing in
// another.
type Place struct {
	// Account is empty where it could not be learned.
	Account string
	// Region is one of the two regions of CAS.
	Region string
}

// DiffersFrom reports whether two places are known not to be the same. An account that
// could not be learned is taken for the same.
func (p Place) DiffersFrom(q Place) bool {
	return p.Region != "" && q.Region != "" && p.Region != q.Region ||
		p.Account != "" && q.Account != "" && p.Account != q.Account
}

// Version is a certificate that the status names.
type Version struct {
	// CertID is at least 1; 0 stands for no certificate.
	CertID int64
	// ResourceID may be empty.
	ResourceID string
	// Name is its name in the cloud.
	Name string
	// Digest is the SHA-256 of the certificate in hex, for an SM pair of the signing
	// certificate; empty where it is unknown.
	Digest string
	// NotAfter is until when it is valid; zero where it is unknown.
	NotAfter time.Time
	// Became is when it became the current version, in whole seconds; zero where nobody
	// knows.
	Became time.Time
}

// Status is what the status of the object says.
type Status struct {
	// Place is where Current and History are.
	Place Place
	// Generation is the generation of the spec that it answers.
	Generation int64
	// Current is the current version.
	Current Version
	// ContentHash is the hash of the content of the current version.
	ContentHash string
	// History are the superseded versions that are shown, the newest first.
	History []Version
	// Foreign are certificates that were seen to hold a name of the object and to be others.
	Foreign []int64
	// Reason, Ready and Stalled are its conditions.
	Reason         string
	Ready, Stalled bool
	// NamesSecret reports whether it names a version of the Secret, and AnswersSecret whether
	// that is the one that the cache shows.
	NamesSecret, AnswersSecret bool
	// SecretShown reports whether the cache shows the Secret at all.
	SecretShown bool
}

// versions are the current version and the superseded ones.
func (s *Status) versions() []Version {
	if s.Current.CertID == 0 {
		return s.History
	}
	return append([]Version{s.Current}, s.History...)
}

// names reports whether the status names a certificate, by CertId and name.
func (s *Status) names(e Entry) bool {
	return slices.ContainsFunc(s.versions(), func(v Version) bool { return v.CertID == e.CertID && strings.EqualFold(v.Name, e.Name) })
}

// Content is what the Secret holds.
type Content struct {
	// Hash is its hash, and Field the part of the hash that stands in a name.
	Hash, Field string
	// Digests are those that a list may show for it: one, or the two of an SM pair, because
	// it is unknown which of them a list describes (F61).
	Digests []string
}

// Entry is a certificate under the identity of the object that is known to be in the
// cloud.
type Entry struct {
	// CertID is at least 1.
	CertID int64
	// ResourceID may be empty where only our own upload is known.
	ResourceID string
	// Name is its name, and Field the part of it that stands for the content.
	Name, Field string
	// Digest is the SHA-256 that the list shows, in hex; empty where it shows none.
	Digest string
	// NotAfter is until when it is valid, exact to the day; zero where it is unknown.
	NotAfter time.Time
	// Seen is when it was last known to be there: listed or uploaded.
	Seen time.Time
	// Uploaded is when this process uploaded it; zero if it did not.
	Uploaded time.Time
	// Fresh reports whether this process uploaded it so recently that a list need not show
	// it.
	Fresh bool
	// Appeared reports whether it came after the first complete list of this process.
	Appeared bool
	// Refuted reports whether its digest was seen to be another certificate's.
	Refuted bool
}

// Cloud is what is known of the certificates of one object in one place.
type Cloud struct {
	// Entries are sorted by CertId, the highest first.
	Entries []Entry
	// Listed is when the last complete list began to be read; zero if there was none.
	Listed time.Time
	// Unreadable is how many of its certificates had no id.
	Unreadable int
	// Gone are certificates of the status that are known to be gone: this process deleted
	// them, or a complete list that was found plausible does not show them.
	Gone []int64
	// DeletedCurrent reports whether this process has just deleted the current version.
	DeletedCurrent bool
}

// holding returns what is known of the certificate of a content.
func (c *Cloud) holding(field string) (Entry, bool) {
	if i := slices.IndexFunc(c.Entries, func(e Entry) bool { return e.Field == field }); i >= 0 {
		return c.Entries[i], true
	}
	return Entry{}, false
}

// Tried is what this process tried for the object, and was told of it. All of it may be
// forgotten at any time: it says when something is tried again, and spares calls.
type Tried struct {
	// Name is the name of the last upload, whatever came of it.
	Name string
	// Sent is when the last upload was on its way.
	Sent time.Time
	// Lost is when the answer to an upload of any object was last lost.
	Lost time.Time
	// Taken is the name that the cloud refused as taken, and TakenSince since when.
	Taken      string
	TakenSince time.Time
	// Missing reports whether the check for drift did not find the current version.
	Missing bool
	// Outdated reports whether something has changed that the status does not show: other
	// superseded versions in the cloud, or other credentials.
	Outdated bool
	// Elsewhere reports whether the credentials lead, or may lead, to another account than
	// the status speaks of.
	Elsewhere bool
	// Recreated and Moves are when current versions were replaced because they had vanished,
	// and when the object began anew elsewhere, the oldest first.
	Recreated, Moves []time.Time
	// PruneAfter is when superseded versions that could not be deleted are tried again.
	PruneAfter time.Time
	// PruneHeld reports whether bindings alone kept them.
	PruneHeld bool
	// Proving is since when a list is wanted that proves what may be pruned.
	Proving time.Time
	// ListAgain is when a list was found not to be good enough for a deletion.
	ListAgain time.Time
	// Unanswered are the certificates whose last deletion got no answer.
	Unanswered []int64
	// FailedOtherwise is when a deletion last failed for another reason than a refusal.
	FailedOtherwise time.Time
}

// SoFar is what a reconcile has found out and done since it began.
type SoFar struct {
	// Anew reports whether the status was emptied, because it spoke of another place or
	// object.
	Anew bool
	// Present reports whether the content was found or put in the cloud, as the current
	// version.
	Present bool
	// Asked reports whether credentials were looked for, and their account.
	Asked bool
	// NoCloud says why there are no credentials; nil where there are, or nobody asked.
	NoCloud *Failure
	// NoAccount says why their account could not be learned; nil where it is known, or nobody
	// asked.
	NoAccount *Failure
	// Found is the certificate of the content that a look-up found.
	Found *Entry
	// Looked reports whether a look-up ended, and LookUp why it could not be made.
	Looked bool
	LookUp *Failure
	// List says why no complete list can be had now.
	List *Failure
	// Taken reports whether the upload was refused because its name is taken.
	Taken bool
	// Together are the certificates that one reading of the list showed; nil until it was
	// read.
	Together []Entry
	// Left are the certificates that could not be deleted.
	Left []Undeleted
	// Delete says why no deletion can be made now.
	Delete *Failure
}

// Failure is a call that could not be made, or did not do what it was made for.
type Failure struct {
	Err error
	// Throttled reports whether it has to wait for its turn, Denied whether the credentials
	// may not make it, and Refusal whether waiting may never help.
	Throttled, Denied, Refusal bool
}
