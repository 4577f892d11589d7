// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// lacking says what keeps policies from admitting a request, by those that come nearest to it: who
// has to ask for a policy, or to correct one, need not compare them by hand. It is the same in
// whichever order they come.
func lacking(policies []v1alpha1.CertificateTargetPolicy, r request) string {
	var here, near []*v1alpha1.CertificateTargetPolicySpec
	for i := range policies {
		if spec := &policies[i].Spec; admitsNamespace(&spec.Namespaces, r) {
			here = append(here, spec)
		}
	}
	for _, spec := range here {
		if slices.ContainsFunc(spec.Targets, func(t v1alpha1.PolicyTarget) bool { return admitsTarget(&t, r) }) {
			near = append(near, spec)
		}
	}
	switch {
	case len(here) == 0:
		return "none is for this namespace"
	case len(near) == 0 && r.loadBalancer != "":
		// Its id was read with the operator's credentials, and is not for whoever writes down a listener's.
		return "none for this namespace has the load balancer that this listener belongs to, which the operator's log names"
	case len(near) == 0:
		return "none for this namespace has this target"
	case r.cut:
		return `the certificate has more DNS names than are known, which dnsNames ["*"] alone admits`
	case len(r.dnsNames) == 0:
		return `the certificate has no DNS names, which dnsNames ["*"] alone admits`
	}
	var missing [][]string
	for _, spec := range near {
		missing = append(missing, slices.DeleteFunc(slices.Clone(r.dnsNames), func(name string) bool { return fits(spec.DNSNames, name) }))
	}
	fewest := slices.MinFunc(missing, func(a, b []string) int { return cmp.Or(cmp.Compare(len(a), len(b)), slices.Compare(a, b)) })
	if len(fewest) == 1 {
		return fmt.Sprintf("none for this namespace and target has the DNS name %s", fewest[0])
	}
	return fmt.Sprintf("none for this namespace and target has the DNS name %s and %d more", fewest[0], len(fewest)-1)
}
