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
		return r.release(ctx, object, why)
	}
	next := object.DeepCopy()
	err := r.cleanUp(ctx, next)
	switch {
	case err == nil:
		return r.release(ctx, next, unlisted(next))
	case isStale(err):
		return reconcile.Result{RequeueAfter: r.catchUp(object)}, nil
	case r.overdue(object, err):
		return r.release(ctx, next, err.Error())
	}
	out := r.judgeDeletion(next, err)
	if out.quiet {
		return reconcile.Result{RequeueAfter: out.requeueAfter}, nil
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
// and which were therefore not deleted: they are gone, or not ours to see.
func unlisted(object *v1alpha1.CloudCertificate) string {
	if object.Status.CertID == 0 && len(object.Status.History) == 0 {
		return ""
	}
	return "the cloud does not list the rest"
}

// release takes the finalizer off. What is known to stay in the cloud is named, also
// where the answer to the write was lost: the object may be gone by then.
func (r *Reconciler) release(ctx context.Context, object *v1alpha1.CloudCertificate, why string) (reconcile.Result, error) {
	err := r.setFinalizer(ctx, object, false)
	if isStale(err) {
		return r.retryPublish(object, err)
	}
	r.announceRelease(ctx, object, why)
	if err != nil {
		return r.retryPublish(object, err)
	}
	r.memory.forget(client.ObjectKeyFromObject(object))
	return reconcile.Result{}, nil
}

// announceRelease says what a released object leaves in the cloud, if anything.
func (r *Reconciler) announceRelease(ctx context.Context, object *v1alpha1.CloudCertificate, why string) {
	if why == "" {
		log.FromContext(ctx).Info("Deleted from the cloud")
		return
	}
	stays := "whatever it has in the cloud"
	if object.Status.CertID != 0 || len(object.Status.History) > 0 {
		stays = fmt.Sprintf("account %q, site %s: %s", object.Status.AccountID, object.Status.Region, leftBehind(&object.Status))
	}
	log.FromContext(ctx).Info("Released with what may be in the cloud", "reason", why, "stays", stays)
	r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Delete", "%s",
		truncate(fmt.Sprintf("released, because %s; not deleted: %s", why, stays)))
}

// overdue says that a deletion has waited long enough.
func (r *Reconciler) overdue(object *v1alpha1.CloudCertificate, err error) bool {
	left, limited := r.untilOrphan(object)
	return hopeless(err) && limited && left <= 0
}

// hopeless says that a deletion may wait for ever: for credentials that do not come or
// that the cloud does not take any more, or for another operator under the same
// identity to end.
func hopeless(err error) bool {
	_, missing := errors.AsType[*credentialsError](err)
	_, shared := errors.AsType[*sharedError](err)
	return missing || shared || cas.IsUnauthenticated(err)
}

// untilOrphan is the time until a deleted object may be released with what it has in
// the cloud, if ever.
func (r *Reconciler) untilOrphan(object *v1alpha1.CloudCertificate) (time.Duration, bool) {
	if r.Options.OrphanAfter == 0 {
		return 0, false
	}
	return object.DeletionTimestamp.Add(r.Options.OrphanAfter).Sub(r.Clock.Now()), true
}

