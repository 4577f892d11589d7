// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// Pace is whose calls are paced together. The account is empty until it is learned.
type Pace struct {
	Account, Region string
	Action          alibaba.Action
}

// Rates returns how many calls a second are let go now, of everything that is in use. Those
// whose account is not known yet are left out: they are as many as there are credentials.
func (c *Cloud) Rates() map[Pace]float64 {
	rates := map[Pace]float64{}
	for pace, rate := range c.gates.Rates() {
		rates[Pace{Account: pace.Account, Region: pace.Region, Action: pace.Action}] = rate
	}
	return rates
}

// waited tells who asked to know for how long a caller has to wait for its turn.
func (c *Client) waited(action alibaba.Action, wait time.Duration) {
	if c.cloud.observeWait != nil {
		c.cloud.observeWait(Pace{Account: c.KnownAccount(), Region: c.region, Action: action}, wait)
	}
}
