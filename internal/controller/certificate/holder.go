// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// holders are the bindings that may keep versions of an object, by a reader: the cache for a
// decision, the API server right before what cannot be undone.
func (r *Reconciler) holders(ctx context.Context, reader client.Reader, object *v1alpha1.CloudCertificate) ([]protocol.Holder, error) {
	if !r.Options.Bindings || !mayDelete(object) {
		return nil, nil
	}
	list := &v1alpha1.CloudCertificateBindingList{}
	if err := reader.List(ctx, list, client.InNamespace(object.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("failed to read which bindings use certificates of the object: %w", err)
	}
	var holders []protocol.Holder
	for i := range list.Items {
		holders = append(holders, holderOf(&list.Items[i], object))
	}
	return holders, nil
}

// mayDelete reports whether something of an object may have to be deleted in the cloud.
func mayDelete(object *v1alpha1.CloudCertificate) bool {
	keep := object.Spec.RevisionHistoryLimit
	return !object.DeletionTimestamp.IsZero() || keep != nil && len(object.Status.History) > int(*keep)
}

// holderOf says what a binding keeps. One that refers to another object by now may still have
// versions of this one.
func holderOf(binding *v1alpha1.CloudCertificateBinding, object *v1alpha1.CloudCertificate) protocol.Holder {
	status := &binding.Status
	h := protocol.Holder{
		Name:   binding.Name,
		Unread: status.FirstReadTime.IsZero() && binding.Spec.CertificateRef.Name == object.Name,
		Bound:  status.BoundCertID, Since: status.BoundTime.Time,
		CertIDs: status.LeftoverCertIDs,
	}
	for _, id := range []int64{status.BoundCertID, status.PendingCertID} {
		if id != 0 {
			h.CertIDs = append(h.CertIDs[:len(h.CertIDs):len(h.CertIDs)], id)
		}
	}
	return h
}

// checkHolders reads live that no binding keeps a version. Whoever places one says so in the
// status of the binding first, and then reads the object live: the status of it that named
// another version as the current one was written before a version is pruned, and so is the
// mark of its deletion. Whichever comes first, the other sees it.
func (r *reconciliation) checkHolders(ctx context.Context, certID int64) error {
	holders, err := r.Reconciler.holders(ctx, r.Live, r.next)
	if err != nil {
		return err
	}
	return protocol.HeldBy(holders, certID)
}

// keptByBinding reports whether a deletion failed because a binding keeps the certificate.
func keptByBinding(err error) bool {
	_, held := errors.AsType[*protocol.HeldError](err)
	return held
}

// gathering is how long an object waits for more of its bindings to follow it, or to go. What they hold is in
// its status while it is being deleted, and would be written there with each of them.
const gathering = time.Second

// boundTo enqueues the object that a binding refers to, and the one that it referred to before.
func boundTo() handler.EventHandler {
	enqueue := func(binding client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		ref := binding.(*v1alpha1.CloudCertificateBinding).Spec.CertificateRef.Name
		q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKey{Namespace: binding.GetNamespace(), Name: ref}}, gathering)
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.ObjectOld, q)
			enqueue(e.ObjectNew, q)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(e.Object, q)
		},
	}
}

// holdsOther lets through what may free a version: another status, another certificate, and
// the end of a binding.
func holdsOther() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.CloudCertificateBinding)
			after, ok2 := e.ObjectNew.(*v1alpha1.CloudCertificateBinding)
			return !ok || !ok2 || before.Spec.CertificateRef != after.Spec.CertificateRef || !holdsSame(&before.Status, &after.Status)
		},
	}
}

func holdsSame(a, b *v1alpha1.CloudCertificateBindingStatus) bool {
	return a.FirstReadTime.IsZero() == b.FirstReadTime.IsZero() && a.BoundCertID == b.BoundCertID && a.PendingCertID == b.PendingCertID &&
		slices.Equal(a.LeftoverCertIDs, b.LeftoverCertIDs)
}
