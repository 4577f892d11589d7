// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// unfit says why the current version must not be placed; nil if it may be. Never worse: nothing
// is placed that is not valid now, does not cover the domain of the slot, is of the other
// region of CAS, or is of a kind that the product does not take.
func (o Observed) unfit() *verdict.Verdict {
	c, t := &o.Certificate, &o.Target
	switch {
	case t.Region != "" && c.Current.Region != t.Region:
		return &verdict.Verdict{
			Reason: v1alpha1.ReasonRegionMismatch, Stalled: true,
			Message: fmt.Sprintf("%s takes certificates of region %s, and CloudCertificate %q is in %s; refer to one with spec.region %s",
				t.Text, t.Region, o.Object.CertificateName, c.Current.Region, t.Region),
		}
	case c.SM && !t.TakesSM:
		return &verdict.Verdict{
			Reason: v1alpha1.ReasonNotAllowed, Stalled: true,
			Message: fmt.Sprintf("%s takes no SM certificates, and CloudCertificate %q is of type SM; refer to one of type TLS", t.Text, o.Object.CertificateName),
		}
	case t.Domain != "" && !c.NamesCut && !covers(c.DNSNames, t.Domain): // where names are cut the product decides
		return &verdict.Verdict{
			Reason: v1alpha1.ReasonDomainMismatch, Stalled: true,
			Message: fmt.Sprintf("the certificate of CloudCertificate %q is for %s and does not cover %s; have it issued for that name",
				o.Object.CertificateName, few(c.DNSNames), t.Domain),
		}
	case o.Now.Before(c.NotBefore), o.Now.After(c.NotAfter):
		return &verdict.Verdict{
			Reason: v1alpha1.ReasonCertificateNotReady, Ready: o.whileServed(), Again: verdict.Again{Pace: verdict.Slowly},
			Message: fmt.Sprintf("certificate %s of CloudCertificate %q is valid from %s to %s, which is not now; renew it, or wait until it is valid",
				c.Current, o.Object.CertificateName, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339)),
		}
	}
	return nil
}

// covers reports whether a certificate for names may serve a domain: the name itself, or a
// wildcard for exactly one label. A wildcard domain needs the wildcard itself.
func covers(names []string, domain string) bool {
	domain = strings.ToLower(domain)
	_, parent, _ := strings.Cut(domain, ".")
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		return name == domain || name == "*."+parent
	})
}
