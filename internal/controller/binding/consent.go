// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"net"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// request is what a policy is asked to admit.
type request struct {
	namespace string
	labels    labels.Set
	target    *v1alpha1.BindingTarget
	// loadBalancer is the instance of a listener; empty where the listener was not read yet.
	loadBalancer string
	// dnsNames are the hosts of the certificate. Where cut is set there are more. Where unissued
	// is set there is no certificate yet, and no host that a policy could refuse.
	dnsNames      []string
	cut, unissued bool
}

// admitted says whether one of some policies admits a request, and whether one that does allows
// to adopt whatever is there.
func admitted(policies []v1alpha1.CertificateTargetPolicy, r request) (ok, adoptAny bool) {
	for i := range policies {
		spec := &policies[i].Spec
		if admitsNamespace(&spec.Namespaces, r) && admitsNames(spec.DNSNames, r) &&
			slices.ContainsFunc(spec.Targets, func(t v1alpha1.PolicyTarget) bool { return admitsTarget(&t, r) }) {
			ok, adoptAny = true, adoptAny || spec.AllowAdoptAny
		}
	}
	return ok, adoptAny
}

func admitsNamespace(n *v1alpha1.PolicyNamespaces, r request) bool {
	if slices.Contains(n.Names, r.namespace) {
		return true
	}
	if n.Selector == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(n.Selector)
	return err == nil && selector.Matches(r.labels)
}

// admitsNames reports whether every DNS name of a certificate fits. One without names, or with
// more than are known, fits "*" alone.
func admitsNames(patterns []v1alpha1.Pattern, r request) bool {
	if r.unissued || slices.Contains(patterns, "*") {
		return true
	}
	if len(r.dnsNames) == 0 || r.cut {
		return false
	}
	return !slices.ContainsFunc(r.dnsNames, func(name string) bool { return !fits(patterns, name) })
}

// fits reports whether a value is one of some patterns. No patterns are no bound.
func fits[T ~string](patterns []v1alpha1.Pattern, value T) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p v1alpha1.Pattern) bool {
		return matches(strings.ToLower(string(p)), strings.ToLower(string(value)))
	})
}

func matches(pattern, value string) bool {
	if pattern == "*" || pattern == value {
		return true
	}
	parent, wildcard := strings.CutPrefix(pattern, "*.")
	_, rest, found := strings.Cut(value, ".")
	return wildcard && found && rest == parent
}

// among reports whether a value is one of some. None are no bound.
func among[T comparable](values []T, value T) bool {
	return len(values) == 0 || slices.Contains(values, value)
}

// admitsTarget reports whether an entry of a policy admits a target.
func admitsTarget(p *v1alpha1.PolicyTarget, r request) bool {
	t := r.target
	switch {
	case p.Service != nil && t.Service != nil:
		return fits(p.Service.Names, t.Service.Name)
	case p.ALBConfig != nil && t.ALBConfig != nil:
		return fits(p.ALBConfig.Names, t.ALBConfig.Name) && among(p.ALBConfig.Ports, t.ALBConfig.Port) && among(p.ALBConfig.Slots, t.ALBConfig.Slot)
	case p.ALB != nil && t.ALB != nil:
		return admitsListener(p.ALB, t.ALB.RegionID, t.ALB.ListenerID, t.ALB.Slot, r)
	case p.NLB != nil && t.NLB != nil:
		return admitsListener(p.NLB, t.NLB.RegionID, t.NLB.ListenerID, t.NLB.Slot, r)
	case p.CLB != nil && t.CLB != nil:
		return fits(p.CLB.RegionIDs, t.CLB.RegionID) && fits(p.CLB.LoadBalancerIDs, t.CLB.LoadBalancerID) && among(p.CLB.Ports, t.CLB.Port) && fits(p.CLB.Domains, domain(t.CLB.Domain))
	}
	return admitsDomain(p, t)
}

