// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
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
const Name = "cloudcertificate"

// bySecret indexes objects by the buckets of both Secrets that they refer to.
const bySecret = "secrets"

// buckets is how many there are. The index keeps two sets for each value: with names
// for values they would be a fifth of what an object takes in memory.
const buckets = 4096

// bucket is where the name of a Secret belongs.
func bucket(secret string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(secret))
	return strconv.FormatUint(uint64(hash.Sum32()%buckets), 36)
}

// reconcileTimeout ends a reconcile that hangs, before the manager stops waiting for it. A
// reconcile makes a handful of calls, each of which ends by itself within seconds.
const reconcileTimeout = 25 * time.Second

// +kubebuilder:rbac:groups=cloudcert.io,resources=cloudcertificates,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=cloudcert.io,resources=cloudcertificates/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller, its index and its watches. Who plays time adjusts the
// options of the controller: it brings a queue that waits for it.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr manager.Manager, adjust ...func(*controller.Options)) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.CloudCertificate{}, bySecret, secretBuckets); err != nil {
		return fmt.Errorf("failed to index CloudCertificates by Secret: %w", err)
	}
	leading := manager.RunnableFunc(func(context.Context) error { r.began(); return nil }) // only the leader runs it
	if err := mgr.Add(leading); err != nil {
		return fmt.Errorf("failed to note when this replica leads: %w", err)
	}
	found := make(chan event.TypedGenericEvent[client.ObjectKey])
	if err := mgr.Add(&Drift{Reconciler: r, enqueue: func(ctx context.Context, key client.ObjectKey) {
		select {
		case found <- event.TypedGenericEvent[client.ObjectKey]{Object: key}:
		case <-ctx.Done():
		}
	}}); err != nil {
		return fmt.Errorf("failed to add the check for drift: %w", err)
	}
	b := builder.ControllerManagedBy(mgr)
	if r.Options.Bindings {
		b.Watches(&v1alpha1.CloudCertificateBinding{}, boundTo(), builder.WithPredicates(holdsOther()))
	}
	return b.
		Named(Name).
		For(&v1alpha1.CloudCertificate{}, builder.WithPredicates(r.relevant())).
		WatchesMetadata(&corev1.Secret{}, secretHandler{handler.EnqueueRequestsFromMapFunc(r.referrers), r}).
		WatchesRawSource(source.TypedChannel(found, lowPriority())).
		WithOptions(retries.Options(r.Options.MaxConcurrentReconciles, adjust)).
		Complete(reconcile.Func(r.reconcileRequest))
}

// lowPriority enqueues what drift found after everything that came by a change.
func lowPriority() handler.TypedEventHandler[client.ObjectKey, reconcile.Request] {
	return handler.TypedFuncs[client.ObjectKey, reconcile.Request]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[client.ObjectKey], q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			request := reconcile.Request{NamespacedName: e.Object}
			if queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
				queue.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, request)
				return
			}
			q.Add(request)
		},
	}
}

