// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// fcCall signs a call of Function Compute by signature version 3, written down anew (F81).
func (w *world) fcCall(region, method, domain, body string) (status int, answer map[string]any) {
	w.t.Helper()
	w.nonce++
	w.clock.advance(time.Second)
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	action := map[string]string{http.MethodGet: "GetCustomDomain", http.MethodPut: "UpdateCustomDomain"}[method]
	request := httptest.NewRequest(method, "http://fc.example.com/2023-03-30/custom-domains/"+domain, strings.NewReader(body))
	signed := map[string]string{
		"host": "fc.example.com", "x-acs-action": action, "x-acs-version": "2023-03-30", "x-acs-content-sha256": sum(body),
		"x-acs-date": w.clock.Now().UTC().Format("2006-01-02T15:04:05Z"), "x-acs-signature-nonce": fmt.Sprint(w.nonce),
	}
	var names, lines []string
	for name, value := range signed {
		names, lines = append(names, name), append(lines, name+":"+value+"\n")
		request.Header.Set(name, value)
	}
	slices.Sort(names)
	slices.Sort(lines)
	list := strings.Join(names, ";")
	mac := hmac.New(sha256.New, []byte(keySecret))
	canonical := method + "\n" + request.URL.EscapedPath() + "\n\n" + strings.Join(lines, "") + "\n" + list + "\n" + sum(body)
	_, _ = io.WriteString(mac, "ACS3-HMAC-SHA256\n"+sum(canonical))
	request.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+keyID+",SignedHeaders="+list+",Signature="+hex.EncodeToString(mac.Sum(nil)))
	recorder := httptest.NewRecorder()
	w.cloud.Handler("fc", region).ServeHTTP(recorder, request)
	w.check(json.Unmarshal(recorder.Body.Bytes(), &answer))
	return recorder.Code, answer
}

// keyed is a certificate with its key, as Function Compute takes them.
func keyed(domains ...string) (certificate, key string) {
	l := leaf(domains...)
	der := must(x509.CreateCertificate(rand.Reader, l, l, &rsaKey().PublicKey, rsaKey()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())}))
}

func body(fields map[string]any) string { return string(must(json.Marshal(fields))) }

const functionHost = "fc.example.com"

// function makes a domain with a certificate and routes.
func (w *world) function(protocol string) {
	w.t.Helper()
	certificate, key := keyed(functionHost)
	d := CustomDomain{
		Name: functionHost, Account: account, Region: shanghai, Protocol: protocol,
		Settings: map[string]json.RawMessage{"routeConfig": json.RawMessage(`{"routes":[{"path":"/*"}]}`)},
	}
	if protocol != "HTTP" {
		d.CertName, d.Certificate, d.PrivateKey = "old", certificate, emulator.Secret(key)
	}
	w.check(w.cloud.AddCustomDomain(d))
}

func TestAFunctionsDomainTakesACertificateWithItsKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options Options
		routes  string
	}{
		"what is not sent falls back":  {Options{}, ""},
		"what is not sent stays there": {Options{Unknowns: Unknowns{FCKeepsTheRest: true}}, `{"routes":[{"path":"/*"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.options)
			w.function("HTTP,HTTPS")
			certificate, key := keyed(functionHost)
			sent := map[string]any{"certName": "new", "certificate": certificate, "privateKey": key}
			if status, answer := w.fcCall("", http.MethodPut, functionHost, body(map[string]any{"protocol": "HTTPS", "certConfig": sent})); status != http.StatusOK {
				t.Fatalf("status %d, %v", status, answer["Message"])
			}
			d, _ := w.cloud.CustomDomain(functionHost)
			if d.CertName != "new" || d.Certificate != certificate || string(d.PrivateKey) != key || d.Protocol != "HTTPS" || string(d.Settings["routeConfig"]) != tc.routes {
				t.Errorf("name %q, protocol %s, settings %s", d.CertName, d.Protocol, d.Settings)
			}
			_, answer := w.fcCall(shanghai, http.MethodGet, functionHost, "")
			if diff := cmp.Diff(any(sent), answer["certConfig"]); diff != "" || answer["domainName"] != functionHost {
				t.Error(diff)
			}
			if w.server.KeysSent() != 0 {
				t.Error("the key is part of the call")
			}
		})
	}
}

func TestAFunctionsDomainRefuses(t *testing.T) {
	t.Parallel()
	certificate, key := keyed(functionHost)
	other, _ := keyed("www.example.com")
	pkcs8 := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey()))}))
	config := func(certificate, key string) map[string]any {
		return map[string]any{"protocol": "HTTPS", "certConfig": map[string]any{"certName": "new", "certificate": certificate, "privateKey": key}}
	}
	for name, tc := range map[string]struct {
		region, domain string
		sent           map[string]any
		code           string
	}{
		"a key as PKCS#8":             {sent: config(certificate, pkcs8), code: "InvalidArgument"},
		"no key":                      {sent: config(certificate, ""), code: "InvalidArgument"},
		"a certificate for elsewhere": {sent: config(other, key), code: "InvalidArgument"},
		"HTTPS without a certificate": {sent: map[string]any{"protocol": "HTTPS"}, code: "InvalidArgument"},
		"a field of nobody":           {sent: map[string]any{"certId": 1}, code: "InvalidArgument"},
		"a field of nobody within":    {sent: map[string]any{"certConfig": map[string]any{"certId": 1}}, code: "InvalidArgument"},
		"a protocol of nobody":        {sent: map[string]any{"protocol": "QUIC"}, code: "InvalidArgument"},
		"a domain that is not there":  {domain: "other.example.com", sent: config(certificate, key), code: "DomainNameNotFound"},
		"a domain of another region":  {region: "cn-beijing", sent: config(certificate, key), code: "DomainNameNotFound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			w.function("HTTP,HTTPS")
			before, _ := w.cloud.CustomDomain(functionHost)
			domain := functionHost
			if tc.domain != "" {
				domain = tc.domain
			}
			if status, answer := w.fcCall(tc.region, http.MethodPut, domain, body(tc.sent)); answer["Code"] != tc.code {
				t.Errorf("status %d, code %v, want %s", status, answer["Code"], tc.code)
			}
			after, _ := w.cloud.CustomDomain(functionHost)
			if after.CertName != before.CertName || after.Protocol != before.Protocol {
				t.Errorf("the domain has changed: %s", after.CertName)
			}
		})
	}
}

func TestPermissionsAreOnTheFunctionsDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.function("HTTP,HTTPS")
	for resource, want := range map[string]int{
		"acs:fc:cn-shanghai:" + account + ":custom-domains/" + functionHost: http.StatusOK,
		"acs:fc:cn-beijing:" + account + ":custom-domains/" + functionHost:  http.StatusForbidden,
	} {
		w.server.SetPolicy(keyID, []emulator.Statement{{Actions: []string{"fc:GetCustomDomain"}, Resources: []string{resource}}})
		if status, _ := w.fcCall("", http.MethodGet, functionHost, ""); status != want {
			t.Errorf("%s: status %d, want %d", resource, status, want)
		}
	}
}
