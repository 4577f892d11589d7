// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

func (w *world) domain(d products.Domain) Target {
	w.t.Helper()
	d.Account = account
	w.check(w.cloud.AddDomain(d))
	return Target{Product: Product(d.Product), Region: d.Region, Domain: d.Name}
}

func TestARenewalReachesADomain(t *testing.T) {
	t.Parallel()
	for _, name := range []Product{CDN, DCDN, VOD} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{Edges: time.Minute, Unknowns: products.Unknowns{CertNameNeeded: true}})
			before, after := w.certificate("www.example.com"), w.certificateIn(international, "www.example.com")
			region := ""
			if name == VOD {
				region = shanghai
			}
			slot := w.domain(products.Domain{Product: string(name), Region: region, Name: "www.example.com", Certificate: before.Identifier()})
			state := w.read(slot)
			if diff := cmp.Diff("Default "+before.Identifier()+" Serving", inWords(state)); diff != "" {
				t.Fatal(diff)
			}
			w.check(w.place(slot, state, after))
			state = w.read(slot)
			if diff := cmp.Diff("Default "+after.Identifier()+" Serving", inWords(state)); diff != "" {
				t.Error(diff)
			}
			sent := len(w.server.Journal())
			w.check(w.place(slot, state, after))
			if n := len(w.server.Journal()); n != sent {
				t.Error("what is there was placed again")
			}
			w.clock.advance(time.Minute)
			if h, _ := w.cloud.Shake("www.example.com", "www.example.com"); h.CertIdentifier != after.Identifier() {
				t.Errorf("clients get %+v", h)
			}
		})
	}
}

func TestOneDomainForAllNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot := w.domain(products.Domain{Product: "cdn", Name: ".example.com", Certificate: w.certificate("*.example.com").Identifier()})
	after := w.certificate("*.example.com")
	w.check(w.place(slot, w.read(slot), after))
	if serves, _ := w.read(slot).Holds(slot, after); !serves {
		t.Error("it is not served")
	}
}

func TestWhatADomainHasIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	mine := w.certificate("www.example.com")
	for name, test := range map[string]struct {
		domain products.Domain
		want   string
	}{
		"no certificate":          {products.Domain{Name: "none.example.com"}, "off"},
		"HTTPS switched off":      {products.Domain{Name: "off.example.com", Certificate: mine.Identifier(), HTTPSOff: true}, "off"},
		"one that was uploaded":   {products.Domain{Name: "up.example.com", Certificate: "theirs", Type: "upload"}, "Default theirs Serving"},
		"one that costs nothing":  {products.Domain{Name: "free.example.com", Certificate: "free", Type: "free"}, "Default free Serving"},
		"one of the other region": {products.Domain{Name: "sg.example.com", Certificate: "77-ap-southeast-1"}, "Default 77-ap-southeast-1 Serving"},
	} {
		test.domain.Product = "cdn"
		state := w.read(w.domain(test.domain))
		if diff := cmp.Diff(test.want, inWords(state)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(state.Entries) == 1 && state.Entries[0].CertIdentifier == "" && state.Entries[0].CertID != 0 {
			t.Errorf("%s: a certificate that is none of CAS has the number %d", name, state.Entries[0].CertID)
		}
	}
}

func TestWhatADomainRefusesIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	mine := w.certificate("www.example.com")
	slot := w.domain(products.Domain{Product: "cdn", Name: "www.example.com", Certificate: mine.Identifier()})
	state := w.read(slot)
	wantClass(t, w.place(slot, state, w.certificate("www.example.net")), Refused)
	wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china, Name: "x"}), CertificateNotFound)
	sent := len(w.server.Journal())
	wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china, SM: true}), Refused)
	wantClass(t, w.remove(slot, state, state.Entries...), Refused)
	dark := w.domain(products.Domain{Product: "cdn", Name: "off.example.com", Certificate: mine.Identifier(), HTTPSOff: true})
	if n := len(w.server.Journal()); n != sent {
		t.Error("what can only fail was sent")
	}
	if e := wantClass(t, w.place(dark, w.read(dark), mine), Refused); !strings.Contains(e.Message, "HTTPS is switched off") {
		t.Errorf("%s", e.Message)
	}
	offline := w.domain(products.Domain{Product: "cdn", Name: "www.example.org", Certificate: mine.Identifier(), Offline: true})
	wantClass(t, w.place(offline, w.read(offline), w.certificate("www.example.org")), Refused)
	_, err := w.tryRead(Target{Product: CDN, Domain: "x.example.com"})
	wantClass(t, err, TargetNotFound)
	w.server.SetPolicy(keyID, []emulator.Statement{{Actions: []string{"cdn:DescribeDomainCertificateInfo"}, Resources: []string{"*"}}})
	if e := wantClass(t, w.place(slot, state, w.certificate("www.example.com")), Denied); e.Permission != "cdn:SetCdnDomainSSLCertificate" {
		t.Errorf("%+v", e)
	}
}

func TestALostAnswerOfADomainIsReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot := w.domain(products.Domain{Product: "dcdn", Name: "www.example.com", Certificate: w.certificate("www.example.com").Identifier()})
	after := w.certificate("www.example.com")
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "dcdn", Action: "SetDcdnDomainSSLCertificate", AfterCommit: true, Count: 1})
	if err := w.place(slot, w.read(slot), after); !alibaba.MayHaveHappened(err) {
		t.Fatalf("%v", err)
	}
	if serves, _ := w.read(slot).Holds(slot, after); !serves {
		t.Error("the read does not show it")
	}
}
