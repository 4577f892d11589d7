// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"sync/atomic"
	"time"
)

// Slot is a place in the pace of an account, site and action. It is used by one
// call, or given back.
type Slot struct {
	limiter *limiter
	key     slotKey
	at      time.Time // on the limiter's shifted line
	due     time.Time // as it was promised
	taken   atomic.Bool
}

// slotKey says for which calls a slot is good.
type slotKey struct {
	provider, region string
	action           Action
}

// Release gives the slot back if no call has taken it. It may be called at any
// time and more than once, and on a nil slot.
func (s *Slot) Release() {
	if s != nil && s.taken.CompareAndSwap(false, true) {
		s.limiter.giveBack(s.at)
	}
}

// take makes the slot the caller's, unless it is spent or of another kind.
func (s *Slot) take(key slotKey) bool {
	return s != nil && s.key == key && s.taken.CompareAndSwap(false, true)
}

// wait waits until the slot is due and returns when the call was let go. It
// gives up once pauses have moved the slot too far.
func (s *Slot) wait(ctx context.Context) (time.Time, *Error) {
	clock := s.limiter.clock
	last := later(s.due, clock.Now()).Add(maxLag)
	for {
		sent, wait := s.limiter.admit(s.at)
		if !sent.IsZero() {
			return sent, nil
		}
		if clock.Now().Add(wait).After(last) {
			return time.Time{}, &Error{Action: s.key.action, Class: Throttled, RetryAfter: wait, Message: "the account is being throttled"}
		}
		select {
		case <-ctx.Done():
			return time.Time{}, newContextError(ctx, s.key.action)
		case <-clock.After(wait):
		}
	}
}
