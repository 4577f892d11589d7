// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	// perListener are the bindings of each listener.
	perListener = 20
	// perWrite is how many certificates one call puts on a listener.
	perWrite = 15
	// driftShare is the part of the read limit that checks for drift may use, and
	// readsPerSecond that limit.
	driftShare     = 0.2
	readsPerSecond = 1
)

// boundFleet is a market with many bound listeners and no operator, which several scenarios use
// one after the other.
type boundFleet struct {
	*market

	bindings int
	calls    []emulator.Call // to bind them all
	took     time.Duration
	requests apiRequests
	served   int // certificates
}

// boundFleetOf returns the fleet; the first who asks builds it.
func (b *bench) boundFleetOf(ctx context.Context) (*boundFleet, error) {
	b.boundOnce.Do(func() { b.bound, b.boundErr = b.bindFleet(ctx, b.of(1000)) })
	return b.bound, b.boundErr
}

// bindFleet binds so many certificates at once, all in one region.
func (b *bench) bindFleet(ctx context.Context, n int) (f *boundFleet, err error) {
	m, err := b.newMarket(ctx, 1, n/perListener, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if _, err := m.syncAll(ctx, n, "bindings-fleet"); err != nil {
		return nil, err
	}
	f = &boundFleet{market: m, bindings: n}
	count, err := m.startCounting(ctx)
	if err != nil {
		return nil, err
	}
	o, err := m.startBinding(ctx)
	if err != nil {
		return nil, err
	}
	defer o.end()
	stop := m.profileCPU(o, "bindings")
	progressf("binding %d certificates to %d listeners", n, m.listeners)
	if err := m.bind(ctx, n); err != nil {
		return nil, err
	}
	if f.took, err = m.waitBound(ctx, n, time.Minute+10*time.Duration(n)*time.Second); err != nil {
		return nil, err
	}
	stop()
	o.end()
	if f.calls, f.requests, err = count.asked(ctx); err != nil {
		return nil, err
	}
	f.served, err = m.served(ctx)
	return f, err
}

// leastCalls are the fewest calls that bring so many certificates to a listener: each write puts
// as many on it as fit into a call, and changes the listener, so that a read follows which shows
// them served, and is what the next write is decided from; a read is two calls. Who else manages
// the load balancer is asked once.
func leastCalls(certificates int) (reads, writes, all int) {
	writes = (certificates + perWrite - 1) / perWrite
	reads = writes + 1
	return reads, writes, 2*reads + writes + 1
}

// bindings binds many certificates to few listeners at once.
func bindings(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.boundFleetOf(ctx)
	if err != nil {
		return err
	}
	calls, n := ofALB(f.calls), float64(f.listeners)
	all, throttled := 0, 0
	for _, some := range calls {
		all += len(some)
		for _, call := range some {
			if isThrottled(call.Code) {
				throttled++
			}
		}
	}
	reads, _, least := leastCalls(perListener)
	to.count("certificates served per binding", ratio(float64(f.served), float64(f.bindings)), exactly(1))
	to.count("calls per listener, of the fewest that the limits allow", ratio(float64(all)/n, float64(least)), atMost(1.5)) // who is late for a call on a busy machine goes into the next
	to.count("calls per listener", float64(all)/n, nil)
	for _, action := range []string{actionListener, actionListed, actionBalancer, actionAssociate, actionTakeOff} {
		to.count(fmt.Sprintf("%s per listener", action), float64(len(calls[action]))/n, nil)
	}
	to.figure("calls throttled", 100*ratio(float64(throttled), float64(all)), "%", atMost(1)) // as late as calls are counted, on a busy machine
	to.count("writes to the API server per binding, events included", f.requests.writes()/float64(f.bindings), atMost(6))
	to.note("all are bound after", f.took.Seconds(), "s")
	to.note("the same, of what the limit of reads allows", ratio(f.took.Seconds(), float64(reads)*n/readsPerSecond), "")
	return nil
}

// bindingsRestart starts the operator over bindings that are all bound: nothing is to be done,
// and nothing may be.
func bindingsRestart(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.boundFleetOf(ctx)
	if err != nil {
		return err
	}
	count, err := f.startCounting(ctx)
	if err != nil {
		return err
	}
	o, err := f.startBinding(ctx)
	if err != nil {
		return err
	}
	defer o.end()
	idle, _, err := o.waitIdle(ctx, 2*f.bindings)
	if err != nil {
		return err
	}
	o.end()
	calls, asked, err := count.asked(ctx)
	if err != nil {
		return err
	}
	to.count("calls to the cloud", float64(len(calls)), exactly(0))
	to.count("writes to the API server", asked.writes(), exactly(0))
	to.count("reads of Secrets", asked.secretReads, exactly(0))
	to.note("idle after", idle.Seconds(), "s")
	return nil
}

// bindingsDrift lets the operator check every listener once. Their checks are spread over the
// interval by chance, and the share of the limit bounds them where they meet.
func bindingsDrift(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.boundFleetOf(ctx)
	if err != nil {
		return err
	}
	count, err := f.startCounting(ctx)
	if err != nil {
		return err
	}
	pause := time.Duration(float64(time.Second) / driftShare / readsPerSecond) // between two reads at their share of the limit
	interval := time.Duration(f.listeners) * pause * 3 / 2
	o, err := f.startBinding(ctx, "--drift-interval="+interval.String())
	if err != nil {
		return err
	}
	defer o.end()
	progressf("waiting for the checks of an interval, %s", interval)
	if err := sleep(ctx, interval+4*pause); err != nil {
		return err
	}
	o.end()
	all, asked, err := count.asked(ctx)
	if err != nil {
		return err
	}
	calls := ofALB(all)
	var reads []time.Time
	byListener := map[string][]time.Time{}
	for _, call := range calls[actionListener] {
		reads = append(reads, call.Received)
		byListener[call.Name] = append(byListener[call.Name], call.Received)
	}
	most := 0
	for _, times := range byListener {
		most = max(most, mostWithin(times, interval/2))
	}
	to.count("listeners that were read", ratio(float64(len(byListener)), float64(f.listeners)), exactly(1))
	to.count("reads of one listener in half an interval, most", float64(most), exactly(1))
	to.count("reads in any span in which a fifth of the limit lets one go, most", float64(mostWithin(reads, pause*9/10)), exactly(1))
	to.count("calls that change a listener, or ask whose it is", float64(len(calls[actionAssociate])+len(calls[actionTakeOff])+len(calls[actionBalancer])), exactly(0))
	to.count("writes to the API server", asked.writes(), exactly(0))
	return nil
}
