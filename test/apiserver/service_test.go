// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// The annotation by which the cloud controller manager goes, its name of before, and the class of
// an NLB.
const (
	certAnnotation    = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id"
	oldCertAnnotation = "service.beta.kubernetes.io/alicloud-loadbalancer-cert-id"
	nlbClass          = "alibabacloud.com/nlb"
)

// serve makes the Service "gateway" of type LoadBalancer.
func (w *world) serve(annotations map[string]string, change func(*corev1.ServiceSpec)) {
	w.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "gateway", Annotations: annotations},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}
	change(&service.Spec)
	if err := w.kube.Create(ctx, service); err != nil {
		w.t.Fatal(err)
	}
}

func ofNLB(spec *corev1.ServiceSpec) { spec.LoadBalancerClass = new(nlbClass) }

func ofCLB(*corev1.ServiceSpec) {}

// service reads the Service "gateway".
func (w *world) service() *corev1.Service {
	w.t.Helper()
	service := &corev1.Service{}
	if err := w.kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "gateway"}, service); err != nil {
		w.t.Fatal(err)
	}
	return service
}

// annotated is the certificate that the Service names.
func (w *world) annotated() string { return w.service().Annotations[certAnnotation] }

// changeService patches the Service "gateway".
func (w *world) changeService(change func(*corev1.Service)) {
	w.t.Helper()
	service := w.service()
	before := service.DeepCopy()
	change(service)
	if err := w.kube.Patch(ctx, service, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

func toService() v1alpha1.BindingTarget {
	return v1alpha1.BindingTarget{Service: &v1alpha1.ServiceTarget{Name: "gateway"}}
}

func anyService() v1alpha1.PolicyTarget {
	return v1alpha1.PolicyTarget{Service: &v1alpha1.ServicePolicy{Names: []v1alpha1.Pattern{"gateway"}}}
}

// labelNode makes a node that says which region the cluster is in, unless another test has.
func (m *market) labelNode() {
	m.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{corev1.LabelTopologyRegion: shanghai}}}
	m.check(client.IgnoreAlreadyExists(m.kube.Create(ctx, node)))
}

// TestServiceOfNLBFollowsRenewal carries the identifier, calls no product, and takes the annotation
// away in the end; what was there before under the older name counts again then.
func TestServiceOfNLBFollowsRenewal(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard := m.foreign("standard", host)
	m.serve(map[string]string{oldCertAnnotation: standard, "team": "shop"}, ofNLB)
	m.start()
	m.publish()
	m.bind("web", toService(), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind })
	m.waitReason("web", v1alpha1.ReasonSynced)
	m.waitBinding("web", v1alpha1.ReasonNotAllowed, func(b *v1alpha1.CloudCertificateBinding) bool { return b.Status.ObservedGeneration == 1 })
	m.allow(anyService())
	occupied := m.waitBinding("web", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(occupied).Message; !strings.Contains(message, standard) || !strings.Contains(message, "service/gateway") {
		t.Errorf("message %q names neither the Service nor the certificate", message)
	}
	m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{standard} })
	first := m.waitBound("web", 0)
	if got := m.annotated(); got != identifier(first) {
		t.Errorf("the Service names %q, want %q", got, identifier(first))
	}
	_, second := m.renew("web")
	if annotations := m.service().Annotations; annotations[certAnnotation] != identifier(second) || annotations["team"] != "shop" {
		t.Errorf("the Service has the annotations %v, want %s and team", annotations, identifier(second))
	}
	if got := m.binding("web").Status; got.ReplacedCertIdentifier != standard || got.Target != "service/gateway" {
		t.Errorf("status %+v does not say what was replaced, and where", got)
	}
	m.check(m.kube.Delete(ctx, m.binding("web")))
	m.eventually(func() string {
		if _, set := m.service().Annotations[certAnnotation]; set {
			return "Unbind left the annotation"
		}
		return ""
	})
	if got := m.service().Annotations[oldCertAnnotation]; got != standard {
		t.Errorf("the annotation of before is %q", got)
	}
	for _, call := range m.cloud.Journal() {
		if call.Product != "" {
			t.Errorf("a Service of an NLB called %s of %s", call.Action, call.Product)
		}
	}
}

