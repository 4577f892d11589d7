// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// ossRegions are the regions of OSS (T110).
var ossRegions = []string{
	"cn-hangzhou", "cn-shanghai", "cn-nanjing", "cn-fuzhou", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu",
	"cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2", "ap-southeast-1",
	"ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "eu-central-1", "eu-west-1", "us-east-1", "us-west-1",
	"na-south-1", "me-east-1", "me-central-1",
}

// ossFetches are the permissions that the caller needs where OSS fetches a certificate from CAS (T119).
var ossFetches = []string{
	"yundun-cert:DescribeSSLCertificatePrivateKey", "yundun-cert:DescribeSSLCertificatePublicKeyDetail", "yundun-cert:CreateSSLCertificate",
}

func ossEndpoint(region string) string { return "oss-" + region + ".aliyuncs.com" }

// oss is the domains of the buckets of Object Storage Service. The bucket is the instance of a
// Domain.
func (c *Cloud) oss() *emulator.Service {
	bucket := func(call *emulator.ServiceCall) string { return call.Parameters["Bucket"] }
	arn := func(call *emulator.ServiceCall) string { return "acs:oss:*:" + call.Account + ":" + bucket(call) }
	return &emulator.Service{
		Name: "oss", Code: "Oss", Permission: "oss", Version: "2019-05-17", Regions: ossRegions, Host: ossEndpoint,
		Buckets: func(method string, query url.Values) string {
			switch {
			case method == http.MethodGet && query.Encode() == "cname=":
				return "ListCname"
			case method == http.MethodPost && query.Encode() == "cname=&comp=add":
				return "PutCname"
			}
			return ""
		},
		Actions: map[string]emulator.ServiceAction{
			"ListCname": {
				// Both limits are a guess (T121).
				Parameters: []string{"Bucket"}, Limit: readsPerSecond, Subject: bucket, Resource: arn, Document: c.listCname,
			},
			"PutCname": {
				Parameters: []string{"Bucket", "Body"}, Limit: readsPerSecond, Resource: arn, Document: c.putCname,
				Subject: func(call *emulator.ServiceCall) string {
					asked, refused := readCname(call.Parameters["Body"])
					if refused != nil {
						return bucket(call)
					}
					return bucket(call) + "/" + asked.domain
				},
				Needs: func(call *emulator.ServiceCall) []string {
					if asked, refused := readCname(call.Parameters["Body"]); refused != nil || asked.certificate["CertId"] == "" {
						return nil
					}
					return ossFetches
				},
			},
		},
	}
}

