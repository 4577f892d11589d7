// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"strconv"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// domainActions are the actions of CDN, DCDN or VOD.
type domainActions struct{ read, set alibaba.Action }

// domains is the adapter of domains of CDN, DCDN and VOD. They have one certificate, which a call
// replaces at once in the configuration; the edges follow within minutes (T31).
type domains struct {
	*session
	single
	actions domainActions
}

type domainAnswer struct {
	CertInfos *struct {
		CertInfo []struct {
			CertID                  alibaba.Text `json:"CertId"`
			CertName                alibaba.Text
			CertRegion              alibaba.Text
			CertType                alibaba.Text
			ServerCertificateStatus alibaba.Text
			Status                  alibaba.Text
		}
	}
}

// Validate refuses an answer without a list: a domain without certificate must be told from no
// answer.
func (a *domainAnswer) Validate() error {
	if a.CertInfos == nil {
		return errNo("CertInfos")
	}
	return nil
}

// Read implements Adapter. The answer is the configuration, not what the edges serve.
func (a *domains) Read(ctx context.Context, t Target) (State, error) {
	answer, err := call[domainAnswer](ctx, a.session, t, a.actions.read, false, map[string]string{"DomainName": t.Domain})
	if err != nil {
		return State{}, err
	}
	off := fmt.Sprintf("HTTPS is switched off for %s, and placing a certificate would switch it on: do so in the console first", t.Domain)
	if len(answer.CertInfos.CertInfo) == 0 {
		return State{Off: off}, nil
	}
	info := answer.CertInfos.CertInfo[0]
	s := State{Status: string(info.Status)}
	if info.ServerCertificateStatus != "on" {
		s.Off = off
		return s, nil
	}
	e := Entry{Role: RoleDefault, Domain: t.Domain, Status: StatusServing, ProviderID: string(info.CertName)}
	if id := info.CertID.Int64(); info.CertType == "cas" && id > 0 && info.CertRegion != "" {
		e.CertID, e.Region = id, string(info.CertRegion)
		e.CertIdentifier = Certificate{CertID: id, Region: e.Region}.Identifier()
	}
	s.Entries = []Entry{e}
	return s, nil
}

// Place implements Adapter. The name is sent besides the number, because it is not known whether
// it is needed (T34).
func (a *domains) Place(ctx context.Context, t Target, s State, p Placement) error {
	c := p.Certificate
	if send, failure := s.prepare(t, c); !send {
		return asError(failure)
	}
	_, err := call[accepted](ctx, a.session, t, a.actions.set, false, map[string]string{
		"DomainName": t.Domain, "SSLProtocol": "on", "CertType": "cas",
		"CertId": strconv.FormatInt(c.CertID, 10), "CertRegion": c.Region, "CertName": c.Name,
	})
	return asError(err)
}