// TestCertificateOfTheOtherRegion is not written into what a load balancer is configured from: that would
// refuse it, and somebody would have to find out why.
func TestCertificateOfTheOtherRegion(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	m.labelNode()
	m.serve(nil, ofNLB)
	m.balanceByIngress("24410517-cn-hangzhou")
	m.allow(anyService(), m.anyAlbConfig())
	m.start()
	m.putSecret("web", m.issue(host))
	m.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.Region = international })
	m.bind("service", toService(), nil)
	m.bind("ingress", m.toAlbConfig(v1alpha1.SlotAdditional), nil)
	for _, name := range []string{"service", "ingress"} {
		refused := m.waitBinding(name, v1alpha1.ReasonRegionMismatch, nil)
		m.checkSays(refused, refused.Status.Target, "takes certificates of region cn-hangzhou", "is in ap-southeast-1", "spec.region")
		if refused.Status.PendingCertID != 0 {
			t.Errorf("certificate %d is about to be placed", refused.Status.PendingCertID)
		}
	}
	if got := m.annotated(); got != "" {
		t.Errorf("the Service names %q", got)
	}
	m.checkListed("24410517-cn-hangzhou*")
}

// TestServiceOfCLBFollowsRenewal names copies in the store of CLB. The copy that a renewal replaced
// stays for as long as the load balancer serves it.
func TestServiceOfCLBFollowsRenewal(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--drift-interval=0")
	m.labelNode()
	standard := m.foreign("standard", host)
	m.check(m.products.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-1", Account: account, Region: shanghai, Port: 443, Default: standard}))
	m.allow(anyService())
	m.serve(nil, ofCLB)
	m.start()
	m.publish()
	m.bind("web", toService(), nil)
	first := m.waitBound("web", 0)
	m.checkCopy()
	m.check(m.products.UseCopy("lb-1", 443, m.annotated())) // the cloud controller manager follows
	m.checkServed("lb-1:443", host, first)

	m.putSecret("web", m.issue(host))
	second := m.waitBound("web", first)
	m.checkCopy()
	m.waitBinding("web", v1alpha1.ReasonSynced, func(b *v1alpha1.CloudCertificateBinding) bool {
		return strings.Contains(bindingReady(b).Message, "copies of earlier versions could not be deleted")
	})
	m.checkServed("lb-1:443", host, first)
	m.check(m.products.UseCopy("lb-1", 443, m.annotated()))
	m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	m.eventually(func() string {
		if copies := m.stored(); slices.Contains(copies, identifier(first)) {
			return "the copy of the first version is still there: " + strings.Join(copies, " ")
		}
		return ""
	})
	m.checkServed("lb-1:443", host, second)
	if copies := m.stored(); !slices.Contains(copies, standard) {
		t.Errorf("a copy of somebody else was deleted: %v", copies)
	}
}

// checkCopy checks that the Service names a copy in the store of CLB, which the status names as well.
func (m *market) checkCopy() {
	m.t.Helper()
	id := m.annotated()
	if placed := m.binding("web").Status.ProviderCertificateID; placed != id || !strings.HasPrefix(id, account) {
		m.t.Errorf("the Service names copy %q, and the status %q", id, placed)
	}
}

// TestServiceOfSomebodyElse keeps what was put there by hand, and what was deleted by hand comes
// back.
func TestServiceOfSomebodyElse(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	m.labelNode()
	m.allow(anyService())
	m.serve(map[string]string{certAnnotation: account + "_upload"}, ofCLB)
	m.start()
	m.publish()
	m.bind("web", toService(), nil)
	occupied := m.waitBinding("web", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(occupied).Message; !strings.Contains(message, account+"_upload") {
		t.Errorf("message %q does not name the copy", message)
	}
	m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{account + "_upload"} })
	first := m.waitBound("web", 0)
	gone := m.annotated()
	m.products.DropCopy(account, shanghai, gone)
	m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	m.eventually(func() string {
		if m.annotated() == gone {
			return "the Service still names the copy that is gone"
		}
		return ""
	})
	if got := m.waitBound("web", 0); got != first {
		t.Errorf("certificate %d is bound, want %d", got, first)
	}
}

// TestServiceThatNamesNoCertificate of its own load balancer says what to do about it.
func TestServiceThatNamesNoCertificate(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	m.allow(anyService())
	m.start()
	m.publish()
	m.bind("web", toService(), nil)
	missing := m.waitBinding("web", v1alpha1.ReasonTargetNotFound, nil)
	if message := bindingReady(missing).Message; !strings.Contains(message, `"gateway"`) {
		t.Errorf("message %q does not name the Service", message)
	}
	m.serve(nil, func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeClusterIP })
	resync := func(value string) {
		m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) {
			b.Annotations = map[string]string{v1alpha1.AnnotationResync: value}
		})
	}
	resync("made")
	internal := m.waitBinding("web", v1alpha1.ReasonBindFailed, nil)
	if message := bindingReady(internal).Message; !strings.Contains(message, "spec.type to LoadBalancer") {
		t.Errorf("message %q does not say what to do", message)
	}
	m.changeService(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer; ofNLB(&s.Spec) })
	resync("changed")
	if bound := m.waitBound("web", 0); m.annotated() != identifier(bound) {
		t.Errorf("the Service names %q, want %d", m.annotated(), bound)
	}
}
