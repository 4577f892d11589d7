// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"
)

// pageSize is how many certificates the operator asks of the list at a time.
const pageSize = 50

// driftRound lets the operator compare the fleet with the whole list once.
func driftRound(ctx context.Context, b *bench, to *recorder) error {
	f, err := b.fleetOf(ctx)
	if err != nil {
		return err
	}
	count, err := f.startCounting(ctx)
	if err != nil {
		return err
	}
	o, err := f.startOperator(ctx, "--drift-interval=1m")
	if err != nil {
		return err
	}
	defer o.end()
	progressf("waiting for the round, a minute or two")
	err = eventually(ctx, 20*time.Minute, time.Second, "a round", func() (bool, error) {
		all, err := o.read(ctx)
		return all.sum(roundsDone, "outcome=success") > 0, err
	})
	if err != nil {
		return err
	}
	o.end()
	calls, asked, err := count.asked(ctx)
	if err != nil {
		return err
	}
	t, identities := sumUp(calls), 0
	var first, last time.Time
	for _, call := range calls {
		switch {
		case call.Action == actionIdentity:
			identities++
		case first.IsZero():
			first = call.Received
		}
		last = call.Finished
	}
	to.count("list calls", float64(t.lists), atMost(float64(f.built.size/pageSize+20)))
	to.count("questions who the account is (STS), once in a process", float64(identities), atMost(1))
	to.count("other calls to the cloud", float64(t.all-t.lists-identities), exactly(0))
	to.count("reads of Secrets", asked.secretReads, exactly(0))
	to.count("writes to the API server", asked.writes(), exactly(0))
	to.count("calls throttled", float64(t.throttled), exactly(0))
	to.note("the round took", last.Sub(first).Seconds(), "s")
	return nil
}