// domainsOf returns the domains of a bucket, sorted. A bucket without one is not there; c.mu is held.
func (c *Cloud) domainsOf(bucket string) []*domain {
	var found []*domain
	for key, d := range c.domains {
		if key.product == "oss" && d.Instance == bucket {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *domain) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// bucketOf returns the domains of the caller's bucket (T111); c.mu is held.
func (c *Cloud) bucketOf(call *emulator.ServiceCall) ([]*domain, *emulator.Refusal) {
	bucket := call.Parameters["Bucket"]
	found := c.domainsOf(bucket)
	switch {
	case len(found) == 0:
		return nil, &emulator.Refusal{
			Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist.", EC: "0015-00000101",
			Fields: []emulator.Field{{Name: "BucketName", Value: bucket}},
		}
	case found[0].Account != call.Account:
		return nil, &emulator.Refusal{Status: http.StatusForbidden, Code: "AccessDenied", Message: "The bucket you access does not belong to you."}
	case found[0].Region != call.Region:
		return nil, &emulator.Refusal{
			Status: http.StatusForbidden, Code: "AccessDenied", EC: "0003-00001403",
			Message: "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
			Fields:  []emulator.Field{{Name: "Bucket", Value: bucket}, {Name: "Endpoint", Value: ossEndpoint(found[0].Region)}},
		}
	}
	return found, nil
}

// cnameList is the answer of ListCname (T120).
type cnameList struct {
	XMLName       xml.Name `xml:"ListCnameResult"`
	Bucket, Owner string
	Cname         []cname
}

type cname struct {
	Domain, LastModified, Status string
	Certificate                  *cnameCertificate `xml:",omitempty"`
}

type cnameCertificate struct {
	Type         string
	CertID       string `xml:"CertId"`
	Status       string
	CreationDate string
	// Those that follow are known of certificates of CAS alone.
	Fingerprint    string `xml:",omitempty"`
	ValidStartDate string `xml:",omitempty"`
	ValidEndDate   string `xml:",omitempty"`
}

func (c *Cloud) listCname(call *emulator.ServiceCall) (any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	domains, refused := c.bucketOf(call)
	if refused != nil {
		return nil, refused
	}
	list := cnameList{Bucket: call.Parameters["Bucket"], Owner: call.Account}
	for _, d := range domains {
		list.Cname = append(list.Cname, cname{
			Domain: d.Name, LastModified: "2026-01-02T03:04:05.000Z", Status: enabled(!d.Offline), Certificate: c.cnameCertificate(d),
		})
	}
	if f, ok := call.Fault(emulator.FaultShortPage); ok {
		list.Cname = list.Cname[:max(0, len(list.Cname)-cmp.Or(f.Size, 1))]
	}
	return list, nil
}

func enabled(on bool) string { return map[bool]string{true: "Enabled", false: "Disabled"}[on] }

// ossDate is how ListCname writes times.
const ossDate = "Mon, 2 Jan 2006 15:04:05 GMT"

// cnameCertificate is what a list shows of a domain's certificate; c.mu is held.
func (c *Cloud) cnameCertificate(d *domain) *cnameCertificate {
	shown := d.config.at(c.now().Add(-c.options.ReadLag))
	if shown.Identifier == "" {
		return nil
	}
	one := &cnameCertificate{Type: "CAS", CertID: shown.Identifier, Status: enabled(shown.On), CreationDate: shown.Since.UTC().Format(ossDate)}
	if shown.Kind != "cas" {
		one.Type = "Upload"
	}
	if certificate, ok := c.certificateOf(d.Account, shown.Identifier); ok {
		one.ValidStartDate, one.ValidEndDate = certificate.NotBefore.UTC().Format(ossDate), certificate.NotAfter.UTC().Format(ossDate)
		one.Fingerprint = colons(certificate.SHA1)
	}
	return one
}

// colons puts a colon between the bytes of a digest.
func colons(hex string) string {
	var pairs []string
	for pair := range slices.Chunk([]byte(hex), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

func (c *Cloud) putCname(call *emulator.ServiceCall) (any, *emulator.Refusal) {
	asked, refused := readCname(call.Parameters["Body"])
	if refused != nil {
		return nil, refused
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	domains, refused := c.bucketOf(call)
	if refused != nil {
		return nil, refused
	}
	at := slices.IndexFunc(domains, func(d *domain) bool { return d.Name == asked.domain })
	if at < 0 {
		return nil, c.unmapped(call, asked.domain)
	}
	if asked.certificate == nil {
		return nil, nil // the domain is mapped already, and nothing else was asked for
	}
	return nil, c.replaceCname(call, domains[at], asked.certificate)
}

// unmapped refuses to map a domain: what is mapped elsewhere is said to be so, and for any other its
// owner would have to be proven first, by a record in DNS (T118). c.mu is held.
func (c *Cloud) unmapped(call *emulator.ServiceCall, name string) *emulator.Refusal {
	switch d := c.domains[domainKey{"oss", name}]; {
	case d == nil:
		return &emulator.Refusal{
			Status: http.StatusForbidden, Code: "NeedVerifyDomainOwnership", EC: "0018-00000115",
			Message: "Please verify domain ownership by CreateCnameToken and try again.",
		}
	case d.Account != call.Account:
		return &emulator.Refusal{Status: http.StatusForbidden, Code: "CnameDenied", Message: "The cname belongs to another user."}
	}
	return &emulator.Refusal{
		Status: http.StatusConflict, Code: "CnameAlreadyExists", Message: "The specified cname already exists.",
		Fields: []emulator.Field{{Name: "CnameType", Value: "CNAME_OSS"}},
	}
}

// replaceCname gives a domain another certificate, or takes its own away; c.mu is held.
func (c *Cloud) replaceCname(call *emulator.ServiceCall, d *domain, asked certificateConfiguration) *emulator.Refusal {
	after := certified{Since: c.now()}
	if !asked.is("DeleteCertificate") {
		if refused := c.checkCname(call, asked["CertId"]); refused != nil {
			return refused
		}
		after.Identifier, after.Kind, after.On = asked["CertId"], "cas", true
	}
	if refused := c.compare(d.config.now().Identifier, asked); refused != nil {
		return refused
	}
	d.set(after, c.options.Edges)
	call.Committed()
	return nil
}

// checkCname refuses an identifier that is not the full one of a certificate of the account (T114), and,
// which is a guess, SM certificates (T122).
func (c *Cloud) checkCname(call *emulator.ServiceCall, identifier string) *emulator.Refusal {
	if len(identifier) >= 64 {
		refusal := emulator.Refuse("InvalidArgument", "The CertId is too long.")
		refusal.EC = "0018-00000206"
		return refusal
	}
	certificate, ok := c.certificateOf(call.Account, identifier)
	if !ok {
		refusal := emulator.Refuse("CertificateInvalidCasId", "The CAS ID is invalid: not exist or not belong to the owner of the bucket")
		refusal.EC = "0018-00000204"
		return refusal
	}
	if certificate.Algorithm == "SM2" {
		return emulator.Refuse("InvalidArgument", "SM certificates are not supported.")
	}
	return nil
}

// compare refuses a change that rests on another certificate than the current one (T115).
func (c *Cloud) compare(current string, asked certificateConfiguration) *emulator.Refusal {
	previous := asked["PreviousCertId"]
	switch {
	case asked.is("Force"), asked.is("DeleteCertificate") && previous == "":
		return nil
	case previous == "" && current == "" && c.options.OSSFirstWithoutForce:
		return nil
	case previous != "" && previous == current:
		return nil
	}
	refusal := emulator.Refuse("InvalidArgument", "The PreviousCertId does not match the current certificate.")
	if c.options.OSSStaleCode != "" {
		refusal.Status, refusal.Code = http.StatusConflict, c.options.OSSStaleCode
	}
	refusal.EC = "0018-00000209"
	return refusal
}
