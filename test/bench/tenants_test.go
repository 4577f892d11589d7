// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

func TestBusiestMinute(t *testing.T) {
	t.Parallel()
	times := append(every(30, 10*time.Second), every(5, time.Second)...)
	if got := mostWithin(times, time.Minute); got != 6+5 {
		t.Errorf("%d in the busiest minute", got)
	}
	if got := mostWithin(nil, time.Minute); got != 0 {
		t.Errorf("nothing has a minute with %d", got)
	}
}

// Uploads count for the object that their name names, lists for each.
func TestBusiestObject(t *testing.T) {
	t.Parallel()
	at := time.Now()
	calls := []emulator.Call{
		{Action: actionUpload, Name: "noisy_a_1", Received: at}, {Action: actionUpload, Name: "noisy_a_2", Received: at},
		{Action: actionUpload, Name: "noisy_b_1", Received: at}, {Action: actionUpload, Name: "bench_c_1", Received: at},
		{Action: actionList, Received: at},
	}
	if got := busiestObject(calls); got != 3 {
		t.Errorf("%d calls of the busiest object", got)
	}
}

func TestAfterReturn(t *testing.T) {
	t.Parallel()
	returned := time.Now()
	hung := func(began, ended time.Duration) emulator.Call {
		return emulator.Call{Region: farRegion, Action: actionUpload, Received: returned.Add(began), Finished: returned.Add(ended)}
	}
	made := func(after time.Duration) emulator.Call {
		return emulator.Call{Region: farRegion, Action: actionUpload, Committed: true, Received: returned.Add(after), Decided: returned.Add(after)}
	}
	first, last, most := afterReturn([]emulator.Call{
		hung(-10*time.Second, -5*time.Second), hung(-6*time.Second, -time.Second), hung(-2*time.Second, time.Second),
		made(3 * time.Second), made(time.Second), {Region: region, Received: returned.Add(-6 * time.Second)},
	}, returned)
	if first != time.Second || last != 3*time.Second || most != 2 {
		t.Errorf("first %s, last %s, at most %d at a time", first, last, most)
	}
}
