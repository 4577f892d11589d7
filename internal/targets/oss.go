// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The actions of OSS.
const (
	ossRead alibaba.Action = "ListCname"
	ossSet  alibaba.Action = "PutCname"
)

// ossRights are what OSS fetches a certificate with, of the caller's (T119).
var ossRights = []string{
	"yundun-cert:DescribeSSLCertificatePrivateKey", "yundun-cert:DescribeSSLCertificatePublicKeyDetail", "yundun-cert:CreateSSLCertificate",
}

// ossStale is the finer code of a change that rests on another certificate than the domain holds (T115).
const ossStale = "0018-00000209"

// oss is the adapter of domains of buckets. OSS fetches certificate and key from CAS with the rights of
// the caller (T119), so that nothing of them is in a call. It alone compares before it sets: a
// certificate that has come to the domain since the read is not replaced (T115).
type oss struct {
	*session
	single
}

// ossDomains are the domains of a bucket.
type ossDomains struct {
	XMLName xml.Name `xml:"ListCnameResult"`
	Bucket  alibaba.Text
	Cname   []ossDomain
}

type ossDomain struct {
	Domain, Status alibaba.Text
	// IsWildCard is true for a wildcard, whose Domain is what follows the "*." (T123).
	IsWildCard  alibaba.Text
	Certificate struct {
		CertID       alibaba.Text `xml:"CertId"`
		Type, Status alibaba.Text
	}
}

// Validate tells the domains of a bucket from no answer.
func (a *ossDomains) Validate() error {
	if a.Bucket == "" {
		return errNo("Bucket")
	}
	return nil
}

// ossDone is the answer to a change, which has no body. A page of something in between is none.
type ossDone struct {
	XMLName xml.Name `xml:"PutCnameResult"`
}

// Read implements Adapter.
func (a *oss) Read(ctx context.Context, t Target) (State, error) {
	answer, failure := send[ossDomains](ctx, a.session, t, false, alibaba.Call{
		Action: ossRead, OSS: &alibaba.OSS{Method: http.MethodGet, Bucket: t.Resource, Query: "cname"},
	})
	if failure != nil {
		return State{}, failure
	}
	d, ok := answer.find(t.Domain)
	if !ok {
		return State{}, &Error{Class: TargetNotFound, Message: fmt.Sprintf("bucket %q has no domain %s: check spec.target, %s", t.Resource, t.Domain, mending(t.Domain))}
	}
	return d.state(t), nil
}

// mending says what to do for a bucket to have a domain (T124).
func mending(domain string) string {
	if strings.HasPrefix(domain, "*") || strings.HasPrefix(domain, ".") {
		return "and bind each of the bucket's domains for itself: OSS takes no wildcard"
	}
	return "or map the domain to the bucket in the console of OSS"
}

// find returns a domain, and no wildcard that is written like it.
func (a *ossDomains) find(domain string) (ossDomain, bool) {
	at := slices.IndexFunc(a.Cname, func(d ossDomain) bool { return d.IsWildCard != "true" && strings.EqualFold(string(d.Domain), domain) })
	if at < 0 {
		return ossDomain{}, false
	}
	return a.Cname[at], true
}

// state is what a domain holds. What cannot be compared with is not replaced.
func (d *ossDomain) state(t Target) State {
	s := State{Status: string(d.Status)}
	switch c := d.Certificate; {
	case d.Status == "Disabled":
		s.Off = fmt.Sprintf("domain %s of bucket %q is disabled at OSS: enable it in the console first", t.Domain, t.Resource)
	case c.Status == "Disabled":
		s.Off = fmt.Sprintf("the certificate of domain %s of bucket %q is disabled at OSS: enable HTTPS in the console first", t.Domain, t.Resource)
	case c.CertID != "":
		e := newEntry(string(c.CertID), RoleDefault, StatusServing)
		e.Domain = t.Domain
		s.Entries = []Entry{e}
	case c.Type != "":
		s.Off = fmt.Sprintf("the certificate of domain %s of bucket %q has no id, and OSS replaces it unseen only by force: replace it in the console first", t.Domain, t.Resource)
	}
	return s
}

// ossChange gives a domain a certificate in place of the one that it has to hold until then.
type ossChange struct {
	XMLName        xml.Name `xml:"BucketCnameConfiguration"`
	Domain         string   `xml:"Cname>Domain"`
	CertID         string   `xml:"Cname>CertificateConfiguration>CertId"`
	PreviousCertID string   `xml:"Cname>CertificateConfiguration>PreviousCertId,omitempty"`
}

// Place implements Adapter. It never forces: who has put another certificate in meanwhile is found by
// the next read.
func (a *oss) Place(ctx context.Context, t Target, s State, p Placement) error {
	if send, failure := s.prepare(t, p.Certificate); !send {
		return asError(failure)
	}
	var previous string
	for _, e := range s.In(t) {
		previous = e.CertIdentifier + e.ProviderID // one of them is empty
	}
	body, err := xml.Marshal(ossChange{Domain: t.Domain, CertID: p.Certificate.Identifier(), PreviousCertID: previous})
	if err != nil {
		return &Error{Message: fmt.Sprintf("the change of %s cannot be written as XML", t), Cause: err}
	}
	_, failure := send[ossDone](ctx, a.session, t, false, alibaba.Call{
		Action: ossSet, OSS: &alibaba.OSS{Method: http.MethodPost, Bucket: t.Resource, Query: "cname&comp=add", Body: body},
	})
	failed, _ := errors.AsType[*alibaba.Error](asError(failure))
	switch {
	case failed == nil:
	case previous == "" && failure.Class == Refused: // T116
		failure.Message += "; the domain has no certificate, and OSS may set the first one by force alone: give it any that fits in the console"
	case failed.EC == ossStale: // somebody has changed it meanwhile, as the next read shows
		failure.Class = Transient
	}
	return asError(failure)
}
