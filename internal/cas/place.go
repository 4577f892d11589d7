// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/breaker"
)

// defaultWorkers is the default of Config.Workers.
const defaultWorkers = 60

// Behalf says for whom a client calls.
type Behalf struct {
	// Tenant shares the account's limits with other tenants; empty is the operator itself.
	Tenant string
	// Sent, if set, is told of every call that was sent, and its error.
	Sent func(action alibaba.Action, err error)
}

// For returns the same client for calls on somebody's behalf. Sweeps are the operator's own,
// whoever asks for them.
func (c *Client) For(b Behalf) *Client {
	client := *c
	client.behalf = b
	return &client
}

// place is an account in a region, as far as it answers.
type place struct {
	*breaker.Breaker

	mu   sync.Mutex
	last alibaba.Error // of the last call to which no answer came
}

// c.mu is held.
func (c *Cloud) newPlace(region string) *place {
	around, ok := c.regions[region]
	if !ok {
		around = breaker.New(c.clock, c.workers, nil)
		c.regions[region] = around
	}
	return &place{Breaker: breaker.New(c.clock, c.workers, around)}
}

// placeFor returns the place that an identity's calls in a region go to.
func (c *Cloud) placeFor(id *alibaba.Identity, region string) *place {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places.get(c.budgetOf(id, region), c.clock.Now(), func() *place { return c.newPlace(region) })
}

// enter admits a call of a tenant to the place. Where it does not, nobody waits in a worker.
func (p *place) enter(tenant string, action alibaba.Action) (*breaker.Call, *alibaba.Error) {
	call, wait := p.Enter(tenant)
	if call == nil {
		return nil, p.refusal(action, wait)
	}
	return call, nil
}

// mayEnter returns why no call would be admitted now, if so. It takes no turn.
func (p *place) mayEnter(tenant string, action alibaba.Action) *alibaba.Error {
	if wait := p.May(tenant); wait > 0 {
		return p.refusal(action, wait)
	}
	return nil
}

// refusal says why a call is not admitted, and when to ask again.
func (p *place) refusal(action alibaba.Action, wait time.Duration) *alibaba.Error {
	if !p.Open() {
		return &alibaba.Error{Action: action, Class: alibaba.Throttled, RetryAfter: wait, Message: "as many calls as may be under way wait for an answer of the cloud"}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	failure := p.last
	failure.Action, failure.RetryAfter, failure.MayHaveHappened = action, hint(action, wait), false
	return &failure
}

// hint is when a call is worth repeating to a place that is being probed. A deletion has time,
// and may go unanswered for the sake of one certificate: it is tried less often each time.
func hint(action alibaba.Action, wait time.Duration) time.Duration {
	if action == ActionDelete {
		return 0
	}
	return wait
}

// end notes what came of a call that was sent. While the place is probed, the failure says
// when to ask again.
func (p *place) end(call *breaker.Call, failure *alibaba.Error) {
	switch {
	case failure == nil || failure.HTTPStatus != 0:
		call.Answered()
	case errors.Is(failure, context.Canceled): // by ourselves
		call.Cancel()
	default:
		failure.RetryAfter = max(failure.RetryAfter, hint(failure.Action, call.Unanswered()))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.last = *failure
	}
}
