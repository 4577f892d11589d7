// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

func TestEndpointsOfProductsAreParsed(t *testing.T) {
	t.Parallel()
	for flag, want := range map[string]string{
		"alb=https://alb.example.com":                 "alb",
		"alb/cn-shanghai=http://127.0.0.1:8073":       "alb/cn-shanghai",
		"cdn=https://cdn.ap-southeast-1.aliyuncs.com": "cdn",
		"alb=http://alb.example.com":                  "",
		"alb/=https://alb.example.com":                "",
		"alb/a/b=https://alb.example.com":             "",
		"fan=https://fan.example.com":                 "",
		"live=https://live.example.com":               "", // not built
		"configmap=https://x.example.com":             "",
		"https://alb.example.com":                     "",
		"alb=https://alb.example.com/path":            "",
		"alb":                                         "",
	} {
		key, _, err := ParseEndpoint(flag)
		if key != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", flag, key, err)
		}
	}
	if _, err := New(must1(alibaba.New(alibaba.Config{})), Config{Endpoints: map[string]string{"fan": "https://fan.example.com"}}); err == nil {
		t.Error("an endpoint of no product is accepted")
	}
}

func TestEveryProductIsWhole(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		p := table[name]
		if p.name != name || p.version == "" || p.permission == "" || p.called == "" || len(p.hosts) == 0 || len(p.rates) < 2 || p.adapter == nil || len(p.looks) == 0 || p.rates[p.looks[0]] == 0 {
			t.Errorf("%s is not whole", name)
		}
		for action, rate := range p.rates {
			if !ratelimit.ValidRate(rate) {
				t.Errorf("%s: %s has rate %v", name, action, rate)
			}
		}
		for region, host := range p.hosts {
			if _, err := alibaba.CheckEndpoint(host); err != nil || region == "" {
				t.Errorf("%s: endpoint %q of %q: %v", name, host, region, err)
			}
		}
		if p.home != "" && p.hosts[p.home] == "" {
			t.Errorf("%s has no endpoint at home", name)
		}
		if !slices.Contains(products.Names(), string(name)) {
			t.Errorf("%s is not emulated", name)
		}
	}
}

func TestPermissionsAreNamed(t *testing.T) {
	t.Parallel()
	want := []string{"cdn:DescribeDomainCertificateInfo", "cdn:SetCdnDomainSSLCertificate"}
	if diff := cmp.Diff(want, permissions(table[CDN])); diff != "" {
		t.Error(diff)
	}
	for _, name := range Names() {
		for _, permission := range permissions(table[name]) {
			if strings.Contains(permission, "PrivateKey") && !ByNameAlone(name) || strings.Contains(permission, "*") {
				t.Errorf("%s needs %s", name, permission)
			}
		}
	}
}

// The page names every permission that is needed, once, and no other.
func TestThePageNamesThePermissions(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/targets.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What is called")
	section, _, _ = strings.Cut(section, "\n## ")
	var want, named []string
	for _, name := range Names() {
		want = append(want, permissions(table[name])...)
		if row := "| `" + string(name) + "` | `"; !strings.Contains(section, row) || !strings.Contains(section, " "+table[name].version+" |") {
			t.Errorf("the page has no row of %s %s", name, table[name].version)
		}
	}
	for _, match := range regexp.MustCompile("`([a-z-]+:[A-Z][A-Za-z]+)`").FindAllStringSubmatch(section, -1) {
		named = append(named, match[1])
	}
	slices.Sort(want)
	slices.Sort(named)
	if diff := cmp.Diff(want, named); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownProductHasNoAdapter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	if _, err := w.own.Adapter("live", w.key, "shop", ratelimit.Prompt); err == nil {
		t.Error("a product that is not built has an adapter")
	}
	if _, err := w.own.Adapter(ALB, nil, "shop", ratelimit.Prompt); !alibaba.IsUnauthenticated(err) {
		t.Errorf("%v", err)
	}
}

