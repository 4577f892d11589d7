// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// shopPolicy admits what the team of the shop may have.
func shopPolicy() v1alpha1.CertificateTargetPolicy {
	return v1alpha1.CertificateTargetPolicy{Spec: v1alpha1.CertificateTargetPolicySpec{
		Namespaces: v1alpha1.PolicyNamespaces{
			Names: []string{"shop"}, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}},
		},
		DNSNames: []v1alpha1.Pattern{"*.shop.example.com", "shop.example.com"},
		Targets: []v1alpha1.PolicyTarget{
			{ALB: &v1alpha1.ListenerPolicy{
				RegionIDs: []v1alpha1.Pattern{"cn-shanghai"}, LoadBalancerIDs: []v1alpha1.Pattern{"alb-x"}, ListenerIDs: []v1alpha1.Pattern{"lsn-x"},
				Slots: []v1alpha1.TargetSlot{v1alpha1.SlotAdditional},
			}},
			{CDN: &v1alpha1.DomainPolicy{Domains: []v1alpha1.Pattern{"*.shop.example.com"}}},
			{GA: &v1alpha1.GAPolicy{Domains: []v1alpha1.Pattern{"*.shop.example.com"}}},
		},
	}}
}

// asked is a request that the policy admits.
func asked() request {
	return request{
		namespace: "shop", loadBalancer: "alb-x", dnsNames: []string{"www.shop.example.com", "*.shop.example.com", "shop.example.com"},
		target: &v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{RegionID: "cn-shanghai", ListenerID: "lsn-x", Slot: v1alpha1.SlotAdditional}},
	}
}

func TestPolicyAdmits(t *testing.T) {
	t.Parallel()
	cdn := func(d v1alpha1.Domain) *v1alpha1.BindingTarget {
		return &v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: d}}
	}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CertificateTargetPolicySpec, *request)
		want   bool
	}{
		"what every field admits": {func(*v1alpha1.CertificateTargetPolicySpec, *request) {}, true},
		"another namespace":       {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.namespace = "blog" }, false},
		"a namespace with the label": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.namespace, r.labels = "blog", map[string]string{"team": "shop"}
		}, true},
		"a namespace with another one": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.namespace, r.labels = "blog", map[string]string{"team": "blog"}
		}, false},
		"no namespaces admit none": {func(p *v1alpha1.CertificateTargetPolicySpec, _ *request) { p.Namespaces = v1alpha1.PolicyNamespaces{} }, false},
		"an empty selector admits all": {func(p *v1alpha1.CertificateTargetPolicySpec, r *request) {
			p.Namespaces.Selector, r.namespace = &metav1.LabelSelector{}, "blog"
		}, true},
		"a selector that is none": {func(p *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.namespace, p.Namespaces.Selector = "blog", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "?"}}}
		}, false},
		"a host of a neighbour": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.dnsNames = append(r.dnsNames, "www.example.com")
		}, false},
		"a host two labels below": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.dnsNames = []string{"a.b.shop.example.com"}
		}, false},
		"a host that only ends alike": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.dnsNames = []string{"wwwshop.example.com"}
		}, false},
		"a host in capitals": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.dnsNames = []string{"WWW.Shop.Example.com"}
		}, true},
		"a certificate without hosts": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.dnsNames = nil }, false},
		"more hosts than are known":   {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.cut = true }, false},
		"hosts that nobody knows yet": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.dnsNames, r.unissued = nil, true }, true},
		"a neighbour's target for them": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.dnsNames, r.unissued, r.target = nil, true, cdn("www.example.com")
		}, false},
		"every host": {func(p *v1alpha1.CertificateTargetPolicySpec, r *request) {
			p.DNSNames, r.dnsNames, r.cut = []v1alpha1.Pattern{"*"}, nil, true
		}, true},
		"another region":            {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target.ALB.RegionID = "cn-beijing" }, false},
		"another listener":          {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target.ALB.ListenerID = "lsn-y" }, false},
		"another slot":              {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target.ALB.Slot = v1alpha1.SlotDefault }, false},
		"another load balancer":     {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.loadBalancer = "alb-y" }, false},
		"one that was not read yet": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.loadBalancer = "" }, true},
		"a domain":                  {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target = cdn("www.shop.example.com") }, true},
		"a domain of a neighbour":   {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target = cdn("www.example.com") }, false},
		"a wildcard domain":         {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.target = cdn(".shop.example.com") }, true},
		"another product": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.target = &v1alpha1.BindingTarget{DCDN: &v1alpha1.DomainTarget{Domain: "www.shop.example.com"}}
		}, false},
		"the default of a bound domain": {func(_ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.target = &v1alpha1.BindingTarget{GA: &v1alpha1.GATarget{AcceleratorID: "ga-x", ListenerID: "lsn-x"}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy, r := shopPolicy(), asked()
			tc.change(&policy.Spec, &r)
			if got, _ := admitted([]v1alpha1.CertificateTargetPolicy{policy}, r); got != tc.want {
				t.Errorf("admitted: %v, want %v", got, tc.want)
			}
		})
	}
}

// TestAdoptAnyIsOfThePolicyThatAdmits: a policy for others allows nothing.
func TestAdoptAnyIsOfThePolicyThatAdmits(t *testing.T) {
	t.Parallel()
	mine, others := shopPolicy(), shopPolicy()
	others.Spec.Namespaces, others.Spec.AllowAdoptAny = v1alpha1.PolicyNamespaces{Names: []string{"blog"}}, true
	if ok, adoptAny := admitted([]v1alpha1.CertificateTargetPolicy{mine, others}, asked()); !ok || adoptAny {
		t.Errorf("admitted %v, adopt any %v; want true and false", ok, adoptAny)
	}
	mine.Spec.AllowAdoptAny = true
	if ok, adoptAny := admitted([]v1alpha1.CertificateTargetPolicy{others, mine}, asked()); !ok || !adoptAny {
		t.Errorf("admitted %v, adopt any %v; want both", ok, adoptAny)
	}
}

func TestCommonNamesThatAreHostsCount(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"www.example.com": 2, "Example Ltd.": 1, "192.0.2.1": 1, "a.example.com": 1, "": 1, "who@example.com": 1} {
		if got := hostsOf(&v1alpha1.CertificateFacts{CommonName: name, DNSNames: []string{"a.example.com"}}); len(got) != want {
			t.Errorf("common name %q: hosts %q, want %d", name, got, want)
		}
	}
}

func TestOwnersFitAndDiffer(t *testing.T) {
	t.Parallel()
	long := make([]byte, 200)
	for i := range long {
		long[i] = 'a'
	}
	a, b := ownerOf(string(long)+"1"), ownerOf(string(long)+"2")
	if len(a) > maxOwner || a == b {
		t.Errorf("owners %q and %q", a, b)
	}
}
