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
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// conclude ends the reconcile by a step that Decide says is the last.
func (r *reconciliation) conclude(ctx context.Context, step rules.Step) (reconcile.Result, error) {
	switch step := step.(type) {
	case rules.Nothing:
		return reconcile.Result{RequeueAfter: r.untilCheck(step.Until)}, nil
	case rules.Keep:
		r.hold(step.Holds)
		r.memory.throttled(r.before, time.Time{})
		return r.end(ctx, verdict.Verdict{Ready: verdict.True, Reason: v1alpha1.ReasonSynced, Message: step.Message, Again: step.Again})
	case rules.Wait:
		if step.Holds != nil {
			r.hold(*step.Holds)
		}
		r.noteFailure(step.Verdict)
		return r.end(ctx, step.Verdict)
	case rules.Release:
		return r.letGo(ctx, step.Left)
	}
	return r.again(fmt.Errorf("the step %T does not end a reconcile", step))
}

// noteFailure notes since when a binding waits for its turn, and when a deletion last failed for
// another reason than a refusal.
func (r *reconciliation) noteFailure(v verdict.Verdict) {
	since := time.Time{}
	if v.Reason == v1alpha1.ReasonThrottled {
		since = r.Clock.Now()
	}
	r.memory.throttled(r.before, since)
	if !r.before.DeletionTimestamp.IsZero() && !v.Refusal && v.Reason != v1alpha1.ReasonProgressing {
		r.memory.failedOtherwise(r.before, r.Clock.Now())
	}
}

// hold writes what a slot was read to hold into the status.
func (r *reconciliation) hold(h rules.Holds) {
	s := &r.next.Status
	now := metav1.NewTime(r.Clock.Now().Truncate(time.Second))
	if s.FirstReadTime.IsZero() {
		s.FirstReadTime = now
	}
	if r.account != "" {
		s.AccountID = r.account
	}
	if h.Bound.CertID == 0 {
		s.BoundCertID, s.BoundCertIdentifier, s.BoundTime = 0, "", metav1.Time{}
	} else if h.Bound != r.boundID() {
		s.BoundCertID, s.BoundCertIdentifier, s.BoundTime = h.Bound.CertID, h.Bound.String(), now
	}
	if s.PendingCertID = h.Pending.CertID; s.PendingCertID == 0 {
		s.PendingSince = metav1.Time{}
	}
	s.LeftoverCertIDs = nil
	for _, id := range h.Leftover {
		s.LeftoverCertIDs = append(s.LeftoverCertIDs, id.CertID)
	}
	s.ProviderCertificateID = r.providerID(h.Bound)
}

// providerID is the product's own id of what is bound, where it has one.
func (r *reconciliation) providerID(bound rules.ID) string {
	if r.state == nil {
		return r.next.Status.ProviderCertificateID
	}
	for _, e := range r.state.In(r.place.Target) {
		if bound.CertID != 0 && idOf(e) == bound {
			return e.ProviderID
		}
	}
	return ""
}

// record writes the intent to place the current version into the status, before anything is
// placed.
func (r *reconciliation) record(ctx context.Context, step rules.Record) error {
	r.hold(step.Holds)
	r.next.Status.PendingSince = metav1.NewTime(r.Clock.Now().Truncate(time.Second))
	if step.Replaced != "" {
		r.next.Status.ReplacedCertIdentifier = step.Replaced
	}
	if err := r.publish(ctx, verdict.Verdict{Ready: step.Ready, Reason: v1alpha1.ReasonProgressing, Message: step.Message}); err != nil {
		return err
	}
	r.soFar.Recorded = true
	return nil
}

// end publishes a verdict, and says when the binding is reconciled again.
func (r *reconciliation) end(ctx context.Context, v verdict.Verdict) (reconcile.Result, error) {
	if asked := r.before.Annotations[v1alpha1.AnnotationResync]; asked != "" && !v.Quiet {
		r.next.Status.LastHandledResync = asked
	}
	if !v.Quiet {
		if err := r.publish(ctx, v); err != nil {
			return r.again(err)
		}
	}
	if r.state != nil || r.soFar.Placed || r.soFar.Removed {
		r.memory.checked(r.before, r.made.began)
	}
	if r.state != nil {
		r.memory.hasRead(r.before, r.state.Revision)
	}
	return r.requeue(v), nil
}

// requeue says when a binding is reconciled again: as a verdict asks for, or at the next check
// for drift.
func (r *reconciliation) requeue(v verdict.Verdict) reconcile.Result {
	var after time.Duration
	again, underWay := v.Again, ""
	if again.Pace == verdict.In {
		underWay = v.Message
	}
	if v.Reason != v1alpha1.ReasonThrottled { // who waits for a turn has not looked
		r.memory.comesTo(r.before, underWay, r.Clock.Now())
	}
	switch again.Pace {
	case verdict.Never:
		r.memory.calm(r.before)
		return reconcile.Result{RequeueAfter: r.untilCheck(r.checkAt())}
	case verdict.In:
		after = again.After
	case verdict.About:
		after = r.Jitter(again.After)
	case verdict.Soon, verdict.Slowly, verdict.Retry:
		after = r.Jitter(r.memory.retries.Next(r.before, retries.Reconcile, again.Pace))
	}
	if again.AtMost > 0 {
		after = min(after, again.AtMost)
	}
	after = max(after, time.Millisecond)
	if v.Reason != v1alpha1.ReasonThrottled || !r.onlyChecks() { // a check that waits stays due since when it was, so that a reading of another binding serves it
		r.memory.checkFrom(r.before, r.Clock.Now().Add(after)) // what is under way is looked at then
	}
	return reconcile.Result{RequeueAfter: after}
}

