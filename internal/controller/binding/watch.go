// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// Objects of the cluster that are targets are watched, by their metadata alone, where their kind of
// target is switched on: what somebody changes there is seen at once, not at the next check for
// drift.

// watchable are the kinds of object that are watched. AlbConfigs are not: a cluster may not have
// the kind, and a watch of what is not there would keep the operator from starting.
var watchable = map[targets.Product]string{targets.ConfigMap: "ConfigMap", targets.Service: "Service"}

// Watched are lists of the objects that have to be listed and watched for some kinds of target.
func Watched(products []targets.Product) (lists []client.ObjectList) {
	for _, product := range products {
		if kind := watchable[product]; kind != "" {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
			lists = append(lists, list)
		}
	}
	return lists
}

// watched is an object of a kind that is watched.
func watched(kind string) client.Object {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return object
}

// manyPlaces is a ConfigMap that each namespace has, and that no binding can write to for long.
const manyPlaces = "kube-root-ca.crt"

// KeepSmall makes a cache keep of watched objects what is looked at, and nothing else.
func KeepSmall(options *cache.Options) {
	options.ByObject[&corev1.ConfigMap{}] = cache.ByObject{
		Field: fields.OneTermNotEqualSelector("metadata.name", manyPlaces), Transform: keepIdentity,
	}
	options.ByObject[&corev1.Service{}] = cache.ByObject{Transform: keepIdentity}
}

// keepIdentity keeps of an object which version of it this is, and the annotations that an adapter
// reads.
func keepIdentity(in any) (any, error) {
	object, ok := in.(*metav1.PartialObjectMetadata)
	if !ok {
		return in, nil // a tombstone: its object went through here before
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: object.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Name: object.Name, Namespace: object.Namespace, UID: object.UID, ResourceVersion: object.ResourceVersion,
			Annotations: readAnnotations(object),
		},
	}, nil
}

// readAnnotations are the annotations of an object that an adapter reads; nil for none.
func readAnnotations(object client.Object) map[string]string {
	var kept map[string]string
	for _, key := range []string{annotationCertID, annotationOldCertID, annotationType} {
		if value, set := object.GetAnnotations()[key]; set {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}

// byObject indexes bindings by the object of the cluster that is their target.
const byObject = "object"

func objectsOf(object client.Object) []string {
	p := placeOf(object.(*v1alpha1.CloudCertificateBinding))
	if watchable[p.Product] == "" {
		return nil
	}
	return []string{string(p.Product) + "|" + p.Resource}
}

// changes tells the bindings of an object that it has changed.
type changes struct {
	*Reconciler
	product targets.Product
}

var _ handler.EventHandler = changes{}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create implements handler.EventHandler. What a start finds is no change: every binding is
// reconciled then, and what is up to date reads nothing.
func (c changes) Create(ctx context.Context, e event.CreateEvent, q queue) {
	if !e.IsInInitialList {
		c.tell(ctx, e.Object, e.Object.GetResourceVersion(), false, q)
	}
}

// Update implements handler.EventHandler. A Service shows in its metadata what an adapter reads, so
// that another change of it is nobody's business whose certificate is there; a ConfigMap does not.
func (c changes) Update(ctx context.Context, e event.UpdateEvent, q queue) {
	if e.ObjectOld.GetResourceVersion() == e.ObjectNew.GetResourceVersion() {
		return // a resync
	}
	same := c.product == targets.Service && maps.Equal(readAnnotations(e.ObjectOld), readAnnotations(e.ObjectNew))
	c.tell(ctx, e.ObjectNew, e.ObjectNew.GetResourceVersion(), same, q)
}

// Delete implements handler.EventHandler.
func (c changes) Delete(ctx context.Context, e event.DeleteEvent, q queue) {
	c.tell(ctx, e.Object, gone, false, q)
}

// Generic implements handler.EventHandler: nothing sends such events.
func (changes) Generic(context.Context, event.GenericEvent, queue) {}

// tell notes which version of an object was seen for its bindings, and enqueues them. Where what is
// read is the same, those are left alone that are Ready.
func (c changes) tell(ctx context.Context, object client.Object, version string, same bool, q queue) {
	list := &v1alpha1.CloudCertificateBindingList{}
	at := client.MatchingFields{byObject: string(c.product) + "|" + object.GetNamespace() + "/" + object.GetName()}
	if err := c.List(ctx, list, client.InNamespace(object.GetNamespace()), at, client.UnsafeDisableDeepCopy); err != nil {
		return // only a cache that was never started fails, and the manager ends with it
	}
	for i := range list.Items {
		b := &list.Items[i]
		if same && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionReady) {
			continue
		}
		c.memory.seen(b, version)
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(b)})
	}
}
