// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/gate"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	testID     = "LTAI-test-access-key-id"
	testSecret = "secret-of-the-access-key-0123"
	testToken  = "security-token/with+signs=and-so-on"
)

// cloudServer answers every request with answer and remembers it.
type cloudServer struct {
	*httptest.Server
	answer http.HandlerFunc

	mu       sync.Mutex
	requests []*http.Request
}

func newCloudServer(t *testing.T, answer http.HandlerFunc) *cloudServer {
	t.Helper()
	s := &cloudServer{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("unreadable form: %v", err)
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *cloudServer) forms() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	var forms []url.Values
	for _, r := range s.requests {
		forms = append(forms, r.PostForm)
	}
	return forms
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// freeClock runs as the real one, without any waiting.
type freeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFreeClock() *freeClock {
	return &freeClock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (c *freeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *freeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *freeClock) After(d time.Duration) <-chan time.Time {
	c.advance(d)
	done := make(chan time.Time, 1)
	done <- c.Now()
	return done
}

func newTestCloud(t *testing.T, way alibaba.Config, config Config) *Cloud {
	t.Helper()
	caller, err := alibaba.New(way)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(caller.CloseIdleConnections)
	c, err := New(caller, config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

func testCredentials() alibaba.Credentials {
	return alibaba.Credentials{AccessKeyID: testID, AccessKeySecret: testSecret, SecurityToken: testToken}
}

// limiterOf returns the limiter of an action, which is made if there is none.
func limiterOf(c *Cloud, id *alibaba.Identity, region string, action alibaba.Action) *ratelimit.Limiter {
	through, _ := c.gates.Of(id, gate.Place{Region: region})
	return through.Limiter(action)
}

// newTestClient returns a client of the server whose limiters are past their
// quiet second.
func newTestClient(t *testing.T, url string) (*Client, *freeClock) {
	t.Helper()
	clock := newFreeClock()
	c := newTestCloud(t, alibaba.Config{STSEndpoint: url, Clock: clock}, Config{Endpoints: map[string]string{RegionChina: url}})
	p, err := alibaba.Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Client(RegionChina, p)
	if err != nil {
		t.Fatal(err)
	}
	limiterOf(c, client.identity, RegionChina, ActionUpload)
	clock.advance(2 * ratelimit.QuietStart)
	return client, clock
}

// signature is the specification of signature version 1, written down anew.
func signature(method, secret string, form url.Values) string {
	escape := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	var names []string
	for name := range form {
		if name != "Signature" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, escape(name)+"="+escape(form.Get(name)))
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = io.WriteString(mac, method+"&%2F&"+escape(strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func testUpload() UploadRequest {
	return UploadRequest{
		Name:            "shop_web",
		Certificate:     "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
		PrivateKey:      "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IG9mIHRoZSBwcml2YXRlIGtleSwgYSBsb25nIGxpbmU~*+x\n-----END PRIVATE KEY-----\n",
		ResourceGroupID: "rg-acfm",
		Tags:            []Tag{{"env", "prod *~+ä"}, {"team", ""}},
	}
}

func TestUploadSendsEveryParameterSignedInTheBody(t *testing.T) {
	t.Parallel()
	server := newCloudServer(t, reply(200, `{"CertId":12345,"RequestId":"R-1","ResourceId":"cas-upload-xki1d0"}`))
	client, _ := newTestClient(t, server.URL)

	uploaded, err := client.Upload(t.Context(), nil, testUpload())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Uploaded{CertID: 12345, ResourceID: "cas-upload-xki1d0"}, uploaded); diff != "" {
		t.Error(diff)
	}
	request := server.requests[0]
	if request.URL.RawQuery != "" || request.URL.Path != "/" || request.Method != http.MethodPost {
		t.Errorf("sent %s %s", request.Method, request.URL)
	}
	form := server.forms()[0]
	if want := signature("POST", testSecret, form); form.Get("Signature") != want {
		t.Errorf("signature %q, want %q", form.Get("Signature"), want)
	}
	upload := testUpload()
	for name, want := range map[string]string{
		"Action": "UploadUserCertificate", "Version": "2020-04-07", "RegionId": RegionChina, "Format": "JSON",
		"AccessKeyId": testID, "SecurityToken": testToken,
		"Name": upload.Name, "Cert": upload.Certificate, "Key": upload.PrivateKey, "ResourceGroupId": "rg-acfm",
		"Tags.1.Key": "env", "Tags.1.Value": "prod *~+ä", "Tags.2.Key": "team",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"SignCert", "EncryptPrivateKey", "Tags.2.Value"} {
		if form.Has(name) {
			t.Errorf("%s was sent without a value", name)
		}
	}
}

func TestUploadAnswersOfAnyShape(t *testing.T) {
	t.Parallel()
	type verdict struct {
		Class           alibaba.Class
		Code            string
		MayHaveHappened bool
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   verdict
	}{
		"an empty answer":                     {200, "", verdict{alibaba.Transient, "", true}},
		"an empty object":                     {200, "{}", verdict{alibaba.Transient, "", true}},
		"certificate id zero":                 {200, `{"CertId":0,"RequestId":"x"}`, verdict{alibaba.Transient, "", true}},
		"a certificate id that is no number":  {200, `{"CertId":{"a":1}}`, verdict{alibaba.Transient, "", true}},
		"HTML with status 200":                {200, "<html>hello</html>", verdict{alibaba.Transient, "", true}},
		"JSON that is no object":              {200, `[1,2]`, verdict{alibaba.Transient, "", true}},
		"null":                                {200, `null`, verdict{alibaba.Transient, "", true}},
		"a code in an answer of status 200":   {200, `{"CertId":1,"Code":"NameRepeat"}`, verdict{alibaba.NameTaken, "NameRepeat", false}},
		"a redirect":                          {302, "", verdict{alibaba.Transient, "", true}},
		"HTML with status 502":                {502, "<html>", verdict{alibaba.Transient, "", true}},
		"HTML with status 429":                {429, "<html>", verdict{alibaba.Throttled, "", false}},
		"a code that is a number":             {400, `{"Code":400,"Message":7}`, verdict{alibaba.Transient, "400", true}},
		"a code that is an object":            {400, `{"Code":{"a":["b"]}}`, verdict{alibaba.Transient, "", true}},
		"a code that is null":                 {400, `{"Code":null}`, verdict{alibaba.Transient, "", true}},
		"an unknown code":                     {400, `{"Code":"Certificate.NewRule"}`, verdict{alibaba.Transient, "Certificate.NewRule", true}},
		"an unknown code with status 403":     {403, `{"Code":"Whatever"}`, verdict{alibaba.Denied, "Whatever", false}},
		"HTML with status 403":                {403, "<html>", verdict{alibaba.Denied, "", false}},
		"name repeat":                         {400, `{"Code":"NameRepeat"}`, verdict{alibaba.NameTaken, "NameRepeat", false}},
		"throttling of the user":              {400, `{"Code":"Throttling.User"}`, verdict{alibaba.Throttled, "Throttling.User", false}},
		"throttling of a kind yet to come":    {400, `{"Code":"Throttling.Site"}`, verdict{alibaba.Throttled, "Throttling.Site", false}},
		"flow control":                        {400, `{"Code":"FlowControlError"}`, verdict{alibaba.Throttled, "FlowControlError", false}},
		"no service":                          {503, `{"Code":"ServiceUnavailable"}`, verdict{alibaba.Transient, "ServiceUnavailable", true}},
		"status 503 without a code":           {503, ``, verdict{alibaba.Transient, "", true}},
		"an internal error with status 400":   {400, `{"Code":"InternalError"}`, verdict{alibaba.Transient, "InternalError", true}},
		"an upgrade of the system":            {400, `{"Code":"OperationDenied.SystemUpgrading"}`, verdict{alibaba.Transient, "OperationDenied.SystemUpgrading", false}},
		"a nonce that was used":               {400, `{"Code":"SignatureNonceUsed"}`, verdict{alibaba.Transient, "SignatureNonceUsed", true}},
		"a certificate that is refused":       {400, `{"Code":"CertificateChainNotMatch"}`, verdict{alibaba.Refused, "CertificateChainNotMatch", false}},
		"no permission":                       {403, `{"Code":"Forbidden.RAM","AccessDeniedDetail":{"AuthPrincipalType":"SubUser"}}`, verdict{alibaba.Denied, "Forbidden.RAM", false}},
		"quota":                               {400, `{"Code":"InsufficientQuota"}`, verdict{alibaba.Quota, "InsufficientQuota", false}},
		"an access key that does not exist":   {404, `{"Code":"InvalidAccessKeyId.NotFound"}`, verdict{alibaba.Unauthenticated, "InvalidAccessKeyId.NotFound", false}},
		"a token that has expired":            {400, `{"Code":"InvalidSecurityToken.Expired"}`, verdict{alibaba.Unauthenticated, "InvalidSecurityToken.Expired", false}},
		"a certificate that is protected":     {400, `{"Code":"InvalidStatus.DeleteProtection"}`, verdict{alibaba.DeleteProtected, "InvalidStatus.DeleteProtection", false}},
		"an answer that is far too long":      {200, `{"CertId":1,"x":"` + strings.Repeat("x", 8<<20) + `"}`, verdict{alibaba.Transient, "", true}},
		"a closing brace that never comes":    {200, `{"CertId":1`, verdict{alibaba.Transient, "", true}},
		"a depth that no decoder should take": {200, strings.Repeat("[", 100_000), verdict{alibaba.Transient, "", true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, reply(tc.status, tc.body))
			client, _ := newTestClient(t, server.URL)
			_, err := client.Upload(t.Context(), nil, testUpload())
			e, ok := errors.AsType[*alibaba.Error](err)
			if !ok {
				t.Fatalf("error %v is no *Error", err)
			}
			if diff := cmp.Diff(tc.want, verdict{e.Class, e.Code, e.MayHaveHappened}); diff != "" {
				t.Error(diff)
			}
			if e.Action != ActionUpload || e.HTTPStatus != tc.status && e.Cause == nil {
				t.Errorf("action %q and status %d of %v", e.Action, e.HTTPStatus, e)
			}
			if (e.Permission != "") != (e.Class == alibaba.Denied && e.Code != "") {
				t.Errorf("permission %q of class %v", e.Permission, e.Class)
			}
			if got := len(server.forms()); got != 1 {
				t.Errorf("%d requests, want 1", got)
			}
		})
	}
}

func TestCertificateIDsOfAnyWriting(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"a number":                     `{"CertId":9007199254740993}`,
		"a string":                     `{"CertId":"9007199254740993","ResourceId":null}`,
		"a code that says success":     `{"CertId":9007199254740993,"Code":200}`,
		"names in another letter case": `{"certid":9007199254740993}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newTestClient(t, newCloudServer(t, reply(200, body)).URL)
			uploaded, err := client.Upload(t.Context(), nil, testUpload())
			if err != nil || uploaded.CertID != 9007199254740993 {
				t.Errorf("got %v, %v", uploaded, err)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		id       int64
		status   int
		body     string
		wantCall bool
		ok       func(error) bool
	}{
		"success":                {7, 200, `{"RequestId":"R"}`, true, func(err error) bool { return err == nil }},
		"gone":                   {7, 400, `{"Code":"NotFound"}`, true, alibaba.IsNotFound},
		"protected":              {7, 400, `{"Code":"InvalidStatus.DeleteProtection"}`, true, func(err error) bool { return alibaba.ClassOf(err) == alibaba.DeleteProtected }},
		"an answer that is none": {7, 200, ``, true, alibaba.MayHaveHappened},
		"no certificate":         {0, 200, `{}`, false, alibaba.IsRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, reply(tc.status, tc.body))
			client, _ := newTestClient(t, server.URL)
			if err := client.Delete(t.Context(), tc.id); !tc.ok(err) {
				t.Errorf("got %v", err)
			}
			forms := server.forms()
			if (len(forms) == 1) != tc.wantCall {
				t.Fatalf("%d requests", len(forms))
			}
			if tc.wantCall && forms[0].Get("CertId") != "7" {
				t.Errorf("CertId %q", forms[0].Get("CertId"))
			}
		})
	}
}

func TestEndpointOfAnotherRegionIsNeverUsed(t *testing.T) {
	t.Parallel()
	c := newTestCloud(t, alibaba.Config{}, Config{Endpoints: map[string]string{RegionInternational: "http://127.0.0.1:1"}})
	p, err := alibaba.Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]string{
		RegionChina:         "https://cas.aliyuncs.com",
		RegionInternational: "http://127.0.0.1:1",
	} {
		client, err := c.Client(region, p)
		if err != nil || client.endpoint != want || client.region != region {
			t.Errorf("region %s: endpoint %q, %v", region, client.endpoint, err)
		}
	}
	if _, err := c.Client("ap-southeast-5", p); err == nil {
		t.Error("a client of an unknown region")
	}
}

// The limiter's window is that of the cloud only if it counts a call when it leaves, which
// may be long after it was let go.
func TestTheLimiterCountsACallWhenItIsWritten(t *testing.T) {
	t.Parallel()
	clock := newFreeClock()
	slow := roundTripper(func(request *http.Request) (*http.Response, error) {
		clock.advance(3 * time.Second)
		httptrace.ContextClientTrace(request.Context()).WroteRequest(httptrace.WroteRequestInfo{})
		return answerWith(`{"CertId":1,"RequestId":"r"}`), nil
	})
	cloud := newTestCloud(t, alibaba.Config{Clock: clock, Transport: slow}, Config{UploadQPS: 0.5})
	p, err := alibaba.Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, err := cloud.Client(RegionChina, p)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = client.Reserve(t.Context(), ActionUpload)
	clock.advance(2 * ratelimit.QuietStart)
	if _, err := client.Upload(t.Context(), nil, testUpload()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Upload(t.Context(), nil, testUpload()); !alibaba.IsThrottled(err) {
		t.Errorf("a second call right after the first was written: %v", err)
	}
}

// The table of docs/cas.md: what CAS alone answers, and some of what every product does.
func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]alibaba.Class{
		"NameRepeat":       alibaba.NameTaken,
		"NameAlreadyExist": alibaba.NameTaken,

		"NotFound":               alibaba.NotFound,
		"NotFound.Certificate":   alibaba.NotFound,
		"InvalidCertId.NotFound": alibaba.NotFound,

		"PrivateKeyFormatException":         alibaba.Refused,
		"NotMatch.CertificateAndPrivateKey": alibaba.Refused,
		"CertificateFormatException":        alibaba.Refused,
		"ParseCertificateFailed":            alibaba.Refused,
		"CertificateChainNotMatch":          alibaba.Refused,
		"CertificateExpired":                alibaba.Refused,
		"DataTooLongException":              alibaba.Refused,
		"InvalidParameter.Cert":             alibaba.Refused,
		"MissingParameter.Name":             alibaba.Refused,
		"KeyNotMatchCert":                   alibaba.Refused,

		"InvalidStatus.DeleteProtection": alibaba.DeleteProtected,
		"InsufficientQuota":              alibaba.Quota,
		"NoPermission":                   alibaba.Denied,
		"Throttling.User":                alibaba.Throttled,
		"SignatureDoesNotMatch":          alibaba.Unauthenticated,

		"Certificate.NewRule": alibaba.Transient,
		"InvalidCertId.Other": alibaba.Transient,
	} {
		for _, status := range []int{400, 404, 500} {
			client := answeringClient(t, status, fmt.Sprintf(`{"Code":%q}`, code))
			e, ok := errors.AsType[*alibaba.Error](client.Delete(t.Context(), 1))
			if unknown := want == alibaba.Transient; !ok || e.Class != want || e.UnknownCode != unknown {
				t.Errorf("%s with status %d is %v, want %s", code, status, e, want)
			}
		}
	}
}

// answeringClient returns a client that has one answer to everything.
func answeringClient(t *testing.T, status int, body string) *Client {
	t.Helper()
	clock := newFreeClock()
	cloud := newTestCloud(t, alibaba.Config{Clock: clock, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		answer := answerWith(body)
		answer.StatusCode = status
		return answer, nil
	})}, Config{})
	p, err := alibaba.Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, err := cloud.Client(RegionChina, p)
	if err != nil {
		t.Fatal(err)
	}
	cloud.Begin()
	clock.advance(2 * ratelimit.QuietStart)
	return client
}
