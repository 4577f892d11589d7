// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// WAF, ESA, Anti-DDoS and MSE serve domains, or certificates of their own, each inside of an
// instance. None of them has resources to which permissions could be bound, nor a documented
// limit.

// onAll describes a call on all resources.
func (c *Cloud) onAll(subject string, do run, parameters ...string) emulator.ServiceAction {
	return emulator.ServiceAction{
		Parameters: parameters, Limit: readsPerSecond,
		Subject:  func(call *emulator.ServiceCall) string { return call.Parameters[subject] },
		Resource: func(*emulator.ServiceCall) string { return "*" },
		Run: func(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return do(call)
		},
	}
}

// twice is the host of a product that is there twice, like CAS.
func twice(prefix string) func(string) string {
	return func(region string) string { return prefix + "." + region + ".aliyuncs.com" }
}

// inside returns the caller's domain of an instance, in the region that was called; c.mu is
// held.
func (c *Cloud) inside(call *emulator.ServiceCall, product, instance, name string) *domain {
	d := c.domains[domainKey{product, name}]
	if d == nil || d.Account != call.Account || d.Region != call.Region || d.Instance != instance {
		return nil
	}
	return d
}

// fits reports whether a full identifier names a certificate that is for the host.
func (c *Cloud) fits(call *emulator.ServiceCall, identifier, host string) bool {
	certificate, ok := c.certificateOf(call.Account, identifier)
	return ok && strings.Contains(identifier, "-") && covers(certificate, host) && certificate.Algorithm != "SM2"
}

// give gives a domain a certificate, which its edges serve later; c.mu is held.
func (c *Cloud) give(call *emulator.ServiceCall, d *domain, identifier string) {
	now := c.now()
	is := certified{Identifier: identifier, Kind: "cas", On: true, Since: now}
	d.config.set(now, is)
	d.edges.set(now.Add(max(c.options.Edges, c.options.Configuring)), is)
	d.busy = now.Add(c.options.Configuring)
	call.Committed()
}

// config returns what a read shows of a domain.
func (c *Cloud) shown(d *domain) certified { return d.config.at(c.now().Add(-c.options.ReadLag)) }

// tls are the settings of TLS of a domain of WAF.
type tls struct{ version, enableV3, suite, custom string }

// wafDefaults are the settings of a call that sends none (T52).
var wafDefaults = tls{version: "tlsv1", enableV3: "false", suite: "1"}

// waf is Web Application Firewall 3.0, as far as domains are brought to it by CNAME.
func (c *Cloud) waf() *emulator.Service {
	return &emulator.Service{
		Name: "waf", Code: "waf-openapi", Permission: "yundun-waf", Version: "2021-10-01", Regions: emulator.Regions, Host: twice("wafopenapi"),
		Actions: map[string]emulator.ServiceAction{
			"DescribeDomainDetail": c.onAll("Domain", c.wafDomain, "InstanceId", "Domain"),
			"ModifyDomainCert": c.onAll("Domain", c.setWAFDomain,
				"InstanceId", "Domain", "CertId", "TLSVersion", "EnableTLSv3", "CipherSuite", "CustomCiphers.N"),
		},
	}
}

func (c *Cloud) wafOf(call *emulator.ServiceCall) (*domain, *emulator.Refusal) {
	d := c.inside(call, "waf", call.Parameters["InstanceId"], call.Parameters["Domain"])
	if d == nil {
		return nil, emulator.Refuse("Waf.Pullin.DomainNotExist", "The domain name does not exist.")
	}
	return d, nil
}

func (c *Cloud) wafDomain(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	d, refused := c.wafOf(call)
	if refused != nil {
		return nil, refused
	}
	is, status := c.shown(d), 1
	if c.now().Before(d.busy) {
		status = 3
	}
	listen := map[string]any{"HttpPorts": []int{80}, "HttpsPorts": []int{}}
	if !d.HTTPSOff {
		id := is.Identifier
		if c.options.WAFBareIDs {
			id, _, _ = strings.Cut(id, "-")
		}
		suite, _ := strconv.Atoi(d.tls.suite)
		listen = map[string]any{
			"HttpPorts": []int{80}, "HttpsPorts": []int{443}, "CertId": id, "TLSVersion": d.tls.version, "EnableTLSv3": d.tls.enableV3 == "true",
			"CipherSuite": suite, "CustomCiphers": strings.Fields(d.tls.custom),
		}
	}
	answer := map[string]any{"Domain": d.Name, "Status": status, "Listen": listen}
	if certificate, ok := c.certificateOf(d.Account, is.Identifier); ok {
		answer["CertDetail"] = map[string]any{"Id": is.Identifier, "Name": certificate.Name, "CommonName": certificate.CommonName}
	}
	return answer, nil
}

