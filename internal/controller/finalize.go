// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// settlingError says that uploads may still be in flight, or not be listed yet.
type settlingError struct{ until time.Time }

func (e *settlingError) Error() string {
	return "being deleted; waiting for uploads in flight until " + e.until.UTC().Format(time.RFC3339)
}

// wantsFinalizer says that an object has to be held when it is deleted: it has, or is
// about to have, something in the cloud that has to go with it. One that never
// uploaded gets the finalizer right before it does.
func wantsFinalizer(object *v1alpha1.CloudCertificate) bool {
	held := controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerCleanup)
	return object.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete && (held || object.Status.CertID != 0)
}

// letGo takes the finalizer off an object again that this reconcile put on, if its upload
// certainly had no effect: a finalizer that is on means that something may be in the
// cloud. Whoever wrote the object meanwhile makes it a conflict.
func (r *Reconciler) letGo(ctx context.Context, next *v1alpha1.CloudCertificate, held bool, err error) {
	if held || next.Status.CertID != 0 || len(next.Status.History) > 0 || !isWithoutEffect(err) {
		return
	}
	if err := r.setFinalizer(ctx, next, false); err != nil {
		log.FromContext(ctx).Info("The finalizer stays on until a deletion has looked for certificates", "problem", err.Error())
	}
}

// isWithoutEffect reports whether the cloud certainly took no upload: it refused it, or
// another certificate has the name.
func isWithoutEffect(err error) bool {
	_, conflict := errors.AsType[*nameConflictError](err)
	_, taken := errors.AsType[*nameTakenError](err)
	if conflict || taken {
		return true
	}
	refusal, ok := errors.AsType[*cas.Error](err)
	refusals := []cas.Class{cas.Refused, cas.Denied, cas.Quota, cas.Unauthenticated, cas.Throttled}
	return ok && !refusal.MayHaveHappened && slices.Contains(refusals, refusal.Class)
}

// setFinalizer puts the finalizer on an object or takes it off, under the version
// that the pass knows.
func (r *Reconciler) setFinalizer(ctx context.Context, next *v1alpha1.CloudCertificate, want bool) error {
	if controllerutil.ContainsFinalizer(next, v1alpha1.FinalizerCleanup) == want {
		return nil
	}
	patched := next.DeepCopy()
	if want {
		controllerutil.AddFinalizer(patched, v1alpha1.FinalizerCleanup)
	} else {
		controllerutil.RemoveFinalizer(patched, v1alpha1.FinalizerCleanup)
	}
	lock := client.MergeFromWithOptions(next, client.MergeFromWithOptimisticLock{})
	r.memory.writing(next, next.ResourceVersion)
	if err := r.Patch(ctx, patched, lock); err != nil {
		r.memory.notWritten(next, next.ResourceVersion)
		return fmt.Errorf("failed to write the finalizer: %w", err)
	}
	next.ResourceVersion, next.Finalizers = patched.ResourceVersion, patched.Finalizers
	return nil
}

// finalize brings a deleted object to its end. Under Retain there is no finalizer and
// nothing to do. It may be repeated at any time: what is gone is gone.
func (r *Reconciler) finalize(ctx context.Context, object *v1alpha1.CloudCertificate) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerCleanup) {
		return reconcile.Result{}, nil
	}
	if why := untouched(object); why != "" {
		return r.release(ctx, object, ending{why: why})
	}
	next := object.DeepCopy()
	alone, err := r.cleanUp(ctx, next)
	if fight, ok := errors.AsType[*movesError](err); ok {
		return r.brake(ctx, object, fight)
	}
	r.noteOtherFailure(object, err)
	switch {
	case err == nil:
		return r.release(ctx, next, ending{why: unlisted(next, alone), alone: alone})
	case isStale(err):
		return reconcile.Result{RequeueAfter: r.catchUp(object)}, nil
	case r.overdue(object, err):
		return r.release(ctx, next, ending{why: plainly(err), alone: alone, named: named(next, err)})
	}
	out := r.judgeDeletion(next, err)
	if out.quiet {
		return reconcile.Result{RequeueAfter: out.requeueAfter}, nil
	}
	if asked := object.Annotations[v1alpha1.AnnotationResync]; asked != "" {
		next.Status.LastHandledResync = asked
	}
	if err := r.publish(ctx, object, next, out); err != nil {
		return r.retryPublish(object, err)
	}
	return reconcile.Result{RequeueAfter: out.requeueAfter}, out.err
}

