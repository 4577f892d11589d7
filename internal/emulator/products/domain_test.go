// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"crypto/rand"
	"crypto/x509"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// setOf is a call that gives a domain a certificate.
func setOf(domain, identifier string, change map[string]string) map[string]string {
	number, region, _ := strings.Cut(identifier, "-")
	p := map[string]string{"DomainName": domain, "SSLProtocol": "on", "CertType": "cas", "CertId": number, "CertRegion": region}
	maps.Copy(p, change)
	return p
}

func info(r result) map[string]any {
	infos, _ := r.fields["CertInfos"].(map[string]any)
	list, _ := infos["CertInfo"].([]any)
	if len(list) != 1 {
		return nil
	}
	return list[0].(map[string]any)
}

func TestADomainGetsACertificate(t *testing.T) {
	t.Parallel()
	for name, n := range networks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{Edges: 2 * time.Minute})
			before, after := w.certificate("www.example.com"), w.certificate("*.example.com")
			region := "cn-hangzhou"
			if len(n.regions) > 0 {
				region = n.regions[0]
			}
			w.check(w.cloud.AddDomain(Domain{Product: name, Name: "www.example.com", Account: account, Region: region, Certificate: before}))
			if r := w.call(name, region, n.set, setOf("www.example.com", after, nil)); r.status != http.StatusOK {
				t.Fatalf("%+v", r)
			}
			is := info(w.call(name, region, n.read, map[string]string{"DomainName": "www.example.com"}))
			if is["CertId"].(string)+"-"+is["CertRegion"].(string) != after || is["ServerCertificateStatus"] != "on" || is["CertType"] != "cas" {
				t.Errorf("%v", is)
			}
			if got := w.served("www.example.com", "www.example.com"); got != before {
				t.Errorf("the edges serve %s already", got)
			}
			w.clock.advance(2 * time.Minute)
			if got := w.served("www.example.com", "www.example.com"); got != after {
				t.Errorf("the edges serve %s", got)
			}
		})
	}
}

func TestWhatADomainRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Unknowns: Unknowns{CertNameNeeded: true}})
	good, other := w.certificate("www.example.com"), w.certificate("www.example.net")
	old := leaf("www.example.com")
	old.NotAfter = epoch.Add(-time.Minute)
	expired := w.put(emulator.RegionChina, must(x509.CreateCertificate(rand.Reader, old, old, &ecKey().PublicKey, ecKey())))
	sm := w.smCertificate("www.example.com")
	for _, d := range []Domain{{Name: "www.example.com"}, {Name: "off.example.com", Offline: true}, {Name: ".example.com"}} {
		d.Product, d.Account = "cdn", account
		w.check(w.cloud.AddDomain(d))
	}
	named := func(more ...string) map[string]string {
		p := map[string]string{}
		for n := 0; n < len(more); n += 2 {
			p[more[n]] = more[n+1]
		}
		return p
	}
	tests := map[string]struct {
		domain, id string
		change     map[string]string
		code       string
	}{
		"a domain that is not there": {domain: "x.example.com", id: good, code: "InvalidDomain.NotFound"},
		"a domain that is offline":   {domain: "off.example.com", id: good, code: "InvalidDomain.notOnline"},
		"one that is not in CAS":     {id: "4711-cn-hangzhou", change: named("CertName", "x"), code: "Certificate.NotFind"},
		"one of the other region":    {id: strings.Replace(good, "cn-hangzhou", "ap-southeast-1", 1), change: named("CertName", "x"), code: "Certificate.NotFind"},
		"a region that is none":      {id: good, change: named("CertRegion", "cn-shanghai"), code: "Abs.CertRegion.ValueNotSupported"},
		"another domain's":           {id: other, change: named("CertName", "certificate_2"), code: "Certificate.MissMatch"},
		"an expired one":             {id: expired, change: named("CertName", "certificate_3"), code: "Certificate.Expired"},
		"an SM certificate":          {id: sm, change: named("CertName", "certificate_4"), code: "Certificate.FormatError"},
		"one without its name":       {id: good, code: "CertName.MissingParameter"},
		"one under another name":     {id: good, change: named("CertName", "x"), code: "SetDomainCertificate.ParameterError"},
		"an identifier for a number": {id: good, change: named("CertId", good, "CertName", "x"), code: "SetDomainCertificate.ParameterError"},
		"HTTPS switched off":         {id: good, change: named("SSLProtocol", "off"), code: "InvalidSSLProtocol.ValueNotSupported"},
		"an upload":                  {id: good, change: named("CertType", "upload"), code: "SSLPub.MissingParameter"},
		"a key":                      {id: good, change: named("SSLPri", "secret"), code: "InvalidParameter"},
		"DCDN's parameter":           {id: good, change: named("Env", "staging"), code: "InvalidParameter"},
		"one name for all":           {domain: ".example.com", id: good, change: named("CertName", "certificate_1"), code: "Certificate.MissMatch"},
		"what is right":              {id: good, change: named("CertName", "certificate_1")},
		"what is right, once more":   {id: good, change: named("CertName", "certificate_1")},
	}
	for name, test := range tests {
		domain := "www.example.com"
		if test.domain != "" {
			domain = test.domain
		}
		if r := w.call("cdn", "cn-hangzhou", "SetCdnDomainSSLCertificate", setOf(domain, test.id, test.change)); r.code != test.code {
			t.Errorf("%s: status %d, code %q, want %q", name, r.status, r.code, test.code)
		}
	}
	if w.server.KeysSent() != 1 {
		t.Errorf("keys %d", w.server.KeysSent())
	}
}

func TestADomainWithoutHTTPSServesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	id := w.certificate("www.example.com")
	w.check(w.cloud.AddDomain(Domain{Product: "cdn", Name: "www.example.com", Account: account, Certificate: id, HTTPSOff: true}))
	w.check(w.cloud.AddDomain(Domain{Product: "dcdn", Name: "up.example.com", Account: account, Certificate: "mine", Type: "upload"}))
	if is := info(w.call("cdn", "cn-hangzhou", "DescribeDomainCertificateInfo", map[string]string{"DomainName": "www.example.com"})); is["ServerCertificateStatus"] != "off" {
		t.Errorf("%v", is)
	}
	if is := info(w.call("dcdn", "cn-hangzhou", "DescribeDcdnDomainCertificateInfo", map[string]string{"DomainName": "up.example.com"})); is["CertType"] != "upload" || is["CertId"] != "" || is["CertName"] != "mine" {
		t.Errorf("%v", is)
	}
	if got := w.served("www.example.com", "www.example.com"); got != "" {
		t.Errorf("served %s", got)
	}
}
