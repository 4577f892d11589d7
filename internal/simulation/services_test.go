// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// annotationCertID names the certificate of a Service's load balancer (T90).
const annotationCertID = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id"

// servicePlaces are the annotations of two Services. One has an NLB, which goes by identifiers, and one
// a CLB, which goes by copies.
var servicePlaces = []place{
	{
		venue: inService{serviceOfNLB}, name: "service-nlb", product: targets.Service, namespace: serviceOfNLB.Namespace, at: "lsn-service@443", emptied: true,
		target: v1alpha1.BindingTarget{Service: &v1alpha1.ServiceTarget{Name: serviceOfNLB.Name}},
	},
	{
		venue: inService{serviceOfCLB}, name: "service-clb", product: targets.Service, namespace: serviceOfCLB.Namespace, at: "lb-service:443", emptied: true,
		target: v1alpha1.BindingTarget{Service: &v1alpha1.ServiceTarget{Name: serviceOfCLB.Name}},
	},
}

var (
	serviceOfNLB = types.NamespacedName{Namespace: "a", Name: "nlb"}
	serviceOfCLB = types.NamespacedName{Namespace: "a", Name: "clb"}
)

// inService is the annotation of a Service, whose load balancer the cloud controller manager keeps.
type inService struct{ key types.NamespacedName }

func (s inService) isOfNLB() bool { return s.key == serviceOfNLB }

