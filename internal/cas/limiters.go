// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"maps"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// budget says whose limits they are: the account's in a region, or, until that is
// known, the credential's. It is never an access key id, which changes with every
// token.
type budget struct{ account, credential, region string }

// limiters are those of one budget.
type limiters map[alibaba.Action]*ratelimit.Limiter

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

// budgetOf returns whose limits apply to an identity's calls in a region. As soon as the
// account is known, what was kept for the credential alone moves to the account.
// c.mu is held.
func (c *Cloud) budgetOf(id *alibaba.Identity, region string) budget {
	account := id.KnownAccount()
	if account == "" {
		return budget{credential: id.Credential(), region: region}
	}
	c.moveToAccount(id.Credential(), account)
	return budget{account: account, region: region}
}

// limiterFor returns the limiter for a call with the given identity.
func (c *Cloud) limiterFor(id *alibaba.Identity, region string, action alibaba.Action) *ratelimit.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limiters.get(c.budgetOf(id, region), c.clock.Now(), c.newLimiters)[action]
}

// accountKnown moves what was kept for a credential to its account, so that the account's
// other credentials count with it from now on.
func (c *Cloud) accountKnown(id *alibaba.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveToAccount(id.Credential(), id.KnownAccount())
}

// moveToAccount moves the limiters, the inventories and the places of a credential to its account,
// where they meet those of other credentials of the same one. c.mu is held.
func (c *Cloud) moveToAccount(credential, account string) {
	now := c.clock.Now()
	for _, region := range Regions() {
		before, after := budget{credential: credential, region: region}, budget{account: account, region: region}
		c.limiters.move(before, after, now, func(from, to limiters) {
			for action, l := range from {
				l.MergeInto(to[action])
			}
		})
		c.places.move(before, after, now, func(_, _ *place) {}) // calls under way end where they began
		c.inventories.move(before, after, now, func(from, to *inventory.Inventory) { to.Merge(from) })
	}
}

// dropIdle forgets limiters of accounts, and what belongs to them, that nobody has used for an
// hour.
func (c *Cloud) dropIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	past := c.clock.Now().Add(-alibaba.IdleAfter)
	maps.DeleteFunc(c.limiters.accounts, func(_ budget, group limiters) bool {
		for _, l := range group {
			if !l.IdleSince().Before(past) {
				return false
			}
		}
		return true
	})
	maps.DeleteFunc(c.inventories.accounts, func(key budget, _ *inventory.Inventory) bool {
		_, used := c.limiters.accounts[key]
		return !used
	})
	maps.DeleteFunc(c.places.accounts, func(key budget, _ *place) bool {
		_, used := c.limiters.accounts[key]
		return !used
	})
}
