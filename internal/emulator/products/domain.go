// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// Domain is what serves one certificate: a domain, or one of ESA's certificates.
type Domain struct {
	// Product is cdn, dcdn, vod, waf, esa, ddos, mse or oss.
	Product string `json:"product"`
	// Region is needed where the product has regions of its own.
	Region string `json:"region,omitempty"`
	// Instance is that of WAF, the site of ESA, the gateway of MSE or the bucket of OSS.
	Instance string `json:"instance,omitempty"`
	// Name is the domain; one for all names below it begins with a dot: .example.com. For ESA it
	// is the id of the certificate.
	Name    string `json:"name"`
	Account string `json:"account"`
	// Certificate is the full identifier of a certificate of CAS, or the name of another one
	// that the domain has; empty for none.
	Certificate string `json:"certificate,omitempty"`
	// Type is cas (the default), upload or free.
	Type string `json:"type,omitempty"`
	// HTTPSOff is a domain that has a certificate and does not serve it.
	HTTPSOff bool `json:"httpsOff,omitempty"`
	// Offline domains take no certificate. Of OSS they are disabled, and take one.
	Offline bool `json:"offline,omitempty"`
}

type domainKey struct{ product, name string }

// domain is a domain as it is kept.
type domain struct {
	Domain
	config, edges lagging[certified]
	busy          time.Time
	tls           tls
	number        int64 // MSE's id of the domain
}

// certified is what a domain has. Kind is cas, upload, free or empty.
type certified struct {
	Identifier, Kind string
	On               bool
	Since            time.Time
}

// network is in what the three products differ.
type network struct {
	name, version, read, set string
	// staging says that the product has a parameter for its staging environment.
	staging bool
	// regions are those of endpoints of their own; none is one for all, and a second one of CDN
	// for accounts of the international site.
	regions []string
	// onAll says that permissions are on all resources (T36).
	onAll bool
}

var networks = map[string]network{
	"cdn":  {name: "cdn", version: "2018-05-10", read: "DescribeDomainCertificateInfo", set: "SetCdnDomainSSLCertificate"},
	"dcdn": {name: "dcdn", version: "2018-01-15", read: "DescribeDcdnDomainCertificateInfo", set: "SetDcdnDomainSSLCertificate", staging: true},
	"vod": {
		name: "vod", version: "2017-03-21", read: "DescribeVodDomainCertificateInfo", set: "SetVodDomainSSLCertificate", staging: true, onAll: true,
		regions: []string{"cn-shanghai", "cn-beijing", "cn-shenzhen", "ap-southeast-1", "ap-southeast-5", "ap-northeast-1", "eu-central-1", "us-west-1"},
	},
}

// The documented limits (T30).
const (
	domainWrites = 30
	domainReads  = 100
)

// network serves CDN, DCDN or VOD.
func (c *Cloud) network(n network) *emulator.Service {
	subject := func(call *emulator.ServiceCall) string { return call.Parameters["DomainName"] }
	arn := func(call *emulator.ServiceCall) string {
		if n.onAll {
			return "*"
		}
		return "acs:" + n.name + ":*:" + call.Account + ":domain/" + call.Parameters["DomainName"]
	}
	set := []string{"DomainName", "SSLProtocol", "CertType", "CertId", "CertRegion", "CertName"}
	if n.staging {
		set = append(set, "Env")
	}
	regions := n.regions
	if len(regions) == 0 {
		regions = emulator.Regions
	}
	return &emulator.Service{
		Name: n.name, Code: strings.ToUpper(n.name), Permission: n.name, Version: n.version, Regions: regions,
		Host: func(region string) string {
			if len(n.regions) > 0 || region == emulator.RegionInternational && n.name == "cdn" {
				return n.name + "." + region + ".aliyuncs.com"
			}
			return n.name + ".aliyuncs.com"
		},
		Actions: map[string]emulator.ServiceAction{
			n.read: {
				Parameters: []string{"DomainName"}, Limit: domainReads, Subject: subject, Resource: arn,
				Run: func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) { return c.readDomain(call, n) },
			},
			n.set: {
				Parameters: set, Limit: domainWrites, Subject: subject, Resource: arn,
				Run: func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) { return c.setDomain(call, n) },
			},
		},
	}
}

