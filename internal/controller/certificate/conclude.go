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
	recordVersion(p.next, p.secret)
	if p.content.ValidUntil.Before(p.content.Facts.NotAfter) {
		forgetVersion(p.next) // the status does not know when the other certificate of the pair expires: judge it again
	}
	p.settle()
	p.next.Status.Certificate = facts(p.content)
	p.next.Status.LastHandledResync = p.next.Annotations[v1alpha1.AnnotationResync]
	p.deriveHistory(p.next, p.cloud.Inventory())
	out := p.judge(p.next, nil)
	if err := p.publish(ctx, p.before, p.next, out); err != nil {
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
	p.announcePruned(p.before, p.next)
	if p.cloud != nil {
		p.deriveHistory(p.next, p.cloud.Inventory()) // there may be more than were shown
	}
	after := p.judgePrune(ctx, p.next, err)
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
		if _, untouched := errors.AsType[*protocol.UntouchedError](step.Err); untouched || step.Err == nil {
			dropCertificate(&p.next.Status, e.CertID) // it is named apart
		}
	}
	if step.Err != nil {
		end.why, end.named = plainly(step.Err), named(p.next, step.Err)
	}
	return p.release(ctx, p.next, end)
}

// fail publishes why the object cannot go on.
func (p *pass) fail(ctx context.Context, err error) (reconcile.Result, error) {
	if isStale(err) {
		return reconcile.Result{RequeueAfter: p.catchUp(p.before)}, nil
	}
	if !p.before.DeletionTimestamp.IsZero() {
		return p.failDeletion(ctx, err)
	}
	if conflict, ok := errors.AsType[*protocol.NameConflictError](err); ok {
		p.cloud.Inventory().Refute(conflict.CertID) // it is never deleted
	}
	if p.content != nil {
		p.letGo(ctx, p.next, p.held, err)
	}
	out := p.judge(p.next, err)
	return p.conclusion(ctx, out)
}

// failDeletion publishes why a deletion cannot go on.
func (p *pass) failDeletion(ctx context.Context, err error) (reconcile.Result, error) {
	p.settle()
	p.noteOtherFailure(p.before, err)
	if p.came.List == nil && (isUnproven(err) || isUnreadable(err)) {
		p.memory.askAgain(p.next, p.Clock.Now()) // a list that was not good enough is read once more
	}
	out := p.judgeDeletion(err)
	if asked := p.before.Annotations[v1alpha1.AnnotationResync]; asked != "" && !out.quiet {
		p.next.Status.LastHandledResync = asked
	}
	return p.conclusion(ctx, out)
}

// conclusion publishes an outcome, unless there is nothing to say yet.
func (p *pass) conclusion(ctx context.Context, out outcome) (reconcile.Result, error) {
	if out.quiet {
		return reconcile.Result{RequeueAfter: out.requeueAfter}, nil
	}
	if err := p.publish(ctx, p.before, p.next, out); err != nil {
		return p.retryPublish(p.before, err)
	}
	// A returned error is retried with backoff; everything else says itself when it wants to
	// be checked again, if ever.
	return reconcile.Result{RequeueAfter: out.requeueAfter}, out.err
}

// isUnproven reports whether a list may have been another account's.
func isUnproven(err error) bool {
	_, unproven := errors.AsType[*protocol.UnprovenError](err)
	return unproven
}

// isUnreadable reports whether a list held entries that cannot be read.
func isUnreadable(err error) bool {
	_, unreadable := errors.AsType[*protocol.UnreadableError](err)
	return unreadable
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