func (c *Cloud) setWAFDomain(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	d, refused := c.wafOf(call)
	if refused != nil {
		return nil, refused
	}
	p := call.Parameters
	switch {
	case d.HTTPSOff:
		return nil, emulator.Refuse("Waf.Pullin.MustListenHTTPS", "The domain name must listen to the HTTPS protocol.")
	case c.now().Before(d.busy):
		return nil, emulator.Refuse("Waf.Pullin.ResourceProcessing", "The resource is processing.")
	case !c.fits(call, p["CertId"], d.Name):
		return nil, emulator.Refuse("Waf.Pullin.CertNotExist", "The certificate does not exist, or is not for the domain name.")
	}
	sent := tls{p["TLSVersion"], p["EnableTLSv3"], p["CipherSuite"], strings.Join(call.List("CustomCiphers", ""), " ")}
	if !c.options.WAFKeepsTLS {
		d.tls = tls{custom: wafDefaults.custom}
	}
	d.tls = tls{
		version: cmp.Or(sent.version, d.tls.version, wafDefaults.version), enableV3: cmp.Or(sent.enableV3, d.tls.enableV3, wafDefaults.enableV3),
		suite: cmp.Or(sent.suite, d.tls.suite, wafDefaults.suite), custom: cmp.Or(sent.custom, d.tls.custom),
	}
	c.give(call, d, p["CertId"])
	return map[string]any{}, nil
}

// esa is Edge Security Acceleration: a site has certificates of its own, which name one of CAS.
// GetCertificate is not served: a page says that it returns the private key (T62).
func (c *Cloud) esa() *emulator.Service {
	return &emulator.Service{
		Name: "esa", Code: "ESA", Permission: "esa", Version: "2024-09-10", Regions: emulator.Regions, Host: twice("esa"),
		Actions: map[string]emulator.ServiceAction{
			"ListCertificates": c.onAll("SiteId", c.esaCertificates, "SiteId", "Keyword", "ValidOnly", "PageNumber", "PageSize"),
			"SetCertificate":   c.onAll("Id", c.setESACertificate, "SiteId", "Type", "CasId", "Region", "Id", "Name"),
		},
	}
}

// ofSite returns the certificates of the caller's site by their ids; c.mu is held.
func (c *Cloud) ofSite(call *emulator.ServiceCall) []*domain {
	var all []*domain
	for key, d := range c.domains {
		if key.product == "esa" && d.Account == call.Account && d.Region == call.Region && d.Instance == call.Parameters["SiteId"] {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *domain) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (c *Cloud) esaCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	p := call.Parameters
	page, err := strconv.Atoi(cmp.Or(p["PageNumber"], "1"))
	size, err2 := strconv.Atoi(cmp.Or(p["PageSize"], "20"))
	if err != nil || err2 != nil || page < 1 || size < 1 || size > 500 {
		return nil, emulator.Refuse("InvalidParameter", "PageNumber or PageSize is invalid.")
	}
	all := c.ofSite(call)
	if len(all) == 0 {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "Site.NotFound", Message: "The site does not exist."}
	}
	total := len(all)
	all = all[min((page-1)*size, total):min(page*size, total)]
	result := []map[string]any{}
	for _, d := range all {
		is := c.shown(d)
		entry := map[string]any{"Id": d.Name, "Name": d.Name, "Type": is.Kind, "Status": "OK"}
		if c.now().Before(d.busy) {
			entry["Status"] = "Applying"
		}
		if is.Kind == "cas" {
			entry["CasId"], entry["Region"], _ = strings.Cut(is.Identifier, "-")
			if c.options.ESAWithoutRegion {
				delete(entry, "Region")
			}
		}
		result = append(result, entry)
	}
	if f, ok := call.Fault(emulator.FaultShortPage); ok {
		result = result[:max(0, len(result)-cmp.Or(f.Size, 1))]
	}
	return map[string]any{"Result": result, "TotalCount": total, "PageNumber": page, "PageSize": size, "SiteId": p["SiteId"]}, nil
}

