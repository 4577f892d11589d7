// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const host = "www.example.com"

// inSite makes one domain of each product that serves them in instances, with a certificate.
func (w *world) inSite() string {
	w.t.Helper()
	id := w.certificate(host)
	for _, d := range []Domain{
		{Product: "waf", Instance: "waf-1", Name: host},
		{Product: "waf", Instance: "waf-1", Name: "plain.example.com", HTTPSOff: true},
		{Product: "esa", Instance: "77", Name: "cert-1"},
		{Product: "ddos", Name: host},
		{Product: "mse", Instance: "gw-1", Name: host},
	} {
		d.Account, d.Region, d.Certificate = account, emulator.RegionChina, id
		w.check(w.cloud.AddDomain(d))
	}
	return id
}

func params(pairs ...string) map[string]string {
	p := map[string]string{}
	for n := 0; n < len(pairs); n += 2 {
		p[pairs[n]] = pairs[n+1]
	}
	return p
}

func TestWhatSitesRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	there := w.inSite()
	good, other, sm := w.certificate(host), w.certificate("www.example.net"), w.smCertificate(host)
	bare, _, _ := strings.Cut(good, "-")
	waf := func(pairs ...string) map[string]string {
		p := params("InstanceId", "waf-1", "Domain", host, "CertId", good)
		maps.Copy(p, params(pairs...))
		return p
	}
	esa := func(pairs ...string) map[string]string {
		p := params("SiteId", "77", "Id", "cert-1", "Type", "cas", "CasId", bare, "Region", "cn-hangzhou")
		maps.Copy(p, params(pairs...))
		return p
	}
	thereBare, _, _ := strings.Cut(there, "-")
	for name, test := range map[string]struct {
		product, action string
		parameters      map[string]string
		code            string
	}{
		"WAF: another instance":            {"waf", "ModifyDomainCert", waf("InstanceId", "waf-2"), "Waf.Pullin.DomainNotExist"},
		"WAF: a domain that is not there":  {"waf", "DescribeDomainDetail", params("InstanceId", "waf-1", "Domain", "x.example.com"), "Waf.Pullin.DomainNotExist"},
		"WAF: a domain without HTTPS":      {"waf", "ModifyDomainCert", waf("Domain", "plain.example.com"), "Waf.Pullin.MustListenHTTPS"},
		"WAF: a bare number":               {"waf", "ModifyDomainCert", waf("CertId", bare), "Waf.Pullin.CertNotExist"},
		"WAF: another domain's":            {"waf", "ModifyDomainCert", waf("CertId", other), "Waf.Pullin.CertNotExist"},
		"WAF: an SM certificate":           {"waf", "ModifyDomainCert", waf("CertId", sm), "Waf.Pullin.CertNotExist"},
		"WAF: the whole configuration":     {"waf", "ModifyDomain", waf(), "InvalidAction.NotFound"},
		"WAF: parameters of ModifyDomain":  {"waf", "ModifyDomainCert", waf("Listen", "{}"), "InvalidParameter"},
		"ESA: a full identifier":           {"esa", "SetCertificate", esa("CasId", good), "InvalidParameter"},
		"ESA: no region":                   {"esa", "SetCertificate", esa("Region", ""), "InvalidParameter"},
		"ESA: an upload":                   {"esa", "SetCertificate", esa("Type", "upload"), "InvalidParameter"},
		"ESA: one that is not in CAS":      {"esa", "SetCertificate", esa("CasId", "4711"), "Certificate.NotFound"},
		"ESA: one that is there":           {"esa", "SetCertificate", esa("CasId", thereBare), "Certificate.Duplicated"},
		"ESA: an id that is not there":     {"esa", "SetCertificate", esa("Id", "cert-9"), "Certificate.IdNotFound"},
		"ESA: a site that is not there":    {"esa", "ListCertificates", params("SiteId", "78"), "Site.NotFound"},
		"ESA: what may answer with a key":  {"esa", "GetCertificate", params("SiteId", "77", "Id", "cert-1"), "InvalidAction.NotFound"},
		"DDoS: a domain that is not there": {"ddos", "AssociateWebCert", params("Domain", "x.example.com", "CertIdentifier", good), "DomainNotExist"},
		"DDoS: a bare number":              {"ddos", "AssociateWebCert", params("Domain", host, "CertIdentifier", bare), "SslCertNotExist"},
		"DDoS: a key":                      {"ddos", "AssociateWebCert", params("Domain", host, "Key", "secret"), "InvalidParameter"},
		"DDoS: too large a page":           {"ddos", "DescribeWebRules", params("Domain", host, "PageSize", "50"), "InvalidParams"},
		"MSE: another gateway":             {"mse", "ListGatewayDomain", params("GatewayUniqueId", "gw-2"), "NotFound"},
		"MSE: a domain that is not there":  {"mse", "UpdateSSLCert", params("GatewayUniqueId", "gw-1", "DomainId", "9999", "CertIdentifier", good), "NotFound"},
	} {
		if r := w.call(test.product, "cn-hangzhou", test.action, test.parameters); r.code != test.code {
			t.Errorf("%s: status %d, code %q, want %q", name, r.status, r.code, test.code)
		}
	}
	if w.server.KeysSent() != 1 {
		t.Errorf("keys %d", w.server.KeysSent())
	}
	if r := w.call("waf", "ap-southeast-1", "DescribeDomainDetail", params("InstanceId", "waf-1", "Domain", host)); r.code != "Waf.Pullin.DomainNotExist" {
		t.Errorf("the other region: %+v", r)
	}
}

func TestSitesServeWhatTheyAreGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: time.Minute})
	before := w.inSite()
	after := w.certificate(host)
	number, region, _ := strings.Cut(after, "-")
	domainID := w.call("mse", "cn-hangzhou", "ListGatewayDomain", params("GatewayUniqueId", "gw-1", "DomainName", "www")).fields["Data"].([]any)[0].(map[string]any)["Id"].(float64)
	for _, call := range []struct {
		product, action string
		parameters      map[string]string
	}{
		{"waf", "ModifyDomainCert", params("InstanceId", "waf-1", "Domain", host, "CertId", after)},
		{"esa", "SetCertificate", params("SiteId", "77", "Id", "cert-1", "Type", "cas", "CasId", number, "Region", region)},
		{"ddos", "AssociateWebCert", params("Domain", host, "CertIdentifier", after)},
		{"mse", "UpdateSSLCert", params("GatewayUniqueId", "gw-1", "DomainId", fmt.Sprint(int64(domainID)), "CertIdentifier", after)},
	} {
		if r := w.call(call.product, "cn-hangzhou", call.action, call.parameters); r.status != http.StatusOK {
			t.Errorf("%s: %+v", call.product, r)
		}
		name := host
		if call.product == "esa" {
			name = "cert-1"
		}
		d := w.cloud.domains[domainKey{call.product, name}]
		if h := w.cloud.shakeDomain(d, host); h.CertIdentifier != before {
			t.Errorf("%s serves %s already", call.product, h.CertIdentifier)
		}
		w.clock.advance(time.Minute)
		if h := w.cloud.shakeDomain(d, host); h.CertIdentifier != after {
			t.Errorf("%s serves %s", call.product, h.CertIdentifier)
		}
	}
	if diff := cmp.Diff([]string{before, after}, w.cloud.Used(account)); diff != "" { // before is that of the domain without HTTPS
		t.Error(diff)
	}
}

func TestWAFForgetsSettingsThatAreNotSent(t *testing.T) {
	t.Parallel()
	for _, keeps := range []bool{false, true} {
		w := newWorld(t, Options{Unknowns: Unknowns{WAFKeepsTLS: keeps}})
		w.inSite()
		w.call("waf", "cn-hangzhou", "ModifyDomainCert", params("InstanceId", "waf-1", "Domain", host, "CertId", w.certificate(host)))
		listen := w.call("waf", "cn-hangzhou", "DescribeDomainDetail", params("InstanceId", "waf-1", "Domain", host)).fields["Listen"].(map[string]any)
		if kept := listen["TLSVersion"] == "tlsv1.2" && len(listen["CustomCiphers"].([]any)) == 2; kept != keeps {
			t.Errorf("keeps %v: %v", keeps, listen)
		}
	}
}

func TestESAHasAQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.inSite()
	another := func() result {
		number, region, _ := strings.Cut(w.certificate(host), "-")
		return w.call("esa", "cn-hangzhou", "SetCertificate", params("SiteId", "77", "Type", "cas", "CasId", number, "Region", region))
	}
	if r := another(); r.status != http.StatusOK {
		t.Errorf("%+v", r)
	}
	if r := another(); r.code != "CertQuotaCheckFailed" {
		t.Errorf("%+v", r)
	}
}

