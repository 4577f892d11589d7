// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
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
	if err := r.setFinalizer(ctx, false); err != nil {
		log.FromContext(ctx).Info("The finalizer stays on until a deletion has looked for certificates", "problem", err.Error())
	}
}

// setFinalizer puts the finalizer on the object or takes it off, under the version that the
// reconcile knows.
func (r *reconciliation) setFinalizer(ctx context.Context, want bool) error {
	if isHeld(r.next) == want {
		return nil
	}
	live, err := r.objects.current(ctx, r.next)
	if err != nil {
		return err
	}
	return r.writeFinalizer(ctx, live, want)
}

// writeFinalizer is setFinalizer on what was read live. Without a finalizer nothing of the object
// has to be deleted, and the credentials for that are forgotten.
func (r *reconciliation) writeFinalizer(ctx context.Context, live *v1alpha1.CloudCertificate, want bool) error {
	if err := r.objects.writeFinalizer(ctx, r.next, live, want); err != nil {
		return err
	}
	if !want {
		r.Accounts.forget(client.ObjectKeyFromObject(r.next))
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

// release takes the finalizer off. What is known to stay in the cloud is named once, when the
// finalizer is off: also where the answer to the write was lost, for the object may be gone by then.
func (r *reconciliation) release(ctx context.Context, end ending) (reconcile.Result, error) {
	live, err := r.objects.current(ctx, r.next)
	if err != nil {
		return r.objects.retry(r.next, err)
	}
	err = r.writeFinalizer(ctx, live, false)
	if isStale(err) || err != nil && r.isStillHeld(ctx) {
		return r.objects.retry(r.next, err)
	}
	if r.memory.tellsEnd(r.next, end.String()) {
		r.announce.released(ctx, r.next, end)
	}
	if err != nil {
		return r.objects.retry(r.next, err)
	}
	r.memory.forget(client.ObjectKeyFromObject(r.next))
	return reconcile.Result{}, nil
}

// isStillHeld reports whether the API server says that the finalizer is on. One that does not answer may
// have taken it off.
func (r *reconciliation) isStillHeld(ctx context.Context) bool {
	live := &v1alpha1.CloudCertificate{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(r.next), live)
	return err == nil && live.UID == r.next.UID && isHeld(live)
}

// String tells one ending from another.
func (e ending) String() string { return fmt.Sprintf("%s; %d; %s", e.why, e.named, namesOf(e.alone)) }

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
func (r *reconciliation) noteOtherFailure(err error) {
	v := verdict.Of(err, subjectOf(r.before, r.Clock.Now()))
	if v.Reason != v1alpha1.ReasonProgressing && v.Reason != v1alpha1.ReasonThrottled && !v.Refusal {
		r.memory.otherwise(r.before, r.Clock.Now())
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
