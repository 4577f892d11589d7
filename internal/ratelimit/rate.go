// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

// Rate returns how many calls a second the limiter lets go now: fewer than it could, for a
// while after throttled answers.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate(l.clock.Now())
}