func TestLimitsAreThoseOfTheAccountAndAction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot := slotOf(SlotDefault)
	adapter := w.adapter(ALB)
	if _, err := adapter.Read(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	_, err := adapter.Read(t.Context(), slot) // about one read a second
	if e := wantClass(t, err, Throttled); e.RetryAfter <= 0 || e.RetryAfter > 2*time.Second {
		t.Errorf("come back after %s", e.RetryAfter)
	}
	if n := w.calls("GetListenerAttribute"); n != 1 {
		t.Errorf("%d calls", n)
	}
	other := slot
	other.Region = "cn-beijing"
	_, err = adapter.Read(t.Context(), other)
	wantClass(t, err, TargetNotFound) // another region has a limit of its own
	if _, err := must1(w.own.Adapter(CDN, w.key, "shop", ratelimit.Prompt)).Read(t.Context(), Target{Product: CDN, Domain: "x.example.com"}); classOf(err) != TargetNotFound {
		t.Errorf("%v", err) // and so has another product
	}
}

// TestChecksTakeAFifthOfTheReads: what waits for a read has the rest.
func TestChecksTakeAFifthOfTheReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	try := func(u ratelimit.Urgency) bool {
		_, err := must1(w.own.Adapter(ALB, w.key, "shop", u)).Read(t.Context(), slotOf(SlotDefault))
		return err == nil
	}
	play := func(others bool) (checked, read int) {
		w.clock.advance(time.Minute)
		for range 300 { // seconds
			w.clock.advance(time.Second)
			if try(ratelimit.Repair) {
				checked++
			}
			if others && try(ratelimit.Prompt) {
				read++
			}
		}
		return checked, read
	}
	most := int(300*reads*checkShare) + 1
	if checked, _ := play(false); checked > most || checked < most*8/10 {
		t.Errorf("%d checks in 300 s without any other read, want about %d", checked, most)
	}
	if checked, read := play(true); checked > most || checked < 5 || read < 200 {
		t.Errorf("%d checks and %d other reads in 300 s, want some checks, and most of the others", checked, read)
	}
}

// TestChecksOfAStoreTakeAFifthToo, which Services go by.
func TestChecksOfAStoreTakeAFifthToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	checked := 0
	for range 300 { // seconds
		w.clock.advance(time.Second)
		store := must1(w.own.Adapter(CLB, w.key, "shop", ratelimit.Repair)).(Store)
		if _, err := store.Copies(t.Context(), Target{Product: CLB, Region: shanghai}); err == nil {
			checked++
		}
	}
	if most := int(300*reads*checkShare) + 1; checked > most || checked < most*8/10 {
		t.Errorf("%d checks in 300 s, want about %d", checked, most)
	}
}

func TestLimitsOfACredentialMoveToItsAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot := slotOf(SlotDefault)
	adapter := w.adapter(ALB)
	if _, err := adapter.Read(t.Context(), slot); err != nil {
		t.Fatal(err)
	}
	identity, _ := w.own.caller.Identity(w.key)
	if _, err := identity.Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := adapter.Read(t.Context(), slot)
	wantClass(t, err, Throttled)
}

// A product that does not answer in a region is left alone there, and is told apart from the same
// product elsewhere.
func TestAProductThatDoesNotAnswerIsProbed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot, elsewhere := slotOf(SlotDefault), slotOf(SlotDefault)
	elsewhere.Region = "cn-beijing"
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "alb", Region: slot.Region})
	read := func(from Target) error {
		w.clock.advance(time.Second)
		_, err := w.tryRead(from)
		return err
	}
	for range 6 {
		wantClass(t, read(slot), Transient)
	}
	before := w.calls("GetListenerAttribute")
	adapter := w.adapter(ALB)
	_, err := adapter.Read(t.Context(), slot) // the probe
	wantClass(t, err, Transient)
	_, err = adapter.Read(t.Context(), slot)
	if e := wantClass(t, err, Transient); e.RetryAfter <= 0 || alibaba.MayHaveHappened(err) {
		t.Errorf("turned away: again after %s, may have happened: %t", e.RetryAfter, alibaba.MayHaveHappened(err))
	}
	if n := w.calls("GetListenerAttribute") - before; n != 1 {
		t.Errorf("%d calls were sent while the product is probed, want one", n)
	}
	wantClass(t, read(elsewhere), TargetNotFound)
	w.server.ClearFaults()
	w.clock.advance(5 * time.Second)
	if err := read(slot); err != nil {
		t.Errorf("after its return: %v", err)
	}
}

func TestCallsThatAreGivenUpAreNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.adapter(ALB).Read(ctx, slotOf(SlotDefault))
	if classOf(err) != Transient || alibaba.MayHaveHappened(err) || w.calls("GetListenerAttribute") != 0 {
		t.Errorf("%v", err)
	}
}

// TestTenantsTakeTurns: who asks again and again does not keep another out.
func TestTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	w.clock.advance(time.Second)
	read := func(tenant string) bool {
		_, err := must1(w.own.Adapter(ALB, w.key, tenant, ratelimit.Prompt)).Read(t.Context(), slotOf(SlotDefault))
		return err == nil
	}
	had := map[string]int{}
	for range 40 { // ten asks four times for each that the other does
		for _, tenant := range []string{"ten", "ten", "ten", "ten", "one"} {
			if read(tenant) {
				had[tenant]++
			}
		}
		w.clock.advance(500 * time.Millisecond)
	}
	if had["one"] < 5 || had["ten"] < 5 {
		t.Errorf("%v: they do not share the places", had)
	}
}

// TestFailuresSayWhatToDo: a failure that a person has to mend says what it is about, what the cloud
// said, and how it is mended.
func TestFailuresSayWhatToDo(t *testing.T) {
	t.Parallel()
	target := Target{Product: CDN, Domain: "www.example.com"}
	for name, tc := range map[string]struct {
		failed alibaba.Error
		class  Class
		want   []string
	}{
		"no such domain": {
			alibaba.Error{Class: alibaba.NotFound, Code: "InvalidDomain.NotFound"}, TargetNotFound,
			[]string{"cdn/www.example.com", "InvalidDomain.NotFound", "check spec.target", "account"},
		},
		"no such certificate": {alibaba.Error{Class: alibaba.NotFound, Code: "Certificate.NotFind"}, CertificateNotFound, []string{"CDN", "Certificate.NotFind", "cloudcert.io/resync"}},
		"no room":             {alibaba.Error{Class: alibaba.Quota, Code: "QuotaFull"}, QuotaExceeded, []string{"QuotaFull", "take off what is not needed"}},
		"no permission": {
			alibaba.Error{Class: alibaba.Denied, Code: "NoPermission", Permission: "cdn:SetThing"}, Denied, []string{"NoPermission", "cdn:SetThing", "grant it by a RAM policy"},
		},
		"a policy that denies it": {
			alibaba.Error{Class: alibaba.Denied, Code: "NoPermission", Permission: "cdn:SetThing", Denial: alibaba.Denial{Explicit: true}}, Denied,
			[]string{"cdn:SetThing", "take it out of what that policy denies"},
		},
		"a wrong key": {alibaba.Error{Class: alibaba.Unauthenticated, Code: "InvalidAccessKeyId.NotFound"}, Unauthenticated, []string{"InvalidAccessKeyId.NotFound", "put a valid access key"}},
		"a refusal":   {alibaba.Error{Class: alibaba.Refused, Code: "DomainInSafeMode"}, Refused, []string{"DomainInSafeMode", "correct the target"}},
		"what is used": {
			alibaba.Error{Class: alibaba.DeleteProtected, Code: "InUse"}, InUse, []string{"InUse", "correct the target"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.failed.Action = "SetThing"
			got := (&session{product: table[CDN]}).fail(target, &tc.failed)
			if got.Class != tc.class {
				t.Errorf("class %s, want %s", got.Class, tc.class)
			}
			for _, want := range append(tc.want, "SetThing: ") {
				if !strings.Contains(got.Message, want) {
					t.Errorf("message %q does not say %q", got.Message, want)
				}
			}
		})
	}
}
