// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// The host that certificates are for, the region of load balancers, and their one listener.
const (
	host     = "www.example.com"
	shanghai = "cn-shanghai"
	listener = "lsn-a"
)

// market is a world whose cloud has the products that use certificates.
type market struct {
	*world
	products *products.Cloud
}

// newMarket makes a world in which every kind of target is switched on, and each leads to the
// emulator.
func newMarket(t *testing.T, o products.Options, args ...string) *market {
	t.Helper()
	return newMarketOf(t, emulator.Options{}, o, args...)
}

// newMarketOf is newMarket with accounts of the test's choice.
func newMarketOf(t *testing.T, cloud emulator.Options, o products.Options, args ...string) *market {
	t.Helper()
	w := newWorld(t, cloud, append([]string{"--bind-targets=all", "--prune-delay=1s"}, args...)...)
	m := &market{world: w, products: products.New(w.cloud, o)}
	for _, name := range products.Names() {
		server := httptest.NewServer(m.products.Handler(name, ""))
		t.Cleanup(server.Close)
		w.args = append(w.args, "--target-endpoint="+name+"="+server.URL)
	}
	t.Cleanup(func() {
		if n := w.cloud.KeysSent(); n > 0 {
			t.Errorf("%d calls to products carried a private key", n)
		}
	})
	return m
}

func (m *market) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// foreign puts a certificate of somebody else into the account, and returns its identifier.
func (m *market) foreign(name, domain string) string {
	m.t.Helper()
	made, err := m.cloud.AddForeign(account, region, emulator.Foreign{Name: name, PEM: string(m.issue(domain).Certificate)})
	m.check(err)
	return identifier(made.CertID)
}

func identifier(certID int64) string { return strconv.FormatInt(certID, 10) + "-" + region }

// balance makes an ALB with one listener that has a default of somebody else.
func (m *market) balance(tags map[string]string, additional ...string) (standard string) {
	m.t.Helper()
	standard = m.foreign("standard", "default.example.com")
	m.check(m.products.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: "alb-1", Account: account, Region: shanghai, Tags: tags}))
	m.check(m.products.AddListener(products.Listener{
		ID: listener, LoadBalancer: "alb-1", Protocol: "HTTPS", Port: 443, Default: standard, Additional: additional,
	}))
	return standard
}

// allow makes a policy that admits targets for the test's namespace.
func (m *market) allow(targets ...v1alpha1.PolicyTarget) *v1alpha1.CertificateTargetPolicy {
	m.t.Helper()
	policy := &v1alpha1.CertificateTargetPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: m.namespace},
		Spec: v1alpha1.CertificateTargetPolicySpec{
			Namespaces: v1alpha1.PolicyNamespaces{Names: []string{m.namespace}}, DNSNames: []v1alpha1.Pattern{"*.example.com"}, Targets: targets,
		},
	}
	m.check(m.kube.Create(ctx, policy))
	m.t.Cleanup(func() { _ = m.kube.Delete(ctx, policy) }) // some tests have deleted it
	return policy
}

func anyListener() v1alpha1.PolicyTarget {
	return v1alpha1.PolicyTarget{ALB: &v1alpha1.ListenerPolicy{LoadBalancerIDs: []v1alpha1.Pattern{"alb-1"}}}
}

func toALB(slot v1alpha1.TargetSlot) v1alpha1.BindingTarget {
	return v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{RegionID: shanghai, ListenerID: listener, Slot: slot}}
}

// publish makes the CloudCertificate "web", and keeps no version of it that is superseded.
func (m *market) publish() {
	m.t.Helper()
	m.putSecret("web", m.issue(host))
	m.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.RevisionHistoryLimit = new(int32(0)) })
}

// waitBound waits until a binding has placed another version than one, and nothing is left to do.
func (m *market) waitBound(name string, other int64) int64 {
	m.t.Helper()
	b := m.waitBinding(name, v1alpha1.ReasonSynced, func(b *v1alpha1.CloudCertificateBinding) bool {
		s := &b.Status
		return s.BoundCertID != 0 && s.BoundCertID != other && s.PendingCertID == 0 && len(s.LeftoverCertIDs) == 0
	})
	return b.Status.BoundCertID
}

// renew changes the Secret, and waits until the binding has carried the new version to its
// target and the old one is gone from CAS.
func (m *market) renew(name string) (before, after int64) {
	m.t.Helper()
	before = m.binding(name).Status.BoundCertID
	m.putSecret("web", m.issue(host))
	after = m.waitBound(name, before)
	m.wait("web", "pruned", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.CertID == after && len(cc.Status.History) == 0
	})
	return before, after
}

// checkListener checks what the listener has, in any order that the additional ones come.
func (m *market) checkListener(standard string, additional ...string) {
	m.t.Helper()
	state, _ := m.products.ListenerState(listener)
	var have []string
	for _, a := range state.Additional {
		have = append(have, a.CertIdentifier)
	}
	if diff := cmp.Diff(append([]string{standard}, additional...), append([]string{state.Default}, have...)); diff != "" {
		m.t.Errorf("the listener has other certificates, the default first (-want +got):\n%s", diff)
	}
}

// checkServed checks which certificate a client of a listener or a domain gets.
func (m *market) checkServed(at, sni string, certID int64) {
	m.t.Helper()
	if h, _ := m.products.Shake(at, sni); h.CertID != certID || !h.Valid(time.Now()) {
		m.t.Errorf("a client of %s gets %+v for %s, want certificate %d", at, h, sni, certID)
	}
}

// calls are the actions of a product that were called, in their order.
func (m *market) calls(product string) (actions []string) {
	for _, call := range m.cloud.Journal() {
		if call.Product == product {
			actions = append(actions, call.Action)
		}
	}
	return actions
}
