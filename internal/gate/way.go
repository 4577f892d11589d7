// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Way is the way through a gate for a tenant's calls with one credential.
type Way struct {
	Gate     *Gate
	Place    Place
	Identity *alibaba.Identity
	Clock    alibaba.Clock
	// Tenant shares the account's limits with other tenants; empty is the operator itself.
	Tenant string
	// Waited, if set, is told how long a caller has to wait for its turn: in line, or until it
	// may ask again.
	Waited func(alibaba.Action, time.Duration)
}

func (w *Way) slotKey(action alibaba.Action) slotKey {
	return slotKey{credential: w.Identity.Credential(), place: w.Place, action: action}
}

func (w *Way) waited(action alibaba.Action, wait time.Duration) {
	if w.Waited != nil {
		w.Waited(action, wait)
	}
}

// Reserve takes a place in the pace of an action, as far ahead as the horizon. Where there is
// none, the error is of class Throttled, and its RetryAfter says when to ask again. It does not
// block. The slot is used by one call or released.
func (w *Way) Reserve(ctx context.Context, action alibaba.Action, u ratelimit.Urgency, horizon time.Duration) (*Slot, *alibaba.Error) {
	if ctx.Err() != nil {
		return nil, alibaba.GivenUp(ctx, action)
	}
	limiter := w.Gate.Limiter(action)
	if limiter == nil {
		return nil, &alibaba.Error{Action: action, Message: "the action has no limiter"}
	}
	if failure := w.Gate.mayEnter(w.Tenant, action); failure != nil {
		return nil, failure
	}
	place, retryAfter := limiter.Reserve(w.Tenant, u, horizon)
	if place == nil {
		w.waited(action, retryAfter)
		return nil, &alibaba.Error{Action: action, Class: alibaba.Throttled, RetryAfter: retryAfter, Message: "the account's limit is in use"}
	}
	return &Slot{place: place, key: w.slotKey(action)}, nil
}

// Pass waits for a place in a pace that no call has for itself: one that bounds what is begun
// for a purpose.
func (w *Way) Pass(ctx context.Context, purpose alibaba.Action, u ratelimit.Urgency) *alibaba.Error {
	slot, failure := w.Reserve(ctx, purpose, u, u.Horizon())
	if failure != nil {
		return failure
	}
	slot.place.Take()
	if _, failure := slot.wait(ctx); failure != nil {
		slot.place.GiveBack()
		return failure
	}
	return nil
}

// Send sends one call at the time of its slot; a nil or spent slot is replaced by a new one. The
// slot is spent if the call was sent, else given back. The credentials come first, because a
// provider may have to call STS; the signature last, because it carries the time.
func Send[T any](ctx context.Context, w *Way, slot *Slot, call alibaba.Call) (answer *T, sent bool, failure *alibaba.Error) {
	if key := w.slotKey(call.Action); !slot.take(key) {
		if slot, failure = w.Reserve(ctx, call.Action, ratelimit.Prompt, ratelimit.Prompt.Horizon()); failure != nil {
			return nil, false, failure
		}
		slot.take(key)
	}
	entered, failure := w.Gate.enter(w.Tenant, call.Action)
	if failure != nil {
		slot.place.GiveBack()
		return nil, false, failure
	}
	credentials, failure := w.Identity.Credentials(ctx)
	var due time.Time
	if failure == nil {
		begin := w.Clock.Now()
		due, failure = slot.wait(ctx)
		w.waited(call.Action, w.Clock.Now().Sub(begin))
	}
	if failure != nil {
		entered.Cancel()
		slot.place.GiveBack()
		return nil, false, failure
	}
	call.Written = func() { slot.place.Written(due) }
	answer, failure = alibaba.Send[T](ctx, w.Identity, credentials, call)
	w.Gate.end(entered, failure)
	if failure != nil && failure.Class == alibaba.Throttled {
		failure.RetryAfter = slot.Throttled(due, failure.RetryAfter)
	}
	return answer, true, failure
}
