// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Slot is a place in the pace of a limiter. It is used by one call, or given back. It is
// safe for concurrent use.
type Slot struct {
	turn
	limiter *Limiter
	due     time.Time // as it was promised
	taken   atomic.Bool
}

// PausedError says that throttled answers have moved a slot too far.
type PausedError struct {
	// RetryAfter is how long to wait before another slot is worth asking for.
	RetryAfter time.Duration
}

// Error implements error.
func (e *PausedError) Error() string { return "the account is being throttled" }

// Take makes the slot the caller's, and reports whether it was free.
func (s *Slot) Take() bool { return s.taken.CompareAndSwap(false, true) }

// Release gives the slot back if nobody has taken it. It may be called at any time and more
// than once.
func (s *Slot) Release() {
	if s.Take() {
		s.GiveBack()
	}
}

// GiveBack makes the place of a slot that was taken free again: its call was not sent.
func (s *Slot) GiveBack() { s.limiter.giveBack(s.turn) }

// Wait waits until the slot is due and returns when the call was let go. It gives up with a
// *PausedError once pauses have moved the slot too far, and with the cause of the context
// when that ends.
func (s *Slot) Wait(ctx context.Context) (time.Time, error) {
	clock := s.limiter.clock
	last := later(s.due, clock.Now()).Add(maxLag)
	for {
		sent, wait := s.limiter.admit(s.at)
		if !sent.IsZero() {
			return sent, nil
		}
		if clock.Now().Add(wait).After(last) {
			return time.Time{}, &PausedError{RetryAfter: wait}
		}
		select {
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-clock.After(wait):
		}
	}
}

// Written says that the call which was let go at sent has left only now.
func (s *Slot) Written(sent time.Time) { s.limiter.written(sent) }

// Throttled slows the limiter down after a throttled answer to the call that was let go at
// sent, and returns when it is worth asking again. timeLeft is the cloud's own hint.
func (s *Slot) Throttled(sent time.Time, timeLeft time.Duration) time.Duration {
	return s.limiter.throttled(s.turn, sent, timeLeft)
}