// domainOf returns the caller's domain; c.mu is held.
func (c *Cloud) domainOf(call *emulator.ServiceCall, n network) (*domain, *emulator.Refusal) {
	d := c.domains[domainKey{n.name, call.Parameters["DomainName"]}]
	if d == nil || d.Account != call.Account || len(n.regions) > 0 && d.Region != call.Region {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "InvalidDomain.NotFound", Message: "The domain provided does not exist in our records."}
	}
	return d, nil
}

func (c *Cloud) readDomain(call *emulator.ServiceCall, n network) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, refused := c.domainOf(call, n)
	if refused != nil {
		return nil, refused
	}
	shown := d.config.at(c.now().Add(-max(c.options.ReadLag, c.options.DomainLag)))
	info := map[string]any{
		"DomainName": d.Name, "ServerCertificateStatus": "off", "Status": "success", "CertType": shown.Kind,
		"DomainCnameStatus": "ok", "CertName": "", "CertId": "", "CertRegion": "", "CertExpireTime": "",
	}
	if shown.On {
		info["ServerCertificateStatus"] = "on"
	}
	if shown.Kind != "" {
		info["CertUpdateTime"] = shown.Since.UTC().Format(time.RFC3339)
	}
	if shown.Kind == "cas" {
		info["CertId"], info["CertRegion"], _ = strings.Cut(shown.Identifier, "-")
		if certificate, ok := c.certificateOf(d.Account, shown.Identifier); ok {
			info["CertName"], info["CertDomainName"] = certificate.Name, certificate.CommonName
			info["CertExpireTime"] = certificate.NotAfter.Format(time.RFC3339)
		}
	} else if shown.Kind != "" {
		info["CertName"] = shown.Identifier
	}
	return map[string]any{"CertInfos": map[string]any{"CertInfo": []map[string]any{info}}}, nil
}

// setDomain is SetCdnDomainSSLCertificate and its like. It switches HTTPS on as well (T32).
func (c *Cloud) setDomain(call *emulator.ServiceCall, n network) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, refused := c.domainOf(call, n)
	if refused != nil {
		return nil, refused
	}
	if d.Offline {
		return nil, emulator.Refuse("InvalidDomain.notOnline", "The domain is not online.")
	}
	if env := call.Parameters["Env"]; env != "" && env != "staging" {
		return nil, emulator.Refuse("InvalidEnv", "The specified Env is invalid.")
	}
	identifier, refused := c.domainCertificate(call, d)
	if refused != nil {
		return nil, refused
	}
	d.set(certified{Identifier: identifier, Kind: "cas", On: true, Since: c.now()}, c.options.Edges)
	call.Committed()
	return map[string]any{}, nil
}

// set changes what a domain has, at the edges after a while.
func (d *domain) set(after certified, edges time.Duration) {
	d.config.set(after.Since, after)
	d.edges.set(after.Since.Add(edges), after)
}

