// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const routes = `{"routes":[{"functionName":"shop","path":"/*"}]}`

// serveFunction makes a domain of Function Compute that serves somebody else's certificate.
func (m *market) serveFunction(domain string) {
	m.t.Helper()
	old := m.issue(domain)
	m.check(m.products.AddCustomDomain(products.CustomDomain{
		Name: domain, Account: account, Region: shanghai, Protocol: "HTTP,HTTPS", CertName: "old", Certificate: string(old.Certificate),
		PrivateKey: emulator.Secret(old.PrivateKey), Settings: map[string]json.RawMessage{"routeConfig": json.RawMessage(routes)},
	}))
}

func toFunction(domain string) v1alpha1.BindingTarget {
	return v1alpha1.BindingTarget{FC: &v1alpha1.RegionalDomainTarget{RegionID: shanghai, Domain: v1alpha1.Domain(domain)}}
}

func anyFunction() v1alpha1.PolicyTarget {
	return v1alpha1.PolicyTarget{FC: &v1alpha1.RegionalDomainPolicy{}}
}

func adoptOld(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{"old"} }

// checkFunction checks that a domain serves a pair, and is otherwise as it was.
func (m *market) checkFunction(domain string, pair testbed.Pair) {
	m.t.Helper()
	is, _ := m.products.CustomDomain(domain)
	wantLeaf, _ := pem.Decode(pair.Certificate)
	leaf, _ := pem.Decode([]byte(is.Certificate))
	key, _ := pem.Decode([]byte(is.PrivateKey))
	if leaf == nil || string(leaf.Bytes) != string(wantLeaf.Bytes) || key == nil || key.Type == "PRIVATE KEY" {
		m.t.Errorf("%s serves %q, which is another certificate", domain, is.CertName)
	}
	if is.Protocol != "HTTP,HTTPS" || string(is.Settings["routeConfig"]) != routes {
		m.t.Errorf("protocol %s, routes %s", is.Protocol, is.Settings["routeConfig"])
	}
}

// TestAFunctionFollowsRenewal plays a first placement where somebody else's certificate is, a renewal,
// and somebody who puts another one in its place.
func TestAFunctionFollowsRenewal(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--bind-targets=fc")
	m.serveFunction(host)
	m.allow(anyFunction())
	m.start()
	pair := m.issue(host)
	m.putSecret("web", pair)
	m.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.RevisionHistoryLimit = new(int32(0)) })
	m.bind("web", toFunction(host), nil)
	m.waitBinding("web", v1alpha1.ReasonOccupied, nil)
	m.changeBinding("web", adoptOld)
	first := m.waitBound("web", 0)
	m.checkFunction(host, pair)
	if replaced := m.binding("web").Status.ReplacedCertIdentifier; replaced != "old" {
		t.Errorf("replaced %q", replaced)
	}

	pair = m.issue(host)
	m.putSecret("web", pair)
	second := m.waitBound("web", first)
	m.checkFunction(host, pair)
	m.wait("web", "pruned", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.CertID == second && len(cc.Status.History) == 0
	})

	m.serveFunction(host)
	m.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) {
		b.Spec.Adopt, b.Annotations = nil, map[string]string{v1alpha1.AnnotationResync: "now"}
	})
	m.waitBinding("web", v1alpha1.ReasonOccupied, nil)
}

// TestAFunctionIsServedWhereItIsNamed: "all" does not stand for it.
func TestAFunctionIsServedWhereItIsNamed(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{})
	m.serveFunction(host)
	m.allow(anyFunction())
	m.start()
	m.publish()
	m.bind("web", toFunction(host), adoptOld)
	m.waitBinding("web", v1alpha1.ReasonNotAllowed, nil)
	if calls := m.calls("fc"); len(calls) != 0 {
		t.Errorf("called %v", calls)
	}
}

// faultsOfUpdates are all faults that an update can meet: no list shows domains, and none is an upload. A
// lost answer is one before and one after the update took effect.
func faultsOfUpdates() []emulator.Fault {
	var faults []emulator.Fault
	for _, kind := range emulator.FaultKinds() {
		if kind.OfLists() || slices.Contains([]emulator.FaultKind{emulator.FaultZeroCertID, emulator.FaultNameTaken, emulator.FaultListLag}, kind) {
			continue
		}
		faults = append(faults, emulator.Fault{Kind: kind, Delay: time.Second})
	}
	return append(faults, emulator.Fault{Kind: emulator.FaultReset, AfterCommit: true})
}

// TestAFunctionsKeyIsShownNowhere drives every fault of the emulator against an update, each with a domain
// of its own, and searches everything that the operator put out.
func TestAFunctionsKeyIsShownNowhere(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--bind-targets=fc")
	metrics, err := testbed.FreeAddress()
	m.check(err)
	m.args = append(m.args, "--metrics-bind-address="+metrics, "--zap-log-level=5")
	m.allow(anyFunction())
	m.start()
	secrets := newNeedles()
	secrets.add("access key secret", accessKey)
	pairs := map[string]testbed.Pair{}
	for _, fault := range faultsOfUpdates() {
		name := fmt.Sprintf("%s-%v", fault.Kind, fault.AfterCommit)
		domain := name + ".example.com"
		m.serveFunction(domain)
		there, _ := m.products.CustomDomain(domain)
		secrets.addKey([]byte(there.PrivateKey))
		fault.Product, fault.Action, fault.NameContains, fault.Count = "fc", "UpdateCustomDomain", domain, 1
		m.cloud.Inject(fault)
		pairs[name] = m.issue(domain)
		secrets.addKey(pairs[name].PrivateKey)
		m.putSecret(name, pairs[name])
		m.create(name, nil)
		m.bind(name, toFunction(domain), func(b *v1alpha1.CloudCertificateBinding) {
			b.Spec.CertificateRef.Name = name
			adoptOld(b)
		})
	}
	m.eventually(func() string {
		struck := map[string]bool{}
		for _, call := range m.cloud.Journal() {
			if call.Action == "UpdateCustomDomain" && !call.Finished.IsZero() {
				struck[call.Name] = true
			}
		}
		if len(struck) != len(pairs) {
			return fmt.Sprintf("%d of %d domains were updated", len(struck), len(pairs))
		}
		return ""
	})
	for name := range pairs { // what is retried slowly is asked for now
		m.changeBinding(name, func(b *v1alpha1.CloudCertificateBinding) {
			b.Annotations = map[string]string{v1alpha1.AnnotationResync: time.Now().String()}
		})
	}
	for name, pair := range pairs {
		m.waitBound(name, 0)
		m.checkFunction(name+".example.com", pair)
	}
	list := &v1alpha1.CloudCertificateBindingList{}
	m.check(m.kube.List(ctx, list, inNamespace(m.namespace)))
	bindings, err := json.Marshal(list)
	m.check(err)
	out := m.everything(metrics)
	out["bindings"] = string(bindings)
	for where, text := range out {
		if text == "" {
			t.Errorf("%s: nothing was put out, so nothing was searched", where)
		}
		for _, what := range secrets.in(text) {
			t.Errorf("%s holds %s", where, what)
		}
	}
	for _, call := range m.cloud.Journal() {
		if call.SecretInURL {
			t.Errorf("call %d (%s) had a secret in its URL", call.Number, call.Action)
		}
	}
}
