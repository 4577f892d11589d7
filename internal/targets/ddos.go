// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of Anti-DDoS.
const (
	ddosRead  alibaba.Action = "DescribeWebRules"
	ddosNames alibaba.Action = "DescribeCerts"
	ddosSet   alibaba.Action = "AssociateWebCert"
)

// ddos is the adapter of domains of Anti-DDoS. A rule shows its certificate's name alone, and
// another call which certificate has that name (T80).
type ddos struct {
	*session
	single
}

type ddosRules struct {
	WebRules *[]struct {
		Domain, CertName alibaba.Text
		ProxyTypes       []struct{ ProxyType alibaba.Text }
	}
}

// Validate tells a domain without a rule from no answer.
func (a *ddosRules) Validate() error {
	if a.WebRules == nil {
		return errNo("WebRules")
	}
	return nil
}

type ddosCertificates struct {
	Certs *[]struct{ Name, CertIdentifier alibaba.Text }
}

// Validate tells no certificates from no answer.
func (a *ddosCertificates) Validate() error {
	if a.Certs == nil {
		return errNo("Certs")
	}
	return nil
}

// Read implements Adapter.
func (a *ddos) Read(ctx context.Context, t Target) (State, error) {
	rules, err := call[ddosRules](ctx, a.session, t, ddosRead, false, map[string]string{
		"Domain": t.Domain, "QueryDomainPattern": "exact", "PageNumber": "1", "PageSize": "10",
	})
	if err != nil {
		return State{}, err
	}
	for _, rule := range *rules.WebRules {
		if string(rule.Domain) != t.Domain {
			continue
		}
		for _, proxy := range rule.ProxyTypes {
			if proxy.ProxyType == "https" {
				return a.named(ctx, t, string(rule.CertName))
			}
		}
		return State{Off: fmt.Sprintf("Anti-DDoS does not forward HTTPS for %s: add it to the domain's protocols in the console first", t.Domain)}, nil
	}
	return State{}, &Error{Class: TargetNotFound, Message: fmt.Sprintf("Anti-DDoS has no rule for %s in this account", t)}
}

// named returns the state of a domain whose certificate has the name.
func (a *ddos) named(ctx context.Context, t Target, name string) (State, error) {
	if name == "" {
		return State{}, nil
	}
	certificates, err := call[ddosCertificates](ctx, a.session, t, ddosNames, true, map[string]string{"Domain": t.Domain})
	if err != nil {
		return State{}, err
	}
	e := Entry{Role: RoleDefault, Status: StatusServing, ProviderID: name}
	for _, c := range *certificates.Certs {
		if string(c.Name) == name {
			e = newEntry(string(c.CertIdentifier), RoleDefault, StatusServing)
		}
	}
	e.Domain = t.Domain
	return State{Entries: []Entry{e}}, nil
}

// Place implements Adapter.
func (a *ddos) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	_, err := call[accepted](ctx, a.session, t, ddosSet, false, map[string]string{
		"Domain": t.Domain, "CertIdentifier": p.Certificate.Identifier(),
	})
	return asError(err)
}
