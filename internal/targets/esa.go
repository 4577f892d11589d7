// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of ESA. GetCertificate is none of them: it may return the private key (T62).
const (
	esaList alibaba.Action = "ListCertificates"
	esaSet  alibaba.Action = "SetCertificate"
)

// esaPageSize keeps a site of any size to a few calls.
const esaPageSize = 100

// esa is the adapter of the certificates that sites of ESA have, each with an id of its own. One
// of CAS replaces what is there in place, which takes no room and leaves no gap (T60, T61).
type esa struct {
	*session
	single
}

type esaAnswer struct {
	Result     []esaCertificate
	TotalCount *alibaba.Text
}

type esaCertificate struct {
	ID     alibaba.Text `json:"Id"`
	Name   alibaba.Text
	CasID  alibaba.Text `json:"CasId"`
	Region alibaba.Text
	Type   alibaba.Text
	Status alibaba.Text
}

// esaState is what Read keeps for Place: the certificate, and how many its site has.
type esaState struct {
	esaCertificate
	total int
}

// Validate refuses an answer without a total: an empty list must be told from none.
func (a *esaAnswer) Validate() error {
	if a.TotalCount == nil {
		return errNo("TotalCount")
	}
	return nil
}

// Read implements Adapter.
func (a *esa) Read(ctx context.Context, t Target) (State, error) {
	shown := int64(0)
	for page := 1; page <= maxPages; page++ {
		answer, err := call[esaAnswer](ctx, a.session, t, esaList, page > 1, map[string]string{
			"SiteId": t.Resource, "PageNumber": strconv.Itoa(page), "PageSize": strconv.Itoa(esaPageSize),
		})
		if err != nil {
			return State{}, err
		}
		for _, c := range answer.Result {
			if string(c.ID) == t.Part {
				return State{Status: string(c.Status), Entries: []Entry{c.entry(t)}, Kept: esaState{c, int(answer.TotalCount.Int64())}}, nil
			}
		}
		shown += int64(len(answer.Result))
		if total := answer.TotalCount.Int64(); shown >= total {
			return State{}, &Error{Class: TargetNotFound, Message: fmt.Sprintf(
				"site %s of ESA has no certificate with the id %s: bind one of those that its list shows, whose id is ESA's own", t.Resource, t.Part)}
		}
		if len(answer.Result) == 0 {
			break
		}
	}
	return State{}, &Error{Message: fmt.Sprintf("the list of the certificates of site %s shows %d of more", t.Resource, shown)}
}

// entry returns the certificate of CAS that one of ESA's is. The list may not show its region
// (T63).
func (c esaCertificate) entry(t Target) Entry {
	e := Entry{Role: RoleDefault, Status: StatusServing, ProviderID: string(c.ID)}
	if id := c.CasID.Int64(); c.Type == "cas" && id > 0 {
		e.CertID, e.Region = id, cmp.Or(string(c.Region), t.Region)
		e.CertIdentifier = Certificate{CertID: e.CertID, Region: e.Region}.Identifier()
	}
	return e
}

// Place implements Adapter.
func (a *esa) Place(ctx context.Context, t Target, s State, p Placement) error {
	c := p.Certificate
	if send, failure := s.prepare(t, c); !send {
		return asError(failure)
	}
	kept, ok := s.Kept.(esaState)
	if !ok { // without an id the call would make another certificate
		return &Error{Message: fmt.Sprintf("%s was not read", t)}
	}
	_, err := call[accepted](ctx, a.session, t, esaSet, false, map[string]string{
		"SiteId": t.Resource, "Id": string(kept.ID), "Name": string(kept.Name), "Type": "cas",
		"CasId": strconv.FormatInt(c.CertID, 10), "Region": c.Region,
	})
	return asError(err.full(fmt.Sprintf("site %s of ESA", t.Resource), kept.total, "certificate"))
}
