// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Slot is a place in the pace of one action at one gate, for calls with one credential. It is
// used by one call, or given back.
type Slot struct {
	place *ratelimit.Slot
	key   slotKey
}

// slotKey says for which calls a slot is good.
type slotKey struct {
	credential string
	place      Place
	action     alibaba.Action
}

// Release gives the slot back if no call has taken it. It may be called at any
// time and more than once, and on a nil slot.
func (s *Slot) Release() {
	if s != nil {
		s.place.Release()
	}
}

// Throttled slows the limiter of the slot down, as after an answer to a call that was sent at a
// time, and returns when it is worth asking again.
func (s *Slot) Throttled(sent time.Time, timeLeft time.Duration) time.Duration {
	return s.place.Throttled(sent, timeLeft)
}

// take makes the slot the caller's, unless it is spent or of another kind.
func (s *Slot) take(key slotKey) bool { return s != nil && s.key == key && s.place.Take() }

// wait waits until the slot is due and returns when the call was let go.
func (s *Slot) wait(ctx context.Context) (time.Time, *alibaba.Error) {
	sent, err := s.place.Wait(ctx)
	if err == nil {
		return sent, nil
	}
	if paused, ok := errors.AsType[*ratelimit.PausedError](err); ok {
		return time.Time{}, &alibaba.Error{Action: s.key.action, Class: alibaba.Throttled, RetryAfter: paused.RetryAfter, Message: paused.Error()}
	}
	return time.Time{}, alibaba.GivenUp(ctx, s.key.action)
}