// untouched says why a deletion leaves the cloud alone, if it does.
func untouched(object *v1alpha1.CloudCertificate) string {
	switch {
	case object.Annotations[v1alpha1.AnnotationOrphan] == "true":
		return "the annotation " + v1alpha1.AnnotationOrphan + " asks for it"
	case object.Spec.DeletionPolicy != v1alpha1.DeletionPolicyDelete:
		return "spec.deletionPolicy is " + string(v1alpha1.DeletionPolicyRetain)
	case object.Spec.Suspend:
		return "spec.suspend is true"
	}
	return ""
}

// unlisted says that a status names certificates which a complete list did not show,
// and which were therefore not deleted: they are gone, or not ours to see. What the list
// shows and is left alone is none of them.
func unlisted(object *v1alpha1.CloudCertificate, alone []cas.Entry) string {
	for _, e := range alone {
		dropCertificate(&object.Status, e.CertID)
	}
	if object.Status.CertID == 0 && len(object.Status.History) == 0 {
		return ""
	}
	return "the cloud does not list the rest"
}

// named counts the certificates that an object leaves in the cloud: those of its status,
// or those that could not be deleted, and at least one where nobody knows.
func named(object *v1alpha1.CloudCertificate, err error) int {
	count := countNamed(&object.Status)
	if remaining, ok := errors.AsType[*remainingError](err); ok {
		count = max(count, len(remaining.left))
	}
	return max(count, 1)
}

// ending is how a deletion ends.
type ending struct {
	why   string      // something of the object may stay in the cloud
	named int         // how many certificates; 0 is as many as the status names
	alone []cas.Entry // which hold names of the object and are not its certificates
}

// release takes the finalizer off. What is known to stay in the cloud is named, also
// where the answer to the write was lost: the object may be gone by then.
func (r *Reconciler) release(ctx context.Context, object *v1alpha1.CloudCertificate, end ending) (reconcile.Result, error) {
	err := r.setFinalizer(ctx, object, false)
	if isStale(err) {
		return r.retryPublish(object, err)
	}
	r.announceRelease(ctx, object, end)
	if err != nil {
		return r.retryPublish(object, err)
	}
	r.memory.forget(client.ObjectKeyFromObject(object))
	return reconcile.Result{}, nil
}

// announceRelease says what a released object leaves in the cloud, if anything. In a
// namespace that is being deleted no event can be made: log and metric say it too.
func (r *Reconciler) announceRelease(ctx context.Context, object *v1alpha1.CloudCertificate, end ending) {
	var notes []string
	if end.why != "" {
		stays := "whatever it has in the cloud"
		if object.Status.CertID != 0 || len(object.Status.History) > 0 {
			stays = fmt.Sprintf("account %q, site %s: %s", object.Status.AccountID, object.Status.Region, leftBehind(&object.Status))
		}
		notes = append(notes, fmt.Sprintf("released, because %s; not deleted: %s", end.why, stays))
		leftCertificates.WithLabelValues(v1alpha1.ReasonReleased).Add(float64(max(end.named, named(object, nil))))
	}
	if len(end.alone) > 0 {
		notes = append(notes, "left alone, because they hold names of this object and may not be its certificates: "+namesOf(end.alone))
	}
	if len(notes) == 0 {
		log.FromContext(ctx).Info("Released; nothing of it is in the cloud")
		return
	}
	note := strings.Join(notes, "; ")
	log.FromContext(ctx).Info("Released with what may be in the cloud", "note", note)
	r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Delete", "%s", truncate(note))
}

// namesOf names the first few of listed certificates.
func namesOf(entries []cas.Entry) string {
	var names []string
	for _, e := range entries {
		names = append(names, nameAndID(e.Name, e.CertID))
	}
	return few(names, 0)
}

// noteOtherFailure notes when a deletion fails for another reason than a refusal: what
// is refused after that has not lasted since the deletion began. To wait is no failure.
func (r *Reconciler) noteOtherFailure(object *v1alpha1.CloudCertificate, err error) {
	_, settling := errors.AsType[*settlingError](err)
	if err != nil && !settling && !isStale(err) && !cas.IsThrottled(err) && !isRefusal(err) {
		r.memory.otherwise(object, r.Clock.Now())
	}
}

// overdue reports whether a deletion has waited long enough for what may never help.
func (r *Reconciler) overdue(object *v1alpha1.CloudCertificate, err error) bool {
	at, limited := r.orphanAt(object)
	return isRefusal(err) && limited && !r.Clock.Now().Before(at)
}