// domainCertificate returns the certificate that a call names for a domain, if the domain may
// have it (T33); c.mu is held.
func (c *Cloud) domainCertificate(call *emulator.ServiceCall, d *domain) (string, *emulator.Refusal) {
	p := call.Parameters
	switch {
	case p["SSLProtocol"] != "on":
		return "", emulator.Refuse("InvalidSSLProtocol.ValueNotSupported", "The specified SSLProtocol is not supported here.")
	case p["CertType"] != "cas":
		return "", emulator.Refuse("SSLPub.MissingParameter", "SSLPub is mandatory for a certificate that is uploaded.")
	}
	region := cmp.Or(p["CertRegion"], emulator.RegionChina)
	if !slices.Contains(emulator.Regions, region) {
		return "", emulator.Refuse("Abs.CertRegion.ValueNotSupported", "The specified CertRegion is not supported.")
	}
	id, err := strconv.ParseInt(p["CertId"], 10, 64)
	if err != nil {
		return "", emulator.Refuse("SetDomainCertificate.ParameterError", "CertId is no number.")
	}
	if c.options.CertNameNeeded && p["CertName"] == "" {
		return "", &emulator.Refusal{Status: http.StatusNotFound, Code: "CertName.MissingParameter", Message: "CertName is mandatory for this action."}
	}
	certificate, ok := c.server.FindCertificate(call.Account, region, id)
	switch {
	case !ok:
		return "", emulator.Refuse("Certificate.NotFind", "The certificate is not found.")
	case p["CertName"] != "" && p["CertName"] != certificate.Name:
		return "", emulator.Refuse("SetDomainCertificate.ParameterError", "CertName is not the name of the certificate.")
	case certificate.Algorithm == "SM2":
		return "", emulator.Refuse("Certificate.FormatError", "SM certificates have an action of their own.")
	case !c.now().Before(certificate.NotAfter):
		return "", emulator.Refuse("Certificate.Expired", "The certificate has expired.")
	case !covers(certificate, d.Name):
		return "", emulator.Refuse("Certificate.MissMatch", "The certificate does not match the domain.")
	}
	return p["CertId"] + "-" + region, nil
}

// covers reports whether a certificate is for all names of a domain.
func covers(certificate emulator.Certificate, domain string) bool {
	one := candidate{Certificate: certificate}
	if strings.HasPrefix(domain, ".") {
		return slices.Contains(append(certificate.SANs, certificate.CommonName), "*"+domain)
	}
	return one.fit(domain) > 0
}

// AddDomain makes a domain. It replaces one of the same name.
func (c *Cloud) AddDomain(d Domain) error {
	if !slices.Contains([]string{"cdn", "dcdn", "vod", "waf", "esa", "ddos", "mse", "oss"}, d.Product) || d.Name == "" {
		return errNoSuch("product of domains", d.Product)
	}
	if n, ok := networks[d.Product]; (!ok || len(n.regions) > 0) && (d.Region == "" || !HasRegion(d.Product, d.Region)) {
		return errNoSuch("region of "+d.Product, d.Region)
	}
	if !c.server.HasAccount(d.Account) {
		return errNoSuch("account", d.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Product == "oss" {
		others := c.domainsOf(d.Instance)
		if d.Instance == "" || len(others) > 0 && (others[0].Account != d.Account || others[0].Region != d.Region) {
			return errNoSuch("bucket of that account and region", d.Instance)
		}
	}
	c.ids++
	made := &domain{Domain: d, number: c.ids, tls: tls{"tlsv1.2", "true", "99", "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384"}}
	is := certified{Identifier: d.Certificate, On: d.Certificate != "" && !d.HTTPSOff}
	if d.Certificate != "" {
		is.Kind, is.Since = cmp.Or(d.Type, "cas"), c.now()
	}
	made.config.set(c.now(), is)
	made.edges.set(c.now(), is)
	c.domains[domainKey{d.Product, d.Name}] = made
	return nil
}

// PutDomain gives a domain another certificate of CAS at once, as a person in the console
// would.
func (c *Cloud) PutDomain(product, name, identifier string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.domains[domainKey{product, name}]
	if d == nil {
		return errNoSuch("domain of "+product, name)
	}
	is := certified{Identifier: identifier, Kind: "cas", On: true, Since: c.now()}
	d.config.set(c.now(), is)
	d.edges.set(c.now(), is)
	return nil
}

// Configured returns the certificate that the configuration of a domain names, which its edges may not serve
// yet. It reports whether there is such a domain.
func (c *Cloud) Configured(product, name string) (identifier string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.domains[domainKey{product, name}]
	if d == nil {
		return "", false
	}
	return d.config.now().Identifier, true
}

// shakeDomain answers what the edges of a domain serve; c.mu is held.
func (c *Cloud) shakeDomain(d *domain, sni string) Handshake {
	is := d.edges.at(c.now())
	if !is.On || is.Kind != "cas" || d.Product == "oss" && d.Offline {
		return Handshake{}
	}
	certificate, ok := c.certificateOf(d.Account, is.Identifier)
	if !ok {
		return Handshake{}
	}
	return candidate{is.Identifier, certificate}.handshake(sni)
}
