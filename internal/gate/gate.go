// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/breaker"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Gate lets the calls of one account, or of one credential, go to one place.
type Gate struct {
	limiters map[alibaba.Action]*ratelimit.Limiter // never changed
	breaker  *breaker.Breaker
	hasTime  func(alibaba.Action) bool

	mu   sync.Mutex
	last alibaba.Error // of the last call to which no answer came
}

// Limiter returns the limiter of an action; nil where it has none.
func (g *Gate) Limiter(action alibaba.Action) *ratelimit.Limiter { return g.limiters[action] }

// enter admits a call of a tenant to the place. Where it does not, nobody waits in a worker.
func (g *Gate) enter(tenant string, action alibaba.Action) (*breaker.Call, *alibaba.Error) {
	call, wait := g.breaker.Enter(tenant)
	if call == nil {
		return nil, g.refusal(action, wait)
	}
	return call, nil
}

// mayEnter returns why no call would be admitted now, if so. It takes no turn.
func (g *Gate) mayEnter(tenant string, action alibaba.Action) *alibaba.Error {
	if wait := g.breaker.May(tenant); wait > 0 {
		return g.refusal(action, wait)
	}
	return nil
}

// refusal says why a call is not admitted, and when to ask again.
func (g *Gate) refusal(action alibaba.Action, wait time.Duration) *alibaba.Error {
	if !g.breaker.Open() {
		return &alibaba.Error{Action: action, Class: alibaba.Throttled, RetryAfter: wait, Message: "as many calls as may be under way wait for an answer of the cloud"}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	failure := g.last
	failure.Action, failure.RetryAfter, failure.MayHaveHappened = action, g.hint(action, wait), false
	return &failure
}

// hint is when a call is worth repeating to a place that is being probed.
func (g *Gate) hint(action alibaba.Action, wait time.Duration) time.Duration {
	if g.hasTime != nil && g.hasTime(action) {
		return 0
	}
	return wait
}

// end notes what came of a call that was sent. While the place is probed, the failure says
// when to ask again.
func (g *Gate) end(call *breaker.Call, failure *alibaba.Error) {
	switch {
	case failure == nil || failure.HTTPStatus != 0:
		call.Answered()
	case errors.Is(failure, context.Canceled): // by ourselves
		call.Cancel()
	default:
		failure.RetryAfter = max(failure.RetryAfter, g.hint(failure.Action, call.Unanswered()))
		g.mu.Lock()
		defer g.mu.Unlock()
		g.last = *failure
	}
}