// orphanAt is when a deleted object may be released with what it has in the cloud, if
// ever: when it was refused for all of --orphan-after, as far as this process knows.
func (r *Reconciler) orphanAt(object *v1alpha1.CloudCertificate) (time.Time, bool) {
	since := object.DeletionTimestamp.Time
	if other := r.memory.otherwiseAt(object); other.After(since) {
		since = other
	}
	return since.Add(r.Options.OrphanAfter), r.Options.OrphanAfter > 0
}

// cleanUp deletes every certificate of this identity, once a complete sweep shows
// them all: one that began when no upload can be in flight any more. A nil error
// means that none is left but those to leave alone.
func (r *Reconciler) cleanUp(ctx context.Context, next *v1alpha1.CloudCertificate) (alone []cas.Entry, err error) {
	anew, err := r.disown(next)
	if err != nil {
		return nil, err
	}
	if anew {
		return nil, &settlingError{until: r.Clock.Now()} // first say so
	}
	site := r.site(next)
	cloud, err := r.Accounts.lastClient(ctx, next, site)
	if err != nil {
		return nil, err
	}
	here := place{account: account(ctx, cloud), site: site}
	if moved(&next.Status, here) {
		if err := r.move(next, here); err != nil {
			return nil, err
		}
		return nil, &settlingError{until: r.Clock.Now()} // first say so; what is in the old place stays there
	}
	sameAccount := here.account != "" && next.Status.AccountID != ""
	settleIn(next, here)
	if err := r.swept(cloud, r.quietSince(next)); err != nil {
		return nil, err
	}
	v := cloud.Inventory()
	if shared := r.sharedWith(next, v); shared != nil {
		return nil, shared
	}
	entries, alone, complete := r.mine(next, v)
	if !complete { // the list may lag behind the upload of the current one
		if err := r.swept(cloud, next.Status.LastUploadTime.Add(cas.DefaultOwnWriteAge)); err != nil {
			return alone, err
		}
		entries, alone, _ = r.mine(next, v)
	}
	if !sameAccount && isElsewhere(&next.Status, entries) {
		r.memory.askAgain(next, r.Clock.Now())
		return alone, &remainingError{left: unprovenAccount(entries)}
	}
	if err := r.removeAll(ctx, next, cloud, entries, nil); err != nil {
		return alone, err
	}
	if count := v.Unreadable(); count > 0 {
		r.memory.askAgain(next, r.Clock.Now())
		return alone, &unreadableError{count: count}
	}
	return alone, nil
}

// isElsewhere reports whether a list shows certificates of an object, but none of those
// that its status names: without an account to compare, it may be another account's.
func isElsewhere(status *v1alpha1.CloudCertificateStatus, entries []cas.Entry) bool {
	if status.CertID == 0 && len(status.History) == 0 {
		return false
	}
	return len(entries) > 0 && !slices.ContainsFunc(entries, func(e cas.Entry) bool { return isNamed(status, e) })
}

// unprovenAccount is why nothing is deleted where a list may be another account's.
func unprovenAccount(entries []cas.Entry) (left []undeleted) {
	why := &unprovenError{problem: "the account of the credentials cannot be learned, and its list shows nothing that the status names: it may be another account"}
	for _, e := range entries {
		left = append(left, undeleted{certID: e.CertID, name: e.Name, err: why})
	}
	return left
}

// swept waits for a time to come, and then for a complete sweep that began later.
func (r *Reconciler) swept(cloud *cas.Client, since time.Time) error {
	if r.Clock.Now().Before(since) {
		return &settlingError{until: since}
	}
	return cloud.SweptSince(since)
}

// quietSince is when every upload that may have been sent for a deleted object has
// ended: by this process, which knows, or by one before it, which ended before this
// one began. A list that was not good enough is read once more.
func (r *Reconciler) quietSince(object *v1alpha1.CloudCertificate) time.Time {
	last := object.DeletionTimestamp.Time
	for _, t := range []time.Time{r.memory.sent(object), r.began()} {
		if t.After(last) {
			last = t
		}
	}
	last = last.Add(r.Options.SettleDelay)
	if again := r.memory.askedAgain(object); again.After(last) {
		return again // the list that is at hand was not good enough
	}
	return last
}

