// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// classic makes the listener lb-1:443 with a default and one domain, and returns both.
func (w *world) classic(shared bool) (standard, extended string) {
	w.t.Helper()
	standard, extended = w.certificate("default.example.com"), w.certificate("a.example.com")
	w.check(w.cloud.AddClassicListener(ClassicListener{
		LoadBalancer: "lb-1", Account: account, Region: shanghai, Port: 443, Default: standard, Shared: shared,
		Domains: map[string]string{"a.example.com": extended},
	}))
	return standard, extended
}

// importOf is a call that imports a certificate. Its name is that of its number in the test.
func importOf(identifier, name string) map[string]string {
	number, region, _ := strings.Cut(identifier, "-")
	return map[string]string{"AliCloudCertificateId": number, "AliCloudCertificateRegionId": region, "AliCloudCertificateName": name}
}

func TestCLBServesCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: time.Minute})
	standard, extended := w.classic(false)
	after := w.certificate("a.example.com")
	r := w.call("clb", shanghai, "UploadServerCertificate", importOf(after, fmt.Sprintf("certificate_%d", w.names)))
	copied, _ := r.fields["ServerCertificateId"].(string)
	if r.status != http.StatusOK || copied == "" || copied == after {
		t.Fatalf("%+v", r)
	}
	on := map[string]string{"LoadBalancerId": "lb-1", "ListenerPort": "443"}
	r = w.call("clb", shanghai, "DescribeDomainExtensions", on)
	entry := r.fields["DomainExtensions"].(map[string]any)["DomainExtension"].([]any)[0].(map[string]any)
	set := map[string]string{"DomainExtensionId": entry["DomainExtensionId"].(string), "ServerCertificateId": copied}
	if r := w.call("clb", shanghai, "SetDomainExtensionAttribute", set); r.status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	if got := w.served("lb-1:443", "a.example.com"); got != extended {
		t.Errorf("served %s while it is configured", got)
	}
	if r := w.call("clb", shanghai, "SetDomainExtensionAttribute", set); r.code != "ServiceIsConfiguring" {
		t.Errorf("%+v", r)
	}
	if r := w.call("clb", shanghai, "DeleteServerCertificate", map[string]string{"ServerCertificateId": copied}); r.code != "CertificateAndPrivateKeyIsRefered" {
		t.Errorf("%+v", r)
	}
	w.clock.advance(time.Minute)
	if a, b := w.served("lb-1:443", "a.example.com"), w.served("lb-1:443", "x.example.com"); a != after || b != standard {
		t.Errorf("served %s and %s", a, b)
	}
	old := entry["ServerCertificateId"].(string)
	if r := w.call("clb", shanghai, "DeleteServerCertificate", map[string]string{"ServerCertificateId": old}); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	if r := w.call("clb", shanghai, "DeleteServerCertificate", map[string]string{"ServerCertificateId": old}); r.code != "ServerCertificateId.NotFound" {
		t.Errorf("%+v", r)
	}
	want := []string{standard, after}
	if diff := cmp.Diff(want, w.cloud.Stored(account, shanghai)); diff != "" {
		t.Error(diff)
	}
	number, _, _ := strings.Cut(after, "-")
	w.casDelete(number)
	if got := w.served("lb-1:443", "a.example.com"); got != after {
		t.Errorf("served %s: a copy outlives its certificate in CAS", got)
	}
}

func TestWhatCLBRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	standard, _ := w.classic(true)
	on := func(more ...string) map[string]string {
		p := map[string]string{"LoadBalancerId": "lb-1", "ListenerPort": "443"}
		for n := 0; n < len(more); n += 2 {
			p[more[n]] = more[n+1]
		}
		return p
	}
	number, _, _ := strings.Cut(standard, "-")
	copied := w.call("clb", shanghai, "DescribeLoadBalancerHTTPSListenerAttribute", on()).fields["ServerCertificateId"].(string)
	for name, test := range map[string]struct {
		action     string
		parameters map[string]string
		code       string
	}{
		"the region of the load balancer for that of CAS": {"UploadServerCertificate", importOf(number+"-"+shanghai, "certificate_1"), "MissingParameter"},
		"a certificate under another name":                {"UploadServerCertificate", importOf(standard, "other"), "MissingParameter"},
		"a full identifier for a number":                  {"UploadServerCertificate", map[string]string{"AliCloudCertificateId": standard, "AliCloudCertificateName": "certificate_1"}, "InvalidParameter"},
		"a key":                                           {"UploadServerCertificate", map[string]string{"PrivateKey": "secret"}, "InvalidParameter"},
		"an id of CAS for one of the store":               {"SetLoadBalancerHTTPSListenerAttribute", on("ServerCertificateId", standard), "InvalidParameter"},
		"a copy that is not there":                        {"SetLoadBalancerHTTPSListenerAttribute", on("ServerCertificateId", "x-emu1"), "ServerCertificateId.NotFound"},
		"a listener that is not there":                    {"DescribeLoadBalancerHTTPSListenerAttribute", on("ListenerPort", "80"), "ListenerNotFound"},
		"a load balancer that is not there":               {"DescribeLoadBalancerAttribute", map[string]string{"LoadBalancerId": "lb-9"}, "InvalidLoadBalancerId.NotFound"},
		"an extension that is not there":                  {"SetDomainExtensionAttribute", map[string]string{"DomainExtensionId": "de-9", "ServerCertificateId": copied}, "InvalidParameter.DomainExtensionId"},
		"an extension that is there":                      {"CreateDomainExtension", on("Domain", "a.example.com", "ServerCertificateId", copied), "DomainExtensionAlreadyExist"},
		"an extension of a shared instance":               {"CreateDomainExtension", on("Domain", "b.example.com", "ServerCertificateId", copied), "OperationUnsupported.SharedInstance"},
		"other attributes of the listener":                {"SetLoadBalancerHTTPSListenerAttribute", on("Bandwidth", "5"), "InvalidParameter"},
	} {
		if r := w.call("clb", shanghai, test.action, test.parameters); r.code != test.code {
			t.Errorf("%s: status %d, code %q, want %q", name, r.status, r.code, test.code)
		}
	}
	if w.server.KeysSent() != 1 {
		t.Errorf("keys %d", w.server.KeysSent())
	}
}

func TestTheStoreOfCLBIsLimited(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		w := newWorld(t, Options{Unknowns: Unknowns{CLBImportsOnce: once}})
		id := w.certificate("a.example.com")
		want := ""
		for n := range 100 {
			r := w.call("clb", shanghai, "UploadServerCertificate", importOf(id, "certificate_1"))
			if r.status != http.StatusOK {
				t.Fatalf("%d: %+v", n, r)
			}
		}
		if !once {
			want = "QuotaExceeded.ServerCertificate"
		}
		if r := w.call("clb", shanghai, "UploadServerCertificate", importOf(id, "certificate_1")); r.code != want {
			t.Errorf("once %v: %+v", once, r)
		}
		if n := len(w.cloud.Stored(account, shanghai)); n != map[bool]int{true: 1, false: 100}[once] {
			t.Errorf("once %v: %d copies", once, n)
		}
	}
}

func TestPermissionsOfCLB(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.classic(false)
	w.server.SetPolicy(keyID, []emulator.Statement{
		{Actions: []string{"slb:DescribeServerCertificates"}, Resources: []string{"*"}},
		{Actions: []string{"slb:*"}, Resources: []string{"acs:slb:*:*:loadbalancer/lb-1"}},
	})
	on := map[string]string{"LoadBalancerId": "lb-1", "ListenerPort": "443"}
	r := w.call("clb", shanghai, "DescribeDomainExtensions", on)
	if r.status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	entry := r.fields["DomainExtensions"].(map[string]any)["DomainExtension"].([]any)[0].(map[string]any)
	set := map[string]string{"DomainExtensionId": entry["DomainExtensionId"].(string), "ServerCertificateId": entry["ServerCertificateId"].(string)}
	if r := w.call("clb", shanghai, "SetDomainExtensionAttribute", set); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	if r := w.call("clb", shanghai, "DescribeServerCertificates", nil); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	if r := w.call("clb", shanghai, "DeleteServerCertificate", map[string]string{"ServerCertificateId": "x-emu1"}); r.status != http.StatusForbidden {
		t.Errorf("%+v", r)
	}
	on["LoadBalancerId"] = "lb-2"
	if r := w.call("clb", shanghai, "DescribeDomainExtensions", on); r.status != http.StatusForbidden {
		t.Errorf("%+v", r)
	}
}
