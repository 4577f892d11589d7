// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// TestWhatPoliciesLackIsSaid, whichever of them comes first.
func TestWhatPoliciesLackIsSaid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(shop, other *v1alpha1.CertificateTargetPolicySpec, r *request)
		want   string
	}{
		"a namespace": {func(_, _ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.namespace = "blog" }, "none is for this namespace"},
		"a load balancer": {func(_, _ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.loadBalancer = "alb-y" },
			"none for this namespace has the load balancer that this listener belongs to"},
		"a target": {func(_, _ *v1alpha1.CertificateTargetPolicySpec, r *request) {
			r.loadBalancer, r.target = "", &v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "www.example.com"}}
		}, "none for this namespace has this target"},
		"a name that one policy has": {func(shop, other *v1alpha1.CertificateTargetPolicySpec, _ *request) {
			shop.DNSNames, other.DNSNames = []v1alpha1.Pattern{"*.shop.example.com"}, []v1alpha1.Pattern{"shop.example.com"}
		}, "has the DNS name shop.example.com"},
		"several names": {func(shop, other *v1alpha1.CertificateTargetPolicySpec, _ *request) {
			shop.DNSNames, other.DNSNames = []v1alpha1.Pattern{"shop.example.org"}, []v1alpha1.Pattern{"shop.example.com"}
		}, "has the DNS name www.shop.example.com and 1 more"},
		"names of a certificate that has none": {func(_, _ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.dnsNames = nil }, "the certificate has no DNS names"},
		"names that are not known":             {func(_, _ *v1alpha1.CertificateTargetPolicySpec, r *request) { r.cut = true }, "more DNS names than are known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policies, r := []v1alpha1.CertificateTargetPolicy{shopPolicy(), shopPolicy()}, asked()
			tc.change(&policies[0].Spec, &policies[1].Spec, &r)
			if ok, _ := admitted(policies, r); ok {
				t.Fatal("it is admitted")
			}
			said := lacking(policies, r)
			if r.loadBalancer != "" && strings.Contains(said, r.loadBalancer) {
				t.Errorf("%q names what the tenant did not write", said)
			}
			slices.Reverse(policies)
			if again := lacking(policies, r); !strings.Contains(said, tc.want) || again != said {
				t.Errorf("said %q, and %q the other way round; want %q", said, again, tc.want)
			}
		})
	}
}