// mine are the listed certificates of this identity, the oldest first and the current
// one last, and those to leave alone: not ours, or not known to be while a name of the
// object is in conflict. They are not complete if the current one is not among them, and
// nobody knows why.
func (r *Reconciler) mine(next *v1alpha1.CloudCertificate, v *cas.Inventory) (entries, alone []cas.Entry, complete bool) {
	current := next.Status.CertID
	complete = current == 0 || v.Wrote(current)
	var last []cas.Entry
	for _, e := range slices.Backward(v.Entries(r.identity(next))) {
		complete = complete || e.CertID == current
		switch {
		case isNotOurs(next, e), inConflict(next) && e.Uploaded.IsZero() && !isNamed(&next.Status, e):
			alone = append(alone, e)
		case e.CertID == current:
			last = append(last, e)
		default:
			entries = append(entries, e)
		}
	}
	return append(entries, last...), alone, complete
}

// judgeDeletion decides what a person is told of a deletion that goes on, and when it
// does. A conflict about a name stays the reason: it is all that a restart knows of
// certificates which are not ours.
func (r *Reconciler) judgeDeletion(next *v1alpha1.CloudCertificate, err error) outcome {
	out := r.judgeCleanUp(next, err)
	if inConflict(next) {
		out.reason, out.stalled = v1alpha1.ReasonNameConflict, true
	}
	return out
}

func (r *Reconciler) judgeCleanUp(next *v1alpha1.CloudCertificate, err error) outcome {
	refusal, _ := errors.AsType[*cas.Error](err)
	if settling, ok := errors.AsType[*settlingError](err); ok {
		return outcome{
			ready: metav1.ConditionFalse, reason: v1alpha1.ReasonProgressing, message: err.Error(),
			requeueAfter: max(settling.until.Sub(r.Clock.Now()), 0) + 10*time.Millisecond,
		}
	}
	if cas.IsThrottled(err) {
		return waitingForLimit(next, refusal)
	}
	out := outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonDeletionBlocked, err: err}
	if _, missing := errors.AsType[*credentialsError](err); missing || cas.IsUnauthenticated(err) {
		out.reason = v1alpha1.ReasonCredentialsUnavailable
	}
	_, remaining := errors.AsType[*remainingError](err)
	switch {
	case remaining, isRefusal(err), refusal != nil && refusal.UnknownCode:
		out.err, out.requeueAfter = nil, r.retryDelay(err, r.memory.failed(next))
	case refusal != nil && refusal.RetryAfter > 0:
		out.err, out.requeueAfter = nil, refusal.RetryAfter // it is known for how long it is not tried again
	}
	end := `; to let the object go without touching the cloud, set the annotation ` + v1alpha1.AnnotationOrphan + `: "true"`
	if at, limited := r.orphanAt(next); limited && isRefusal(err) {
		end += "; it is released with what it has in the cloud at " + at.UTC().Format(time.RFC3339)
		out.requeueAfter = min(out.requeueAfter, max(at.Sub(r.Clock.Now()), 0)+time.Second)
	}
	out.message = truncateTo(maxMessage-len(end), deletionProblem(next, err)) + end
	return out
}

// waitingForLimit is the outcome of a deletion that has to wait for the list, or for its
// turn.
func waitingForLimit(next *v1alpha1.CloudCertificate, refusal *cas.Error) outcome {
	message := "being deleted; waiting for the list of what is in the account"
	if refusal.Action == cas.ActionDelete {
		message = "being deleted; waiting for the account's rate limit"
	}
	said := meta.FindStatusCondition(next.Status.Conditions, v1alpha1.ConditionReady)
	blocked := []string{v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonCredentialsUnavailable, v1alpha1.ReasonNameConflict}
	return outcome{
		ready: metav1.ConditionFalse, reason: v1alpha1.ReasonProgressing, message: message,
		quiet:        said != nil && slices.Contains(blocked, said.Reason),
		requeueAfter: max(refusal.RetryAfter, 10*time.Millisecond),
	}
}

// deletionProblem says which certificates stay, as far as that is known, and why.
func deletionProblem(object *v1alpha1.CloudCertificate, err error) string {
	if _, remaining := errors.AsType[*remainingError](err); remaining {
		return "certificates cannot be deleted from the cloud: " + plainly(err)
	}
	names := leftBehind(&object.Status)
	if names != "" {
		names += " "
	}
	return fmt.Sprintf("certificates %scannot be deleted from the cloud: %s", names, plainly(err))
}
