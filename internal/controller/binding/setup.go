// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
)

// Name of the controller in logs, metrics and events.
const Name = "cloudcertificatebinding"

// byCertificate indexes bindings by the CloudCertificate that they refer to.
const byCertificate = "certificate"

func certificateOf(object client.Object) []string {
	return []string{object.(*v1alpha1.CloudCertificateBinding).Spec.CertificateRef.Name}
}

// byReason indexes bindings by the reason of Ready, where somebody waits for them to have another one.
const byReason = "reason"

func reasonOf(object client.Object) []string {
	ready := meta.FindStatusCondition(object.(*v1alpha1.CloudCertificateBinding).Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonCredentialsUnavailable {
		return nil
	}
	return []string{ready.Reason}
}

// reconcileTimeout ends a reconcile that hangs, before the manager stops waiting for it.
const reconcileTimeout = 25 * time.Second

// SetupWithManager registers the controller, its indexes and its watches. Who plays time adjusts the
// options of the controller: it brings a queue that waits for it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr manager.Manager, adjust ...func(*controller.Options)) error {
	for field, index := range map[string]client.IndexerFunc{
		bySlot: slotsOf, byObject: objectsOf,
		byCertificate: certificateOf, byReason: reasonOf,
	} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.CloudCertificateBinding{}, field, index); err != nil {
			return fmt.Errorf("failed to index CloudCertificateBindings by %s: %w", field, err)
		}
	}
	build := builder.ControllerManagedBy(mgr).
		Named(Name).
		For(&v1alpha1.CloudCertificateBinding{}, builder.WithPredicates(relevant())).
		Watches(&v1alpha1.CloudCertificateBinding{}, handler.EnqueueRequestsFromMapFunc(r.neighbours), builder.WithPredicates(comesOrGoes())).
		Watches(&v1alpha1.CloudCertificate{}, handler.EnqueueRequestsFromMapFunc(r.boundTo)).
		Watches(&v1alpha1.CertificateTargetPolicy{}, handler.EnqueueRequestsFromMapFunc(r.everyBinding)).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.lackingCredentials)).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.everyBindingIn), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesRawSource(source.TypedFunc[reconcile.Request](r.wakeBy))
	for _, product := range r.Options.Targets {
		if kind := watchable[product]; kind != "" {
			build = build.WatchesMetadata(watched(kind), changes{r, product})
		}
	}
	return build.
		WithOptions(retries.Options(r.Options.MaxConcurrentReconciles, adjust)).
		Complete(reconcile.Func(r.reconcileRequest))
}

// wakeBy lets rounds wake bindings by the controller's queue.
func (r *Reconciler) wakeBy(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	r.rounds.mu.Lock()
	defer r.rounds.mu.Unlock()
	r.rounds.wake = func(who types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: who}) }
	return nil
}

// reconcileRequest is reconcile.AsReconciler, and forgets bindings that are gone. A reconcile
// that has begun when the operator is stopped is finished.
func (r *Reconciler) reconcileRequest(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconcileTimeout)
	defer cancel()
	object := &v1alpha1.CloudCertificateBinding{}
	err := r.Get(ctx, request.NamespacedName, object)
	if apierrors.IsNotFound(err) {
		r.memory.forget(request.NamespacedName)
		r.rounds.forget(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return r.Reconcile(ctx, object)
}

// relevant lets through what a reconcile could answer: a change of the spec, of our
// annotations, and the start of a deletion; and resyncs. A status is nobody else's business.
func relevant() predicate.Predicate {
	changed := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return before.GetResourceVersion() == after.GetResourceVersion() || before.GetUID() != after.GetUID() ||
			!maps.Equal(ownAnnotations(before), ownAnnotations(after)) ||
			before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
	}}
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, changed)
}

// ownAnnotations are the annotations that the operator reads.
func ownAnnotations(object client.Object) map[string]string {
	own := map[string]string{}
	for _, key := range []string{v1alpha1.AnnotationResync, v1alpha1.AnnotationOrphan} {
		if value, set := object.GetAnnotations()[key]; set {
			own[key] = value
		}
	}
	return own
}

// comesOrGoes lets through what may free or take a slot: bindings that are made, deleted, or
// read for the first time.
func comesOrGoes() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.CloudCertificateBinding)
		after, ok2 := e.ObjectNew.(*v1alpha1.CloudCertificateBinding)
		return ok && ok2 && (before.Spec.CertificateRef != after.Spec.CertificateRef || before.Status.FirstReadTime.IsZero() != after.Status.FirstReadTime.IsZero())
	}}
}

// neighbours are the other bindings that want the same slot.
func (r *Reconciler) neighbours(ctx context.Context, object client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, slot := range slotsOf(object) {
		for _, request := range r.requests(ctx, client.MatchingFields{bySlot: slot}) {
			if request.NamespacedName != client.ObjectKeyFromObject(object) {
				requests = append(requests, request)
			}
		}
	}
	return requests
}

// boundTo are the bindings of a CloudCertificate, and those that want the same slots: one whose
// CloudCertificate is gone keeps nobody out.
func (r *Reconciler) boundTo(ctx context.Context, object client.Object) (requests []reconcile.Request) {
	bindings := r.list(ctx, client.InNamespace(object.GetNamespace()), client.MatchingFields{byCertificate: object.GetName()})
	for i := range bindings {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&bindings[i])})
		requests = append(requests, r.neighbours(ctx, &bindings[i])...)
	}
	return requests
}

// lackingCredentials are the bindings that wait for the credentials in a Secret.
func (r *Reconciler) lackingCredentials(ctx context.Context, secret client.Object) (requests []reconcile.Request) {
	bindings := r.list(ctx, client.InNamespace(secret.GetNamespace()), client.MatchingFields{byReason: v1alpha1.ReasonCredentialsUnavailable})
	for i := range bindings {
		b := &bindings[i]
		certificate := &v1alpha1.CloudCertificate{}
		if err := r.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Spec.CertificateRef.Name}, certificate); err != nil {
			certificate = nil
		}
		if secretOf(b, certificate) == secret.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(b)})
		}
	}
	return requests
}

func (r *Reconciler) everyBinding(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx)
}

func (r *Reconciler) everyBindingIn(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(namespace.GetName()))
}

func (r *Reconciler) requests(ctx context.Context, options ...client.ListOption) (requests []reconcile.Request) {
	bindings := r.list(ctx, options...)
	for i := range bindings {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&bindings[i])})
	}
	return requests
}

// list are bindings as the cache has them. Nobody may change them.
func (r *Reconciler) list(ctx context.Context, options ...client.ListOption) []v1alpha1.CloudCertificateBinding {
	list := &v1alpha1.CloudCertificateBindingList{}
	if err := r.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil // only a cache that was never started fails, and the manager ends with it
	}
	return list.Items
}
