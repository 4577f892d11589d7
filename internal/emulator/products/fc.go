// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"bytes"
	"cmp"
	cryptotls "crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// CustomDomain is a domain of Function Compute. It holds a certificate with its key, not one of CAS.
type CustomDomain struct {
	Name    string `json:"name"`
	Account string `json:"account"`
	Region  string `json:"region"`
	// Protocol is HTTP, HTTPS or HTTP,HTTPS.
	Protocol string `json:"protocol"`
	// CertName, Certificate and PrivateKey are empty for a domain that never had a certificate.
	CertName    string          `json:"certName,omitempty"`
	Certificate string          `json:"certificate,omitempty"`
	PrivateKey  emulator.Secret `json:"privateKey,omitempty"`
	// Settings are all others, as the interface names them: routeConfig, tlsConfig and so on.
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
}

// fcSettings are the settings that an update may have besides the certificate (T100).
var fcSettings = []string{"authConfig", "corsConfig", "routeConfig", "tlsConfig", "wafConfig"}

const fcPath = "/2023-03-30/custom-domains/"

// fc is Function Compute 3.0.
func (c *Cloud) fc() *emulator.Service {
	domain := func(call *emulator.ServiceCall) string { return call.Parameters["DomainName"] }
	arn := func(call *emulator.ServiceCall) string {
		region := call.Region
		if region == "" { // one address for all regions
			c.mu.Lock()
			defer c.mu.Unlock()
			if d := c.functions[domain(call)]; d != nil {
				region = d.Region
			}
		}
		return "acs:fc:" + region + ":" + call.Account + ":custom-domains/" + domain(call)
	}
	return &emulator.Service{
		Name: "fc", Code: "FC", Permission: "fc", Version: "2023-03-30",
		Regions: []string{"cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-hongkong", "ap-southeast-1"},
		Host:    func(region string) string { return "fcv3." + region + ".aliyuncs.com" },
		Route: func(method, path string) (string, map[string]string) {
			name, ok := strings.CutPrefix(path, fcPath)
			if !ok || name == "" || strings.Contains(name, "/") {
				return "", nil
			}
			action := map[string]string{http.MethodGet: "GetCustomDomain", http.MethodPut: "UpdateCustomDomain"}[method]
			return action, map[string]string{"DomainName": name}
		},
		Actions: map[string]emulator.ServiceAction{
			"GetCustomDomain": {
				Parameters: []string{"DomainName"}, Limit: readsPerSecond, Subject: domain, Resource: arn, Run: c.readFunctionDomain,
			},
			"UpdateCustomDomain": {
				Parameters: []string{"DomainName", "Body"}, Limit: readsPerSecond, Subject: domain, Resource: arn, TakesKey: true, Run: c.setFunctionDomain,
			},
		},
	}
}

// functionDomain returns the caller's domain; c.mu is held.
func (c *Cloud) functionDomain(call *emulator.ServiceCall) (*CustomDomain, *emulator.Refusal) {
	d := c.functions[call.Parameters["DomainName"]]
	if d == nil || d.Account != call.Account || call.Region != "" && call.Region != d.Region {
		return nil, &emulator.Refusal{Status: http.StatusNotFound, Code: "DomainNameNotFound", Message: "domain name does not exist"}
	}
	return d, nil
}

// readFunctionDomain answers all of a domain, the private key too (T101).
func (c *Cloud) readFunctionDomain(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, refused := c.functionDomain(call)
	if refused != nil {
		return nil, refused
	}
	answer := map[string]any{
		"accountId": d.Account, "apiVersion": "2023-03-30", "createdTime": "2026-01-02T03:04:05Z", "domainName": d.Name, "protocol": d.Protocol,
		"certConfig": map[string]any{"certName": d.CertName, "certificate": d.Certificate, "privateKey": string(d.PrivateKey)},
	}
	for name, value := range d.Settings {
		answer[name] = value
	}
	return answer, nil
}

