// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// letGo takes the finalizer off an object again that this reconcile put on, if its upload
// certainly had no effect: a finalizer that is on means that something may be in the
// cloud. A name that is taken may be taken by what an earlier upload left, unless a digest
// shows that it is not. Whoever wrote the object meanwhile makes it a conflict.
func (r *reconciliation) letGo(ctx context.Context, err error) {
	status, v := &r.next.Status, verdict.Of(err, verdict.Subject{})
	mayBeOurs := r.soFar.Taken && v.Reason != v1alpha1.ReasonNameConflict
	if r.held || status.CertID != 0 || len(status.History) > 0 || !v.Void || mayBeOurs {
		return
	}
	if err := r.setFinalizer(ctx, r.next, false); err != nil {
		log.FromContext(ctx).Info("The finalizer stays on until a deletion has looked for certificates", "problem", err.Error())
	}
}

// setFinalizer puts the finalizer on an object or takes it off, under the version
// that the reconcile knows.
func (r *Reconciler) setFinalizer(ctx context.Context, next *v1alpha1.CloudCertificate, want bool) error {
	if isHeld(next) == want {
		return nil
	}
	live, err := r.current(ctx, next)
	if err != nil {
		return err
	}
	return r.writeFinalizer(ctx, next, live, want)
}

// writeFinalizer writes the finalizers of the object as the API server has it: the cache does
// not show those of others, and a merge patch replaces them all.
func (r *Reconciler) writeFinalizer(ctx context.Context, next, live *v1alpha1.CloudCertificate, want bool) error {
	patched := live.DeepCopy()
	if want {
		controllerutil.AddFinalizer(patched, v1alpha1.FinalizerCleanup)
	} else {
		controllerutil.RemoveFinalizer(patched, v1alpha1.FinalizerCleanup)
	}
	lock := client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})
	r.memory.writes.Begin(next, next.ResourceVersion, &next.Status)
	if err := r.Patch(ctx, patched, lock); err != nil {
		r.memory.writes.Undo(next, next.ResourceVersion)
		return fmt.Errorf("failed to write the finalizer: %w", err)
	}
	r.memory.writes.End(patched, next.ResourceVersion, &patched.Status)
	next.ResourceVersion, next.Finalizers = patched.ResourceVersion, patched.Finalizers
	if !want {
		r.Accounts.forget(client.ObjectKeyFromObject(next))
	}
	return nil
}

// named counts the certificates that an object leaves in the cloud: those of its status,
// or those that could not be deleted, and at least one where nobody knows.
func named(object *v1alpha1.CloudCertificate, err error) int {
	return max(countNamed(&object.Status), protocol.Remaining(err), 1)
}

// ending is how a deletion ends.
type ending struct {
	why   string           // something of the object may stay in the cloud
	named int              // how many certificates; 0 is as many as the status names
	alone []protocol.Entry // which hold names of the object and are not its certificates
}

// isHeld reports whether the finalizer is on an object.
func isHeld(object *v1alpha1.CloudCertificate) bool {
	return controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerCleanup)
}

// release takes the finalizer off. What is known to stay in the cloud is named, also
// where the answer to the write was lost: the object may be gone by then.
func (r *Reconciler) release(ctx context.Context, object *v1alpha1.CloudCertificate, end ending) (reconcile.Result, error) {
	live, err := r.current(ctx, object)
	if err != nil {
		return r.retryPublish(object, err)
	}
	err = r.writeFinalizer(ctx, object, live, false)
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
			stays = fmt.Sprintf("account %q, region %s: %s", object.Status.AccountID, object.Status.Region, leftBehind(&object.Status))
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
	r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Delete", "%s", conditions.Truncate(note))
}

// namesOf names the first few of listed certificates.
func namesOf(entries []protocol.Entry) string {
	var names []string
	for _, e := range entries {
		names = append(names, protocol.NameAndID(e.Name, e.CertID))
	}
	return protocol.Few(names, 0)
}

// noteOtherFailure notes when a deletion fails for another reason than a refusal: what
// is refused after that has not lasted since the deletion began. To wait is no failure.
func (r *Reconciler) noteOtherFailure(object *v1alpha1.CloudCertificate, err error) {
	v := verdict.Of(err, r.subject(object))
	if v.Reason != v1alpha1.ReasonProgressing && v.Reason != v1alpha1.ReasonThrottled && !v.Refusal {
		r.memory.otherwise(object, r.Clock.Now())
	}
}

// deletionProblem says which certificates stay, as far as that is known, and why.
func deletionProblem(object *v1alpha1.CloudCertificate, err error) string {
	if protocol.Remaining(err) > 0 {
		return "certificates cannot be deleted from the cloud: " + verdict.Text(err)
	}
	names := leftBehind(&object.Status)
	if names != "" {
		names += " "
	}
	return fmt.Sprintf("certificates %scannot be deleted from the cloud: %s", names, verdict.Text(err))
}
