// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// restoreStatus gives a binding a status that it had before, as a backup does, and asks for a check, as
// docs/operations.md says.
func (w *world) restoreStatus(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) {
	if old := w.statuses(key); len(old) > 0 {
		b.Status = *old[w.pick(len(old))].DeepCopy()
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.steps)}
	}
}

// statuses are those that a binding has had, the oldest first.
func (w *world) statuses(key types.NamespacedName) (all []*v1alpha1.CloudCertificateBindingStatus) {
	for _, e := range w.api.bindingLog.events {
		if b, ok := e.object.(*v1alpha1.CloudCertificateBinding); ok && e.key == key {
			all = append(all, &b.Status)
		}
	}
	return all
}

// putBackBinding gives a binding the first status in which it was bound, and asks for a check.
func (w *world) putBackBinding(key types.NamespacedName) {
	for _, status := range w.statuses(key) {
		if status.BoundCertID != 0 {
			w.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) {
				b.Status = *status.DeepCopy()
				b.Annotations = map[string]string{v1alpha1.AnnotationResync: "after the restore"}
			})
			return
		}
	}
}

// backupLifecycles are what can happen when bindings are put back as a backup has them, and when a product
// shows late what it was given.
var backupLifecycles = map[string]func(w *world){
	"restore the status of a binding, and renew": func(w *world) {
		key := w.givenBinding("sni", asIs)
		w.api.change(theKey, keepNone)
		w.renew(1, time.Minute)
		w.putBackBinding(key)
		w.renewTo(2, time.Minute)
		w.work(26 * time.Hour)
	},
	"restore the status of a binding, and roll back": func(w *world) {
		key := w.givenBinding("default", adoptAll)
		w.api.change(theKey, keepNone)
		w.renew(1, time.Minute)
		w.putBackBinding(key)
		w.renewTo(0, time.Minute)
		w.work(26 * time.Hour)
	},
	"restore etcd with bindings": func(w *world) {
		w.givenBinding("sni", asIs)
		w.work(time.Minute)
		snapshot := w.snapshot()
		w.renewTo(1, time.Minute)
		w.restoreEtcd(snapshot)
		w.work(10 * time.Second)
		w.renewTo(2, time.Minute)
	},
	"read a domain that shows late what it was given": func(w *world) {
		w.openPlaces(products.Options{DomainLag: 40 * time.Second}, places[3])
		w.admitAll()
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.bindTo(places[3], adoptAll)
		w.renew(1, 2*time.Minute)
	},
	"roll back at a domain that shows late what it was given": func(w *world) {
		w.openPlaces(products.Options{DomainLag: 40 * time.Second}, places[3])
		w.admitAll()
		w.given(keepNone)
		w.bindTo(places[3], adoptAll)
		w.renew(1, 2*time.Minute)
		w.renewTo(2, 5*time.Second)
		w.renewTo(1, 2*time.Minute)
		w.work(26 * time.Hour)
	},
}
