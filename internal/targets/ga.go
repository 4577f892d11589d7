// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of GA.
const (
	gaRead    alibaba.Action = "DescribeListener"
	gaList    alibaba.Action = "ListListenerCertificates"
	gaDefault alibaba.Action = "UpdateListener"
	gaReplace alibaba.Action = "UpdateAdditionalCertificateWithListener"
	gaAdd     alibaba.Action = "AssociateAdditionalCertificatesWithListener"
)

// gaPageSize is the largest page (T72).
const gaPageSize = 50

// ga is the adapter of listeners of GA: a default, and one certificate for each of some
// domains. A change locks the whole accelerator (T71).
type ga struct {
	*session
	single
}

type gaListener struct {
	State        alibaba.Text
	Protocol     alibaba.Text
	Certificates []struct {
		ID alibaba.Text `json:"Id"`
	}
}

// Validate refuses an answer that says nothing of a listener.
func (a *gaListener) Validate() error {
	if a.State == "" {
		return errNo("State")
	}
	return nil
}

type gaCertificates struct {
	Certificates []struct {
		CertificateID alibaba.Text `json:"CertificateId"`
		Domain        alibaba.Text
		IsDefault     bool
	}
	TotalCount *alibaba.Text
	NextToken  alibaba.Text
}

// Validate refuses an answer without a total: an empty list must be told from none.
func (a *gaCertificates) Validate() error {
	if a.TotalCount == nil {
		return errNo("TotalCount")
	}
	return nil
}

// Read implements Adapter.
func (a *ga) Read(ctx context.Context, t Target) (State, error) {
	listener, err := call[gaListener](ctx, a.session, t, gaRead, false, map[string]string{"ListenerId": t.Part})
	if err != nil {
		return State{}, err
	}
	s := State{Status: string(listener.State), Busy: listener.State != "active", LoadBalancer: t.Resource}
	if listener.Protocol != "HTTPS" {
		s.Off = fmt.Sprintf("listener %s speaks %s, which has no certificates: use one that speaks HTTPS", t.Part, listener.Protocol)
		return s, nil
	}
	if len(listener.Certificates) > 0 {
		s.Entries = append(s.Entries, newEntry(string(listener.Certificates[0].ID), RoleDefault, StatusServing))
	}
	if err := a.readAdditional(ctx, t, &s); err != nil {
		return State{}, err
	}
	return s, nil
}

// readAdditional adds the certificates of domains.
func (a *ga) readAdditional(ctx context.Context, t Target, s *State) *Error {
	next, shown := "", int64(0)
	for range maxPages {
		answer, err := call[gaCertificates](ctx, a.session, t, gaList, true, map[string]string{
			"AcceleratorId": t.Resource, "ListenerId": t.Part, "Role": "additional", "MaxResults": strconv.Itoa(gaPageSize), "NextToken": next,
		})
		if err != nil {
			return err
		}
		for _, c := range answer.Certificates {
			if !c.IsDefault {
				e := newEntry(string(c.CertificateID), RoleDefault, StatusServing)
				e.Domain = string(c.Domain)
				s.Entries = append(s.Entries, e)
			}
		}
		shown += int64(len(answer.Certificates))
		if next = string(answer.NextToken); next != "" {
			continue
		}
		if total := answer.TotalCount.Int64(); shown != total {
			s.Incomplete = fmt.Sprintf("the list of the listener's certificates shows %d of %d", shown, total)
		}
		return nil
	}
	s.Incomplete = "the list of the listener's certificates does not end"
	return nil
}

// Place implements Adapter.
func (a *ga) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	if s.Incomplete != "" { // whether the domain has a certificate decides which call it is
		return &Error{Message: "nothing is placed: " + s.Incomplete}
	}
	id := p.Certificate.Identifier()
	action, params := gaDefault, map[string]string{"ListenerId": t.Part, "Certificates.1.Id": id}
	if t.Domain != "" {
		action, params = gaAdd, map[string]string{
			"AcceleratorId": t.Resource, "ListenerId": t.Part, "Certificates.1.Id": id, "Certificates.1.Domain": t.Domain,
		}
		if slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.Domain == t.Domain }) {
			action, params = gaReplace, map[string]string{
				"AcceleratorId": t.Resource, "ListenerId": t.Part, "Domain": t.Domain, "CertificateId": id,
			}
		}
	}
	params["ClientToken"] = clientToken(p.Seed, string(action), t.Part, t.Domain, id)
	_, err := call[accepted](ctx, a.session, t, action, false, params)
	return asError(err.full(fmt.Sprintf("listener %s of accelerator %s", t.Part, t.Resource), s.additional(), "additional certificate"))
}

// additional is how many certificates a listener has besides its default.
func (s State) additional() (n int) {
	for _, e := range s.Entries {
		if e.Domain != "" || e.Role == RoleAdditional {
			n++
		}
	}
	return n
}
