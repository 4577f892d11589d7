// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"time"
)

// window counts calls in the half-open span that ends now, a second if it is 0.
type window struct {
	times []time.Time
	span  time.Duration
}

func (w *window) length() time.Duration { return cmp.Or(w.span, time.Second) }

// count returns the calls of the last span. now must not go back.
func (w *window) count(now time.Time) int {
	for len(w.times) > 0 && now.Sub(w.times[0]) >= w.length() {
		w.times = w.times[1:]
	}
	return len(w.times)
}

func (w *window) add(now time.Time) { w.times = append(w.times, now) }

// gauge is the limit of one account, region, product and action, and what was seen of it.
type gauge struct {
	counted, seen window
	calls         int
	peak          int
	outcomes      map[string]int
}

// admit reports whether a call at now is within the limit, and counts it. A
// negative limit admits all.
func (g *gauge) admit(now time.Time, limit int, countThrottled bool) bool {
	g.calls++
	g.seen.add(now)
	g.peak = max(g.peak, g.seen.count(now))
	over := limit >= 0 && g.counted.count(now) >= limit
	if (!over || countThrottled) && limit >= 0 {
		g.counted.add(now)
	}
	return !over
}

// timeLeft is how long it takes at least until a call can be admitted.
func (g *gauge) timeLeft(now time.Time) time.Duration {
	if g.counted.count(now) == 0 {
		return 0
	}
	return g.counted.length() - now.Sub(g.counted.times[0])
}
