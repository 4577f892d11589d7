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

const (
	listenerID = "lsn-1"
	balancerID = "alb-1"
)

// slotOf is a slot of the listener.
func slotOf(slot Slot) Target {
	return Target{Product: ALB, Region: shanghai, Resource: listenerID, Slot: slot}
}

// listener makes the listener with a default, and returns that.
func (w *world) listener(additional ...Certificate) Certificate {
	w.t.Helper()
	standard := w.certificate("default.example.com")
	w.listenerWith(standard, "HTTPS", nil, additional...)
	return standard
}

func (w *world) listenerWith(standard Certificate, protocol string, tags map[string]string, additional ...Certificate) {
	w.t.Helper()
	var ids []string
	for _, c := range additional {
		ids = append(ids, c.Identifier())
	}
	w.check(w.cloud.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: balancerID, Account: account, Region: shanghai, Tags: tags}))
	w.check(w.cloud.AddListener(products.Listener{
		ID: listenerID, LoadBalancer: balancerID, Protocol: protocol, Port: 443, Default: standard.Identifier(), Additional: ids,
	}))
}

func TestARenewalReachesAnAdditionalSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Configuring: 5 * time.Second})
	slot := slotOf(SlotAdditional)
	before, foreign, after := w.certificate("a.example.com"), w.certificate("b.example.com"), w.certificate("a.example.com")
	standard := w.listener(before, foreign)
	rest := fmt.Sprintf("Default %s Serving, Additional %s Serving, Additional %s Serving", standard.Identifier(), before.Identifier(), foreign.Identifier())

	state := w.read(slot)
	if diff := cmp.Diff(rest, inWords(state)); diff != "" || state.LoadBalancer != balancerID {
		t.Fatalf("load balancer %q, %s", state.LoadBalancer, diff)
	}
	w.check(w.place(slot, state, after))
	state = w.read(slot)
	if diff := cmp.Diff("busy, "+rest+", Additional "+after.Identifier()+" Arriving", inWords(state)); diff != "" {
		t.Fatal(diff)
	}
	w.check(w.place(slot, state, after)) // it is on its way: nothing is sent
	other := w.certificate("c.example.com")
	if e := wantClass(t, w.place(slot, state, other), Progressing); e.RetryAfter <= 0 {
		t.Errorf("no hint: %+v", e)
	}
	wantClass(t, w.remove(slot, state, entry(t, state, before)), Progressing)
	if n, m := w.calls("AssociateAdditionalCertificatesWithListener"), w.calls("DissociateAdditionalCertificatesFromListener"); n != 1 || m != 0 {
		t.Errorf("%d and %d calls while the listener is configured", n, m)
	}

	w.clock.advance(5 * time.Second)
	state = w.read(slot)
	if serves, _ := state.Holds(slot, after); !serves || state.Busy {
		t.Fatal(inWords(state))
	}
	w.check(w.remove(slot, state, entry(t, state, before)))
	w.clock.advance(5 * time.Second)
	want := fmt.Sprintf("Default %s Serving, Additional %s Serving, Additional %s Serving", standard.Identifier(), foreign.Identifier(), after.Identifier())
	if diff := cmp.Diff(want, inWords(w.read(slot))); diff != "" {
		t.Error(diff)
	}
	if h, _ := w.cloud.Shake(listenerID, "a.example.com"); h.CertID != after.CertID {
		t.Errorf("clients get %+v", h)
	}
}

func TestADefaultIsReplacedInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	other, after := w.certificate("b.example.com"), w.certificate("default.example.com")
	w.listener(other)
	slot := slotOf(SlotDefault)
	w.check(w.place(slot, w.read(slot), after))
	want := fmt.Sprintf("Default %s Serving, Additional %s Serving", after.Identifier(), other.Identifier())
	state := w.read(slot)
	if diff := cmp.Diff(want, inWords(state)); diff != "" {
		t.Error(diff)
	}
	w.check(w.place(slot, state, after))
	if n := w.calls("UpdateListenerAttribute"); n != 1 {
		t.Errorf("%d calls for one change", n)
	}
}

func TestAWriteThatMeetsAnotherWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Configuring: time.Minute})
	w.listener()
	slot := slotOf(SlotAdditional)
	state := w.read(slot) // and then somebody else begins
	w.check(w.place(slot, state, w.certificate("x.example.com")))
	e := wantClass(t, w.place(slot, state, w.certificate("a.example.com")), Progressing)
	if e.RetryAfter <= 0 || alibaba.MayHaveHappened(&e) || !strings.Contains(e.Message, "IncorrectStatus.Listener") {
		t.Errorf("%+v", e)
	}
}

func TestAFullQuotaSaysItsNumberAndItsFix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{AdditionalQuota: 1})
	w.listener(w.certificate("a.example.com"))
	slot := slotOf(SlotAdditional)
	e := wantClass(t, w.place(slot, w.read(slot), w.certificate("b.example.com")), QuotaExceeded)
	want := "listener lsn-1 of load balancer alb-1 has 1 additional certificate and no room for more: "
	if e.Limit != 25 || !strings.HasPrefix(e.Message, want) || !strings.Contains(e.Message, "Quota Center") {
		t.Errorf("limit %d, %s", e.Limit, e.Message)
	}
}

