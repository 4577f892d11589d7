// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// carried is how a renewal is played for a product.
type carried struct {
	// domain is what the emulator has for products that serve domains; else prepare makes it.
	domain  products.Domain
	prepare func(m *market, standard string)
	target  v1alpha1.BindingTarget
	policy  v1alpha1.PolicyTarget
	// at is where a client asks for the host; that of the test's domain if it is empty.
	at string
}

// carriers are all products that are built, but for ALB, which has tests of its own.
func carriers() map[targets.Product]carried {
	www := &v1alpha1.DomainTarget{Domain: host}
	everyRegion, everyDomain := &v1alpha1.RegionalDomainPolicy{}, &v1alpha1.DomainPolicy{}
	return map[targets.Product]carried{
		targets.CDN:  {target: v1alpha1.BindingTarget{CDN: www}, policy: v1alpha1.PolicyTarget{CDN: everyDomain}},
		targets.DCDN: {target: v1alpha1.BindingTarget{DCDN: www}, policy: v1alpha1.PolicyTarget{DCDN: everyDomain}},
		targets.VOD: {
			domain: products.Domain{Region: shanghai},
			target: v1alpha1.BindingTarget{VOD: &v1alpha1.RegionalDomainTarget{RegionID: shanghai, Domain: host}},
			policy: v1alpha1.PolicyTarget{VOD: everyRegion},
		},
		targets.WAF: {
			domain: products.Domain{Region: region, Instance: "waf-1"},
			target: v1alpha1.BindingTarget{WAF: &v1alpha1.WAFTarget{InstanceID: "waf-1", Domain: host}},
			policy: v1alpha1.PolicyTarget{WAF: &v1alpha1.WAFPolicy{}},
		},
		targets.ESA: {
			domain: products.Domain{Region: region, Instance: "77", Name: "cert-1"}, at: "cert-1",
			target: v1alpha1.BindingTarget{ESA: &v1alpha1.ESATarget{SiteID: 77, CertificateID: "cert-1"}},
			policy: v1alpha1.PolicyTarget{ESA: &v1alpha1.ESAPolicy{}},
		},
		targets.DDoS: {
			domain: products.Domain{Region: region},
			target: v1alpha1.BindingTarget{DDoS: www}, policy: v1alpha1.PolicyTarget{DDoS: everyDomain},
		},
		targets.MSE: {
			domain: products.Domain{Region: shanghai, Instance: "gw-1"},
			target: v1alpha1.BindingTarget{MSE: &v1alpha1.MSETarget{RegionID: shanghai, GatewayID: "gw-1", Domain: host}},
			policy: v1alpha1.PolicyTarget{MSE: &v1alpha1.MSEPolicy{}},
		},
		targets.NLB: {
			prepare: func(m *market, standard string) {
				m.check(m.products.AddLoadBalancer(products.LoadBalancer{Product: "nlb", ID: "nlb-1", Account: account, Region: shanghai}))
				m.check(m.products.AddListener(products.Listener{ID: "lsn-1@443", LoadBalancer: "nlb-1", Protocol: "TCPSSL", Port: 443, Default: standard}))
			},
			target: v1alpha1.BindingTarget{NLB: &v1alpha1.NLBTarget{RegionID: shanghai, ListenerID: "lsn-1@443", Slot: v1alpha1.SlotAdditional}},
			policy: v1alpha1.PolicyTarget{NLB: &v1alpha1.ListenerPolicy{}}, at: "lsn-1@443",
		},
		targets.CLB: {
			prepare: func(m *market, standard string) {
				m.check(m.products.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-1", Account: account, Region: shanghai, Port: 443, Default: standard}))
			},
			target: v1alpha1.BindingTarget{CLB: &v1alpha1.CLBTarget{RegionID: shanghai, LoadBalancerID: "lb-1", Port: 443}},
			policy: v1alpha1.PolicyTarget{CLB: &v1alpha1.CLBPolicy{}}, at: "lb-1:443",
		},
		targets.GA: {
			prepare: func(m *market, standard string) {
				m.check(m.products.AddAcceleratorListener(products.AcceleratorListener{ID: "lsr-a", Accelerator: "ga-a", Account: account, Default: standard}))
			},
			target: v1alpha1.BindingTarget{GA: &v1alpha1.GATarget{AcceleratorID: "ga-a", ListenerID: "lsr-a", Domain: host}},
			policy: v1alpha1.PolicyTarget{GA: &v1alpha1.GAPolicy{}}, at: "lsr-a",
		},
	}
}

// TestEveryProductFollowsRenewal plays a first placement where somebody else's certificate is,
// and a renewal.
func TestEveryProductFollowsRenewal(t *testing.T) {
	t.Parallel()
	all := carriers()
	for _, name := range targets.Names() {
		if name == targets.ALB {
			continue
		}
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			c, ok := all[name]
			if !ok {
				t.Fatal("no renewal is played for this product")
			}
			c.play(t, name)
		})
	}
}

func (c carried) play(t *testing.T, name targets.Product) {
	t.Helper()
	m := newMarket(t, products.Options{Configuring: 200 * time.Millisecond})
	standard, at := m.foreign("standard", host), c.at
	if c.prepare != nil {
		c.prepare(m, standard)
	} else {
		d := c.domain
		d.Product, d.Account, d.Certificate = string(name), account, standard
		if d.Name == "" {
			d.Name, at = host, host
		}
		m.check(m.products.AddDomain(d))
	}
	m.allow(c.policy)
	m.start()
	m.publish()
	m.bind("web", c.target, func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{standard} })
	first := m.waitBound("web", 0)
	m.checkServed(at, host, first)
	_, second := m.renew("web")
	m.checkServed(at, host, second)
	if used := m.products.Used(account); !slices.Contains(used, identifier(second)) || slices.Contains(used, identifier(first)) {
		t.Errorf("the products use %v, want %d and no longer %d", used, second, first)
	}
}
