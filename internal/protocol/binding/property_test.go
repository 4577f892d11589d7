// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// draw picks one of some values.
func draw[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// anyObserved is an observation at random: also ones that no operator will ever make.
func anyObserved(random *rand.Rand) Observed {
	flip := func() bool { return random.IntN(2) == 0 }
	seldom := func() bool { return random.IntN(8) == 0 }
	when := func() time.Time {
		return draw(random, time.Time{}, ago(time.Second), ago(time.Minute), ago(9*time.Minute), ago(20*time.Minute), ago(2*time.Hour), ago(26*time.Hour))
	}
	id := func() ID {
		return ID{CertID: int64(1 + random.IntN(5)), Region: draw(random, china, china, china, "ap-southeast-1")}
	}
	ids := func() (some []ID) {
		for range random.IntN(3) {
			some = append(some, id())
		}
		return some
	}
	failure := func() *Failure {
		if !seldom() {
			return nil
		}
		return &Failure{Kind: Kind(random.IntN(int(InUse) + 1)), Text: "failed"}
	}
	o := Observed{
		Now: now, OrphanAfter: draw(random, 0, 24*time.Hour),
		Object: Object{
			Name: "b", CertificateName: "web", Generation: int64(1 + random.IntN(2)), Held: flip(), Suspended: seldom(), Restores: flip(), Unbinds: flip(), Orphan: seldom(), Resync: seldom(),
			Adopt: draw(random, nil, nil, []string{"*"}, []string{"3-cn-hangzhou", "4-cn-hangzhou"}),
		},
		Status: Status{
			Generation: int64(random.IntN(3)), Read: flip(), Bound: draw(random, ID{}, id(), id(), id()), Pending: draw(random, ID{}, id()), PendingSince: when(), Leftover: ids(),
			Reason: draw(random, "", v1alpha1.ReasonSynced, v1alpha1.ReasonSynced, v1alpha1.ReasonProgressing, v1alpha1.ReasonSuspended), Ready: flip(),
		},
		Certificate: Certificate{
			Exists: !seldom(), Problem: draw(random, "", "", "", "", "", "", "not Synced"), Current: ID{CertID: int64(1 + random.IntN(5)), Region: china},
			NotBefore: draw(random, ago(time.Hour), ago(time.Hour), ago(time.Hour), ago(time.Hour), now.Add(time.Minute)),
			NotAfter:  draw(random, now.Add(time.Hour), now.Add(time.Hour), now.Add(time.Hour), now.Add(time.Hour), ago(time.Minute)),
			DNSNames:  draw(random, nil, []string{"www.example.com"}, []string{"www.example.com"}, []string{"www.example.com"}), NamesCut: seldom(), SM: seldom(), Versions: ids(), Held: ids(),
		},
		Target: Target{
			Text: "t", Shared: flip(), Unbindable: flip(), Domain: draw(random, "", "", "www.example.com"), Region: draw(random, "", china, china, china, "ap-southeast-1"), TakesSM: flip(),
		},
		Consent: Consent{AnyAdopted: flip(), Heirs: draw(random, nil, nil, nil, []Heir{{Same: true}}, []Heir{{Adopt: []string{"*"}}}), Needed: draw(random, nil, nil, ids())},
		Tried: Tried{
			Check: flip(), CheckAt: when(), OwnerKnown: !seldom(), Owner: draw(random, "", "", "", "", "", "a controller"), FailedOtherwise: when(),
			Placed: draw(random, nil, minutes(1), minutes(5)),
		},
	}
	if seldom() {
		o.SoFar = SoFar{NoCloud: failure(), Read: failure(), Inspect: failure(), Place: failure(), Remove: failure(), Discard: failure(), Recorded: seldom(), Placed: seldom(), Removed: seldom(), Discarded: seldom()}
	}
	if seldom() {
		o.Consent.Refused, o.Consent.Rival = draw(random, "", "no policy"), draw(random, "", "taken")
	}
	if seldom() {
		o.Object.Deleted = when()
	}
	if flip() {
		o.Status.Bound, o.Status.Pending = o.Certificate.Current, ID{}
	}
	if flip() && o.SoFar.Read == nil {
		o.Slot = anySlot(random, o)
	}
	return o
}

// anySlot is what a slot may be read to hold.
func anySlot(random *rand.Rand, o Observed) *Slot {
	shared := o.Target.Shared
	seldom := func() bool { return random.IntN(8) == 0 }
	slot := &Slot{Busy: random.IntN(4) == 0, Doing: "Configuring"}
	if seldom() {
		slot.Incomplete, slot.Off = draw(random, "", "1 of 2"), draw(random, "", "off")
	}
	ids := append([]ID{o.Certificate.Current, o.Certificate.Current, {CertID: int64(random.IntN(6)), Region: china}, {CertID: int64(random.IntN(6)), Region: china}}, o.Certificate.Versions...)
	for range random.IntN(4) {
		e := Entry{
			ID: draw(random, ids...), InSlot: !seldom(), Default: !shared || seldom(),
			Progress: draw(random, Serving, Serving, Serving, Serving, Arriving, Leaving, Unknown),
		}
		if e.Text = e.ID.String(); shared && e.Default {
			e.InSlot = false
		}
		if slot.Entries = append(slot.Entries, e); !shared {
			break
		}
	}
	for range random.IntN(3) {
		slot.Copies = append(slot.Copies, draw(random, ids...))
	}
	return slot
}

// world answers a step: writes are accepted, or fail as the observation says, and change
// nothing that this reconcile sees.
func world(o Observed, step Step, slot *Slot) Observed {
	switch step := step.(type) {
	case Hold:
		o.Object.Held = step.Want
	case Read:
		o.Slot = slot
	case Inspect:
		o.Tried.OwnerKnown = true
	case Record:
		o.SoFar.Recorded = true
		o.Status.Bound, o.Status.Pending, o.Status.Leftover = step.Holds.Bound, step.Holds.Pending, step.Holds.Leftover
		o.Status.PendingSince, o.Status.Read = o.Now, true
	case Place:
		o.SoFar.Placed = true
	case Remove:
		o.SoFar.Removed = true
	case Discard:
		o.SoFar.Discarded = true
	}
	return o
}

// played are the steps of a reconcile with what each of them was decided from.
type played struct {
	observed Observed
	step     Step
}

// play plays one reconcile.
func play(t *testing.T, o Observed, slot *Slot) []played {
	t.Helper()
	var all []played
	for range 12 {
		step := Decide(o)
		if step == nil {
			t.Fatalf("no step for %+v", o)
		}
		all = append(all, played{o, step})
		if Ends(step) {
			return all
		}
		o = world(o, step, slot)
	}
	t.Fatalf("no end after %d steps, the last of them %#v, for %+v", len(all), all[len(all)-1].step, all[0].observed)
	return nil
}

// TestEveryStepIsSafe plays reconciles from observations at random: each comes to an end, and no
// write is asked for that could take something away, or that could not be undone.
func TestEveryStepIsSafe(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	placed, removed, discarded := 0, 0, 0
	for range 200_000 {
		o := anyObserved(random)
		for _, p := range play(t, o, anySlot(random, o)) {
			switch step := p.step.(type) {
			case Place:
				placed++
				checkPlace(t, p.observed)
			case Remove:
				removed++
				checkRemove(t, p.observed, step)
			case Discard:
				discarded++
				checkDiscard(t, p.observed, step)
			}
		}
	}
	if placed < 5000 || removed < 500 || discarded < 500 {
		t.Fatalf("%d placements, %d removals and %d deletions of copies prove nothing", placed, removed, discarded)
	}
}

func checkWrite(t *testing.T, o Observed) {
	t.Helper()
	switch {
	case o.Slot == nil, o.Slot.Incomplete != "":
		t.Fatalf("a write without a complete list, from %+v", o)
	case o.Slot.Busy:
		t.Fatalf("a write while the resource is being changed, from %+v", o)
	case o.Object.Suspended, o.Consent.Refused != "":
		t.Fatalf("a write that nobody allows, from %+v", o)
	}
}

func checkPlace(t *testing.T, o Observed) {
	t.Helper()
	checkWrite(t, o)
	c := o.Certificate
	switch {
	case !c.Exists, c.Problem != "", o.Now.Before(c.NotBefore), o.Now.After(c.NotAfter):
		t.Fatalf("a certificate that is not valid is placed, from %+v", o)
	case o.Target.Region != "" && o.Target.Region != c.Current.Region, c.SM && !o.Target.TakesSM:
		t.Fatalf("a certificate that the target does not take is placed, from %+v", o)
	case o.Target.Domain != "" && !c.NamesCut && !slices.Contains(c.DNSNames, o.Target.Domain):
		t.Fatalf("a certificate that does not cover the domain is placed, from %+v", o)
	case o.Status.Pending != c.Current:
		t.Fatalf("the intent is not in the status, from %+v", o)
	case !o.Tried.OwnerKnown, o.Tried.Owner != "", o.Consent.Rival != "":
		t.Fatalf("somebody else has the slot, from %+v", o)
	case o.Object.Unbinds && o.Target.Unbindable && !o.Object.Held:
		t.Fatalf("the finalizer is not on, from %+v", o)
	}
	if o.Target.Shared {
		return // nothing is taken out
	}
	for _, e := range o.Slot.Entries {
		first := o.Status.Bound.CertID == 0
		allowed := slices.Contains(o.Object.Adopt, e.Text) || first && slices.Contains(o.Object.Adopt, "*") && o.Consent.AnyAdopted || !first && o.Object.Restores
		if e.InSlot && !o.isOurs(e.ID) && !allowed {
			t.Fatalf("certificate %s of somebody else is replaced, from %+v", e.Text, o)
		}
	}
}

func checkRemove(t *testing.T, o Observed, step Remove) {
	t.Helper()
	checkWrite(t, o)
	for _, id := range step.IDs {
		var listed []Entry
		for _, e := range o.Slot.Entries {
			if e.ID == id {
				listed = append(listed, e)
			}
		}
		inSlot := slices.ContainsFunc(listed, func(e Entry) bool { return e.InSlot })
		isDefault := slices.ContainsFunc(listed, func(e Entry) bool { return e.Default })
		switch {
		case !inSlot:
			t.Fatalf("certificate %s is removed and was not listed in the slot, from %+v", id, o)
		case isDefault && o.Target.Shared, isDefault && !o.Target.Unbindable:
			t.Fatalf("default %s is removed, from %+v", id, o)
		case !o.isOurs(id) && !slices.Contains(o.Object.Adopt, id.String()):
			t.Fatalf("certificate %s of somebody else is removed, from %+v", id, o)
		}
	}
	if !o.Object.Deleted.IsZero() {
		return
	}
	if slices.Contains(step.IDs, o.Certificate.Current) || !o.serves(o.Certificate.Current) || o.Status.Bound != o.Certificate.Current {
		t.Fatalf("something is removed before the current version was seen and published, from %+v", o)
	}
}

func checkDiscard(t *testing.T, o Observed, step Discard) {
	t.Helper()
	checkWrite(t, o)
	s := &o.Status
	for _, id := range step.IDs {
		switch {
		case !slices.Contains(o.Slot.Copies, id):
			t.Fatalf("the copy of %s is deleted and was not read, from %+v", id, o)
		case id == o.Certificate.Current, id == s.Bound, id == s.Pending, slices.Contains(o.Certificate.Held, id):
			t.Fatalf("the copy of %s is deleted and a binding holds it, from %+v", id, o)
		}
	}
	if len(step.IDs) == 0 || !o.Object.Deleted.IsZero() || !o.serves(o.Certificate.Current) || s.Bound != o.Certificate.Current {
		t.Fatalf("a copy is deleted before the current version was seen and published, from %+v", o)
	}
}

// TestWhatIsThereIsHeld: every version of ours that a complete reading shows is in what is
// published, so that none of them is pruned; only a default that is no slot of the binding is
// somebody else's business.
func TestWhatIsThereIsHeld(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	checked := 0
	for range 200_000 {
		o := anyObserved(random)
		steps := play(t, o, anySlot(random, o))
		for _, p := range steps {
			holds := holdsOf(p.step)
			if holds == nil || p.observed.Slot == nil {
				continue
			}
			for _, e := range p.observed.Slot.Entries {
				if !e.InSlot || !p.observed.isOurs(e.ID) || p.observed.isDefault(e.ID) {
					continue
				}
				checked++
				if e.ID != holds.Bound && e.ID != holds.Pending && !slices.Contains(holds.Leftover, e.ID) {
					t.Fatalf("certificate %s is in the slot and not in %+v, from %+v", e.ID, *holds, p.observed)
				}
			}
		}
	}
	if checked < 10_000 {
		t.Fatalf("%d entries prove nothing", checked)
	}
}

// holdsOf is what a step publishes of a slot; nil if it publishes nothing.
func holdsOf(step Step) *Holds {
	switch step := step.(type) {
	case Keep:
		return &step.Holds
	case Record:
		return &step.Holds
	case Wait:
		return step.Holds
	}
	return nil
}

// TestUnchangedWorldComesToRest plays reconciles one after the other in a world that does what
// it is asked: after a few of them none asks for a write any more, and nothing is published
// anew.
func TestUnchangedWorldComesToRest(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 50_000 {
		o := anyObserved(random)
		o.SoFar, o.Object.Deleted = SoFar{}, time.Time{}
		slot := anySlot(random, o)
		slot.Busy = false
		var last Step
		for round := range 8 {
			steps := play(t, o, slot)
			o, slot, last = settle(o, slot, steps)
			wrote := slices.ContainsFunc(steps, func(p played) bool {
				switch p.step.(type) {
				case Place, Remove, Discard, Record, Hold:
					return true
				}
				return false
			})
			if round == 7 && wrote {
				t.Fatalf("still writing after %d reconciles: %#v from %+v and %+v", round, steps, o, slot)
			}
		}
		again := play(t, o, slot)
		if diff := cmp.Diff(brief(last), brief(again[len(again)-1].step)); diff != "" {
			t.Fatalf("an unchanged world is told something new: %s from %+v", diff, o)
		}
	}
}

// settle is the world after a reconcile: writes took effect, and the status says what was
// published.
func settle(o Observed, slot *Slot, steps []played) (Observed, *Slot, Step) {
	next := *slot
	next.Entries, next.Copies = slices.Clone(slot.Entries), slices.Clone(slot.Copies)
	last := steps[len(steps)-1]
	o = last.observed
	for _, p := range steps {
		switch step := p.step.(type) {
		case Place:
			if !o.Target.Shared {
				next.Entries = nil
			}
			next.Entries = append(slices.DeleteFunc(next.Entries, func(e Entry) bool { return e.ID == o.Certificate.Current && e.InSlot }),
				Entry{ID: o.Certificate.Current, Text: o.Certificate.Current.String(), InSlot: true, Default: !o.Target.Shared, Progress: Serving})
		case Remove:
			next.Entries = slices.DeleteFunc(next.Entries, func(e Entry) bool { return e.InSlot && slices.Contains(step.IDs, e.ID) })
		case Discard:
			next.Copies = slices.DeleteFunc(next.Copies, func(id ID) bool { return slices.Contains(step.IDs, id) })
		}
	}
	if holds := holdsOf(last.step); holds != nil {
		o.Status.Bound, o.Status.Pending, o.Status.Leftover, o.Status.Read = holds.Bound, holds.Pending, holds.Leftover, true
	}
	switch step := last.step.(type) {
	case Keep:
		o.Status.Reason, o.Status.Ready, o.Status.Generation, o.Object.Resync = v1alpha1.ReasonSynced, true, o.Object.Generation, false
		o.Tried.Check = step.Again.Pace != verdict.Never
	case Wait:
		o.Status.Reason, o.Status.Generation, o.Object.Resync = step.Verdict.Reason, o.Object.Generation, false
		if step.Verdict.Ready == verdict.False {
			o.Status.Ready = false
		}
	}
	o.SoFar, o.Slot = SoFar{}, nil
	return o, &next, last.step
}