// reconcileRequest is reconcile.AsReconciler, and forgets objects that are gone. A reconcile
// that has begun when the operator is stopped is finished: an upload whose answer nobody
// waits for would have to be looked up by the next leader. One that has lost its lease
// does not wait for its reconciles.
func (r *Reconciler) reconcileRequest(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconcileTimeout)
	defer cancel()
	object := &v1alpha1.CloudCertificate{}
	err := r.Get(ctx, request.NamespacedName, object)
	if apierrors.IsNotFound(err) {
		r.memory.forget(request.NamespacedName)
		r.Accounts.forget(request.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	result, err := r.Reconcile(ctx, object)
	if result.RequeueAfter > longestTimer {
		result.RequeueAfter = 0 // a resync comes first
	}
	return result, err
}

// secretBuckets are the buckets of the Secrets that an object refers to.
func secretBuckets(object client.Object) []string {
	cc := object.(*v1alpha1.CloudCertificate)
	found := []string{bucket(cc.Spec.SecretRef.Name)}
	if ref := cc.Spec.CredentialsSecretRef.Name; ref != "" {
		found = append(found, bucket(ref)) // once more into the same set does nothing
	}
	return found
}

// refersTo says that an object refers to a Secret of its namespace.
func refersTo(cc *v1alpha1.CloudCertificate, secret string) bool {
	return cc.Spec.SecretRef.Name == secret || cc.Spec.CredentialsSecretRef.Name == secret
}

// secretHandler enqueues the objects that refer to a Secret. When it is the one of
// their credentials that changes, they are reconciled even if they are up to date:
// it may be another account's by now.
type secretHandler struct {
	handler.EventHandler
	r *Reconciler
}

// Create implements handler.EventHandler. A Secret that was there before us holds what
// it held; one that is made again need not.
func (h secretHandler) Create(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	if !e.IsInInitialList {
		h.r.credentialsChanged(ctx, e.Object)
		h.r.contentChanged(ctx, e.Object, versionOfSecret(e.Object))
	}
	h.EventHandler.Create(ctx, e, q)
}

// Update implements handler.EventHandler.
func (h secretHandler) Update(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
		h.r.credentialsChanged(ctx, e.ObjectNew)
		h.r.contentChanged(ctx, e.ObjectNew, versionOfSecret(e.ObjectNew))
	}
	h.EventHandler.Update(ctx, e, q)
}

// Delete implements handler.EventHandler. Credentials go with their Secret, also when
// no object refers to it any more.
func (h secretHandler) Delete(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.r.Accounts.drop(client.ObjectKeyFromObject(e.Object))
	h.r.contentChanged(ctx, e.Object, "")
	h.EventHandler.Delete(ctx, e, q)
}

// credentialsChanged marks the objects whose credentials a Secret holds.
func (r *Reconciler) credentialsChanged(ctx context.Context, secret client.Object) {
	for _, request := range r.referrers(ctx, secret) {
		object := &v1alpha1.CloudCertificate{}
		if err := r.Get(ctx, request.NamespacedName, object); err == nil && object.Spec.CredentialsSecretRef.Name == secret.GetName() {
			r.outdate(object)
		}
	}
}

// referrers lists the objects that refer to a Secret.
func (r *Reconciler) referrers(ctx context.Context, secret client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, object := range r.referring(ctx, secret) {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
	}
	return requests
}

// referring returns the objects that refer to a Secret, as they are in the cache.
func (r *Reconciler) referring(ctx context.Context, secret client.Object) []*v1alpha1.CloudCertificate {
	list := &v1alpha1.CloudCertificateList{}
	err := r.List(ctx, list, client.InNamespace(secret.GetNamespace()),
		client.MatchingFields{bySecret: bucket(secret.GetName())}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil // only a cache that was never started fails, and the manager ends with it
	}
	var objects []*v1alpha1.CloudCertificate
	for i := range list.Items {
		if object := &list.Items[i]; refersTo(object, secret.GetName()) {
			objects = append(objects, object)
		}
	}
	return objects
}

// relevant lets through what a reconcile could answer: a change of the spec, of our
// annotations, the start of a deletion, and a status that somebody else wrote (a
// restore, a careless sync); and resyncs. Our own writes stay out.
func (r *Reconciler) relevant() predicate.Predicate {
	changed := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.CloudCertificate)
		after, ok2 := e.ObjectNew.(*v1alpha1.CloudCertificate)
		if !ok || !ok2 {
			return true
		}
		return before.ResourceVersion == after.ResourceVersion || before.UID != after.UID ||
			!maps.Equal(ownAnnotations(before), ownAnnotations(after)) ||
			before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
			r.isForeign(before, after)
	}}
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, changed)
}

// isForeign reports whether somebody else wrote a status. Where our own write replaced the
// version before, the status that it left is what counts, also if the one after is equal
// to the one before: it was put back.
func (r *Reconciler) isForeign(before, after *v1alpha1.CloudCertificate) bool {
	if r.memory.writes.IsBehind(before) {
		return !r.memory.writes.IsOwn(after, &after.Status)
	}
	return !equality.Semantic.DeepEqual(before.Status, after.Status)
}
