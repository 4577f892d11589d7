// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// fleet is a world with many synced objects and no operator, which several
// scenarios use one after the other.
type fleet struct {
	*world
	built *backlogResult
}

// fleetOf returns the fleet; the first who asks builds it.
func (b *bench) fleetOf(ctx context.Context) (*fleet, error) {
	b.fleetOnce.Do(func() {
		n := b.of(10000)
		progressf("syncing %d objects", n)
		w, err := b.newWorld(ctx, usualLatency()...)
		if err != nil {
			b.fleetErr = err
			return
		}
		b.fleet = &fleet{world: w}
		b.fleet.built, b.fleetErr = w.syncAll(ctx, n, fmt.Sprintf("backlog-%d", n))
	})
	return b.fleet, b.fleetErr
}

func (b *bench) closeFleets() {
	if b.fleet != nil {
		b.fleet.close()
	}
	if b.bound != nil {
		b.bound.close()
	}
}

// restart starts the operator over objects that are all synced: nothing is to be
// done, and nothing may be.
func restart(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.fleetOf(ctx)
	if err != nil {
		return err
	}
	count, err := f.startCounting(ctx)
	if err != nil {
		return err
	}
	o, err := f.startOperator(ctx)
	if err != nil {
		return err
	}
	defer o.end()
	ready := time.Since(o.began)
	idle, busy, err := o.waitIdle(ctx, f.built.size)
	if err != nil {
		return err
	}
	o.end()
	calls, asked, err := count.asked(ctx)
	if err != nil {
		return err
	}
	to.count("calls to the cloud", float64(len(calls)), exactly(0))
	to.count("reads of Secrets", asked.secretReads, exactly(0))
	to.count("writes of status", asked.status, exactly(0))
	to.count("other writes to the API server", asked.finalizer+asked.events, exactly(0))
	to.figure("idle after", idle.Seconds(), "s", atMost(10))
	to.note("ready after", ready.Seconds(), "s")
	to.note("CPU until idle", busy.Seconds(), "s")
	return nil
}

// quiet is how long an operator must have done nothing to be idle.
const quiet = 5 * time.Second

// waitIdle waits until every object was looked at and nothing happens any more, and
// returns when after its start the operator was last seen at work, and its CPU time.
func (o *operator) waitIdle(ctx context.Context, objects int) (idle, busy time.Duration, err error) {
	var done float64
	var worked time.Time
	err = eventually(ctx, 5*time.Minute, 100*time.Millisecond, "the operator to be idle", func() (bool, error) {
		now := time.Now()
		all, err := o.read(ctx)
		if err != nil {
			return false, err
		}
		if n := all.sum(passes); n != done || all.sum(depth) > 0 {
			done, worked = n, now
			use, err := usageOf(o.PID())
			busy = use.cpu
			return false, err
		}
		return done >= float64(objects) && now.Sub(worked) > quiet, nil
	})
	return worked.Sub(o.began), busy, err
}
