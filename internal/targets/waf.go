// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"strconv"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of WAF. ModifyDomain is none of them: it replaces the whole configuration (T52).
const (
	wafRead alibaba.Action = "DescribeDomainDetail"
	wafSet  alibaba.Action = "ModifyDomainCert"
)

// waf is the adapter of domains that are brought to WAF by CNAME.
type waf struct {
	*session
	single
}

type wafAnswer struct {
	Domain     alibaba.Text
	Status     alibaba.Text
	Listen     *wafListen
	CertDetail struct {
		ID alibaba.Text `json:"Id"`
	}
}

// wafListen is what a domain listens with. The settings of TLS are sent again with the next
// certificate (T52).
type wafListen struct {
	CertID        alibaba.Text `json:"CertId"`
	HTTPSPorts    []int        `json:"HttpsPorts"`
	TLSVersion    alibaba.Text
	EnableTLSv3   alibaba.Text
	CipherSuite   alibaba.Text
	CustomCiphers []alibaba.Text
}

// Validate refuses an answer that says nothing of a domain.
func (a *wafAnswer) Validate() error {
	if a.Listen == nil || a.Status == "" {
		return errNo("Listen and Status")
	}
	return nil
}

// identifier returns the full identifier of the certificate, of which Listen may show the number
// alone (T51).
func (a *wafAnswer) identifier(region string) string {
	for _, id := range []alibaba.Text{a.Listen.CertID, a.CertDetail.ID} {
		if _, _, ok := ParseIdentifier(string(id)); ok {
			return string(id)
		}
	}
	if id := a.Listen.CertID.Int64(); id > 0 {
		return Certificate{CertID: id, Region: region}.Identifier()
	}
	return string(a.Listen.CertID)
}

// Read implements Adapter.
func (a *waf) Read(ctx context.Context, t Target) (State, error) {
	answer, err := call[wafAnswer](ctx, a.session, t, wafRead, false, map[string]string{"InstanceId": t.Resource, "Domain": t.Domain})
	if err != nil {
		return State{}, err
	}
	s := State{Status: "in status " + string(answer.Status), Busy: answer.Status != "1", Kept: *answer.Listen}
	if len(answer.Listen.HTTPSPorts) == 0 {
		s.Off = fmt.Sprintf("WAF does not listen with HTTPS for %s: add an HTTPS port in the console first", t.Domain)
		return s, nil
	}
	if id := answer.identifier(t.Region); id != "" {
		e := newEntry(id, RoleDefault, StatusServing)
		e.Domain = t.Domain
		s.Entries = []Entry{e}
	}
	return s, nil
}

// Place implements Adapter.
func (a *waf) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	tls, ok := s.Kept.(wafListen)
	if !ok {
		return &Error{Message: fmt.Sprintf("%s was not read: its settings of TLS are not known", t)}
	}
	params := map[string]string{
		"InstanceId": t.Resource, "Domain": t.Domain, "CertId": p.Certificate.Identifier(),
		"TLSVersion": string(tls.TLSVersion), "EnableTLSv3": string(tls.EnableTLSv3), "CipherSuite": string(tls.CipherSuite),
	}
	for n, cipher := range tls.CustomCiphers {
		params["CustomCiphers."+strconv.Itoa(n+1)] = string(cipher)
	}
	_, err := call[accepted](ctx, a.session, t, wafSet, false, params)
	return asError(err)
}