// setFunctionDomain is UpdateCustomDomain. What is not sent falls back (T102).
func (c *Cloud) setFunctionDomain(call *emulator.ServiceCall) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, refused := c.functionDomain(call)
	if refused != nil {
		return nil, refused
	}
	sent := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(call.Parameters["Body"]), &sent) != nil {
		return nil, fcRefusal("the body is not the expected JSON")
	}
	next := CustomDomain{Name: d.Name, Account: d.Account, Region: d.Region, Protocol: "HTTP"}
	if c.options.FCKeepsTheRest {
		next = *d
	}
	if next.Settings = maps.Clone(next.Settings); next.Settings == nil {
		next.Settings = map[string]json.RawMessage{}
	}
	for name, value := range sent {
		if refused := next.set(name, value); refused != nil {
			return nil, refused
		}
	}
	if refused := next.check(); refused != nil {
		return nil, refused
	}
	c.functions[d.Name] = &next
	call.Committed()
	return map[string]any{"domainName": d.Name, "protocol": next.Protocol}, nil
}

func fcRefusal(message string) *emulator.Refusal { return emulator.Refuse("InvalidArgument", message) }

// set takes one field of an update.
func (d *CustomDomain) set(name string, value json.RawMessage) *emulator.Refusal {
	switch {
	case name == "protocol":
		if json.Unmarshal(value, &d.Protocol) != nil {
			return fcRefusal("'protocol' has to be a string")
		}
	case name == "certConfig":
		var config struct{ CertName, Certificate, PrivateKey string }
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.DisallowUnknownFields()
		if decoder.Decode(&config) != nil {
			return fcRefusal("'certConfig' is not the expected JSON")
		}
		d.CertName, d.Certificate, d.PrivateKey = config.CertName, config.Certificate, emulator.Secret(config.PrivateKey)
	case slices.Contains(fcSettings, name):
		d.Settings[name] = value
	default:
		return fcRefusal("a field is unknown")
	}
	return nil
}

// check refuses what cannot be served (T103).
func (d *CustomDomain) check() *emulator.Refusal {
	if !slices.Contains([]string{"HTTP", "HTTPS", "HTTP,HTTPS"}, d.Protocol) {
		return fcRefusal("'protocol' has to be HTTP, HTTPS or HTTP,HTTPS")
	}
	if d.Certificate == "" && d.PrivateKey == "" {
		if d.Protocol != "HTTP" {
			return fcRefusal("'certConfig' is required for HTTPS")
		}
		return nil
	}
	key, _ := pem.Decode([]byte(d.PrivateKey))
	if key == nil || key.Type != "RSA PRIVATE KEY" && key.Type != "EC PRIVATE KEY" {
		return fcRefusal("'private key' has to be in PEM format")
	}
	pair, err := cryptotls.X509KeyPair([]byte(d.Certificate), []byte(d.PrivateKey))
	if err != nil || d.CertName == "" {
		return fcRefusal("certificate and private key do not belong together, or have no name")
	}
	host := strings.Replace(d.Name, "*.", "any.", 1)
	if leaf, err := x509.ParseCertificate(pair.Certificate[0]); err != nil || leaf.VerifyHostname(host) != nil {
		return fcRefusal("the certificate is not for the domain")
	}
	return nil
}

// AddCustomDomain makes a domain of Function Compute, or changes it as a person in the console would.
func (c *Cloud) AddCustomDomain(d CustomDomain) error {
	d.Protocol = cmp.Or(d.Protocol, "HTTP,HTTPS")
	if !HasRegion("fc", d.Region) || d.Name == "" {
		return errNoSuch("region of fc", d.Region)
	}
	if !c.server.HasAccount(d.Account) {
		return errNoSuch("account", d.Account)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.functions[d.Name] = &d
	return nil
}

// CustomDomain returns a domain of Function Compute as it is, if there is one.
func (c *Cloud) CustomDomain(name string) (CustomDomain, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.functions[name]
	if d == nil {
		return CustomDomain{}, false
	}
	return *d, true
}
