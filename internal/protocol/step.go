// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"time"
)

// Step is the next thing to do for an object: one of the types below. Nothing, Keep, Wait,
// Brake, Pruned and Release end the reconcile; after every other one Decide is asked again.
type Step interface{ step() }

type (
	// Nothing is to be done or said before Until; a zero Until waits for an event.
	Nothing struct{ Until time.Time }
	// Keep publishes that the current version is the content of the Secret.
	Keep struct{}
	// Wait publishes why the object cannot go on. Refuted is a certificate that a digest has
	// shown not to be the object's; 0 for none.
	Wait struct {
		Err     error
		Refuted int64
	}
	// Brake leaves the status as it is, and says why in an event.
	Brake struct{ Err *MovesError }
	// Hold puts the finalizer on where Want is true, else takes it off.
	Hold struct{ Want bool }
	// Learn finds the credentials, and learns whose account they are of.
	Learn struct{ Urgency Urgency }
	// Read reads the Secret. Where Reserve is true it takes a slot of the account's limit
	// first, so that no private key waits in memory for its turn.
	Read struct {
		Reserve bool
		Urgency Urgency
	}
	// StartAnew makes the status speak of Place and of nothing in the cloud. What the object
	// had elsewhere stays there, and is named.
	StartAnew struct{}
	// Adopt makes a listed certificate the current version.
	Adopt struct{ Entry Entry }
	// LookUp looks for the certificate of the content in the cloud's list.
	LookUp struct{}
	// List asks for a complete list that began to be read at or after Since.
	List struct{ Since time.Time }
	// ListTogether reads the certificates of the object in one reading of the list: by a name
	// of the certificate if that shows all of them, else in a complete list that began at or
	// after Since.
	ListTogether struct{ Since time.Time }
	// Upload uploads the content under Name. Repair reports whether it replaces a version
	// that is gone.
	Upload struct {
		Name   string
		Repair bool
	}
	// Delete deletes certificates that are proven to be the object's, one after the other.
	Delete struct{ Entries []Entry }
	// Pruned ends an attempt to delete superseded versions. Err says why some stay; nil where
	// none do.
	Pruned struct{ Err error }
	// Release lets a deleted object go. Err says why certificates of it may stay, and Alone
	// are those that hold its names and are not its certificates.
	Release struct {
		Err   error
		Alone []Entry
	}
)

func (Nothing) step()      {}
func (Keep) step()         {}
func (Wait) step()         {}
func (Brake) step()        {}
func (Hold) step()         {}
func (Learn) step()        {}
func (Read) step()         {}
func (StartAnew) step()    {}
func (Adopt) step()        {}
func (LookUp) step()       {}
func (List) step()         {}
func (ListTogether) step() {}
func (Upload) step()       {}
func (Delete) step()       {}
func (Pruned) step()       {}
func (Release) step()      {}

// Refused reports whether the object is let go because the cloud refused to delete what is its.
func (r Release) Refused() bool {
	_, untouched := errors.AsType[*UntouchedError](r.Err)
	return r.Err != nil && !untouched
}

// Ends reports whether a step ends the reconcile.
func Ends(step Step) bool {
	switch step.(type) {
	case Nothing, Keep, Wait, Brake, Pruned, Release:
		return true
	}
	return false
}

// Urgency orders those who wait for the account's limit, and for a worker of their namespace's share.
type Urgency int

const (
	// Prompt is for renewals and new objects.
	Prompt Urgency = iota
	// Backlog is for what a start finds undone.
	Backlog
	// Repair is for what has vanished from the cloud.
	Repair
)