func TestOneChangeAtATimeOfAnAccelerator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Configuring: time.Minute})
	first, second, standard := w.certificate("a.example.com"), w.certificate("a.example.com"), w.certificate("default.example.com")
	w.check(w.cloud.AddAcceleratorListener(AcceleratorListener{
		ID: "lsr-1", Accelerator: "ga-1", Account: account, Default: standard, Domains: map[string]string{"a.example.com": first},
	}))
	w.check(w.cloud.AddAcceleratorListener(AcceleratorListener{ID: "lsr-2", Accelerator: "ga-1", Account: account, Default: standard}))
	w.check(w.cloud.AddAcceleratorListener(AcceleratorListener{ID: "lsr-http", Accelerator: "ga-2", Account: account, HTTP: true}))
	on := func(pairs ...string) map[string]string {
		p := params("AcceleratorId", "ga-1", "ListenerId", "lsr-1")
		maps.Copy(p, params(pairs...))
		return p
	}
	ga := func(action string, p map[string]string) result { return w.call("ga", "cn-hangzhou", action, p) }
	replace := on("Domain", "a.example.com", "CertificateId", second, "ClientToken", "one")
	if r := ga("UpdateAdditionalCertificateWithListener", replace); r.status != http.StatusOK {
		t.Fatalf("%+v", r)
	}
	if r := ga("UpdateAdditionalCertificateWithListener", replace); r.status != http.StatusOK {
		t.Errorf("the same token: %+v", r)
	}
	if r := ga("UpdateListener", params("ListenerId", "lsr-2", "Certificates.1.Id", second)); r.code != "StateError.Accelerator" {
		t.Errorf("another listener: %+v", r)
	}
	if r := ga("DescribeListener", params("ListenerId", "lsr-1")); r.fields["State"] != "updating" || w.served("lsr-1", "a.example.com") != first {
		t.Errorf("%+v", r)
	}
	w.clock.advance(time.Minute)
	if a, b := w.served("lsr-1", "a.example.com"), w.served("lsr-1", "x.example.com"); a != second || b != standard {
		t.Errorf("served %s and %s", a, b)
	}
	r := ga("ListListenerCertificates", on())
	if len(r.fields["Certificates"].([]any)) != 2 || r.fields["TotalCount"] != 2.0 {
		t.Errorf("%+v", r.fields)
	}
	for name, test := range map[string]struct {
		action     string
		parameters map[string]string
		code       string
	}{
		"a domain that has none":       {"UpdateAdditionalCertificateWithListener", on("Domain", "b.example.com", "CertificateId", second), "NotExist.Domain"},
		"a domain that has one":        {"AssociateAdditionalCertificatesWithListener", on("Certificates.1.Id", second, "Certificates.1.Domain", "a.example.com"), "Exist.Domain"},
		"no domain":                    {"AssociateAdditionalCertificatesWithListener", on("Certificates.1.Id", second), "IllegalParameter.Certificates"},
		"one that is not in CAS":       {"UpdateListener", params("ListenerId", "lsr-1", "Certificates.1.Id", "4711-cn-hangzhou"), "NotExist.Certificate"},
		"an SM certificate":            {"UpdateListener", params("ListenerId", "lsr-1", "Certificates.1.Id", w.smCertificate("a.example.com")), "NotSupport.Certificate"},
		"a trial":                      {"UpdateAdditionalCertificateWithListener", on("Domain", "a.example.com", "CertificateId", first, "DryRun", "true"), "DryRunOperation"},
		"a listener without TLS":       {"UpdateListener", params("ListenerId", "lsr-http", "Certificates.1.Id", second), "NotSupport.Protocol"},
		"a listener that is not there": {"DescribeListener", params("ListenerId", "lsr-9"), "NotExist.Listener"},
		"another accelerator's":        {"ListListenerCertificates", on("AcceleratorId", "ga-2"), "NotExist.Listener"},
	} {
		if r := ga(test.action, test.parameters); r.code != test.code {
			t.Errorf("%s: %+v", name, r)
		}
	}
	w.server.SetPolicy(keyID, []emulator.Statement{{Actions: []string{"ga:*"}, Resources: []string{"acs:ga:*:*:listener/lsr-1"}}})
	if r := ga("DescribeListener", params("ListenerId", "lsr-2")); r.status != http.StatusForbidden {
		t.Errorf("%+v", r)
	}
}
