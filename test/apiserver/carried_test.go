// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
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

// carriers are all products that are built, but for ALB and FC, which have tests of their own.
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
		targets.OSS: {
			domain: products.Domain{Region: shanghai, Instance: "shop"},
			target: v1alpha1.BindingTarget{OSS: &v1alpha1.OSSTarget{RegionID: shanghai, Bucket: "shop", Domain: host}},
			policy: v1alpha1.PolicyTarget{OSS: &v1alpha1.OSSPolicy{Buckets: []v1alpha1.Pattern{"shop"}}},
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
		if name == targets.ALB || name == targets.FC {
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
	m := newMarket(t, products.Options{Configuring: 200 * time.Millisecond}, "--bind-targets=all,oss")
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

// stored are the certificates of which CLB's store has copies, one for each copy, sorted.
func (m *market) stored() []string { return m.products.Stored(account, shanghai) }

// TestCLBKeepsNoCopyThatNothingUses renews a certificate that two listeners of CLB serve, one of
// them by a binding that is suspended, while somebody else has imported a version by hand.
func TestCLBKeepsNoCopyThatNothingUses(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	standard := m.foreign("standard", host)
	toCLB := func(balancer string) v1alpha1.BindingTarget {
		m.check(m.products.AddClassicListener(products.ClassicListener{LoadBalancer: balancer, Account: account, Region: shanghai, Port: 443, Default: standard}))
		return v1alpha1.BindingTarget{CLB: &v1alpha1.CLBTarget{RegionID: shanghai, LoadBalancerID: balancer, Port: 443}}
	}
	adopt := func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{standard} }
	m.allow(v1alpha1.PolicyTarget{CLB: &v1alpha1.CLBPolicy{}})
	m.start()
	m.publish()
	m.bind("one", toCLB("lb-1"), adopt)
	m.bind("two", toCLB("lb-2"), adopt)
	first := m.waitBound("one", 0)
	m.waitBound("two", 0)
	m.check(m.products.AddClassicListener(products.ClassicListener{ // by hand; nothing uses the copy in the end
		LoadBalancer: "lb-3", Account: account, Region: shanghai, Port: 443, Default: identifier(first),
	}))
	m.check(m.products.AddClassicListener(products.ClassicListener{LoadBalancer: "lb-3", Account: account, Region: shanghai, Port: 443}))
	m.changeBinding("two", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = true })
	m.waitBinding("two", v1alpha1.ReasonSuspended, nil)

	m.putSecret("web", m.issue(host))
	second := m.waitBound("one", first)
	m.changeBinding("one", func(b *v1alpha1.CloudCertificateBinding) {
		b.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	m.waitBinding("one", v1alpha1.ReasonSynced, func(b *v1alpha1.CloudCertificateBinding) bool { return b.Status.LastHandledResync == "now" })
	if slices.Contains(m.calls("clb"), "DeleteServerCertificate") {
		t.Errorf("a copy that a suspended binding holds was deleted: %v", m.stored())
	}
	m.changeBinding("two", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = false })
	m.waitBound("two", first)
	m.eventually(func() string {
		byHand := 0
		for _, id := range m.stored() {
			if id == identifier(first) {
				byHand++
			}
		}
		if byHand != 1 {
			return fmt.Sprintf("the store has %v, want %s once, which somebody imported by hand", m.stored(), identifier(first))
		}
		return ""
	})
	if copies := m.stored(); !slices.Contains(copies, identifier(second)) || !slices.Contains(copies, standard) {
		t.Errorf("the store has %v: a copy of somebody else or of the current version was deleted", copies)
	}
	m.checkServed("lb-1:443", host, second)
	m.checkServed("lb-2:443", host, second)
}
