// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"time"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Step is the next thing to do for a binding: one of the types below. Nothing, Keep, Wait and
// Release end the reconcile; after every other one Decide is asked again.
type Step interface{ step() }

type (
	// Nothing is to be done or said before Until; a zero Until waits for an event.
	Nothing struct{ Until time.Time }
	// Read reads the resource that the slot belongs to.
	Read struct{}
	// Inspect asks who else manages the resource.
	Inspect struct{}
	// Hold puts the finalizer on where Want is true, else takes it off.
	Hold struct{ Want bool }
	// Record writes into the status, before a write is sent, that the current version is being
	// placed, what is in the slot, and what it replaces.
	Record struct {
		Holds    Holds
		Message  string
		Ready    verdict.Ready
		Replaced string
	}
	// Place asks for the current version to be served in the slot. Drift says how a version that was
	// served there has gone, for people; empty where nobody but the operator has changed the slot.
	Place struct{ Drift string }
	// Remove takes certificates out of the resource. Replaced is one of somebody else that the
	// spec names; empty if all are ours.
	Remove struct {
		IDs      []ID
		Replaced string
	}
	// Discard deletes copies of superseded versions out of the product's own store.
	Discard struct{ IDs []ID }
	// Keep publishes that the target uses the current version. Again is when the binding is
	// checked again, besides the check for drift.
	Keep struct {
		Holds   Holds
		Message string
		Again   verdict.Again
	}
	// Wait publishes why the binding cannot go on. Holds is what the slot was seen to hold; nil
	// where it was not read.
	Wait struct {
		Verdict verdict.Verdict
		Holds   *Holds
	}
	// Release lets a deleted binding go. Left says what may stay at the target, for people;
	// empty if nothing does.
	Release struct{ Left string }
)

func (Nothing) step() {}
func (Read) step()    {}
func (Inspect) step() {}
func (Hold) step()    {}
func (Record) step()  {}
func (Place) step()   {}
func (Remove) step()  {}
func (Discard) step() {}
func (Keep) step()    {}
func (Wait) step()    {}
func (Release) step() {}

// Holds are the versions of ours that a slot holds, or may come to hold: none of them may be
// deleted in the cloud.
type Holds struct {
	// Bound is the version that it uses; zero if none was ever seen there.
	Bound ID
	// Pending is the version that is being placed; zero if none is.
	Pending ID
	// Leftover are the others.
	Leftover []ID
}

// Ends reports whether a step ends the reconcile.
func Ends(step Step) bool {
	switch step.(type) {
	case Nothing, Keep, Wait, Release:
		return true
	}
	return false
}
