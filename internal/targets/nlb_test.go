// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

const nlbListenerID = "lsn-1@443"

func nlbSlot(slot Slot) Target {
	return Target{Product: NLB, Region: shanghai, Resource: nlbListenerID, Slot: slot}
}

func (w *world) nlbListener(tags map[string]string, additional ...Certificate) Certificate {
	w.t.Helper()
	standard := w.certificate("default.example.com")
	var ids []string
	for _, c := range additional {
		ids = append(ids, c.Identifier())
	}
	w.check(w.cloud.AddLoadBalancer(products.LoadBalancer{Product: "nlb", ID: "nlb-1", Account: account, Region: shanghai, Tags: tags}))
	w.check(w.cloud.AddListener(products.Listener{
		ID: nlbListenerID, LoadBalancer: "nlb-1", Protocol: "TCPSSL", Port: 443, Default: standard.Identifier(), Additional: ids,
	}))
	return standard
}

func TestARenewalReachesNLB(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{Configuring: 5 * time.Second})
	before, foreign := w.certificate("a.example.com"), w.certificate("b.example.com")
	after, standard := w.certificate("a.example.com"), w.certificate("default.example.com")
	w.nlbListener(nil, before, foreign)
	settled := func(slot Slot) State {
		w.clock.advance(5 * time.Second)
		return w.read(nlbSlot(slot))
	}
	state := w.read(nlbSlot(SlotAdditional))
	if state.LoadBalancer != "nlb-1" {
		t.Errorf("load balancer %q", state.LoadBalancer)
	}
	w.check(w.place(nlbSlot(SlotAdditional), state, after))
	if serves, arriving := w.read(nlbSlot(SlotAdditional)).Holds(nlbSlot(SlotAdditional), after); serves || !arriving {
		t.Errorf("serves %v, arriving %v", serves, arriving)
	}
	e := wantClass(t, w.place(nlbSlot(SlotDefault), state, standard), Progressing)
	if alibaba.MayHaveHappened(&e) || w.calls("UpdateListenerAttribute") != 1 {
		t.Errorf("%+v", e)
	}
	state = settled(SlotAdditional)
	w.check(w.remove(nlbSlot(SlotAdditional), state, entry(t, state, before)))
	w.check(w.place(nlbSlot(SlotDefault), settled(SlotDefault), standard))
	want := fmt.Sprintf("Default %s Serving, Additional %s Serving, Additional %s Serving", standard.Identifier(), foreign.Identifier(), after.Identifier())
	if diff := cmp.Diff(want, inWords(settled(SlotDefault))); diff != "" {
		t.Error(diff)
	}
}

func TestALongListOfNLBIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	var all []Certificate
	for n := range 60 {
		all = append(all, w.certificate(fmt.Sprintf("h%d.example.com", n)))
	}
	w.nlbListener(nil, all...)
	if state := w.read(nlbSlot(SlotAdditional)); state.Incomplete != "" || len(state.Entries) != 61 || w.calls("ListListenerCertificates") != 2 {
		t.Errorf("%d entries in %d calls, %s", len(state.Entries), w.calls("ListListenerCertificates"), state.Incomplete)
	}
}

func TestARefusalOfNLBMayLookLikeASuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{AdditionalQuota: 1, Unknowns: products.Unknowns{NLBFailsWith200: true}})
	w.nlbListener(map[string]string{"ack.aliyun.com": "c1"}, w.certificate("a.example.com"))
	slot := nlbSlot(SlotAdditional)
	state := w.read(slot)
	full := wantClass(t, w.place(slot, state, w.certificate("b.example.com")), QuotaExceeded)
	if want := "listener " + slot.Resource + " of load balancer nlb-1 has 1 additional certificate and"; !strings.Contains(full.Message, want) {
		t.Errorf("%s", full.Message)
	}
	wantClass(t, w.place(slot, state, Certificate{CertID: 4711, Region: china}), CertificateNotFound)
	missing := slot
	missing.Resource = "lsn-9@443"
	_, err := w.tryRead(missing)
	wantClass(t, err, TargetNotFound)
	owner, err := w.adapter(NLB).Owner(t.Context(), slot, state)
	if w.check(err); owner.Manager == "" {
		t.Error("nobody owns it")
	}
}

func TestAnswersOfListenersThatSayNothingAreRefused(t *testing.T) {
	t.Parallel()
	type validated interface{ Validate() error }
	for name, test := range map[string]struct {
		into   validated
		answer string
	}{
		"a listener without a status":           {new(listenerAnswer), `{"LoadBalancerId": "alb-1"}`},
		"a listener that did not succeed":       {new(listenerAnswer), `{"Success": false, "ListenerStatus": "Running", "LoadBalancerId": "nlb-1"}`},
		"a list without a total":                {new(listenerCertificates), `{"Certificates": []}`},
		"a list whose total is none":            {new(listenerCertificates), `{"TotalCount": "many"}`},
		"a list that did not succeed":           {new(listenerCertificates), `{"TotalCount": 0, "Success": "false"}`},
		"a load balancer without an id":         {new(balancer), `{"Tags": []}`},
		"a change without an id of the request": {new(accepted), `{}`},
		"a change that did not succeed":         {new(accepted), `{"RequestId": "r", "Success": false}`},
		"a domain without a list":               {new(domainAnswer), `{"RequestId": "r"}`},
	} {
		if err := json.Unmarshal([]byte(test.answer), test.into); err != nil {
			t.Fatal(err)
		}
		if test.into.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAnEntryThatIsOffIsNone(t *testing.T) {
	t.Parallel()
	s := State{}
	s.addListed("1-cn-hangzhou", []listenerCertificate{
		{CertificateID: "1-cn-hangzhou", IsDefault: true, Status: "Associated"},
		{CertificateID: "2-cn-hangzhou", Status: "Dissociated"},
		{CertificateID: "3-cn-hangzhou", Status: "Diassociating"},
		{CertificateID: "4-cn-hangzhou", Status: "Resting"},
	}, 4)
	if diff := cmp.Diff("Additional 3-cn-hangzhou Leaving, Additional 4-cn-hangzhou Unknown", inWords(s)); diff != "" {
		t.Error(diff)
	}
}

func TestAListWithoutAnEndSaysSo(t *testing.T) {
	t.Parallel()
	listed, total, failure := listAll(func(string) (*listenerCertificates, *Error) {
		count := alibaba.Text("1")
		return &listenerCertificates{Certificates: []listenerCertificate{{CertificateID: "2-cn-hangzhou"}}, TotalCount: &count, NextToken: "next"}, nil
	})
	s := State{}
	if s.addListed("", listed, total); failure != nil || !strings.Contains(s.Incomplete, "does not end") {
		t.Errorf("%v, incomplete: %q", failure, s.Incomplete)
	}
}

func TestAnEmptyAnswerIsNoAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.nlbListener(nil)
	state := w.read(nlbSlot(SlotAdditional))
	w.server.Inject(emulator.Fault{Kind: emulator.FaultEmpty, Product: "nlb", Action: "AssociateAdditionalCertificatesWithListener", Count: 1})
	err := w.place(nlbSlot(SlotAdditional), state, w.certificate("a.example.com"))
	if wantClass(t, err, Transient); !alibaba.MayHaveHappened(err) {
		t.Errorf("%v", err)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultHTML, Status: http.StatusBadGateway, Product: "nlb", Count: 1})
	_, err = w.tryRead(nlbSlot(SlotDefault))
	wantClass(t, err, Transient)
}
