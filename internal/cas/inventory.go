// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/gate"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
)

func (c *Cloud) newInventory() *inventory.Inventory {
	return inventory.New(inventory.Config{
		ParseName:   c.parseName,
		Clock:       c.clock,
		OwnWriteAge: c.ownWriteAge,
		Action:      ActionList,
		Statuses:    listedStatuses,
		PageSize:    PageSize,
		QPS:         c.listQPS,
		Background:  c.background,
	})
}

// Inventory returns what is known of the certificates that this client reaches:
// one for all clients of an account and region.
func (c *Client) Inventory() *inventory.Inventory {
	_, known := c.cloud.gates.Of(c.identity, gate.Place{Region: c.region})
	return known
}

func (c *Client) source() inventory.Source {
	return inventory.Source{Lister: c, Credential: c.identity.Credential()}
}

// Sweep reads the whole list now; see inventory.Inventory.Sweep.
func (c *Client) Sweep(ctx context.Context) error { return c.Inventory().Sweep(ctx, c.source()) }

// SweptSince sees to it that the whole list is read; see inventory.Inventory.SweptSince.
func (c *Client) SweptSince(since time.Time) error {
	return c.Inventory().SweptSince(c.source(), since)
}

// LookUp looks certificates up; see inventory.Inventory.LookUp.
func (c *Client) LookUp(ctx context.Context, identity, keyword string, since time.Time, match func(inventory.Entry) bool) ([]inventory.Entry, error) {
	return c.Inventory().LookUp(ctx, c.source(), identity, keyword, since, match)
}
