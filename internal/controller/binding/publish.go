// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// conclude ends the reconcile by a step that Decide says is the last.
func (p *pass) conclude(ctx context.Context, step rules.Step) (reconcile.Result, error) {
	switch step := step.(type) {
	case rules.Nothing:
		return reconcile.Result{RequeueAfter: p.untilLook(step.Until)}, nil
	case rules.Keep:
		p.hold(step.Holds)
		p.memory.throttled(p.before, time.Time{})
		return p.end(ctx, verdict.Verdict{Ready: verdict.True, Reason: v1alpha1.ReasonSynced, Message: step.Message, Again: step.Again})
	case rules.Wait:
		if step.Holds != nil {
			p.hold(*step.Holds)
		}
		p.noteFailure(step.Verdict)
		return p.end(ctx, step.Verdict)
	case rules.Release:
		return p.letGo(ctx, step.Left)
	}
	return p.again(fmt.Errorf("the step %T does not end a reconcile", step))
}

// noteFailure notes since when a binding waits for its turn, and when a deletion last failed for
// another reason than a refusal.
func (p *pass) noteFailure(v verdict.Verdict) {
	since := time.Time{}
	if v.Reason == v1alpha1.ReasonThrottled {
		since = p.Clock.Now()
	}
	p.memory.throttled(p.before, since)
	if !p.before.DeletionTimestamp.IsZero() && !v.Refusal && v.Reason != v1alpha1.ReasonProgressing {
		p.memory.failedOtherwise(p.before, p.Clock.Now())
	}
}

// hold writes what a slot was read to hold into the status.
func (p *pass) hold(h rules.Holds) {
	s := &p.next.Status
	now := metav1.NewTime(p.Clock.Now().Truncate(time.Second))
	if s.FirstReadTime.IsZero() {
		s.FirstReadTime = now
	}
	if p.account != "" {
		s.AccountID = p.account
	}
	if h.Bound.CertID == 0 {
		s.BoundCertID, s.BoundCertIdentifier, s.BoundTime = 0, "", metav1.Time{}
	} else if h.Bound != p.boundID() {
		s.BoundCertID, s.BoundCertIdentifier, s.BoundTime = h.Bound.CertID, h.Bound.String(), now
	}
	if s.PendingCertID = h.Pending.CertID; s.PendingCertID == 0 {
		s.PendingSince = metav1.Time{}
	}
	s.LeftoverCertIDs = nil
	for _, id := range h.Leftover {
		s.LeftoverCertIDs = append(s.LeftoverCertIDs, id.CertID)
	}
	s.ProviderCertificateID = p.providerID(h.Bound)
}

// providerID is the product's own id of what is bound, where it has one.
func (p *pass) providerID(bound rules.ID) string {
	if p.state == nil {
		return p.next.Status.ProviderCertificateID
	}
	for _, e := range p.state.In(p.place.Target) {
		if bound.CertID != 0 && idOf(e) == bound {
			return e.ProviderID
		}
	}
	return ""
}

// record writes the intent to place the current version into the status, before anything is
// placed.
func (p *pass) record(ctx context.Context, step rules.Record) error {
	p.hold(step.Holds)
	p.next.Status.PendingSince = metav1.NewTime(p.Clock.Now().Truncate(time.Second))
	if step.Replaced != "" {
		p.next.Status.ReplacedCertIdentifier = step.Replaced
	}
	if err := p.publish(ctx, verdict.Verdict{Ready: step.Ready, Reason: v1alpha1.ReasonProgressing, Message: step.Message}); err != nil {
		return err
	}
	p.came.Recorded = true
	return nil
}

// end publishes a verdict, and says when the binding is reconciled again.
func (p *pass) end(ctx context.Context, v verdict.Verdict) (reconcile.Result, error) {
	if asked := p.before.Annotations[v1alpha1.AnnotationResync]; asked != "" && !v.Quiet {
		p.next.Status.LastHandledResync = asked
	}
	if !v.Quiet {
		if err := p.publish(ctx, v); err != nil {
			return p.again(err)
		}
	}
	if p.state != nil || p.came.Placed || p.came.Removed {
		p.memory.looked(p.before)
	}
	return p.requeue(v.Again), nil
}