func TestNothingIsRemovedFromAPartialList(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"an entry is lost":      {Kind: emulator.FaultShortPage},
		"all entries are lost":  {Kind: emulator.FaultShortPage, Size: 9},
		"the total is too high": {Kind: emulator.FaultTotalCount, Size: 1},
		"the total is too low":  {Kind: emulator.FaultTotalCount, Size: -2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{})
			mine := w.certificate("a.example.com")
			w.listener(mine, w.certificate("b.example.com"))
			slot := slotOf(SlotAdditional)
			whole := w.read(slot)
			fault.Product, fault.Action = "alb", "ListListenerCertificates"
			w.server.Inject(fault)
			state := w.read(slot)
			if state.Incomplete == "" {
				t.Fatal(inWords(state))
			}
			wantClass(t, w.remove(slot, state, entry(t, whole, mine)), Transient)
			if n := w.calls("DissociateAdditionalCertificatesFromListener"); n != 0 {
				t.Errorf("%d removals", n)
			}
		})
	}
}

func TestALongListIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	for _, uncounted := range []bool{false, true} {
		w := newWorld(t, products.Options{Unknowns: products.Unknowns{DefaultNotCounted: uncounted}})
		var all []Certificate
		for n := range 150 {
			all = append(all, w.certificate(fmt.Sprintf("h%d.example.com", n)))
		}
		w.listener(all...)
		state := w.read(slotOf(SlotAdditional))
		if state.Incomplete != "" || len(state.In(slotOf(SlotAdditional))) != 150 {
			t.Errorf("uncounted %v: %d entries, %s", uncounted, len(state.Entries), state.Incomplete)
		}
		if n := w.calls("ListListenerCertificates"); n != 2 {
			t.Errorf("%d calls", n)
		}
	}
}

func TestAfterALostAnswerTheSamePlacementIsSafe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Configuring: 5 * time.Second})
	w.listener()
	slot := slotOf(SlotAdditional)
	mine := w.certificate("a.example.com")
	w.server.Inject(emulator.Fault{Kind: emulator.FaultReset, Product: "alb", Action: "AssociateAdditionalCertificatesWithListener", AfterCommit: true, Count: 1})
	before := w.read(slot)
	if err := w.place(slot, before, mine); !alibaba.MayHaveHappened(err) {
		t.Fatalf("%v", err)
	}
	w.check(w.placeAgain(slot, before, mine)) // the token is replayed, although the listener is being configured
	if _, arriving := w.read(slot).Holds(slot, mine); !arriving {
		t.Error("the first was not carried out")
	}
	w.clock.advance(5 * time.Second)
	w.check(w.place(slot, before, mine)) // another attempt: it is there already
	state := w.read(slot)
	if serves, _ := state.Holds(slot, mine); !serves || len(state.Entries) != 2 {
		t.Error(inWords(state))
	}
}

func TestAnotherAttemptHasAnotherToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot := slotOf(SlotAdditional)
	mine := w.certificate("a.example.com")
	w.check(w.place(slot, w.read(slot), mine))
	state := w.read(slot)
	w.check(w.remove(slot, state, entry(t, state, mine)))
	w.check(w.place(slot, w.read(slot), mine))
	if serves, _ := w.read(slot).Holds(slot, mine); !serves {
		t.Error("a rollback was answered with an old token's outcome")
	}
}

func TestAJobThatFailsIsSeenByReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Configuring: time.Second})
	w.listener()
	slot := slotOf(SlotAdditional)
	mine := w.certificate("a.example.com")
	w.check(w.cloud.FailJobs(listenerID, 1))
	w.check(w.place(slot, w.read(slot), mine))
	w.clock.advance(time.Second)
	if serves, arriving := w.read(slot).Holds(slot, mine); serves || arriving {
		t.Error("a job that failed is taken for a success")
	}
}

func TestWhatALBRefusesIsToldApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	additional := w.certificate("a.example.com")
	standard := w.listener(additional)
	slot := slotOf(SlotAdditional)
	state := w.read(slot)

	e := wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china}), CertificateNotFound)
	if !strings.Contains(e.Message, "ResourceNotFound.Certificate") {
		t.Errorf("%s", e.Message)
	}
	wantClass(t, w.place(slot, state, w.certificateIn(international, "a.example.com")), CertificateNotFound)
	sent := w.calls("AssociateAdditionalCertificatesWithListener")
	wantClass(t, w.place(slot, state, Certificate{CertID: 4711}), Refused) // a bare number
	wantClass(t, w.place(slot, state, standard), Refused)
	if n := w.calls("AssociateAdditionalCertificatesWithListener"); n != sent {
		t.Error("what can only fail was sent")
	}
	e = wantClass(t, w.place(slotOf(SlotDefault), state, additional), Refused)
	if !strings.Contains(e.Message, "additional") {
		t.Errorf("%s", e.Message)
	}
	wantClass(t, w.remove(slot, state, entry(t, state, standard)), Refused)

	missing := slot
	missing.Resource = "lsn-9"
	_, err := w.tryRead(missing)
	if e := wantClass(t, err, TargetNotFound); !strings.Contains(e.Message, "alb/cn-shanghai/lsn-9") {
		t.Errorf("%s", e.Message)
	}
	nowhere := slot
	nowhere.Region = "cn-huhehaote"
	own := must1(New(w.own.caller, Config{}))
	_, err = must1(own.Adapter(ALB, w.key, "shop", 0)).Read(t.Context(), nowhere)
	if e := wantClass(t, err, Refused); !strings.Contains(e.Message, "--target-endpoint=alb/cn-huhehaote=") {
		t.Errorf("%s", e.Message)
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot := slotOf(SlotAdditional)
	w.server.SetPolicy(keyID, []emulator.Statement{{
		Actions:   []string{"alb:GetListenerAttribute", "alb:ListListenerCertificates"},
		Resources: []string{"acs:alb:" + shanghai + ":" + account + ":loadbalancer/" + balancerID},
	}})
	e := wantClass(t, w.place(slot, w.read(slot), w.certificate("a.example.com")), Denied)
	if e.Permission != "alb:AssociateAdditionalCertificatesWithListener" || !strings.Contains(e.Message, e.Permission) {
		t.Errorf("%+v", e)
	}
}

func TestThrottledCallsSayWhenToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	w.server.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Product: "alb", TimeLeft: 7 * time.Second, Count: 1})
	_, err := w.tryRead(slotOf(SlotDefault))
	if e := wantClass(t, err, Throttled); e.RetryAfter < 7*time.Second {
		t.Errorf("come back after %s", e.RetryAfter)
	}
}

func TestSomebodyElsesListenerIsRecognised(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tags    map[string]string
		manager string
	}{
		"nobody's":                 {map[string]string{"team": "shop"}, ""},
		"the cloud controller's":   {map[string]string{"ack.aliyun.com": "c0ffee"}, "the cloud controller manager or the ALB Ingress controller"},
		"the Ingress controller's": {map[string]string{"ack.aliyun.com": "c0ffee", "ingress.k8s.alibaba/albconfig": "default/shop"}, "the ALB Ingress controller"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, products.Options{})
			w.listenerWith(w.certificate("default.example.com"), "HTTPS", test.tags)
			slot := slotOf(SlotAdditional)
			owner, err := w.adapter(ALB).Owner(t.Context(), slot, w.read(slot))
			w.check(err)
			if diff := cmp.Diff(test.manager, owner.Manager); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALoadBalancerOfAServiceIsItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.check(w.cloud.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: balancerID, Account: account, Region: shanghai, ServiceManaged: true}))
	w.check(w.cloud.AddListener(products.Listener{ID: listenerID, LoadBalancer: balancerID, Protocol: "HTTPS", Default: w.certificate("d.example.com").Identifier()}))
	owner, err := w.adapter(ALB).Owner(t.Context(), slotOf(SlotDefault), w.read(slotOf(SlotDefault)))
	w.check(err)
	if owner.Manager == "" {
		t.Error("nobody owns it")
	}
}

func TestAListenerWithoutTLSIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listenerWith(Certificate{}, "HTTP", nil)
	state := w.read(slotOf(SlotDefault))
	if e := wantClass(t, w.place(slotOf(SlotDefault), state, w.certificate("a.example.com")), Refused); !strings.Contains(e.Message, "HTTPS") {
		t.Errorf("%s", e.Message)
	}
}

func TestManyCertificatesAreTakenOffInTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	var all []Certificate
	for n := range 20 {
		all = append(all, w.certificate(fmt.Sprintf("h%d.example.com", n)))
	}
	w.listener(all...)
	slot := slotOf(SlotAdditional)
	for range 2 {
		state := w.read(slot)
		w.check(w.remove(slot, state, state.In(slot)...))
	}
	if left := w.read(slot).In(slot); len(left) > 0 {
		t.Errorf("%d are left", len(left))
	}
}

func TestNoErrorRepeatsASecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	w.server.Inject(emulator.Fault{Kind: emulator.FaultEchoSignature, Product: "alb"})
	_, err := w.tryRead(slotOf(SlotDefault))
	if e := wantClass(t, err, Unauthenticated); strings.Contains(fmt.Sprintf("%+v", e), "AccessKeyId%3D") {
		t.Errorf("%+v", e)
	}
}

func TestRegionOfCASFollowsTheListenersRegion(t *testing.T) {
	t.Parallel()
	for target, want := range map[Target]string{
		{Product: ALB, Region: "cn-shanghai"}:   china,
		{Product: NLB, Region: "cn-shanghai"}:   china,
		{Product: ALB, Region: "eu-central-1"}:  international,
		{Product: NLB, Region: "cn-hongkong"}:   "",
		{Product: ALB, Region: "cn-hongkong-x"}: "",
		{Product: CLB, Region: "cn-shanghai"}:   "",
		{Product: CDN}:                          "",
	} {
		if got := RegionOfCAS(target); got != want {
			t.Errorf("%s takes certificates of %q, want %q", target, got, want)
		}
	}
}
