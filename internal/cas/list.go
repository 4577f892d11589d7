// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	// PageSize is the number of certificates of a page: the cloud's default.
	PageSize = 50
	// maxPages bounds the search under one keyword.
	maxPages = 20
	// nextHorizon is how far ahead a search reserves from its second call on: it
	// would otherwise throw away the answers it has.
	nextHorizon = 2 * time.Second
)

// The values of ListRequest.Status.
const (
	// StatusCurrent selects issued certificates and those that expire soon.
	StatusCurrent = ""
	// StatusExpired selects expired certificates. They still occupy their name
	// (F16).
	StatusExpired = "EXPIRED"
)

// listedStatuses are asked for one after the other, in which order a certificate moves,
// so that none slips through. REVOKED is not one of them: an upload cannot be revoked,
// and what the cloud answers when it is asked for revoked uploads is unknown (F17).
var listedStatuses = []string{StatusCurrent, StatusExpired}

// Certificate is a certificate as the list shows it. For an SM2 pair it is not
// known which of the two the digests, dates and names describe.
type Certificate struct {
	// CertID is at least 1.
	CertID int64
	// ResourceID is the instance id, for instance cas-upload-xki1d0.
	ResourceID string
	// Name is the name it was uploaded under.
	Name string
	// SHA256 and SHA1 are digests of the leaf's DER in lower-case hex; empty
	// where the list has none, or none that can be read.
	SHA256, SHA1 string
	// CommonName is the subject's.
	CommonName string
	// DNSNames are the subject alternative names.
	DNSNames []string
	// SerialNumber is lower-case hex without leading zeros.
	SerialNumber string
	// Issuer is the issuer as the cloud writes it.
	Issuer string
	// NotBefore and NotAfter are exact to the day; zero where unreadable.
	NotBefore, NotAfter time.Time
	// Expired is the cloud's own word.
	Expired bool
	// Status is the cloud's; it may be empty.
	Status string
	// ResourceGroupID may be empty.
	ResourceGroupID string
}

// ListRequest selects a page of uploaded certificates.
type ListRequest struct {
	// Status is one of the Status constants.
	Status string
	// Keyword matches domains and resource ids, fuzzily; it does not match names
	// (F18).
	Keyword string
	// Page counts from 1; 0 is 1.
	Page int
	// Size is the number of certificates of a page; 0 is PageSize.
	Size int
	// ResourceGroupID narrows the list; empty does not.
	ResourceGroupID string
}

// ListPage is a page of uploaded certificates.
type ListPage struct {
	Certificates []Certificate
	// Total is the number of certificates of all pages, as the cloud counts.
	Total int64
	// Page is the number of this page.
	Page int
	// Unreadable is the number of entries without an id, which are left out.
	Unreadable int
	// RequestID is for the cloud's support.
	RequestID string
}

// ListPage returns a page of the uploaded certificates. It reads.
func (c *Client) ListPage(ctx context.Context, r ListRequest) (ListPage, error) {
	return c.listPage(ctx, nil, r)
}

func (c *Client) listPage(ctx context.Context, slot *Slot, r ListRequest) (ListPage, error) {
	page, size := max(1, r.Page), r.Size
	if size <= 0 {
		size = PageSize
	}
	request := &listRequest{
		RpcRequest: newRPC("cas", casVersion, ActionList),
		// Without it the cloud lists orders instead of certificates (F14).
		OrderType:       "UPLOAD",
		Status:          r.Status,
		Keyword:         r.Keyword,
		CurrentPage:     strconv.Itoa(page),
		ShowSize:        strconv.Itoa(size),
		ResourceGroupID: r.ResourceGroupID,
	}
	answer, err := call[listAnswer](ctx, c, ActionList, slot, request)
	if err != nil {
		return ListPage{}, err
	}
	result := ListPage{Total: answer.TotalCount.int64(), Page: page, RequestID: string(answer.RequestID)}
	for _, entry := range answer.CertificateOrderList {
		certificate := entry.certificate()
		if certificate.CertID <= 0 {
			result.Unreadable++
			continue
		}
		result.Certificates = append(result.Certificates, certificate)
	}
	return result, nil
}

// errTooMany says that the pages of a keyword do not end.
var errTooMany = errors.New("too many certificates match the keyword")

// Find returns the certificates under a keyword (a domain or resource id) that
// match, of the first status that has any: current ones, then expired. A match costs
// one call where a page holds all that the keyword finds. None is said to match only if
// the cloud showed as many as it counts. It reads. Each call ends within 4.5 s; the
// context bounds the whole.
func (c *Client) Find(ctx context.Context, keyword string, match func(Certificate) bool) ([]Certificate, error) {
	found, _, err := c.find(ctx, keyword, match)
	return found, err
}

// find is Find, and returns how many calls it took.
func (c *Client) find(ctx context.Context, keyword string, match func(Certificate) bool) (found []Certificate, calls int, err error) {
	for _, status := range listedStatuses {
		found, err = c.findWithStatus(ctx, &calls, ListRequest{Status: status, Keyword: keyword}, match)
		if err != nil || len(found) > 0 {
			break
		}
	}
	return found, calls, err
}

// findWithStatus follows the pages of one status to the end. Pages may shift
// while they are read: an entry seen twice counts once.
func (c *Client) findWithStatus(ctx context.Context, calls *int, r ListRequest, match func(Certificate) bool) ([]Certificate, error) {
	var found []Certificate
	seen := map[int64]bool{}
	unreadable := 0
	for r.Page = 1; r.Page <= maxPages; r.Page++ {
		page, err := c.nextPage(ctx, calls, r)
		if err != nil {
			return nil, err
		}
		unreadable += page.Unreadable
		for _, certificate := range page.Certificates {
			if !seen[certificate.CertID] && match(certificate) {
				found = append(found, certificate)
			}
			seen[certificate.CertID] = true
		}
		if len(page.Certificates)+page.Unreadable > 0 && int64(r.Page)*PageSize < page.Total {
			continue
		}
		if listed := len(seen) + unreadable; len(found) == 0 && int64(listed) < page.Total {
			return nil, miscounted(r.Status, listed, page.Total, page.Total)
		}
		return found, nil
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, &Error{Action: ActionList, Message: errTooMany.Error(), cause: errTooMany}
}

func (c *Client) nextPage(ctx context.Context, calls *int, r ListRequest) (ListPage, error) {
	horizon := nextHorizon
	if *calls == 0 {
		horizon = ratelimit.Prompt.Horizon()
	}
	slot, err := c.reserve(ctx, ActionList, ratelimit.Prompt, horizon)
	if err != nil {
		return ListPage{}, err
	}
	defer slot.Release()
	*calls++
	return c.listPage(ctx, slot, r)
}