// esaQuota is what the free plan has (T61).
const esaQuota = 2

func (c *Cloud) setESACertificate(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	p, all := call.Parameters, c.ofSite(call)
	identifier := p["CasId"] + "-" + p["Region"]
	_, err := strconv.ParseInt(p["CasId"], 10, 64)
	certificate, ok := c.certificateOf(call.Account, identifier)
	switch {
	case p["Type"] != "cas" || err != nil || !slices.Contains(emulator.Regions, p["Region"]):
		return nil, emulator.Refuse("InvalidParameter", "Type, CasId or Region is invalid.")
	case !ok || certificate.Algorithm == "SM2":
		return nil, emulator.Refuse("Certificate.NotFound", "The certificate does not exist.")
	case slices.ContainsFunc(all, func(d *domain) bool { return d.config.now().Identifier == identifier }):
		return nil, emulator.Refuse("Certificate.Duplicated", "The certificate is there already.")
	}
	at := slices.IndexFunc(all, func(d *domain) bool { return d.Name == p["Id"] })
	switch {
	case p["Id"] != "" && at < 0:
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "Certificate.IdNotFound", Message: "The certificate of the site does not exist."}
	case p["Id"] != "":
		c.give(call, all[at], identifier)
		return map[string]any{"Id": p["Id"]}, nil
	case len(all) >= esaQuota:
		return nil, emulator.Refuse("CertQuotaCheckFailed", "The quota of certificates is exceeded.")
	}
	made := &domain{Domain: Domain{Product: "esa", Name: c.newID("cert"), Account: call.Account, Region: call.Region, Instance: p["SiteId"]}}
	c.domains[domainKey{"esa", made.Name}] = made
	c.give(call, made, identifier)
	return map[string]any{"Id": made.Name}, nil
}

// ddos is Anti-DDoS. What a rule has is read by its certificate's name (T80).
func (c *Cloud) ddos() *emulator.Service {
	return &emulator.Service{
		Name: "ddos", Code: "ddoscoo", Permission: "yundun-ddoscoo", Version: "2020-01-01", Regions: emulator.Regions, Host: twice("ddoscoo"),
		Actions: map[string]emulator.ServiceAction{
			"DescribeWebRules": c.onAll("Domain", c.webRules, "Domain", "QueryDomainPattern", "PageNumber", "PageSize", "ResourceGroupId"),
			"DescribeCerts":    c.onAll("Domain", c.webCertificates, "Domain", "ResourceGroupId"),
			"AssociateWebCert": c.onAll("Domain", c.setWebCertificate, "Domain", "CertIdentifier", "CertId", "CertRegion", "CertName", "ResourceGroupId"),
		},
	}
}

func (c *Cloud) webRules(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	p := call.Parameters
	if size, err := strconv.Atoi(p["PageSize"]); err != nil || size < 1 || size > 10 {
		return nil, emulator.Refuse("InvalidParams", "PageSize is invalid.")
	}
	rules := []map[string]any{}
	for key, d := range c.domains {
		exact := p["QueryDomainPattern"] == "exact"
		if key.product != "ddos" || d.Account != call.Account || d.Region != call.Region ||
			exact && d.Name != p["Domain"] || !exact && !strings.Contains(d.Name, p["Domain"]) {
			continue
		}
		rule := map[string]any{"Domain": d.Name, "CertName": "", "ProxyTypes": []map[string]any{{"ProxyType": "https", "ProxyPorts": []string{"443"}}}}
		if d.HTTPSOff {
			rule["ProxyTypes"] = []map[string]any{{"ProxyType": "http", "ProxyPorts": []string{"80"}}}
		}
		is := c.shown(d)
		if certificate, ok := c.certificateOf(d.Account, is.Identifier); ok && is.Kind == "cas" {
			rule["CertName"] = certificate.Name
		} else {
			rule["CertName"] = is.Identifier
		}
		rules = append(rules, rule)
	}
	return map[string]any{"WebRules": rules, "TotalCount": len(rules)}, nil
}

