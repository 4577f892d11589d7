// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// bind lets something happen to a binding, or to what all of them depend on.
func (w *world) bind() {
	switch dice := w.pick(20); {
	case dice < 5:
		w.console()
		return
	case dice < 7:
		w.turnPolicy()
		return
	case dice < 9:
		w.follow()
		return
	}
	object, p := keys[w.pick(len(keys))], w.places[w.pick(len(w.places))]
	if p.namespace != "" && object.Namespace != p.namespace {
		object = keys[0] // nobody else can name an object of that namespace
	}
	key := bindingKey(object, p)
	if w.api.bindings[key] == nil {
		w.newBinding(object, p, func(b *v1alpha1.CloudCertificateBinding) {
			if w.pick(3) == 0 {
				b.Spec.OnDelete = v1alpha1.BindingUnbind
			}
			if w.pick(2) == 0 {
				b.Spec.Adopt = w.adoptable()
			}
		})
		return
	}
	if w.pick(6) == 0 {
		w.notef("user: binding %s deleted", key)
		w.api.removeBinding(key)
		return
	}
	w.editBinding(key)
}

// adoptable are what spec.adopt may name: the neighbours' certificates, and what is known by another
// name.
func (w *world) adoptable() []string { return append(slices.Clone(w.neighbours), theirFunction) }

func bindingKey(object types.NamespacedName, p place) types.NamespacedName {
	return types.NamespacedName{Namespace: object.Namespace, Name: object.Name + "-" + p.name}
}

// newBinding makes a binding of an object to a place.
func (w *world) newBinding(object types.NamespacedName, p place, change func(*v1alpha1.CloudCertificateBinding)) types.NamespacedName {
	key := bindingKey(object, p)
	b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	b.Spec.CertificateRef.Name, b.Spec.Target = object.Name, p.target
	b.Spec.OnDrift, b.Spec.OnDelete = v1alpha1.DriftReport, v1alpha1.BindingLeave
	change(b)
	w.carriesTo[key] = p
	w.notef("user: binding %s created with %s", key, encode(b.Spec))
	w.noteConsent(b)
	w.api.createBinding(b)
	return key
}

// noteConsent keeps what a binding allows to be replaced: a call that was decided by it may come
// when it does not any more.
func (w *world) noteConsent(b *v1alpha1.CloudCertificateBinding) {
	name := w.placeOf(b).name
	if w.adopted[name] == nil {
		w.adopted[name] = map[string]bool{}
	}
	for _, identifier := range b.Spec.Adopt {
		w.adopted[name][identifier] = true
	}
	w.restores[name] = w.restores[name] || b.Spec.OnDrift == v1alpha1.DriftRestore
}

// changeBinding is one write of a user to a binding.
func (w *world) changeBinding(key types.NamespacedName, do func(*v1alpha1.CloudCertificateBinding)) {
	w.api.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) {
		do(b)
		w.noteConsent(b)
		w.notef("user: binding %s edited to %s %v", key, encode(b.Spec), b.Annotations)
	})
}

// editBinding changes a field of the spec, an annotation, or the status.
func (w *world) editBinding(key types.NamespacedName) {
	w.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) {
		switch w.pick(9) {
		case 0:
			b.Spec.Suspend = !b.Spec.Suspend
		case 1:
			b.Spec.Adopt = nil
		case 2:
			b.Spec.Adopt = []string{w.neighbours[w.pick(len(w.neighbours))]}
		case 3:
			b.Spec.OnDrift = []v1alpha1.DriftPolicy{v1alpha1.DriftReport, v1alpha1.DriftRestore}[w.pick(2)]
		case 4:
			b.Spec.OnDelete = []v1alpha1.BindingDeletionPolicy{v1alpha1.BindingLeave, v1alpha1.BindingUnbind}[w.pick(2)]
		case 5:
			b.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.pick(1000))}
		case 6:
			b.Spec.CertificateRef.Name = keys[w.pick(2)].Name
		case 8:
			w.restoreStatus(key, b)
		case 7:
			b.Status = v1alpha1.CloudCertificateBindingStatus{ObservedGeneration: -1}
		}
	})
}

// turnPolicy withdraws the policy that admits everything, or makes it.
func (w *world) turnPolicy() {
	if len(w.api.policies) > 0 {
		w.notef("admin: the policy is withdrawn")
		w.api.putPolicy(nil)
		return
	}
	w.notef("admin: a policy admits everything")
	w.admitAll()
}

func (w *world) admitAll() {
	policy := &v1alpha1.CertificateTargetPolicy{}
	policy.Spec.Namespaces.Names = []string{"a", "b"}
	policy.Spec.DNSNames = []v1alpha1.Pattern{"*"}
	policy.Spec.Targets = []v1alpha1.PolicyTarget{
		{ALB: &v1alpha1.ListenerPolicy{}}, {CDN: &v1alpha1.DomainPolicy{}}, {Service: &v1alpha1.ServicePolicy{}}, {ALBConfig: &v1alpha1.ALBConfigPolicy{}},
		{FC: &v1alpha1.RegionalDomainPolicy{}}, {ESA: &v1alpha1.ESAPolicy{}}, {NLB: &v1alpha1.ListenerPolicy{}}, {CLB: &v1alpha1.CLBPolicy{}},
		{OSS: &v1alpha1.OSSPolicy{}},
	}
	w.api.putPolicy(policy)
}

// bindingAtRest ends what bindings may wait for without end.
func (w *world) bindingAtRest() {
	if len(w.api.policies) == 0 && w.pick(2) == 0 {
		w.admitAll()
	}
	for _, p := range w.places {
		p.rest(w)
	}
	w.follow()
}
