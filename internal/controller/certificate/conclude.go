// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// conclude ends the reconcile by a step that Decide says is the last.
func (r *reconciliation) conclude(ctx context.Context, step protocol.Step) (reconcile.Result, error) {
	switch step := step.(type) {
	case protocol.Nothing:
		r.memory.rest(r.before, r.Clock.Now())
		return reconcile.Result{RequeueAfter: r.untilCheck(step.Until)}, nil
	case protocol.Keep:
		return r.keep(ctx)
	case protocol.Pruned:
		return r.pruned(ctx, step.Err)
	case protocol.Release:
		return r.letGoOf(ctx, step)
	case protocol.Brake:
		return r.brake(ctx, step.Err)
	case protocol.Wait:
		if step.Refuted != 0 {
			r.cloud.Inventory().Refute(step.Refuted) // it is never deleted
			noteForeign(&r.next.Status, step.Refuted)
		}
		return r.fail(ctx, step.Err)
	}
	return r.fail(ctx, errors.New("the step does not end a reconcile"))
}

// untilCheck is the time until an object is checked again: at least a second, and not further
// away than a timer reaches. Zero is never.
func (r *reconciliation) untilCheck(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return min(max(at.Sub(r.Clock.Now()), time.Second), longestNap)
}

// keep publishes that the content of the Secret is in the cloud.
func (r *reconciliation) keep(ctx context.Context) (reconcile.Result, error) {
	r.Accounts.hold(r.next, r.soFar.Present)
	recordVersion(r.next, r.secret)
	if r.content.ValidUntil.Before(r.content.Facts.NotAfter) {
		forgetVersion(r.next) // the status does not know when the other certificate of the pair expires: judge it again
	}
	r.settle()
	r.next.Status.Certificate = facts(r.content)
	r.next.Status.LastHandledResync = resyncRequest(r.next)
	deriveHistory(r.next, r.cloud.Inventory(), r.identity(r.next), r.Clock.Now())
	r.memory.moved(r.next)
	r.memory.succeeded(r.next)
	if err := r.publish(ctx, r.synced()); err != nil {
		return r.objects.retry(r.before, err)
	}
	wait := max(untilExpired(r.Clock.Now(), r.content.ValidUntil), time.Second)
	if due := r.observe().PruneAt(); !due.IsZero() {
		wait = soonest(wait, r.untilCheck(due.Add(time.Second)))
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// pruned publishes what came of an attempt to delete superseded versions. It never changes
// Ready, only its message.
func (r *reconciliation) pruned(ctx context.Context, err error) (reconcile.Result, error) {
	r.keepHint(err)
	r.announce.pruned(r.before, r.next)
	if r.cloud != nil {
		deriveHistory(r.next, r.cloud.Inventory(), r.identity(r.next), r.Clock.Now()) // there may be more than were shown
	}
	after := r.judgePrune(ctx, err)
	if err := r.publish(ctx, r.synced()); err != nil {
		return r.objects.retry(r.before, err)
	}
	o := r.observe()
	wait := r.untilCheck(o.NextCheck())
	if due := o.PruneAt(); !due.IsZero() {
		after = max(after, r.untilCheck(due))
	}
	return reconcile.Result{RequeueAfter: soonest(after, wait)}, nil
}

// letGoOf lets a deleted object go.
func (r *reconciliation) letGoOf(ctx context.Context, step protocol.Release) (reconcile.Result, error) {
	end := ending{alone: step.Alone}
	for _, e := range step.Alone {
		if !step.Refused() {
			dropCertificate(&r.next.Status, e.CertID) // it is named apart
		}
	}
	if step.Err != nil {
		end.why, end.named = verdict.Text(step.Err), named(r.next, step.Err)
	}
	return r.release(ctx, end)
}

// fail publishes why the object cannot go on.
func (r *reconciliation) fail(ctx context.Context, err error) (reconcile.Result, error) {
	if isStale(err) {
		return reconcile.Result{RequeueAfter: r.objects.catchUp(r.before)}, nil
	}
	if turn, ok := errors.AsType[*turnError](err); ok {
		return r.yield(ctx, turn)
	}
	r.keepHint(err)
	if !r.before.DeletionTimestamp.IsZero() {
		return r.failDeletion(ctx, err)
	}
	if r.content != nil {
		r.letGo(ctx, err)
	}
	v := r.judge(ctx, err)
	if v.Reason == v1alpha1.ReasonUploadFailed && r.observe().IsMereCheck() {
		v = r.unchecked(err)
	}
	return r.conclusion(ctx, err, v)
}

// failDeletion publishes why a deletion cannot go on.
func (r *reconciliation) failDeletion(ctx context.Context, err error) (reconcile.Result, error) {
	r.settle()
	r.noteOtherFailure(err)
	if r.soFar.List == nil && protocol.DoubtsList(err) {
		r.memory.askAgain(r.next, r.Clock.Now()) // a list that was not good enough is read once more
	}
	v := r.judgeDeletion(err)
	if asked := resyncRequest(r.before); asked != "" && !v.Quiet {
		r.next.Status.LastHandledResync = asked
	}
	return r.conclusion(ctx, err, v)
}

// conclusion publishes the verdict on what keeps the object from going on, unless there is
// nothing to say yet.
func (r *reconciliation) conclusion(ctx context.Context, err error, v verdict.Verdict) (reconcile.Result, error) {
	if !v.Quiet {
		if err := r.publish(ctx, v); err != nil {
			return r.objects.retry(r.before, err)
		}
	}
	return r.requeue(err, v.Again)
}

// untilExpired is the time until a certificate has expired: at least a second while that lies
// ahead, because notAfter itself is still valid; 0 when it does not.
func untilExpired(now, notAfter time.Time) time.Duration {
	left := notAfter.Sub(now)
	if left < 0 {
		return 0
	}
	return min(left, longestNap) + time.Second
}

// longestNap bounds how far ahead an object is put off. A certificate may be valid
// until the year 9999, further than a time.Duration reaches; a reconcile costs nothing.
const longestNap = 365 * 24 * time.Hour
