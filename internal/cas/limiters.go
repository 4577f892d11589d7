// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"maps"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// idleAfter is how long what is kept per credential or account outlives its
// last use. Temporary credentials change for ever; what they leave must go.
const idleAfter = time.Hour

// budget says whose limits they are: the account's at a site, or, until that is
// known, the provider's. It is never an access key id, which changes with every
// token.
type budget struct{ account, provider, site string }

// limiters are those of one budget.
type limiters map[Action]*ratelimit.Limiter

// c.mu is held.
func (c *Cloud) newLimiters() limiters {
	first := c.begin().Add(ratelimit.QuietStart)
	return limiters{
		ActionUpload: ratelimit.New(c.clock, c.uploadQPS, first),
		ActionDelete: ratelimit.New(c.clock, c.uploadQPS, first),
		ActionList:   ratelimit.New(c.clock, c.listQPS, first),
	}
}

// Begin says that calls may be made from now on, and that another process may have
// made some until now: none is sent for a second. Without it that second begins
// with the first call that is asked for.
func (c *Cloud) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin()
}

// c.mu is held.
func (c *Cloud) begin() time.Time {
	if c.began.IsZero() {
		c.began = c.clock.Now()
	}
	return c.began
}

// limiterFor returns the limiter for a call with the given identity.
func (c *Cloud) limiterFor(id *identity, site string, action Action) *ratelimit.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := id.budget(site)
	group, ok := c.limiters[key]
	if !ok {
		group = c.newLimiters()
		c.limiters[key] = group
	}
	return group[action]
}

// inventoryFor returns what is known of the certificates that the given identity
// reaches at a site.
func (c *Cloud) inventoryFor(id *identity, site string) *Inventory {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := id.budget(site)
	v, ok := c.inventories[key]
	if !ok {
		v = newInventory(c.parseName, c.clock, c.ownWriteAge)
		c.inventories[key] = v
	}
	return v
}

// accountKnown moves the limiters and the inventory of a provider to its account,
// where they meet those of other providers of the same one.
func (c *Cloud) accountKnown(id *identity, account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, site := range Sites() {
		before, after := id.budget(site), budget{account: account, site: site}
		move(c.limiters, before, after, func(from, to limiters) {
			for action, l := range from {
				l.MergeInto(to[action])
			}
		})
		move(c.inventories, before, after, func(from, to *Inventory) { to.merge(from) })
	}
	id.account.Store(&account)
}

// move takes what a map holds from one key to another; what is there already meets
// it in merge.
func move[V any](m map[budget]V, before, after budget, merge func(from, to V)) {
	from, ok := m[before]
	if !ok || before == after {
		return
	}
	delete(m, before)
	if to, ok := m[after]; ok {
		merge(from, to)
		return
	}
	m[after] = from
}

// dropIdle forgets identities, limiters and inventories that nobody has used for
// an hour.
// c.mu is held.
func (c *Cloud) dropIdle() {
	past := c.clock.Now().Add(-idleAfter)
	maps.DeleteFunc(c.identities, func(_ string, id *identity) bool { return id.used.Before(past) })
	maps.DeleteFunc(c.limiters, func(_ budget, group limiters) bool {
		for _, l := range group {
			if !l.IdleSince().Before(past) {
				return false
			}
		}
		return true
	})
	maps.DeleteFunc(c.inventories, func(key budget, _ *Inventory) bool {
		_, used := c.limiters[key]
		return !used
	})
}
