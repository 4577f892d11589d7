// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import "github.com/cloudcert-io/cloudcert/internal/alibaba"

// Pace is whose calls of a product are paced together.
type Pace struct {
	Product         Product
	Account, Region string
	// Action is one of the product's, or what bounds the readings that check for drift.
	Action alibaba.Action
}

// Rates returns how many calls a second are let go now, of everything that is in use. Those
// whose account is not known yet are left out: they are as many as there are credentials.
func (c *Cloud) Rates() map[Pace]float64 {
	rates := map[Pace]float64{}
	for pace, rate := range c.gates.Rates() {
		rates[Pace{Product: Product(pace.Service), Account: pace.Account, Region: pace.Region, Action: pace.Action}] = rate
	}
	return rates
}
