// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// read learns what the resource holds that the slot belongs to: what another binding has just
// read, or by a read of its own.
func (r *reconciliation) read(ctx context.Context) error {
	if r.adapter == nil && !r.connect(ctx) {
		return nil
	}
	r.release()
	if r.memory.behind(r.next) {
		r.since = r.Clock.Now()
	}
	t, known, wait := r.rounds.enter(r.reader(), r.want(), r.Clock.Now())
	if t == nil {
		r.soFar.Read = &rules.Failure{Kind: rules.Throttled, Text: waitsForReading, After: wait}
		return nil
	}
	if r.ticket = t; known != nil {
		r.made = *known
		if known.owner != nil {
			r.memory.inspected(r.next, *known.owner)
		}
	} else {
		r.memory.begins(r.next)
		r.readNow(ctx)
	}
	if r.made.failure != nil {
		r.soFar.Read = r.made.failure
		return nil
	}
	r.state = &r.made.state
	if refused := r.refusedBy(ctx, *r.state); refused != "" {
		r.consent.Refused = refused
	}
	return r.observeHeld(ctx)
}

// waitsForReading is the same for every wait, so that a status is not written again and again.
const waitsForReading = "waiting for the account's rate limit of reads, with all bindings of the target"

// readNow reads the resource for all bindings that want to know. A failure is told to each of them, and names
// the slot of none.
func (r *reconciliation) readNow(ctx context.Context) {
	r.made = reading{began: r.Clock.Now()}
	state, err := r.adapter.Read(ctx, r.target().Whole())
	r.made.state, r.made.ended = state, r.Clock.Now()
	if err == nil {
		return
	}
	r.made.failure = r.failureOf(err)
	if r.made.failure.Kind == rules.Throttled {
		r.made.failure.Text = waitsForReading
		r.rounds.putOff(r.ticket, r.made.ended.Add(r.made.failure.After), r.onlyChecks())
	}
}

// hasNews reports whether something was read that is not what was decided by last.
func (r *reconciliation) hasNews() bool {
	return !r.made.began.IsZero() && (r.made.failure != nil || r.memory.isNews(r.before, r.made.state.Revision))
}

// tell tells those who wait what was read, once it is known who else manages the resource, if that
// is asked.
func (r *reconciliation) tell() {
	if r.ticket == nil || !r.ticket.reads {
		return
	}
	r.made.owner = r.owner
	if known := r.memory.objects.Of(r.next); known.ownerKnown {
		r.made.owner = &known.owner
	}
	r.rounds.tell(r.ticket, r.made)
}

// release ends the part in a round, if there is one.
func (r *reconciliation) release() {
	if r.ticket != nil {
		r.rounds.leave(r.ticket)
		r.ticket = nil
	}
}

// want is what has to be known of the resource.
func (r *reconciliation) want() want {
	return want{
		who: client.ObjectKeyFromObject(r.next), writer: r.place.WriterKey(), instant: r.place.instant, after: r.memory.lastRead(r.next),
		due: r.memory.dueSince(r.next, r.Clock.Now()), since: r.since, check: r.onlyChecks(),
	}
}

// onlyChecks reports whether nothing is to be done but to check for drift, which nobody waits for.
func (r *reconciliation) onlyChecks() bool { return r.observe().OnlyChecks() }

func (r *reconciliation) reader() reader {
	by := reader{resource: r.target().ReadKey(), secret: r.secret()}
	if by.secret != "" {
		by.namespace = r.next.Namespace
	}
	return by
}

// isOld drops what was read too long ago to write by it, and reports whether it did.
func (r *reconciliation) isOld() bool {
	now := r.Clock.Now()
	if now.Sub(r.made.ended) <= shareFor {
		return false
	}
	r.state, r.since = nil, now
	return true
}

// quotaKey is the same for all bindings whose certificates one quota counts together.
func (r *reconciliation) quotaKey() string {
	t := r.target()
	if kept, ok := r.state.Kept.(serviceState); ok && kept.clb {
		t = copiesIn(kept.region)
	}
	return r.account + "|" + t.QuotaKey(*r.state)
}

// putIn asks for a certificate to be served in the slot, together with those of other bindings
// where the product takes several.
func (r *reconciliation) putIn(ctx context.Context, p targets.Placement) error {
	object := r.before // nobody writes to it, and who sends may be another reconcile
	placed := func() { r.memory.placed(object, p.Certificate.CertID, r.Clock.Now()) }
	several, ok := r.adapter.(targets.Several)
	how := alone
	if ok && r.place.Slot == targets.SlotAdditional {
		how = adding
	}
	bound := r.next.Status.BoundCertID
	c := change{placement: p, quota: r.quotaKey(), renews: bound != 0 && bound != p.Certificate.CertID, accepted: placed}
	return r.rounds.write(ctx, r.ticket, how, c, r.Clock.Now, func(all []change) (err error) {
		defer func() {
			for range all {
				countPlacement(r.place.Product, err)
			}
		}()
		if how == alone || len(all) == 1 {
			return r.adapter.Place(ctx, r.target(), *r.state, p)
		}
		var placements []targets.Placement
		for _, c := range all {
			placements = append(placements, c.placement)
		}
		return several.PlaceAll(ctx, r.target(), *r.state, placements)
	})
}

// takeOut takes certificates out of the resource, together with those of other bindings.
func (r *reconciliation) takeOut(ctx context.Context, removal targets.Removal) error {
	how := alone
	if r.place.Slot == targets.SlotAdditional && !r.place.instant {
		how = removing
	}
	return r.rounds.write(ctx, r.ticket, how, change{removal: removal, quota: r.quotaKey()}, r.Clock.Now, func(all []change) error {
		together := targets.Removal{}
		for _, c := range all {
			together.Entries = append(together.Entries, c.removal.Entries...)
			together.Seed += c.removal.Seed + " "
		}
		return r.adapter.Remove(ctx, r.target(), *r.state, together)
	})
}
