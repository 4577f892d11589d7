// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

// Held counts what each holder has of something that all share, by the urgency of what it is for. Who
// holds nothing has no entry.
type Held map[string][Repair + 1]int

// Add counts one more.
func (h Held) Add(holder string, u Urgency) { h.change(holder, u, 1) }

// Remove counts one less, of those that were added.
func (h Held) Remove(holder string, u Urgency) { h.change(holder, u, -1) }

func (h Held) change(holder string, u Urgency, by int) {
	counts := h[holder]
	counts[u] += by
	if h[holder] = counts; counts == [Repair + 1]int{} {
		delete(h, holder)
	}
}

// AtLeast is how many a holder has for what is at least so urgent.
func (h Held) AtLeast(holder string, u Urgency) (n int) {
	counts := h[holder]
	for _, count := range counts[:u+1] {
		n += count
	}
	return n
}
