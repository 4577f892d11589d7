// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest value that at least the share p of all are not above.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// middleRate is the rate of events a second over their middle 80 %, so that neither
// the run-up nor the tail counts.
func middleRate(times []time.Time) float64 {
	sorted := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	first, last := len(sorted)/10, len(sorted)-1-len(sorted)/10
	if last <= first {
		return 0
	}
	return float64(last-first) / sorted[last].Sub(sorted[first]).Seconds()
}

// within are the events of a half-open span of time.
func within(times []time.Time, from, to time.Time) int {
	n := 0
	for _, t := range times {
		if !t.Before(from) && t.Before(to) {
			n++
		}
	}
	return n
}

// mostWithin is the most events in any half-open span of time.
func mostWithin(times []time.Time, span time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	most, first := 0, 0
	for i, t := range sorted {
		for t.Sub(sorted[first]) >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// ratio is a/b, and 0 where b is.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
