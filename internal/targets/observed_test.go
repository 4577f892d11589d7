// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

func TestRatesAreOfAccountsThatAreKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, products.Options{})
	w.listener()
	slot := slotOf(SlotDefault)
	w.read(slot)
	if got := w.own.Rates(); len(got) != 0 {
		t.Errorf("rates of an account that is not known: %v", got)
	}
	identity, _ := w.own.caller.Identity(w.key)
	if _, err := identity.Account(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(2 * time.Second)
	w.read(slot)
	pace := func(action alibaba.Action) Pace {
		return Pace{Product: ALB, Account: account, Region: shanghai, Action: action}
	}
	everyRead := reads // as a variable: constants are more exact
	want := map[Pace]float64{
		pace(listenerRead): reads, pace(listenerList): reads, pace(listenerBalancer): reads, pace(checks): checkShare * everyRead,
		pace(listenerDefault): listenerWrites, pace(listenerAdd): listenerWrites, pace(albRemove): listenerWrites,
	}
	if diff := cmp.Diff(want, w.own.Rates()); diff != "" {
		t.Errorf("rates (-want +got):\n%s", diff)
	}
	w.server.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Product: "alb", Count: 1})
	w.clock.advance(2 * time.Second)
	if _, err := w.tryRead(slot); classOf(err) != Throttled {
		t.Fatal(err)
	}
	if got := w.own.Rates()[pace(listenerRead)]; got >= reads {
		t.Errorf("after a throttled answer the rate is still %v", got)
	}
}
