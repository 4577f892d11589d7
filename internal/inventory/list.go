// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// Lister lists certificates.
type Lister interface {
	// ListPage reads a page once the account's limit has a place for it. Its errors are
	// *alibaba.Error. If no place is within reach, nothing is sent, and the error is of
	// class Throttled and without an HTTP status. It reads.
	ListPage(ctx context.Context, q Query) (Page, error)
}

// Source lists certificates with one credential.
type Source struct {
	Lister Lister
	// Credential tells the failures of one credential from those of another.
	Credential string
}

// Query selects a page of uploaded certificates.
type Query struct {
	// Status is one of Config.Statuses.
	Status string
	// Keyword is part of a domain or of a resource id; empty for the whole list.
	Keyword string
	// Page counts from 1.
	Page int
	// Size is how many certificates a page holds; 0 stands for Config.PageSize.
	Size int
	// Begun reports whether earlier answers are lost unless this page is read now.
	Begun bool
}

// Page is a page of uploaded certificates.
type Page struct {
	Certificates []Certificate
	// Total is the number of certificates of all pages, as the cloud counts.
	Total int64
	// Unreadable is the number of entries without an id, which are left out.
	Unreadable int
}

// rows is the number of entries of the page.
func (p Page) rows() int { return len(p.Certificates) + p.Unreadable }

// Certificate is what is read of a certificate in the list. For an SM2 pair it is not
// known which of the two the digest and the date describe.
type Certificate struct {
	// CertID is at least 1.
	CertID int64
	// ResourceID is the instance id, for instance cas-upload-xki1d0.
	ResourceID string
	// Name is the name it was uploaded under.
	Name string
	// SHA256 is the digest of the leaf's DER in lower-case hex; empty where the
	// list has none, or none that can be read.
	SHA256 string
	// NotAfter is exact to the day; zero where unreadable.
	NotAfter time.Time
	// Row counts the entries of its page that stand before it, those without an id too.
	Row int
}

// wasSent reports whether a page was asked for: unless the limit had no place for it.
func wasSent(err error) bool {
	failure, failed := errors.AsType[*alibaba.Error](err)
	return !failed || failure.Class != alibaba.Throttled || failure.HTTPStatus != 0
}

// maxPages bounds the search under one keyword.
const maxPages = 20

// errTooMany says that the pages of a keyword do not end.
var errTooMany = errors.New("too many certificates match the keyword")

// find returns the certificates under a keyword (a domain or resource id) that
// match, of the first status that has any: current ones, then expired; and how many calls
// it took. A match costs one call where a page holds all that the keyword finds. None is
// said to match only if the cloud showed as many as it counts. It reads. Each call ends
// within 4.5 s; the context bounds the whole.
func (v *Inventory) find(ctx context.Context, lister Lister, keyword string, match func(Certificate) bool) (found []Certificate, calls int, err error) {
	for _, status := range v.config.Statuses {
		found, err = v.findWithStatus(ctx, lister, &calls, Query{Status: status, Keyword: keyword}, match)
		if err != nil || len(found) > 0 {
			break
		}
	}
	return found, calls, err
}

// matches are those of the certificates on the pages of a list that match.
type matches struct {
	found      []Certificate
	seen       map[int64]bool
	unreadable int
}

func (m *matches) take(page Page, match func(Certificate) bool) {
	m.unreadable += page.Unreadable
	for _, certificate := range page.Certificates {
		if !m.seen[certificate.CertID] && match(certificate) {
			m.found = append(m.found, certificate)
		}
		m.seen[certificate.CertID] = true
	}
}

// listed is how many entries the pages held.
func (m *matches) listed() int { return len(m.seen) + m.unreadable }

// findWithStatus follows the pages of one status to the end. Pages may shift
// while they are read: an entry seen twice counts once.
func (v *Inventory) findWithStatus(ctx context.Context, lister Lister, calls *int, q Query, match func(Certificate) bool) ([]Certificate, error) {
	m := matches{seen: map[int64]bool{}}
	for q.Page = 1; q.Page <= maxPages; q.Page++ {
		q.Begun = *calls > 0
		page, err := lister.ListPage(ctx, q)
		if wasSent(err) {
			*calls++
		}
		if err != nil {
			return nil, err
		}
		m.take(page, match)
		if len(page.Certificates)+page.Unreadable > 0 && int64(q.Page)*int64(v.config.PageSize) < page.Total {
			continue
		}
		if len(m.found) == 0 && int64(m.listed()) < page.Total {
			return nil, v.miscounted(q.Status, m.listed(), page.Total, errCut)
		}
		return m.found, nil
	}
	if len(m.found) > 0 {
		return m.found, nil
	}
	return nil, &alibaba.Error{Action: v.config.Action, Message: errTooMany.Error(), Cause: errTooMany}
}
