// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// place is the slot of a binding.
type place struct {
	targets.Target
	// shared reports whether there is room for several certificates.
	shared bool
	// unbindable reports whether ours may be taken out.
	unbindable bool
	// instant reports whether a read shows at once what a write did.
	instant bool
	// inNamespace reports whether the target is an object of the binding's namespace, for which
	// no call is made to the cloud: no policy is needed.
	inNamespace bool
	// fields are what of an object of the cluster is written; empty for products.
	fields []string
}

// placeOf is the slot that a spec names.
func placeOf(b *v1alpha1.CloudCertificateBinding) place {
	t := &b.Spec.Target
	switch {
	case t.ConfigMap != nil:
		id, identifier := configMapKeys(t.ConfigMap)
		return place{
			Target:     targets.Target{Product: targets.ConfigMap, Resource: b.Namespace + "/" + t.ConfigMap.Name, Part: id + "," + identifier},
			unbindable: true, instant: true, inNamespace: true, fields: []string{id, identifier},
		}
	case t.Service != nil:
		return place{Target: targets.Target{Product: targets.Service, Resource: b.Namespace + "/" + t.Service.Name}, unbindable: true, instant: true}
	case t.ALBConfig != nil:
		return listener(targets.ALBConfig, "", t.ALBConfig.Name, strconv.Itoa(int(t.ALBConfig.Port)), t.ALBConfig.Slot, true)
	case t.ALB != nil:
		return listener(targets.ALB, string(t.ALB.RegionID), t.ALB.ListenerID, "", t.ALB.Slot, false)
	case t.NLB != nil:
		return listener(targets.NLB, string(t.NLB.RegionID), t.NLB.ListenerID, "", t.NLB.Slot, false)
	case t.CLB != nil:
		return place{Target: targets.Target{
			Product: targets.CLB, Region: string(t.CLB.RegionID), Resource: t.CLB.LoadBalancerID, Part: strconv.Itoa(int(t.CLB.Port)), Domain: domain(t.CLB.Domain),
		}}
	}
	return domainPlace(t)
}

func listener(product targets.Product, region, resource, part string, slot v1alpha1.TargetSlot, instant bool) place {
	additional := slot == v1alpha1.SlotAdditional
	return place{
		Target: targets.Target{Product: product, Region: region, Resource: resource, Part: part, Slot: targets.Slot(slot)},
		shared: additional, unbindable: additional, instant: instant,
	}
}

// domainPlace is the slot of a product that is asked by domain, or has one certificate to a
// place.
func domainPlace(t *v1alpha1.BindingTarget) place {
	switch {
	case t.CDN != nil:
		return place{Target: targets.Target{Product: targets.CDN, Domain: domain(t.CDN.Domain)}, instant: true}
	case t.DCDN != nil:
		return place{Target: targets.Target{Product: targets.DCDN, Domain: domain(t.DCDN.Domain)}, instant: true}
	case t.VOD != nil:
		return place{Target: targets.Target{Product: targets.VOD, Region: string(t.VOD.RegionID), Domain: domain(t.VOD.Domain)}, instant: true}
	case t.WAF != nil:
		return place{Target: targets.Target{Product: targets.WAF, Resource: t.WAF.InstanceID, Domain: domain(t.WAF.Domain)}}
	case t.ESA != nil:
		return place{Target: targets.Target{Product: targets.ESA, Resource: strconv.FormatInt(t.ESA.SiteID, 10), Part: t.ESA.CertificateID}}
	case t.GA != nil:
		return place{Target: targets.Target{Product: targets.GA, Resource: t.GA.AcceleratorID, Part: t.GA.ListenerID, Domain: domain(t.GA.Domain)}}
	case t.DDoS != nil:
		return place{Target: targets.Target{Product: targets.DDoS, Domain: domain(t.DDoS.Domain)}}
	case t.MSE != nil:
		return place{Target: targets.Target{Product: targets.MSE, Region: string(t.MSE.RegionID), Resource: t.MSE.GatewayID, Domain: domain(t.MSE.Domain)}}
	case t.OSS != nil:
		return place{Target: targets.Target{Product: targets.OSS, Region: string(t.OSS.RegionID), Resource: t.OSS.Bucket, Domain: domain(t.OSS.Domain)}}
	case t.FC != nil:
		return place{Target: targets.Target{Product: targets.FC, Region: string(t.FC.RegionID), Domain: domain(t.FC.Domain)}, instant: true}
	}
	return place{}
}

// targetFor is the slot as adapters name it: a product that is there twice, like CAS, is meant in the
// region of the CloudCertificate.
func (p place) targetFor(certificate *v1alpha1.CloudCertificate) targets.Target {
	t := p.Target
	switch t.Product {
	case targets.WAF, targets.ESA, targets.DDoS:
		if certificate != nil {
			t.Region = certificate.Status.Region
		}
	}
	return t
}

// domain is a domain in one spelling: a wildcard as in a certificate.
func domain(d v1alpha1.Domain) string {
	if strings.HasPrefix(string(d), ".") {
		return "*" + string(d)
	}
	return string(d)
}

func configMapKeys(t *v1alpha1.ConfigMapTarget) (certID, certIdentifier string) {
	return cmp.Or(string(t.Keys.CertID), "certId"), cmp.Or(string(t.Keys.CertIdentifier), "certIdentifier")
}

// slots are the same for two bindings that want one slot, at least one of them.
func (p place) slots(certificate string) []string {
	if len(p.fields) == 0 {
		return []string{p.SlotKey(certificate)}
	}
	var slots []string
	for _, field := range p.fields {
		slots = append(slots, p.Resource+"|"+field)
	}
	return slots
}

// rules is what the rules have to know of a slot, by what was read; nil where nothing was. An object of
// the cluster takes what the product takes that is configured from it.
func (p place) rules(state *targets.State) rules.Target {
	taker := p.Target
	if state != nil && state.Configures.Product != "" {
		taker = state.Configures
		if !targets.IsIn(taker.Product, taker.Region) { // as nodes say that are another cloud's
			taker.Region = ""
		}
	}
	return rules.Target{
		Text: p.text(), Shared: p.shared, Unbindable: p.unbindable, Domain: p.Domain, Live: p.isObject(),
		TakesSM: !slices.Contains(targets.Names(), taker.Product) || targets.TakesSM(taker.Product), Region: targets.RegionOfCAS(taker),
	}
}

// isObject reports whether the slot is in an object of the cluster.
func (p place) isObject() bool {
	return p.Product == targets.ConfigMap || p.Product == targets.Service || p.Product == targets.ALBConfig
}

// text is the slot in one line, for people and status.target.
func (p place) text() string {
	switch p.Product {
	case targets.ConfigMap, targets.Service:
		_, name, _ := strings.Cut(p.Resource, "/")
		return fmt.Sprintf("%s/%s", p.Product, name)
	}
	return p.String()
}
