// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

const host = "www.example.com"

// siteOfProduct describes a domain of a product that serves them in instances, and its target.
func siteOfProduct(name Product) (products.Domain, Target) {
	d := products.Domain{Product: string(name), Account: account, Region: china, Name: host}
	t := Target{Product: name, Region: china, Domain: host}
	switch name {
	case WAF:
		d.Instance, t.Resource = "waf-1", "waf-1"
	case MSE:
		d.Instance, t.Resource = "gw-1", "gw-1"
	case ESA:
		d.Instance, d.Name, t = "77", "cert-1", Target{Product: ESA, Region: china, Resource: "77", Part: "cert-1"}
	}
	return d, t
}

func TestARenewalReachesWhatServesDomains(t *testing.T) {
	t.Parallel()
	for _, name := range []Product{WAF, ESA, DDoS, MSE} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{Edges: time.Minute})
			before, after := w.certificate(host), w.certificate(host)
			d, slot := siteOfProduct(name)
			d.Certificate = before.Identifier()
			w.check(w.cloud.AddDomain(d))
			state := w.read(slot)
			if diff := cmp.Diff("Default "+before.Identifier()+" Serving", inWords(state)); diff != "" {
				t.Fatal(diff)
			}
			w.check(w.place(slot, state, after))
			state = w.read(slot)
			if serves, _ := state.Holds(slot, after); !serves || len(state.Entries) != 1 {
				t.Errorf("%s", inWords(state))
			}
			sent := len(w.server.Journal())
			w.check(w.place(slot, state, after))
			wantClass(t, w.remove(slot, state, state.Entries...), Refused)
			wantClass(t, w.place(slot, state, Certificate{CertID: 1, Region: china, SM: true}), Refused)
			if len(w.server.Journal()) != sent {
				t.Error("what is there was placed again, or what can only fail was sent")
			}
			owner, err := w.adapter(name).Owner(t.Context(), slot, state)
			if w.check(err); owner != (Owner{}) {
				t.Errorf("%+v", owner)
			}
			w.clock.advance(time.Minute)
			if got := w.served(d.Name, host); got != after.Identifier() {
				t.Errorf("clients get %s", got)
			}
		})
	}
}

func TestWhatServesDomainsIsToldApart(t *testing.T) {
	t.Parallel()
	for _, name := range []Product{WAF, ESA, DDoS, MSE} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{})
			d, slot := siteOfProduct(name)
			d.Certificate = w.certificate(host).Identifier()
			w.check(w.cloud.AddDomain(d))
			missing := slot
			missing.Domain, missing.Part = "x.example.com", "cert-9"
			_, err := w.tryRead(missing)
			wantClass(t, err, TargetNotFound)
			if name != DDoS {
				missing = slot
				missing.Resource = "elsewhere"
				_, err = w.tryRead(missing)
				wantClass(t, err, TargetNotFound)
			}
			state := w.read(slot)
			want := CertificateNotFound
			if name == MSE {
				want = Refused
			}
			wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china, Name: "x"}), want)

			w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: string(name), AfterCommit: true, Count: 1})
			after := w.certificate(host)
			if err := w.place(slot, state, after); !alibaba.MayHaveHappened(err) {
				t.Fatalf("%v", err)
			}
			if serves, _ := w.read(slot).Holds(slot, after); !serves {
				t.Error("the read does not show what was done before the answer was lost")
			}
			if name == ESA {
				return
			}
			d.HTTPSOff = true
			w.check(w.cloud.AddDomain(d))
			dark := w.read(slot)
			if e := wantClass(t, w.place(slot, dark, after), Refused); !strings.Contains(e.Message, "HTTPS") {
				t.Errorf("%s", e.Message)
			}
		})
	}
}

func TestWAFKeepsItsSettings(t *testing.T) {
	t.Parallel()
	for _, bare := range []bool{false, true} {
		w := newWorld(t, products.Options{Configuring: time.Minute, Unknowns: products.Unknowns{WAFBareIDs: bare}})
		d, slot := siteOfProduct(WAF)
		d.Certificate = w.certificate(host).Identifier()
		w.check(w.cloud.AddDomain(d))
		before := w.read(slot)
		after := w.certificate(host)
		w.check(w.place(slot, before, after))
		state := w.read(slot)
		if e := wantClass(t, w.place(slot, state, w.certificate(host)), Progressing); !state.Busy || e.RetryAfter <= 0 {
			t.Errorf("%+v", e)
		}
		was, is := before.Kept.(wafListen), state.Kept.(wafListen)
		was.CertID, is.CertID = "", ""
		if diff := cmp.Diff(was, is); diff != "" || len(is.CustomCiphers) != 2 {
			t.Errorf("bare %v: settings changed: %s", bare, diff)
		}
		if serves, _ := state.Holds(slot, after); !serves {
			t.Errorf("bare %v: %s", bare, inWords(state))
		}
		wantClass(t, w.place(slot, before, w.certificate(host)), Progressing) // by the word of WAF
		unread := State{}
		if err := w.place(slot, unread, w.certificate(host)); err == nil {
			t.Error("a domain that was not read lost its settings")
		}
	}
}

func TestESAReplacesInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Unknowns: products.Unknowns{ESAWithoutRegion: true}})
	d, slot := siteOfProduct(ESA)
	for _, name := range []string{"cert-1", "cert-2"} { // the quota of the free plan is full
		d.Name, d.Certificate = name, w.certificate(host).Identifier()
		w.check(w.cloud.AddDomain(d))
	}
	after := w.certificate(host)
	w.check(w.place(slot, w.read(slot), after))
	state := w.read(slot)
	if serves, _ := state.Holds(slot, after); !serves || state.Entries[0].ProviderID != "cert-1" {
		t.Error(inWords(state))
	}
	if err := w.place(slot, State{}, w.certificate(host)); err == nil {
		t.Error("a certificate of no id was made")
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultFail, Product: "esa", Action: "SetCertificate", Code: "CertQuotaCheckFailed", Status: 400, Count: 1})
	full := wantClass(t, w.place(slot, state, w.certificate(host)), QuotaExceeded)
	if want := "site 77 of ESA has 2 certificates and no room"; full.Limit != 2 || !strings.Contains(full.Message, want) {
		t.Errorf("limit %d, %s", full.Limit, full.Message)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Product: "esa", Size: 2})
	if _, err := w.tryRead(slot); classOf(err) != Transient {
		t.Errorf("a list that is cut short: %v", err)
	}
}

func TestESAReadsAllPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	d, slot := siteOfProduct(ESA)
	mine := w.certificate(host)
	for n := range 150 {
		d.Name, d.Certificate = fmt.Sprintf("cert-%03d", n), mine.Identifier()
		w.check(w.cloud.AddDomain(d))
	}
	slot.Part = "cert-149"
	if serves, _ := w.read(slot).Holds(slot, mine); !serves || w.calls("ListCertificates") != 2 {
		t.Errorf("%d calls", w.calls("ListCertificates"))
	}
}

func TestAForeignCertificateOfAntiDDoSIsForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	d, slot := siteOfProduct(DDoS)
	d.Certificate, d.Type = "theirs", "upload"
	w.check(w.cloud.AddDomain(d))
	if diff := cmp.Diff("Default theirs Serving", inWords(w.read(slot))); diff != "" {
		t.Error(diff)
	}
}

func gaSlot(domain string) Target {
	return Target{Product: GA, Resource: "ga-1", Part: "lsr-1", Domain: domain}
}

func TestARenewalReachesGA(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"", "a.example.com", "new.example.com"} {
		t.Run("the domain "+domain, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{Configuring: 5 * time.Second})
			standard, additional, after := w.certificate("default.example.com"), w.certificate("a.example.com"), w.certificate(host)
			w.check(w.cloud.AddAcceleratorListener(products.AcceleratorListener{
				ID: "lsr-1", Accelerator: "ga-1", Account: account, Default: standard.Identifier(), Domains: map[string]string{"a.example.com": additional.Identifier()},
			}))
			slot := gaSlot(domain)
			state := w.read(slot)
			if diff := cmp.Diff("Default "+standard.Identifier()+" Serving, Default "+additional.Identifier()+" Serving", inWords(state)); diff != "" {
				t.Fatal(diff)
			}
			w.check(w.place(slot, state, after))
			w.check(w.placeAgain(slot, state, after)) // the token is replayed
			wantClass(t, w.place(slot, state, w.certificate(host)), Progressing)
			busy := w.read(slot)
			if !busy.Busy {
				t.Error(inWords(busy))
			}
			w.clock.advance(5 * time.Second)
			if serves, _ := w.read(slot).Holds(slot, after); !serves {
				t.Error(inWords(w.read(slot)))
			}
		})
	}
}

func TestWhatGARefusesIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	full := map[string]string{}
	for n := range 25 {
		full[fmt.Sprintf("h%d.example.com", n)] = w.certificate(host).Identifier()
	}
	w.check(w.cloud.AddAcceleratorListener(products.AcceleratorListener{
		ID: "lsr-1", Accelerator: "ga-1", Account: account, Default: w.certificate(host).Identifier(), Domains: full,
	}))
	w.check(w.cloud.AddAcceleratorListener(products.AcceleratorListener{ID: "lsr-http", Accelerator: "ga-1", Account: account, HTTP: true}))
	slot := gaSlot("new.example.com")
	state := w.read(slot)
	if e := wantClass(t, w.place(slot, state, w.certificate(host)), QuotaExceeded); e.Limit != 25 || !strings.Contains(e.Message, "listener lsr-1 of accelerator ga-1 has 25 additional certificates and no room") {
		t.Errorf("limit %d, %s", e.Limit, e.Message)
	}
	wantClass(t, w.place(gaSlot(""), state, Certificate{CertID: 4711, Region: china}), CertificateNotFound)
	wantClass(t, w.remove(slot, state, state.Entries...), Refused)
	http := gaSlot("")
	http.Part = "lsr-http"
	wantClass(t, w.place(http, w.read(http), w.certificate(host)), Refused)
	missing := gaSlot("")
	missing.Part = "lsr-9"
	_, err := w.tryRead(missing)
	wantClass(t, err, TargetNotFound)
	w.server.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Product: "ga"})
	state = w.read(slot)
	if err := w.place(slot, state, w.certificate(host)); state.Incomplete == "" || classOf(err) != Transient {
		t.Errorf("%s, %v", state.Incomplete, err)
	}
}
