// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// bindingLifecycles are what can happen to bindings, in the form of lifecycles.
var bindingLifecycles = map[string]func(w *world){
	"bind to a listener": func(w *world) {
		w.givenBinding("sni", asIs)
		w.work(time.Minute)
	},
	"bind to a listener, and renew": func(w *world) {
		w.givenBinding("sni", asIs)
		w.must(w.products.Put("lsn-one", "", w.neighbours[1:]))
		w.lookAnew()
		w.renew(3, time.Minute)
	},
	"bind to a default, and renew": func(w *world) {
		w.givenBinding("default", adoptAll)
		w.renew(2, time.Minute)
	},
	"bind to a domain, and renew": func(w *world) {
		w.givenBinding("cdn", adoptAll)
		w.renew(2, time.Minute)
	},
	"bind, renew and prune": func(w *world) {
		w.givenBinding("sni", asIs)
		w.api.change(theKey, keepNone)
		w.renew(3, time.Minute)
		w.work(26 * time.Hour)
	},
	"adopt in an additional slot": func(w *world) {
		w.givenBinding("sni", adoptAll)
		w.work(time.Minute)
	},
	"bind two objects to one listener": func(w *world) {
		w.givenBinding("sni", asIs)
		w.givenOther(keys[0])
		w.newBinding(keys[0], places[0], asIs)
		w.renew(2, time.Minute)
	},
	"take the place of an older binding": func(w *world) {
		first := w.givenBinding("default", adoptAll)
		w.givenOther(keys[0])
		w.work(time.Minute)
		w.newBinding(keys[0], places[1], func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{"*"} })
		w.work(time.Minute)
		w.api.removeBinding(first)
		w.work(time.Minute)
	},
	"unbind": func(w *world) {
		key := w.givenBinding("sni", unbinding)
		w.renew(2, time.Minute)
		w.api.removeBinding(key)
		w.work(10 * time.Minute)
	},
	"unbind what was there before": func(w *world) {
		key := w.givenBinding("sni", asIs)
		w.work(time.Minute)
		w.api.removeBinding(key)
		w.work(time.Minute)
		w.bindTo(places[0], unbinding)
		w.work(time.Minute)
		w.api.removeBinding(key)
		w.work(10 * time.Minute)
	},
	"unbind while it is placed": func(w *world) {
		key := w.givenBinding("sni", unbinding)
		w.work(4500 * time.Millisecond)
		w.api.removeBinding(key)
		w.work(10 * time.Minute)
	},
	"delete the certificate first": func(w *world) {
		key := w.givenBinding("sni", unbinding)
		w.api.change(theKey, deleting)
		w.work(time.Minute)
		w.api.remove(theKey)
		w.work(time.Hour)
		w.api.removeBinding(key)
		w.work(20 * time.Minute)
	},
	"withdraw the policy, and give it back": func(w *world) {
		w.givenBinding("sni", asIs)
		w.work(time.Minute)
		w.api.putPolicy(nil)
		w.renew(1, 5*time.Minute)
		w.admitAll()
		w.work(5 * time.Minute)
	},
	"find the quota full": func(w *world) {
		w.givenBinding("sni", asIs)
		w.must(w.products.Put("lsn-one", "", w.neighbours[1:]))
		w.must(w.products.Put("lsn-two", "", w.neighbours[:2]))
		w.lookAnew()
		w.work(10 * time.Minute)
		w.must(w.products.Put("lsn-two", "", nil))
		w.lookAnew()
		w.work(2 * time.Hour)
	},
	"restore what somebody else replaced": func(w *world) {
		key := w.givenBinding("default", func(b *v1alpha1.CloudCertificateBinding) {
			adoptAll(b)
			b.Spec.OnDrift = v1alpha1.DriftRestore
		})
		w.work(time.Minute)
		w.must(w.products.Put("lsn-two", w.neighbours[0], nil))
		w.lookAnew()
		w.resyncBinding(key)
		w.work(time.Minute)
	},
	"put back what somebody else took out": func(w *world) {
		key := w.givenBinding("sni", asIs)
		w.work(time.Minute)
		w.must(w.products.Put("lsn-one", "", w.neighbours[1:2]))
		w.lookAnew()
		w.resyncBinding(key)
		w.work(time.Minute)
	},
	"read a part of a list": func(w *world) {
		w.givenBinding("sni", asIs)
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Product: "alb", Count: 5})
		w.renew(1, time.Minute)
		w.cloud.ClearFaults()
		w.work(20 * time.Minute)
	},
	"have changes of the listener fail": func(w *world) {
		w.givenBinding("sni", asIs)
		w.must(w.products.FailJobs("lsn-one", 2))
		w.work(10 * time.Minute)
		w.renew(1, time.Minute)
	},
}

func asIs(*v1alpha1.CloudCertificateBinding) {}

func restoring(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDrift = v1alpha1.DriftRestore }

func unbinding(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind }

// adoptAll lets a binding replace what the neighbours had at first.
func adoptAll(b *v1alpha1.CloudCertificateBinding) {
	b.Spec.Adopt = []string{"1-cn-hangzhou", "2-cn-hangzhou", "3-cn-hangzhou"}
}

// givenBinding makes both listeners and the domain, whose changes take three seconds, the object, and a
// binding of it.
func (w *world) givenBinding(name string, change func(*v1alpha1.CloudCertificateBinding)) types.NamespacedName {
	w.open(places)
	return w.bindTo(places[slices.IndexFunc(places, func(p place) bool { return p.name == name })], change)
}

// givenBindings makes places, whose changes take three seconds, the object, and bindings of it to all of
// them.
func (w *world) givenBindings(all []place, change func(*v1alpha1.CloudCertificateBinding)) (bindings []types.NamespacedName) {
	w.open(all)
	for _, p := range all {
		bindings = append(bindings, w.bindTo(p, change))
	}
	return bindings
}

// open makes places that everybody may bind to, and the object.
func (w *world) open(all []place) {
	w.openPlaces(products.Options{Configuring: 3 * time.Second}, all...)
	w.admitAll()
	w.given(func(*v1alpha1.CloudCertificate) {})
}

// bindTo makes a binding of the object to a place.
func (w *world) bindTo(p place, change func(*v1alpha1.CloudCertificateBinding)) types.NamespacedName {
	return w.newBinding(theKey, p, func(b *v1alpha1.CloudCertificateBinding) {
		change(b)
		if len(b.Spec.Adopt) > 0 {
			b.Spec.Adopt = w.adoptable()
		}
	})
}

// givenOther makes another object.
func (w *world) givenOther(key types.NamespacedName) {
	w.putContent(key, 2)
	object := &v1alpha1.CloudCertificate{}
	object.Namespace, object.Name = key.Namespace, key.Name
	object.Spec.SecretRef.Name = secretOf(key).Name
	object.Spec.Type, object.Spec.DeletionPolicy = v1alpha1.CertificateTypeTLS, v1alpha1.DeletionPolicyRetain
	w.api.create(object)
}

// renew lets the operator work, and then again after each of so many renewals.
func (w *world) renew(times int, each time.Duration) {
	w.work(each)
	for content := range times {
		w.putContent(theKey, content+1)
		w.work(each)
	}
}

func (w *world) resyncBinding(key types.NamespacedName) {
	w.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.steps)}
	})
}
