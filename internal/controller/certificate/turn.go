// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// turn is what a reconcile takes of what all objects share.
type turn struct {
	paid            bool              // its first call is counted already
	taken           bool              // it occupies a worker of its namespace's share
	urgency         ratelimit.Urgency // of that worker
	read            bool              // it has read the Secret
	calls           int               // that were sent, deletions not included
	failedDeletions int
}

// turnError says that it is not an object's turn. Nothing was called.
type turnError struct {
	after time.Duration
	why   string
	// silent reports whether the status has nothing to say of it: it is about what nobody
	// waits for.
	silent bool
}

// Error implements error.
func (e *turnError) Error() string { return "waiting for " + e.why }

// Verdict is what a person is told of an object whose turn it is not: nothing for a minute.
func (e *turnError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{
		Ready:   s.WhileServed(),
		Reason:  v1alpha1.ReasonThrottled,
		Message: fmt.Sprintf("%s since %s", e.Error(), s.ThrottledSince.UTC().Format(time.RFC3339)),
		Void:    true,
		Quiet:   s.Now.Sub(s.ThrottledSince) < alibaba.Patience,
		Again:   verdict.Again{Pace: verdict.In, After: e.after},
	}
}

// takeTurn lets a step go that calls the cloud or reads the Secret, if it is the object's turn.
// Every other step is free: it rests on caches.
func (r *reconciliation) takeTurn(step protocol.Step) error {
	action, reaches := actionOf(step)
	if !reaches {
		return nil
	}
	now, key := r.Clock.Now(), client.ObjectKeyFromObject(r.before)
	_, together := step.(protocol.ListTogether)
	deletes := together || action == cas.ActionDelete
	refuse := func(after time.Duration, why string) error {
		return &turnError{after: after, why: why, silent: deletes || !r.before.DeletionTimestamp.IsZero()}
	}
	if after := r.turns.promised(key, action, now); after > 0 {
		return refuse(after, "the account's rate limit of "+string(action))
	}
	if after := r.turns.untilDeletion(key, now); deletes && after > 0 {
		return refuse(after, "the next attempt to delete certificates")
	}
	if r.turn.taken {
		return nil // what was begun is finished
	}
	if after := r.turns.untilCall(key, now); after > 0 && !r.turn.paid {
		return refuse(after, "its next call: there are five at once for one object, then one in ten seconds")
	}
	urgency := urgencies[urgencyOf(step)]
	if after := r.turns.occupy(r.before.Namespace, urgency, r.Options.MaxConcurrentReconciles, now); after > 0 {
		return refuse(after, "other objects of its namespace")
	}
	r.turn.taken, r.turn.urgency = true, urgency
	return nil
}

// actionOf is the action that a step may call, empty where it reads a Secret alone or asks whose
// the credentials are, and reports whether it reaches for anything.
func actionOf(step protocol.Step) (action alibaba.Action, reaches bool) {
	switch step := step.(type) {
	case protocol.Read:
		if step.Reserve {
			return cas.ActionUpload, true
		}
		return "", true
	case protocol.Upload:
		return cas.ActionUpload, true
	case protocol.LookUp, protocol.List, protocol.ListTogether:
		return cas.ActionList, true
	case protocol.Delete:
		return cas.ActionDelete, true
	case protocol.Learn:
		return "", true
	}
	return "", false
}

// urgencyOf is how urgent the work is that begins with a step. What begins without reading the Secret
// prunes or deletes, and can wait.
func urgencyOf(step protocol.Step) protocol.Urgency {
	switch step := step.(type) {
	case protocol.Read:
		return step.Urgency
	case protocol.Learn:
		return step.Urgency
	}
	return protocol.Repair
}

// behalf says for whom the reconcile calls the cloud, and counts the calls.
func (r *reconciliation) behalf() cas.Behalf {
	return cas.Behalf{Tenant: r.before.Namespace, Sent: func(action alibaba.Action, err error) {
		switch {
		case action != cas.ActionDelete:
			r.turn.calls++
		case err != nil && !alibaba.IsNotFound(err):
			r.turn.failedDeletions++
		}
	}}
}

// endTurn gives back what the reconcile has taken, and counts what it called.
func (r *reconciliation) endTurn() {
	if !r.turn.taken {
		return
	}
	cost := min(r.turn.calls*costOfCall, savedUp) // the pages of one list are no reason to hold up a renewal for minutes
	if cost == 0 && r.turn.read {
		cost = costOfRead
	}
	r.turns.spend(client.ObjectKeyFromObject(r.before), cost, r.turn.failedDeletions, r.Clock.Now())
	r.turns.leave(r.before.Namespace, r.turn.urgency)
}

// keepHint keeps the hint of a limit, so that no event shortens it.
func (r *reconciliation) keepHint(err error) {
	hint, ok := errors.AsType[*alibaba.Error](err)
	if !ok || hint.Class != alibaba.Throttled {
		return
	}
	now := r.Clock.Now()
	r.turns.promise(client.ObjectKeyFromObject(r.before), hint.Action, now.Add(hint.RetryAfter), now)
}

// yield ends a reconcile whose turn it is not.
func (r *reconciliation) yield(ctx context.Context, e *turnError) (reconcile.Result, error) {
	if e.silent {
		return reconcile.Result{RequeueAfter: e.after}, nil
	}
	s := r.subject()
	s.ThrottledSince = r.memory.throttled(r.next, s.Now)
	return r.conclusion(ctx, e, e.Verdict(s))
}

// askedToHurry reports whether a resync asks for a try at once that was not granted yet. It
// costs a call, so that nobody asks for more by it than an object may call; and it returns how
// long it takes until the object has one.
func (r *Reconciler) askedToHurry(object *v1alpha1.CloudCertificate) (asked bool, wait time.Duration) {
	request := resyncRequest(object)
	if !r.resyncAsked(object) || object.Spec.Suspend || r.memory.waits.Of(object).expedited == request {
		return false, 0
	}
	wait = r.turns.hurry(client.ObjectKeyFromObject(object), r.Clock.Now())
	return wait == 0, wait
}
