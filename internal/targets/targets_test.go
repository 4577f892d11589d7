// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargetsAreToldApart(t *testing.T) {
	t.Parallel()
	additional := Target{Product: ALB, Region: "cn-shanghai", Resource: "lsn-1", Slot: SlotAdditional}
	standard := additional
	standard.Slot = SlotDefault
	if additional.ReadKey() != standard.ReadKey() || additional.WriterKey() != standard.WriterKey() {
		t.Error("the slots of a listener do not share reads and writers")
	}
	if additional.SlotKey("a") == standard.SlotKey("a") || additional.SlotKey("a") == additional.SlotKey("b") {
		t.Error("two slots have one key")
	}
	if standard.SlotKey("a") != standard.SlotKey("b") {
		t.Error("one default has two keys")
	}
	first := Target{Product: GA, Resource: "ga-1", Part: "lsr-1", Domain: "a.example.com"}
	second := Target{Product: GA, Resource: "ga-1", Part: "lsr-2"}
	if first.WriterKey() != second.WriterKey() || first.ReadKey() == second.ReadKey() {
		t.Error("an accelerator has one writer, and each of its listeners a read")
	}
	one, other := Target{Product: ALBConfig, Resource: "alb-shop", Part: "443"}, Target{Product: ALBConfig, Resource: "alb-shop", Part: "8443"}
	if one.WriterKey() != other.WriterKey() || one.ReadKey() == other.ReadKey() {
		t.Error("an AlbConfig has one writer, and each of its listeners a read")
	}
	if first, second := (Target{Product: CLB, Resource: "lb-1", Part: "443"}), (Target{Product: CLB, Region: "lb-1", Resource: "443"}); first.ReadKey() == second.ReadKey() {
		t.Error("fields run into one another")
	}
}

func TestTargetsReadLikeTheStatus(t *testing.T) {
	t.Parallel()
	for want, target := range map[string]Target{
		"alb/cn-shanghai/lsn-o4u54y73wq7b Additional": {Product: ALB, Region: "cn-shanghai", Resource: "lsn-o4u54y73wq7b", Slot: SlotAdditional},
		"clb/cn-beijing/lb-bp1/443/www.example.com":   {Product: CLB, Region: "cn-beijing", Resource: "lb-bp1", Part: "443", Domain: "www.example.com"},
		"cdn/www.example.com":                         {Product: CDN, Domain: "www.example.com"},
	} {
		if diff := cmp.Diff(want, target.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestOnlyFullIdentifiersAreRead(t *testing.T) {
	t.Parallel()
	type parts struct {
		CertID int64
		Region string
		OK     bool
	}
	for text, want := range map[string]parts{
		"12345-cn-hangzhou":     {12345, "cn-hangzhou", true},
		"585001-ap-southeast-1": {585001, "ap-southeast-1", true},
		"12345":                 {},
		"":                      {},
		"-cn-hangzhou":          {},
		"12345-":                {},
		"0-cn-hangzhou":         {},
		"+5-cn-hangzhou":        {},
		"05-cn-hangzhou":        {},
		"lb-cn-hangzhou":        {},
	} {
		var got parts
		got.CertID, got.Region, got.OK = ParseIdentifier(text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
		if again := (Certificate{CertID: got.CertID, Region: got.Region}).Identifier(); got.OK && again != text {
			t.Errorf("%q became %q", text, again)
		}
	}
}

// A place that is freed for one of them is free for the other.
func TestWhatCountsTowardsOneQuota(t *testing.T) {
	t.Parallel()
	in := State{LoadBalancer: "lb-1"}
	for name, test := range map[string]struct {
		one, other Target
		elsewhere  State // of the other
		want       bool
	}{
		"listeners of an ALB":               {Target{Product: ALB, Resource: "lsn-a"}, Target{Product: ALB, Resource: "lsn-b"}, in, true},
		"listeners of two ALBs":             {Target{Product: ALB, Resource: "lsn-a"}, Target{Product: ALB, Resource: "lsn-b"}, State{LoadBalancer: "lb-2"}, false},
		"listeners of an NLB":               {Target{Product: NLB, Resource: "lsn-a@443"}, Target{Product: NLB, Resource: "lsn-a@444"}, in, true},
		"an ALB and an NLB":                 {Target{Product: ALB}, Target{Product: NLB}, in, false},
		"listeners of two CLBs in a region": {Target{Product: CLB, Region: "cn-a", Resource: "lb-1"}, Target{Product: CLB, Region: "cn-a", Resource: "lb-2"}, State{LoadBalancer: "lb-2"}, true},
		"listeners of two CLBs in two":      {Target{Product: CLB, Region: "cn-a"}, Target{Product: CLB, Region: "cn-b"}, in, false},
		"listeners of one accelerator":      {Target{Product: GA, Resource: "ga-1", Part: "lsr-a"}, Target{Product: GA, Resource: "ga-1", Part: "lsr-b"}, in, true},
		"certificates of two sites":         {Target{Product: ESA, Resource: "1"}, Target{Product: ESA, Resource: "2"}, State{}, false},
	} {
		if got := test.one.QuotaKey(in) == test.other.QuotaKey(test.elsewhere); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

func TestASlotHoldsWhatStandsInIt(t *testing.T) {
	t.Parallel()
	mine := Certificate{CertID: 7, Region: "cn-hangzhou"}
	state := State{Entries: []Entry{
		newEntry("5-cn-hangzhou", RoleDefault, StatusServing),
		newEntry("7-cn-hangzhou", RoleAdditional, StatusArriving),
		newEntry("8-cn-hangzhou", RoleAdditional, StatusServing),
		newEntry("7-cn-hangzhou", RoleStored, StatusServing),
		{CertIdentifier: "9-cn-hangzhou", CertID: 9, Region: "cn-hangzhou", Domain: "a.example.com", Role: RoleDefault, Status: StatusServing},
	}}
	ids := func(t Target) []int64 {
		var ids []int64
		for _, e := range state.In(t) {
			ids = append(ids, e.CertID)
		}
		return ids
	}
	if diff := cmp.Diff([]int64{7, 8}, ids(Target{Slot: SlotAdditional})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{5}, ids(Target{Slot: SlotDefault})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{9}, ids(Target{Domain: "a.example.com"})); diff != "" {
		t.Error(diff)
	}
	if serves, arriving := state.Holds(Target{Slot: SlotAdditional}, mine); serves || !arriving {
		t.Errorf("serves %v, arriving %v", serves, arriving)
	}
	if serves, arriving := state.Holds(Target{Slot: SlotDefault}, mine); serves || arriving {
		t.Errorf("serves %v, arriving %v", serves, arriving)
	}
}
