// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

func TestProductsThatAreThereTwiceFollowTheCertificate(t *testing.T) {
	t.Parallel()
	international := &v1alpha1.CloudCertificate{Status: v1alpha1.CloudCertificateStatus{Region: "ap-southeast-1"}}
	www := &v1alpha1.DomainTarget{Domain: "www.example.com"}
	for name, tc := range map[string]struct {
		target      v1alpha1.BindingTarget
		certificate *v1alpha1.CloudCertificate
		want        string
	}{
		"waf":                        {v1alpha1.BindingTarget{WAF: &v1alpha1.WAFTarget{InstanceID: "waf-1"}}, international, "ap-southeast-1"},
		"esa":                        {v1alpha1.BindingTarget{ESA: &v1alpha1.ESATarget{SiteID: 77}}, international, "ap-southeast-1"},
		"ddos":                       {v1alpha1.BindingTarget{DDoS: www}, international, "ap-southeast-1"},
		"ddos without a certificate": {v1alpha1.BindingTarget{DDoS: www}, nil, ""},
		"cdn, which is there once":   {v1alpha1.BindingTarget{CDN: www}, international, ""},
		"vod, which has regions of its own": {
			v1alpha1.BindingTarget{VOD: &v1alpha1.RegionalDomainTarget{RegionID: "cn-shanghai"}}, international, "cn-shanghai",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &v1alpha1.CloudCertificateBinding{Spec: v1alpha1.CloudCertificateBindingSpec{Target: tc.target}}
			p := &reconciliation{place: placeOf(b), certificate: tc.certificate}
			if got := p.target().Region; got != tc.want {
				t.Errorf("region %q, want %q", got, tc.want)
			}
		})
	}
}