// cleanUp deletes every certificate of this identity, once a complete sweep shows
// them all: one that began when no upload can be in flight any more. A nil error
// means that none is left.
func (r *Reconciler) cleanUp(ctx context.Context, next *v1alpha1.CloudCertificate) error {
	site := r.site(next)
	cloud, err := r.Accounts.lastClient(ctx, next, site)
	if err != nil {
		return err
	}
	here := place{account: account(ctx, cloud), site: site}
	if moved(&next.Status, here) {
		settleIn(next, here) // first say so; what is in the old place stays there
		return &settlingError{until: r.Clock.Now()}
	}
	settleIn(next, here)
	if err := r.swept(cloud, r.quietSince(next)); err != nil {
		return err
	}
	v := cloud.Inventory()
	if e := r.sharedWith(next, v); e != nil {
		return &sharedError{certID: e.CertID, name: e.Name}
	}
	entries, complete := r.mine(next, v)
	if !complete { // the list may lag behind the upload of the current one
		if err := r.swept(cloud, next.Status.LastUploadTime.Add(cas.DefaultOwnWriteAge)); err != nil {
			return err
		}
		entries, _ = r.mine(next, v)
	}
	for _, e := range entries {
		if err := r.deleteEntry(ctx, next, cloud, e); err != nil {
			return err
		}
	}
	return nil
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
// one began.
func (r *Reconciler) quietSince(object *v1alpha1.CloudCertificate) time.Time {
	last := object.DeletionTimestamp.Time
	for _, t := range []time.Time{r.memory.sent(object), r.began()} {
		if t.After(last) {
			last = t
		}
	}
	return last.Add(r.Options.SettleDelay)
}

// mine are the listed certificates of this identity, the oldest first and the current
// one last. They are not complete if the current one is not among them, and nobody
// knows why.
func (r *Reconciler) mine(next *v1alpha1.CloudCertificate, v *cas.Inventory) (entries []cas.Entry, complete bool) {
	current := next.Status.CertID
	entries = v.Entries(r.identity(next))
	slices.Reverse(entries)
	i := slices.IndexFunc(entries, func(e cas.Entry) bool { return e.CertID == current })
	if i < 0 {
		return entries, current == 0 || v.Wrote(current)
	}
	return append(slices.Delete(slices.Clone(entries), i, i+1), entries[i]), true
}

// deleteEntry deletes one certificate of a deleted object, unless its digest refutes
// that it is ours.
func (r *Reconciler) deleteEntry(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, e cas.Entry) error {
	status := &next.Status
	fingerprint := status.Certificate.FingerprintSHA256
	if e.CertID != status.CertID {
		fingerprint = ""
		for _, h := range status.History {
			if h.CertID == e.CertID {
				fingerprint = h.FingerprintSHA256
			}
		}
	}
	if next.Spec.Type != v1alpha1.CertificateTypeSM && isDigest(e.SHA256) && isDigest(fingerprint) && !strings.EqualFold(e.SHA256, fingerprint) {
		return &unprovenError{certID: e.CertID, name: e.Name, problem: "its digest is another than it was"}
	}
	if err := r.unchanged(ctx, next); err != nil {
		return err
	}
	if err := cloud.Delete(ctx, e.CertID); err != nil && !cas.IsNotFound(err) {
		return err
	}
	cloud.Inventory().Deleted(e.CertID, e.Name)
	dropVersion(status, e.CertID)
	if e.CertID == status.CertID {
		status.CertID, status.ResourceID, status.CertIdentifier, status.Name = 0, "", "", ""
		status.ContentHash, status.LastUploadTime = "", metav1.Time{}
		status.SecretUID, status.SecretResourceVersion = "", ""
		status.Certificate = v1alpha1.CertificateFacts{}
	}
	return nil
}

// judgeDeletion decides what a person is told of a deletion that goes on, and when it
// does.
func (r *Reconciler) judgeDeletion(next *v1alpha1.CloudCertificate, err error) outcome {
	out := outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonDeletionBlocked, message: deletionProblem(err), err: err}
	refusal, _ := errors.AsType[*cas.Error](err)
	settling, isSettling := errors.AsType[*settlingError](err)
	_, isMissing := errors.AsType[*credentialsError](err)
	_, isShared := errors.AsType[*sharedError](err)
	_, isUnproven := errors.AsType[*unprovenError](err)
	switch {
	case isSettling:
		return outcome{
			ready: metav1.ConditionFalse, reason: v1alpha1.ReasonProgressing, message: err.Error(),
			requeueAfter: max(settling.until.Sub(r.Clock.Now()), 0) + 10*time.Millisecond,
		}
	case cas.IsThrottled(err):
		said := meta.FindStatusCondition(next.Status.Conditions, v1alpha1.ConditionReady)
		message := "being deleted; waiting for the list of what is in the account"
		if refusal.Action == cas.ActionDelete {
			message = "being deleted; waiting for the account's rate limit"
		}
		return outcome{
			ready: metav1.ConditionFalse, reason: v1alpha1.ReasonProgressing, message: message,
			quiet:        said != nil && (said.Reason == v1alpha1.ReasonDeletionBlocked || said.Reason == v1alpha1.ReasonCredentialsUnavailable),
			requeueAfter: max(refusal.RetryAfter, 10*time.Millisecond),
		}
	case isMissing, cas.IsUnauthenticated(err):
		out = r.slow(next, v1alpha1.ReasonCredentialsUnavailable, out.message)
	case isShared, isUnproven, refusal != nil && (refusal.Class != cas.Transient || refusal.UnknownCode && refusal.HTTPStatus < 500):
		out = r.slow(next, v1alpha1.ReasonDeletionBlocked, out.message)
	case refusal != nil && refusal.RetryAfter > 0:
		out.err, out.requeueAfter = nil, refusal.RetryAfter // it is known for how long it is not tried again
	}
	if left, limited := r.untilOrphan(next); limited && left > 0 && hopeless(err) {
		at := next.DeletionTimestamp.Add(r.Options.OrphanAfter)
		out.message += "; it is released with what it has in the cloud at " + at.UTC().Format(time.RFC3339)
		out.requeueAfter = min(out.requeueAfter, left+time.Second)
	}
	return out
}

// deletionProblem says why a deletion does not end, and how it could.
func deletionProblem(err error) string {
	const wayOut = `; to let the object go without touching the cloud, set the annotation ` + v1alpha1.AnnotationOrphan + `: "true"`
	if refusal, ok := errors.AsType[*cas.Error](err); ok {
		return fmt.Sprintf("certificates cannot be deleted from the cloud: %s: %s", refusal.Action, refusal.Summary()) + wayOut
	}
	return "certificates cannot be deleted from the cloud: " + err.Error() + wayOut
}
