// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// The listener of these tests.
const (
	albRegion = "cn-shanghai"
	balancer  = "alb-e2e"
	listener  = "lsn-e2e"
)

// newListener makes an HTTPS listener that takes a while to configure, and returns the products and
// the URL of ALB.
func (c *cloud) newListener(t *testing.T) (made *products.Cloud, url string) {
	t.Helper()
	made = products.New(c.Server, products.Options{Configuring: 200 * time.Millisecond})
	if err := made.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: balancer, Account: account, Region: albRegion}); err != nil {
		t.Fatal(err)
	}
	if err := made.AddListener(products.Listener{ID: listener, LoadBalancer: balancer, Protocol: "HTTPS", Port: 443}); err != nil {
		t.Fatal(err)
	}
	return made, serve(t, made.Handler("alb", ""))
}

// bind binds the CloudCertificate of the same name to the listener.
func (a *app) bind(name string) {
	a.t.Helper()
	alb := &v1alpha1.ALBTarget{RegionID: albRegion, ListenerID: listener, Slot: v1alpha1.SlotAdditional}
	if err := kube.Create(a.t.Context(), &v1alpha1.CloudCertificateBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name},
		Spec: v1alpha1.CloudCertificateBindingSpec{
			CertificateRef: v1alpha1.CertificateReference{Name: name}, Target: v1alpha1.BindingTarget{ALB: alb},
		},
	}); err != nil {
		a.t.Fatal(err)
	}
}

// waitBinding waits until a binding has come to a reason, and returns it.
func (a *app) waitBinding(name, reason string, more func(*v1alpha1.CloudCertificateBindingStatus) bool) *v1alpha1.CloudCertificateBinding {
	a.t.Helper()
	binding := &v1alpha1.CloudCertificateBinding{}
	eventually(a.t, fmt.Sprintf("binding %s is %s", name, reason), func() (bool, string) {
		if err := kube.Get(a.t.Context(), client.ObjectKey{Namespace: a.namespace, Name: name}, binding); err != nil {
			return false, err.Error()
		}
		ready := meta.FindStatusCondition(binding.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == reason && more(&binding.Status), fmt.Sprintf("%+v", binding.Status)
	})
	return binding
}

// waitServed waits until the listener serves a certificate, and nothing else of ours.
func (a *app) waitServed(made *products.Cloud, name string, certID int64) {
	a.t.Helper()
	a.waitBinding(name, v1alpha1.ReasonSynced, func(s *v1alpha1.CloudCertificateBindingStatus) bool {
		return s.BoundCertID == certID && len(s.LeftoverCertIDs) == 0
	})
	if served, _ := made.Shake(listener, name+".example.com"); served.CertID != certID || !served.Valid(time.Now()) {
		a.t.Errorf("a client of %s.example.com gets %+v, want certificate %d", name, served, certID)
	}
}

// TestBinding follows a renewal by cert-manager to a listener, in the cluster and with the rights
// that the chart grants: nothing is bound before a policy allows it.
func TestBinding(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	made, url := c.newListener(t)
	c.install(t, map[string]any{"binding": map[string]any{
		"targets": []string{"alb"}, "targetEndpoints": map[string]any{"alb": url},
	}})
	startCertManager(t)
	a := newApp(t, "binding-app")
	apply(t, fmt.Sprintf(issuers, a.namespace))
	a.issue("bound", "10m")
	a.create("bound", nil)
	first := a.waitReady("bound", 0)
	a.bind("bound")
	a.waitBinding("bound", v1alpha1.ReasonNotAllowed, func(*v1alpha1.CloudCertificateBindingStatus) bool { return true })
	if served, _ := made.Shake(listener, "bound.example.com"); served.CertID != 0 {
		t.Errorf("without a policy a client gets %+v", served)
	}

	policy := &v1alpha1.CertificateTargetPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: a.namespace},
		Spec: v1alpha1.CertificateTargetPolicySpec{
			Namespaces: v1alpha1.PolicyNamespaces{Names: []string{a.namespace}},
			DNSNames:   []v1alpha1.Pattern{"*.example.com"},
			Targets:    []v1alpha1.PolicyTarget{{ALB: &v1alpha1.ListenerPolicy{LoadBalancerIDs: []v1alpha1.Pattern{balancer}}}},
		},
	}
	if err := kube.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(kube.Delete(context.WithoutCancel(t.Context()), policy)); err != nil {
			t.Error(err)
		}
	})
	a.waitServed(made, "bound", first.Status.CertID)

	a.reissue("bound")
	renewed := a.waitReady("bound", first.Status.CertID)
	a.waitServed(made, "bound", renewed.Status.CertID)
	if state, _ := made.ListenerState(listener); len(state.Additional) != 1 {
		t.Errorf("the listener has the certificates %+v, want the renewed one alone", state.Additional)
	}
}
