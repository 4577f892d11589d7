// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	// PageSize is the number of certificates of a page: the cloud's default.
	PageSize = 50
	// nextHorizon is how far ahead a look-up reserves from its second call on: it
	// would otherwise throw away the answers it has.
	nextHorizon = 2 * time.Second
)

const (
	// statusCurrent selects issued certificates and those that expire soon.
	statusCurrent = ""
	// statusExpired selects expired certificates. They still occupy their name
	// (F16).
	statusExpired = "EXPIRED"
)

// listedStatuses are asked for one after the other, in which order a certificate moves,
// so that none slips through. REVOKED is not one of them: an upload cannot be revoked,
// and what the cloud answers when it is asked for revoked uploads is unknown (F17).
var listedStatuses = []string{statusCurrent, statusExpired}

// ListPage returns a page of the uploaded certificates. A keyword matches domains and
// resource ids, fuzzily; it does not match names (F18). A page without a keyword is one of
// a sweep, which leaves the places that are further ahead to others. It reads.
func (c *Client) ListPage(ctx context.Context, q inventory.Query) (inventory.Page, error) {
	urgency := ratelimit.Prompt
	if q.Keyword == "" {
		urgency, c = ratelimit.Repair, c.For(Behalf{})
	}
	horizon := urgency.Horizon()
	if q.Begun {
		horizon = nextHorizon
	}
	slot, err := c.reserve(ctx, ActionList, urgency, horizon)
	if err != nil {
		return inventory.Page{}, err
	}
	defer slot.Release()
	call := c.newCall(ActionList, map[string]string{
		// Without it the cloud lists orders instead of certificates (F14).
		"OrderType":   "UPLOAD",
		"Status":      q.Status,
		"Keyword":     q.Keyword,
		"CurrentPage": strconv.Itoa(q.Page),
		"ShowSize":    strconv.Itoa(cmp.Or(q.Size, PageSize)),
	})
	answer, err := send[listAnswer](ctx, c, slot, call)
	if err != nil {
		return inventory.Page{}, err
	}
	return answer.page, nil
}