func (c *Cloud) webCertificates(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	all := []map[string]any{}
	for _, certificate := range c.server.Certificates(call.Account, call.Region) {
		all = append(all, map[string]any{
			"Id": certificate.CertID, "Name": certificate.Name, "CertIdentifier": strconv.FormatInt(certificate.CertID, 10) + "-" + certificate.Region,
			"Common": certificate.CommonName, "DomainRelated": covers(certificate, call.Parameters["Domain"]),
		})
	}
	return map[string]any{"Certs": all}, nil
}

func (c *Cloud) setWebCertificate(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	d := c.inside(call, "ddos", "", call.Parameters["Domain"])
	if d == nil {
		return nil, emulator.Refuse("DomainNotExist", "The domain does not exist.")
	}
	if !c.fits(call, call.Parameters["CertIdentifier"], d.Name) {
		return nil, emulator.Refuse("SslCertNotExist", "The certificate does not exist, or is not for the domain.")
	}
	c.give(call, d, call.Parameters["CertIdentifier"])
	return map[string]any{}, nil
}

// mseRegions are the regions of MSE (T85).
var mseRegions = []string{
	"cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-wulanchabu", "cn-shenzhen", "cn-guangzhou", "cn-chengdu",
	"cn-hongkong", "ap-southeast-1", "ap-southeast-5", "ap-northeast-1", "eu-central-1", "us-east-1", "us-west-1",
}

// mse is the gateways of Microservices Engine.
func (c *Cloud) mse() *emulator.Service {
	return &emulator.Service{
		Name: "mse", Code: "mse", Permission: "mse", Version: "2019-05-31", Regions: mseRegions, Host: twice("mse"),
		Actions: map[string]emulator.ServiceAction{
			"ListGatewayDomain": c.onAll("GatewayUniqueId", c.gatewayDomains, "GatewayUniqueId", "DomainName", "Type", "AcceptLanguage"),
			"UpdateSSLCert":     c.onAll("GatewayUniqueId", c.setGatewayDomain, "GatewayUniqueId", "DomainId", "CertIdentifier", "AcceptLanguage"),
		},
	}
}

func (c *Cloud) ofGateway(call *emulator.ServiceCall) []*domain {
	var all []*domain
	for key, d := range c.domains {
		if key.product == "mse" && d.Account == call.Account && d.Region == call.Region && d.Instance == call.Parameters["GatewayUniqueId"] {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *domain) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// mseWords adds what all answers of MSE say besides.
func mseWords(data any) map[string]any {
	return map[string]any{"Success": true, "Code": 200, "HttpStatusCode": 200, "Data": data}
}

func (c *Cloud) gatewayDomains(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	all := c.ofGateway(call)
	if len(all) == 0 {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "NotFound", Message: "The gateway does not exist."}
	}
	data := []map[string]any{}
	for _, d := range all {
		if part := call.Parameters["DomainName"]; !strings.Contains(d.Name, part) {
			continue
		}
		entry := map[string]any{"Id": d.number, "Name": d.Name, "Protocol": "HTTPS", "CertIdentifier": c.shown(d).Identifier}
		if d.HTTPSOff {
			entry["Protocol"] = "HTTP"
		}
		data = append(data, entry)
	}
	return mseWords(data), nil
}

func (c *Cloud) setGatewayDomain(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	for _, d := range c.ofGateway(call) {
		if strconv.FormatInt(d.number, 10) != call.Parameters["DomainId"] {
			continue
		}
		if !c.fits(call, call.Parameters["CertIdentifier"], d.Name) {
			// With a status of 200, as answers of MSE have it (T86).
			return map[string]any{"Success": false, "Code": 400, "HttpStatusCode": 400, "Message": "The certificate does not exist."}, nil
		}
		c.give(call, d, call.Parameters["CertIdentifier"])
		return mseWords(true), nil
	}
	return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "NotFound", Message: "The domain does not exist."}
}
