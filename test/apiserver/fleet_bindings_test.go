// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"maps"
	"slices"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// bindAll makes a binding in every state that can last, and waits until each is in it.
func (f *fleet) bindAll() {
	f.t.Helper()
	standard := f.equip()
	want := map[string]string{}
	for _, b := range []struct {
		name, certificate, reason string
		target                    v1alpha1.BindingTarget
		change                    func(*v1alpha1.CloudCertificateBinding)
	}{
		{"served", "synced", v1alpha1.ReasonSynced, toConfigMap("served"), nil},
		{"lagging", "followed", v1alpha1.ReasonSynced, v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "followed.example.com"}}, func(b *v1alpha1.CloudCertificateBinding) {
			b.Spec.Adopt = []string{standard}
		}},
		{"held", "synced", v1alpha1.ReasonSynced, toALB(v1alpha1.SlotAdditional), unbinds},
		{"abandoned", "forsaken", v1alpha1.ReasonSynced, toConfigMap("abandoned"), nil},
		{"unstarted", "missing", v1alpha1.ReasonCertificateNotReady, toConfigMap("unstarted"), nil},
		{"looking", "synced", v1alpha1.ReasonSuspended, toConfigMap("looking"), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = true }},
		{"occupied", "synced", v1alpha1.ReasonOccupied, toALB(v1alpha1.SlotDefault), nil},
		{"forbidden", "synced", v1alpha1.ReasonNotAllowed, v1alpha1.BindingTarget{DDoS: &v1alpha1.DomainTarget{Domain: "synced.example.com"}}, nil},
		{"mismatched", "synced", v1alpha1.ReasonDomainMismatch, v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "other.example.com"}}, nil},
		{"lost", "synced", v1alpha1.ReasonTargetNotFound, v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "synced.example.com"}}, nil},
		{"denied", "synced", v1alpha1.ReasonAccessDenied, v1alpha1.BindingTarget{DCDN: &v1alpha1.DomainTarget{Domain: "synced.example.com"}}, nil},
		{"failing", "synced", v1alpha1.ReasonBindFailed, v1alpha1.BindingTarget{VOD: &v1alpha1.RegionalDomainTarget{RegionID: shanghai, Domain: "synced.example.com"}}, nil},
	} {
		f.bind(b.name, b.target, func(binding *v1alpha1.CloudCertificateBinding) {
			binding.Spec.CertificateRef.Name = b.certificate
			if b.change != nil {
				b.change(binding)
			}
		})
		want[b.name] = b.reason
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		f.waitBinding(name, want[name], nil)
	}
	f.unsettleBindings()
}

// equip makes certificates and targets for bindings, and what goes wrong with them. It returns the
// certificate of somebody else that the targets use.
func (f *fleet) equip() (standard string) {
	f.t.Helper()
	for _, name := range []string{"followed", "forsaken"} {
		f.add(name, nil)
		f.waitReason(name, v1alpha1.ReasonSynced)
	}
	standard = f.balance(nil)
	for _, domain := range []string{"followed.example.com", "other.example.com"} {
		f.check(f.products.AddDomain(products.Domain{Product: "cdn", Account: account, Name: domain, Certificate: standard}))
	}
	every := &v1alpha1.DomainPolicy{}
	f.allow(anyListener(), v1alpha1.PolicyTarget{CDN: every}, v1alpha1.PolicyTarget{DCDN: every}, v1alpha1.PolicyTarget{VOD: &v1alpha1.RegionalDomainPolicy{}})
	f.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Product: "dcdn", Action: "DescribeDcdnDomainCertificateInfo"})
	f.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Product: "vod", Code: "InternalError", Status: 500, Action: "DescribeVodDomainCertificateInfo"})
	return standard
}

// unsettleBindings brings bindings into the states that need something placed.
func (f *fleet) unsettleBindings() {
	f.t.Helper()
	f.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Product: "alb", Action: dissociate})
	f.waitBound("held", 0)
	f.check(f.kube.Delete(ctx, f.binding("held")))
	f.waitBinding("held", v1alpha1.ReasonDeletionBlocked, nil)

	f.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Product: "cdn", Action: "SetCdnDomainSSLCertificate"})
	f.renew("followed")
	f.waitBinding("lagging", v1alpha1.ReasonAccessDenied, func(b *v1alpha1.CloudCertificateBinding) bool { return b.Status.BoundCertID != 0 })

	f.remove("forsaken")
	f.waitBinding("abandoned", v1alpha1.ReasonCertificateNotReady, nil)
}