// untilCheck is the time until a moment; 0 is never.
func (r *reconciliation) untilCheck(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(r.Clock.Now()), time.Second)
}

// checkAt is the next time at which the target is looked at for drift: at multiples of the
// interval, plus a phase that all bindings of one resource share, so that they share a read. Zero
// is never.
func (r *reconciliation) checkAt() time.Time {
	interval := r.Options.DriftInterval
	if interval <= 0 {
		return time.Time{}
	}
	now := r.Clock.Now()
	phase := time.Duration(hashOf(r.place.ReadKey()) % uint64(interval)) //nolint:gosec // an interval is positive
	at := now.Truncate(interval).Add(phase)
	if !at.After(now) {
		at = at.Add(interval)
	}
	return at
}

// publish writes the status, if it differs from what it was, under the version that the
// reconcile knows: whoever wrote in between makes it a conflict.
func (r *reconciliation) publish(ctx context.Context, v verdict.Verdict) error {
	r.next.Status.Target = r.place.text()
	r.next.Status.ObservedGeneration = r.next.Generation
	conditions.Set(&r.next.Status.Conditions, v, r.next.Generation)
	base := r.before.DeepCopy()
	if equality.Semantic.DeepEqual(base.Status, r.next.Status) {
		return nil
	}
	base.ResourceVersion, base.Finalizers = r.next.ResourceVersion, r.next.Finalizers
	before := r.before
	lock := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, r.next, lock); err != nil {
		return fmt.Errorf("failed to write status: %w", err)
	}
	r.announce(ctx, before)
	r.before = r.next.DeepCopy()
	return nil
}

// announce reports a transition, another problem, a new version, and one that was put back as an event.
func (r *reconciliation) announce(ctx context.Context, before *v1alpha1.CloudCertificateBinding) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(r.next.Status.Conditions, v1alpha1.ConditionReady)
	if is != nil && is.Reason == v1alpha1.ReasonSynced {
		r.announceRestored(ctx)
	}
	if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason && was.Message == is.Message && before.Status.BoundCertID == r.next.Status.BoundCertID {
		return
	}
	r.Recorder.Eventf(r.next, nil, conditions.EventType(is.Reason), is.Reason, "Bind", "%s", is.Message)
	log.FromContext(ctx).Info("Status changed", "ready", is.Status, "reason", is.Reason, "target", r.next.Status.Target,
		"boundCertId", r.next.Status.BoundCertID, "message", is.Message)
}

// announceRestored reports that the target uses a version again which had gone from there, if so.
func (r *reconciliation) announceRestored(ctx context.Context) {
	drift := r.memory.restored(r.before)
	if drift == "" {
		return
	}
	restorations.WithLabelValues(string(r.place.Product)).Inc()
	note := conditions.Truncate(fmt.Sprintf("%s uses certificate %s again: %s", r.place.text(), r.next.Status.BoundCertIdentifier, drift))
	r.Recorder.Eventf(r.next, nil, corev1.EventTypeWarning, v1alpha1.ReasonRestored, "Bind", "%s", note)
	log.FromContext(ctx).Info("Restored what somebody else had changed", "note", note)
}

// setFinalizer puts the finalizer on or takes it off, under the version that the reconcile knows.
func (r *reconciliation) setFinalizer(ctx context.Context, want bool) error {
	patched := r.next.DeepCopy()
	if want {
		controllerutil.AddFinalizer(patched, v1alpha1.FinalizerUnbind)
	} else {
		controllerutil.RemoveFinalizer(patched, v1alpha1.FinalizerUnbind)
	}
	if err := r.Patch(ctx, patched, client.MergeFromWithOptions(r.next, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("failed to write the finalizer: %w", err)
	}
	r.next.ResourceVersion, r.next.Finalizers = patched.ResourceVersion, patched.Finalizers
	return nil
}

// letGo lets a deleted binding go, and says what may stay at its target.
func (r *reconciliation) letGo(ctx context.Context, left string) (reconcile.Result, error) {
	if err := r.setFinalizer(ctx, false); err != nil {
		return r.again(err)
	}
	if left != "" {
		note := conditions.Truncate(fmt.Sprintf("released; certificate %s stays in %s: %s", r.next.Status.BoundCertIdentifier, r.place.text(), left))
		r.Recorder.Eventf(r.next, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Unbind", "%s", note)
		log.FromContext(ctx).Info("Released with what it placed", "note", note)
	}
	return reconcile.Result{}, nil
}

// failureOf is an error as far as decisions rest on it. Where the cloud does not let somebody in, it
// says whose credentials those are.
func (r *reconciliation) failureOf(err error) *rules.Failure {
	if e, ok := errors.AsType[*targets.Error](err); ok {
		f := &rules.Failure{Kind: kinds[e.Class], Text: e.Message, After: e.RetryAfter}
		if _, answered := errors.AsType[*alibaba.Error](e.Cause); answered && (e.Class == targets.Denied || e.Class == targets.Unauthenticated) {
			f.Text += "; the call was made with " + alibaba.Whose(r.secret())
		}
		return f
	}
	v := verdict.Of(err, verdict.Subject{Failed: v1alpha1.ReasonBindFailed})
	f := &rules.Failure{Text: v.Message, After: v.Again.After}
	if v.Reason == v1alpha1.ReasonCredentialsUnavailable {
		f.Kind = rules.NoCredentials
	}
	return f
}