func admitsListener(p *v1alpha1.ListenerPolicy, region v1alpha1.Region, id string, slot v1alpha1.TargetSlot, r request) bool {
	known := r.loadBalancer == "" || fits(p.LoadBalancerIDs, r.loadBalancer) // else it is asked again after the read
	return known && fits(p.RegionIDs, region) && fits(p.ListenerIDs, id) && among(p.Slots, slot)
}

func admitsDomain(p *v1alpha1.PolicyTarget, t *v1alpha1.BindingTarget) bool { //nolint:gocognit // a table: one row a product
	switch {
	case p.CDN != nil && t.CDN != nil:
		return fits(p.CDN.Domains, domain(t.CDN.Domain))
	case p.DCDN != nil && t.DCDN != nil:
		return fits(p.DCDN.Domains, domain(t.DCDN.Domain))
	case p.DDoS != nil && t.DDoS != nil:
		return fits(p.DDoS.Domains, domain(t.DDoS.Domain))
	case p.VOD != nil && t.VOD != nil:
		return fits(p.VOD.RegionIDs, t.VOD.RegionID) && fits(p.VOD.Domains, domain(t.VOD.Domain))
	case p.FC != nil && t.FC != nil:
		return fits(p.FC.RegionIDs, t.FC.RegionID) && fits(p.FC.Domains, domain(t.FC.Domain))
	case p.WAF != nil && t.WAF != nil:
		return fits(p.WAF.InstanceIDs, t.WAF.InstanceID) && fits(p.WAF.Domains, domain(t.WAF.Domain))
	case p.ESA != nil && t.ESA != nil:
		return among(p.ESA.SiteIDs, t.ESA.SiteID) && fits(p.ESA.CertificateIDs, t.ESA.CertificateID)
	case p.GA != nil && t.GA != nil:
		return fits(p.GA.AcceleratorIDs, t.GA.AcceleratorID) && fits(p.GA.ListenerIDs, t.GA.ListenerID) && fits(p.GA.Domains, domain(t.GA.Domain))
	case p.MSE != nil && t.MSE != nil:
		return fits(p.MSE.RegionIDs, t.MSE.RegionID) && fits(p.MSE.GatewayIDs, t.MSE.GatewayID) && fits(p.MSE.Domains, domain(t.MSE.Domain))
	case p.OSS != nil && t.OSS != nil:
		return fits(p.OSS.RegionIDs, t.OSS.RegionID) && fits(p.OSS.Buckets, t.OSS.Bucket) && fits(p.OSS.Domains, domain(t.OSS.Domain))
	}
	return false
}

// hostsOf are the DNS names of a certificate, with a common name that is a host: some clients
// and products still go by it.
func hostsOf(c *v1alpha1.CertificateFacts) []string {
	names := slices.Clone(c.DNSNames)
	isHost := strings.Contains(c.CommonName, ".") && !strings.ContainsAny(c.CommonName, " /@:") && net.ParseIP(c.CommonName) == nil
	if isHost && !slices.Contains(names, c.CommonName) {
		names = append(names, c.CommonName)
	}
	return names
}

// needsPolicy reports whether a binding has to be admitted by a policy: with the operator's own
// credentials everything but objects of its own namespace, and an AlbConfig always, because it
// belongs to no namespace.
func (r *Reconciler) needsPolicy(b *v1alpha1.CloudCertificateBinding, certificate *v1alpha1.CloudCertificate) bool {
	p := placeOf(b)
	switch {
	case p.Product == targets.ALBConfig:
		return true
	case p.inNamespace, r.Options.SingleTenant:
		return false
	}
	return secretOf(b, certificate) == ""
}

// notServed says that the operator does not serve a kind of target; empty if it does.
func (r *Reconciler) notServed(p place) string {
	if slices.Contains(r.Options.Targets, p.Product) {
		return ""
	}
	if !slices.Contains(Built(), p.Product) {
		return fmt.Sprintf("this version of the operator does not serve targets of kind %s", p.Product)
	}
	return fmt.Sprintf("targets of kind %[1]s are switched off: add %[1]s to the operator's flag --bind-targets, the chart's binding.targets", p.Product)
}