func (s inService) open(w *world) {
	object := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	if s.isOfNLB() {
		object.Spec.LoadBalancerClass = new("alibabacloud.com/nlb")
		w.must(w.products.AddLoadBalancer(products.LoadBalancer{Product: "nlb", ID: "nlb-service", Account: ownAccount, Region: albRegion}))
		w.must(w.products.AddListener(products.Listener{ID: "lsn-service@443", LoadBalancer: "nlb-service", Protocol: "TCPSSL", Port: 443, Default: w.neighbours[2]}))
		object.Annotations = map[string]string{annotationCertID: w.neighbours[2]}
	} else {
		w.must(w.products.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-service", Account: ownAccount, Region: albRegion, Port: 443, Default: w.neighbours[2]}))
		byDomain, _ := w.products.ServedCopies("lb-service", 443)
		object.Annotations = map[string]string{annotationCertID: byDomain[""]}
	}
	w.api.putService(s.key, object)
}

// holds is what the annotation names. A copy may be in the store of either account.
func (s inService) holds(w *world, _ place) []products.AdditionalState {
	object := w.api.services[s.key]
	if object == nil || object.Annotations[annotationCertID] == "" {
		return nil
	}
	value := object.Annotations[annotationCertID]
	if !s.isOfNLB() {
		for _, account := range []string{ownAccount, otherAccount} {
			for _, c := range w.products.Copies(account, albRegion) {
				if c.ID == value {
					value = c.CertIdentifier
				}
			}
		}
	}
	return []products.AdditionalState{{CertIdentifier: value}}
}

// follow is what the cloud controller manager does. It leaves what the annotation does not name, or
// names in vain.
func (s inService) follow(w *world) {
	object := w.api.services[s.key]
	if object == nil || object.Annotations[annotationCertID] == "" {
		return
	}
	switch value := object.Annotations[annotationCertID]; {
	case !s.isOfNLB():
		_ = w.products.UseCopy("lb-service", 443, value)
	case w.isInOwnAccount(value): // whose load balancer it is only the cloud controller manager knows
		w.must(w.products.Put("lsn-service@443", value, nil))
	}
}

// foreign is what a person has the Service name.
func (s inService) foreign(w *world, one string) string {
	if s.isOfNLB() {
		return one
	}
	id, err := w.products.AddCopy(ownAccount, albRegion, one, "by_hand")
	w.must(err)
	return id
}

// console is what a person does with kubectl.
func (s inService) console(w *world, _ place) {
	object := w.api.services[s.key].DeepCopy()
	if object == nil {
		w.notef("user: Service %s is made again", s.key)
		w.api.putService(s.key, s.anew())
		w.lookAnew()
		return
	}
	one := w.neighbours[w.pick(len(w.neighbours))]
	object.Labels = map[string]string{"color": strconv.Itoa(w.pick(100))}
	if object.Annotations == nil {
		object.Annotations = map[string]string{}
	}
	switch dice := w.pick(10); {
	case dice < 1:
		w.notef("user: Service %s is deleted", s.key)
		w.api.putService(s.key, nil)
		w.lookAnew()
		return
	case dice < 4:
		object.Annotations[annotationCertID] = s.foreign(w, one)
	case dice < 5:
		object.Annotations[annotationCertID] = "made-up"
	case dice < 7:
		delete(object.Annotations, annotationCertID)
	}
	w.notef("user: Service %s gets %v %v", s.key, object.Annotations, object.Labels)
	w.api.putService(s.key, object)
	s.follow(w)
	w.lookAnew()
}

// anew is a Service that names no certificate.
func (s inService) anew() *corev1.Service {
	object := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
	if s.isOfNLB() {
		object.Spec.LoadBalancerClass = new("alibabacloud.com/nlb")
	}
	return object
}

func (s inService) interfere(w *world) {
	object := cmp.Or(w.api.services[s.key].DeepCopy(), s.anew())
	object.Annotations = map[string]string{annotationCertID: s.foreign(w, w.neighbours[0])}
	w.api.putService(s.key, object)
}

func (s inService) settles(_ *world, _ place, b *v1alpha1.CloudCertificateBinding, _ string) []string {
	if !s.isOfNLB() && b.Status.AccountID != ownAccount { // whose store does not have the copies of the other account
		return []string{v1alpha1.ReasonSynced, v1alpha1.ReasonOccupied}
	}
	return nil
}

func (inService) rest(*world) {}

// isInOwnAccount reports whether the account of the load balancers has a certificate.
func (w *world) isInOwnAccount(identifier string) bool {
	return slices.ContainsFunc(w.all(), func(c emulator.Certificate) bool {
		return c.AccountID == ownAccount && identifierOf(c) == identifier
	})
}

// serviceLifecycles are what can happen to Services that certificates are carried to.
var serviceLifecycles = map[string]func(w *world){
	"bind to a Service of an NLB, and renew": func(w *world) {
		w.open(servicePlaces[:1])
		w.newBinding(theKey, servicePlaces[0], func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = w.neighbours[2:] })
		w.renew(1, 5*time.Second)
	},
	"bind to a Service of a CLB, and renew": func(w *world) {
		w.givenBindings(servicePlaces[1:], adoptAll)
		w.work(10 * time.Second)
		w.follow()
		w.putContent(theKey, 1)
		w.work(10 * time.Second)
		w.follow()
		w.putContent(theKey, 2)
		w.work(20 * time.Second)
	},
	"put right a Service that somebody changes, and unbind": func(w *world) {
		keys := w.givenBindings(servicePlaces[1:], func(b *v1alpha1.CloudCertificateBinding) {
			adoptAll(b)
			restoring(b)
			unbinding(b)
		})
		w.work(10 * time.Second)
		w.interfere()
		w.work(10 * time.Second)
		w.api.putService(serviceOfCLB, nil)
		w.lookAnew()
		w.work(10 * time.Second)
		w.api.putService(serviceOfCLB, inService{serviceOfCLB}.anew())
		w.work(10 * time.Second)
		w.api.removeBinding(keys[0])
		w.work(2 * time.Minute)
	},
	"roll back at a Service of a CLB": func(w *world) {
		w.givenBindings(servicePlaces[1:], adoptAll)
		for _, content := range slices.Repeat([]int{1, 0}, 2) {
			w.work(10 * time.Second)
			w.putContent(theKey, content)
		}
		w.work(20 * time.Second)
	},
}
