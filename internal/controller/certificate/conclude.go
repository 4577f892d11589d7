// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// conclude ends the reconcile by a step that Decide says is the last.
func (p *pass) conclude(ctx context.Context, step protocol.Step) (reconcile.Result, error) {
	switch step := step.(type) {
	case protocol.Nothing:
		p.memory.rest(p.before, p.Clock.Now())
		return reconcile.Result{RequeueAfter: p.untilCheck(step.Until)}, nil
	case protocol.Keep:
		return p.keep(ctx)
	case protocol.Pruned:
		return p.pruned(ctx, step.Err)
	case protocol.Release:
		return p.letGoOf(ctx, step)
	case protocol.Brake:
		return p.brake(ctx, p.before, step.Err)
	case protocol.Wait:
		if step.Refuted != 0 {
			p.cloud.Inventory().Refute(step.Refuted) // it is never deleted
			noteForeign(&p.next.Status, step.Refuted)
		}
		return p.fail(ctx, step.Err)
	}
	return p.fail(ctx, errors.New("the step does not end a reconcile"))
}

// untilCheck is the time until an object is checked again: at least a second, and not further
// away than a timer reaches. Zero is never.
func (p *pass) untilCheck(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return min(max(at.Sub(p.Clock.Now()), time.Second), longestNap)
}

// keep publishes that the content of the Secret is in the cloud.
func (p *pass) keep(ctx context.Context) (reconcile.Result, error) {
	p.Accounts.hold(p.next, p.came.Present)
	recordVersion(p.next, p.secret)
	if p.content.ValidUntil.Before(p.content.Facts.NotAfter) {
		forgetVersion(p.next) // the status does not know when the other certificate of the pair expires: judge it again
	}
	p.settle()
	p.next.Status.Certificate = facts(p.content)
	p.next.Status.LastHandledResync = resyncRequest(p.next)
	p.deriveHistory(p.next, p.cloud.Inventory())
	p.memory.moved(p.next)
	p.memory.succeeded(p.next)
	if err := p.publish(ctx, p.before, p.next, p.synced(p.next)); err != nil {
		return p.retryPublish(p.before, err)
	}
	wait := max(p.until(p.content.ValidUntil), time.Second)
	if due := p.observe().PruneAt(); !due.IsZero() {
		wait = soonest(wait, p.untilCheck(due.Add(time.Second)))
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// pruned publishes what came of an attempt to delete superseded versions. It never changes
// Ready, only its message.
func (p *pass) pruned(ctx context.Context, err error) (reconcile.Result, error) {
	p.keepHint(err)
	p.announcePruned(p.before, p.next)
	if p.cloud != nil {
		p.deriveHistory(p.next, p.cloud.Inventory()) // there may be more than were shown
	}
	after := p.judgePrune(ctx, err)
	if err := p.publish(ctx, p.before, p.next, p.synced(p.next)); err != nil {
		return p.retryPublish(p.before, err)
	}
	o := p.observe()
	wait := p.untilCheck(o.NextCheck())
	if due := o.PruneAt(); !due.IsZero() {
		after = max(after, p.untilCheck(due))
	}
	return reconcile.Result{RequeueAfter: soonest(after, wait)}, nil
}

// letGoOf lets a deleted object go.
func (p *pass) letGoOf(ctx context.Context, step protocol.Release) (reconcile.Result, error) {
	end := ending{alone: step.Alone}
	for _, e := range step.Alone {
		if !step.Refused() {
			dropCertificate(&p.next.Status, e.CertID) // it is named apart
		}
	}
	if step.Err != nil {
		end.why, end.named = verdict.Text(step.Err), named(p.next, step.Err)
	}
	return p.release(ctx, p.next, end)
}

// fail publishes why the object cannot go on.
func (p *pass) fail(ctx context.Context, err error) (reconcile.Result, error) {
	if isStale(err) {
		return reconcile.Result{RequeueAfter: p.catchUp(p.before)}, nil
	}
	if turn, ok := errors.AsType[*turnError](err); ok {
		return p.yield(ctx, turn)
	}
	p.keepHint(err)
	if !p.before.DeletionTimestamp.IsZero() {
		return p.failDeletion(ctx, err)
	}
	if p.content != nil {
		p.letGo(ctx, err)
	}
	return p.conclusion(ctx, err, p.judge(ctx, p.next, err))
}

// failDeletion publishes why a deletion cannot go on.
func (p *pass) failDeletion(ctx context.Context, err error) (reconcile.Result, error) {
	p.settle()
	p.noteOtherFailure(p.before, err)
	if p.came.List == nil && protocol.DoubtsList(err) {
		p.memory.askAgain(p.next, p.Clock.Now()) // a list that was not good enough is read once more
	}
	v := p.judgeDeletion(err)
	if asked := resyncRequest(p.before); asked != "" && !v.Quiet {
		p.next.Status.LastHandledResync = asked
	}
	return p.conclusion(ctx, err, v)
}

// conclusion publishes the verdict on what keeps the object from going on, unless there is
// nothing to say yet.
func (p *pass) conclusion(ctx context.Context, err error, v verdict.Verdict) (reconcile.Result, error) {
	if !v.Quiet {
		if err := p.publish(ctx, p.before, p.next, v); err != nil {
			return p.retryPublish(p.before, err)
		}
	}
	return p.requeue(p.next, err, v.Again)
}

// until is the time until a certificate has expired: at least a second while that lies
// ahead, because notAfter itself is still valid; 0 when it does not.
func (r *Reconciler) until(notAfter time.Time) time.Duration {
	left := notAfter.Sub(r.Clock.Now())
	if left < 0 {
		return 0
	}
	return min(left, longestNap) + time.Second
}

// longestNap bounds how far ahead an object is put off. A certificate may be valid
// until the year 9999, further than a time.Duration reaches; a look costs nothing.
const longestNap = 365 * 24 * time.Hour