// requeue says when a binding is reconciled again: as a verdict asks for, or at the next look
// for drift.
func (p *pass) requeue(again verdict.Again) reconcile.Result {
	var after time.Duration
	switch again.Pace {
	case verdict.Never:
		p.memory.calm(p.before)
		return reconcile.Result{RequeueAfter: p.untilLook(p.lookAt())}
	case verdict.In:
		after = again.After
	case verdict.About:
		after = p.Jitter(again.After)
	case verdict.Soon, verdict.Slowly, verdict.Retry:
		after = p.Jitter(p.memory.retries.Next(p.before, retries.Reconcile, again.Pace))
	}
	if again.AtMost > 0 {
		after = min(after, again.AtMost)
	}
	after = max(after, time.Millisecond)
	p.memory.lookFrom(p.before, p.Clock.Now().Add(after)) // what is under way is looked at then
	return reconcile.Result{RequeueAfter: after}
}

// untilLook is the time until a moment; 0 is never.
func (p *pass) untilLook(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(p.Clock.Now()), time.Second)
}

// lookAt is the next time at which the target is looked at for drift: at multiples of the
// interval, plus a phase that all bindings of one resource share, so that they share a read. Zero
// is never.
func (p *pass) lookAt() time.Time {
	interval := p.Options.DriftInterval
	if interval <= 0 {
		return time.Time{}
	}
	now := p.Clock.Now()
	phase := time.Duration(hashOf(p.place.ReadKey()) % uint64(interval)) //nolint:gosec // an interval is positive
	at := now.Truncate(interval).Add(phase)
	if !at.After(now) {
		at = at.Add(interval)
	}
	return at
}

// publish writes the status, if it differs from what it was, under the version that the
// reconcile knows: whoever wrote in between makes it a conflict.
func (p *pass) publish(ctx context.Context, v verdict.Verdict) error {
	p.next.Status.Target = p.place.text()
	p.next.Status.ObservedGeneration = p.next.Generation
	conditions.Set(&p.next.Status.Conditions, v, p.next.Generation)
	base := p.before.DeepCopy()
	if equality.Semantic.DeepEqual(base.Status, p.next.Status) {
		return nil
	}
	base.ResourceVersion, base.Finalizers = p.next.ResourceVersion, p.next.Finalizers
	before := p.before
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := p.Status().Patch(ctx, p.next, lock); err != nil {
		return fmt.Errorf("failed to write status: %w", err)
	}
	p.announce(ctx, before)
	p.before = p.next.DeepCopy()
	return nil
}

// announce reports a transition, another problem, and a new version as an event.
func (p *pass) announce(ctx context.Context, before *v1alpha1.CloudCertificateBinding) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(p.next.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason && was.Message == is.Message && before.Status.BoundCertID == p.next.Status.BoundCertID {
		return
	}
	p.Recorder.Eventf(p.next, nil, conditions.EventType(is.Reason), is.Reason, "Bind", "%s", is.Message)
	log.FromContext(ctx).Info("Status changed", "ready", is.Status, "reason", is.Reason, "target", p.next.Status.Target,
		"boundCertId", p.next.Status.BoundCertID, "message", is.Message)
}

// setFinalizer puts the finalizer on or takes it off, under the version that the reconcile knows.
func (p *pass) setFinalizer(ctx context.Context, want bool) error {
	patched := p.next.DeepCopy()
	if want {
		controllerutil.AddFinalizer(patched, v1alpha1.FinalizerUnbind)
	} else {
		controllerutil.RemoveFinalizer(patched, v1alpha1.FinalizerUnbind)
	}
	if err := p.Patch(ctx, patched, client.MergeFromWithOptions(p.next, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("failed to write the finalizer: %w", err)
	}
	p.next.ResourceVersion, p.next.Finalizers = patched.ResourceVersion, patched.Finalizers
	return nil
}

// letGo lets a deleted binding go, and says what may stay at its target.
func (p *pass) letGo(ctx context.Context, left string) (reconcile.Result, error) {
	if err := p.setFinalizer(ctx, false); err != nil {
		return p.again(err)
	}
	if left != "" {
		note := conditions.Truncate(fmt.Sprintf("released; certificate %s stays in %s: %s", p.next.Status.BoundCertIdentifier, p.place.text(), left))
		p.Recorder.Eventf(p.next, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Unbind", "%s", note)
		log.FromContext(ctx).Info("Released with what it placed", "note", note)
	}
	return reconcile.Result{}, nil
}

// failureOf is an error as far as decisions rest on it.
func failureOf(err error) *rules.Failure {
	if e, ok := errors.AsType[*targets.Error](err); ok {
		return &rules.Failure{Kind: kinds[e.Class], Text: e.Message, After: e.RetryAfter}
	}
	v := verdict.Of(err, verdict.Subject{Failed: v1alpha1.ReasonBindFailed})
	f := &rules.Failure{Text: v.Message, After: v.Again.After}
	if v.Reason == v1alpha1.ReasonCredentialsUnavailable {
		f.Kind = rules.NoCredentials
	}
	return f
}
