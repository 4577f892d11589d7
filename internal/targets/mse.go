// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of MSE.
const (
	mseRead alibaba.Action = "ListGatewayDomain"
	mseSet  alibaba.Action = "UpdateSSLCert"
)

// mse is the adapter of domains of gateways of MSE.
type mse struct {
	*session
	single
}

type mseAnswer struct {
	outcome
	Data *[]mseDomain
}

type mseDomain struct {
	ID             alibaba.Text `json:"Id"`
	Name           alibaba.Text
	Protocol       alibaba.Text
	CertIdentifier alibaba.Text
}

// Validate tells a gateway without domains from no answer.
func (a *mseAnswer) Validate() error {
	if a.Data == nil {
		return errors.Join(a.check(), errNo("Data"))
	}
	return a.check()
}

// Read implements Adapter.
func (a *mse) Read(ctx context.Context, t Target) (State, error) {
	answer, err := call[mseAnswer](ctx, a.session, t, mseRead, false, map[string]string{"GatewayUniqueId": t.Resource, "DomainName": t.Domain})
	if err != nil {
		return State{}, err
	}
	for _, d := range *answer.Data {
		if string(d.Name) != t.Domain {
			continue
		}
		s := State{Status: string(d.Protocol), Kept: d}
		if d.Protocol != "HTTPS" {
			s.Off = fmt.Sprintf("%s speaks %s at gateway %s: switch it to HTTPS in the console first", t.Domain, d.Protocol, t.Resource)
			return s, nil
		}
		if d.CertIdentifier != "" {
			e := newEntry(string(d.CertIdentifier), RoleDefault, StatusServing)
			e.Domain = t.Domain
			s.Entries = []Entry{e}
		}
		return s, nil
	}
	return State{}, &Error{Class: TargetNotFound, Message: fmt.Sprintf("gateway %s has no domain %s", t.Resource, t.Domain)}
}

// Place implements Adapter.
func (a *mse) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	kept, ok := s.Kept.(mseDomain)
	if !ok || kept.ID.Int64() <= 0 {
		return &Error{Message: fmt.Sprintf("%s was not read: its id is not known", t)}
	}
	_, err := call[accepted](ctx, a.session, t, mseSet, false, map[string]string{
		"GatewayUniqueId": t.Resource, "DomainId": strconv.FormatInt(kept.ID.Int64(), 10), "CertIdentifier": p.Certificate.Identifier(),
	})
	return asError(err)
}
