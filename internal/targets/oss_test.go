// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// bucket makes the domain of a bucket.
func (w *world) bucket(d products.Domain) Target {
	w.t.Helper()
	d.Product, d.Instance, d.Region, d.Account = "oss", "shop", shanghai, account
	w.check(w.cloud.AddDomain(d))
	return Target{Product: OSS, Region: shanghai, Resource: "shop", Domain: d.Name}
}

func TestARenewalReachesABucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Edges: time.Minute})
	before, after := w.certificate(host), w.certificateIn(international, host)
	neighbour := w.bucket(products.Domain{Name: "other.example.com", Certificate: "4711-cn-hangzhou"})
	slot := w.bucket(products.Domain{Name: host, Certificate: before.Identifier()})
	state := w.read(slot)
	if diff := cmp.Diff("Default "+before.Identifier()+" Serving", inWords(state)); diff != "" {
		t.Fatal(diff)
	}
	w.check(w.place(slot, state, after))
	state = w.read(slot)
	if diff := cmp.Diff("Default "+after.Identifier()+" Serving", inWords(state)); diff != "" {
		t.Fatal(diff)
	}
	sent := len(w.server.Journal())
	w.check(w.place(slot, state, after))
	wantClass(t, w.remove(slot, state, state.Entries...), Refused)
	wantClass(t, w.place(slot, state, Certificate{CertID: 1, Region: china, SM: true}), Refused)
	if len(w.server.Journal()) != sent {
		t.Error("what is there was placed again, or what can only fail was sent")
	}
	if diff := cmp.Diff("Default 4711-cn-hangzhou Serving", inWords(w.read(neighbour))); diff != "" {
		t.Error(diff)
	}
	w.clock.advance(time.Minute)
	if h, _ := w.cloud.Shake(host, host); h.CertIdentifier != after.Identifier() {
		t.Errorf("clients get %+v", h)
	}
}

// TestABucketsCertificateIsReplacedAsItWasRead: what somebody else has put in since then stays.
func TestABucketsCertificateIsReplacedAsItWasRead(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", "PreviousCertIdMismatch"} {
		w := newWorld(t, products.Options{Unknowns: products.Unknowns{OSSStaleCode: code}})
		before, theirs, after := w.certificate(host), w.certificate(host), w.certificate(host)
		slot := w.bucket(products.Domain{Name: host, Certificate: before.Identifier()})
		state := w.read(slot)
		w.check(w.cloud.PutDomain("oss", host, theirs.Identifier()))
		wantClass(t, w.place(slot, state, after), Transient)
		if diff := cmp.Diff("Default "+theirs.Identifier()+" Serving", inWords(w.read(slot))); diff != "" {
			t.Errorf("code %q: %s", code, diff)
		}
	}
}

// TestWhatABucketDoesNotTakeIsNoRace: only a comparison that has failed is worth another read at once.
func TestWhatABucketDoesNotTakeIsNoRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot := w.bucket(products.Domain{Name: host, Certificate: w.certificate(host).Identifier()})
	state := w.read(slot)
	w.server.Inject(emulator.Fault{Kind: emulator.FaultFail, Product: "oss", Action: "PutCname", Code: "InvalidArgument", Count: 1})
	wantClass(t, w.place(slot, state, w.certificate(host)), Refused)
}

func TestABucketsFirstCertificateIsNotForced(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		w := newWorld(t, products.Options{Unknowns: products.Unknowns{OSSFirstWithoutForce: taken}})
		first := w.certificate(host)
		slot := w.bucket(products.Domain{Name: host})
		err := w.place(slot, w.read(slot), first)
		if taken {
			w.check(err)
		} else if e := wantClass(t, err, Refused); !strings.Contains(e.Message, "give it any that fits in the console") {
			t.Errorf("message %q", e.Message)
		}
		if serves, _ := w.read(slot).Holds(slot, first); serves != taken {
			t.Errorf("it is served: %t, want %t", serves, taken)
		}
	}
}

func TestWhatABucketsDomainHasIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	mine := w.certificate(host).Identifier()
	for name, tc := range map[string]struct {
		domain products.Domain
		want   string
	}{
		"no certificate":                {products.Domain{Name: "none.example.com"}, ""},
		"one of CAS":                    {products.Domain{Name: "cas.example.com", Certificate: mine}, "Default " + mine + " Serving"},
		"one that was uploaded":         {products.Domain{Name: "up.example.com", Certificate: "theirs", Type: "upload"}, "Default theirs Serving"},
		"a certificate that is off":     {products.Domain{Name: "off.example.com", Certificate: mine, HTTPSOff: true}, "off"},
		"a domain that is switched off": {products.Domain{Name: "away.example.com", Certificate: mine, Offline: true}, "off"},
	} {
		if diff := cmp.Diff(tc.want, inWords(w.read(w.bucket(tc.domain)))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	uploaded := ossDomain{Domain: host}
	uploaded.Certificate.Type = "Upload"
	if state := uploaded.state(Target{Product: OSS, Domain: host}); state.Off == "" || len(state.Entries) != 0 {
		t.Errorf("an uploaded one without an id: %s", inWords(state))
	}
}

// TestAWildcardOfABucketIsAnotherDomain: it is written without what makes it one.
func TestAWildcardOfABucketIsAnotherDomain(t *testing.T) {
	t.Parallel()
	list := ossDomains{Cname: []ossDomain{{Domain: host, IsWildCard: "true", Status: "Disabled"}, {Domain: "WWW.example.com", Status: "Enabled"}}}
	if d, ok := list.find(host); !ok || d.Status != "Enabled" {
		t.Errorf("found %+v", d)
	}
	list.Cname = list.Cname[:1]
	for _, domain := range []string{host, "*." + host} {
		if d, ok := list.find(domain); ok {
			t.Errorf("%s: found %+v", domain, d)
		}
	}
}

func TestWhatABucketRefusesIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	mine := w.certificate(host)
	slot := w.bucket(products.Domain{Name: host, Certificate: mine.Identifier()})
	state := w.read(slot)
	wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china, Name: "x"}), CertificateNotFound)
	for name, absent := range map[string]Target{
		"another domain": {Product: OSS, Region: shanghai, Resource: "shop", Domain: "x.example.com"},
		"another bucket": {Product: OSS, Region: shanghai, Resource: "depot", Domain: host},
		"another region": {Product: OSS, Region: "cn-beijing", Resource: "shop", Domain: host},
	} {
		if _, err := w.tryRead(absent); classOf(err) != TargetNotFound || !strings.Contains(err.Error(), "check spec.target") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for domain, want := range map[string]string{"x.example.com": "map the domain to the bucket", "*.example.com": "OSS takes no wildcard", ".example.com": "OSS takes no wildcard"} {
		if _, err := w.tryRead(Target{Product: OSS, Region: shanghai, Resource: "shop", Domain: domain}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", domain, err, want)
		}
	}
	_, err := w.tryRead(Target{Product: OSS, Region: "cn-atlantis", Resource: "shop", Domain: host})
	wantClass(t, err, Refused)
}

// TestOSSFetchesWithTheRightsOfTheCaller: each permission that is missing is named.
func TestOSSFetchesWithTheRightsOfTheCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot := w.bucket(products.Domain{Name: host, Certificate: w.certificate(host).Identifier()})
	state, after := w.read(slot), w.certificate(host)
	all := permissions(table[OSS])
	for _, missing := range all {
		granted := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return p == missing })
		w.server.SetPolicy(keyID, []emulator.Statement{{Actions: granted, Resources: []string{"*"}}})
		_, err := w.tryRead(slot)
		if missing != "oss:ListCname" {
			w.check(err)
			err = w.place(slot, state, after)
		}
		if e := wantClass(t, err, Denied); e.Permission != missing || !strings.Contains(e.Message, "needs the permission "+missing) {
			t.Errorf("without %s: %+v", missing, e)
		}
	}
	w.server.SetPolicy(keyID, []emulator.Statement{{Actions: all, Resources: []string{"acs:oss:*:" + account + ":shop", "acs:yundun-cert:*"}}, {Actions: all[2:], Resources: []string{"*"}}})
	w.check(w.place(slot, state, after))
}

func TestALostAnswerOfABucketIsReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	slot := w.bucket(products.Domain{Name: host, Certificate: w.certificate(host).Identifier()})
	after := w.certificate(host)
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "oss", Action: "PutCname", AfterCommit: true, Count: 1})
	if err := w.place(slot, w.read(slot), after); !alibaba.MayHaveHappened(err) {
		t.Fatalf("%v", err)
	}
	if serves, _ := w.read(slot).Holds(slot, after); !serves {
		t.Error("the read does not show it")
	}
}
