// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"maps"
	"time"
)

// idleAfter is how long what is kept per credential or account outlives its
// last use. Temporary credentials change for ever; what they leave must go.
const idleAfter = time.Hour

// owner says whose limit it is: the account's, or, until that is known, the
// provider's. It is never an access key id, which changes with every token.
type owner struct{ account, provider string }

type limiterKey struct {
	owner  owner
	site   string
	action Action
}

// limiterFor returns the limiter for a call with the given identity.
func (c *Cloud) limiterFor(id *identity, site string, action Action) *limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := limiterKey{owner: id.owner(), site: site, action: action}
	if l, ok := c.limiters[key]; ok {
		return l
	}
	c.dropIdle()
	rate := c.uploadQPS
	if action == ActionList {
		rate = c.listQPS
	}
	l := newLimiter(c.clock, rate)
	c.limiters[key] = l
	return l
}

// accountKnown moves the limiters of a provider to its account, where they meet
// those of other providers of the same one.
func (c *Cloud) accountKnown(id *identity, account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := id.owner()
	id.account.Store(&account)
	for key, l := range maps.Clone(c.limiters) {
		if key.owner != before {
			continue
		}
		delete(c.limiters, key)
		key.owner = id.owner()
		if known, ok := c.limiters[key]; ok {
			l.mergeInto(known)
			continue
		}
		c.limiters[key] = l
	}
}

// dropIdle forgets identities and limiters that nobody has used for an hour.
// c.mu is held.
func (c *Cloud) dropIdle() {
	past := c.clock.Now().Add(-idleAfter)
	maps.DeleteFunc(c.identities, func(_ string, id *identity) bool { return id.used.Before(past) })
	maps.DeleteFunc(c.limiters, func(_ limiterKey, l *limiter) bool { return l.idleSince().Before(past) })
}
