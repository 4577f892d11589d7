// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
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

func newTestCloud(t *testing.T, config Config) *Cloud {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func testCredentials() Credentials {
	return Credentials{AccessKeyID: testID, AccessKeySecret: testSecret, SecurityToken: testToken}
}

// newTestClient returns a client of the server whose limiters are past their
// quiet second.
func newTestClient(t *testing.T, url string) (*Client, *freeClock) {
	t.Helper()
	clock := newFreeClock()
	c := newTestCloud(t, Config{Endpoints: map[string]string{SiteChina: url}, STSEndpoint: url, Clock: clock})
	p, err := Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Client(SiteChina, p)
	if err != nil {
		t.Fatal(err)
	}
	c.limiterFor(client.identity, SiteChina, ActionUpload)
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
	if diff := cmp.Diff(Uploaded{CertID: 12345, ResourceID: "cas-upload-xki1d0", RequestID: "R-1"}, uploaded); diff != "" {
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
		"Action": "UploadUserCertificate", "Version": "2020-04-07", "RegionId": SiteChina, "Format": "JSON",
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
		Class           Class
		Code            string
		MayHaveHappened bool
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   verdict
	}{
		"an empty answer":                     {200, "", verdict{Transient, "", true}},
		"an empty object":                     {200, "{}", verdict{Transient, "", true}},
		"certificate id zero":                 {200, `{"CertId":0,"RequestId":"x"}`, verdict{Transient, "", true}},
		"a certificate id that is no number":  {200, `{"CertId":{"a":1}}`, verdict{Transient, "", true}},
		"HTML with status 200":                {200, "<html>hello</html>", verdict{Transient, "", true}},
		"JSON that is no object":              {200, `[1,2]`, verdict{Transient, "", true}},
		"null":                                {200, `null`, verdict{Transient, "", true}},
		"a code in an answer of status 200":   {200, `{"CertId":1,"Code":"NameRepeat"}`, verdict{NameTaken, "NameRepeat", false}},
		"a redirect":                          {302, "", verdict{Transient, "", true}},
		"HTML with status 502":                {502, "<html>", verdict{Transient, "", true}},
		"HTML with status 429":                {429, "<html>", verdict{Throttled, "", false}},
		"a code that is a number":             {400, `{"Code":400,"Message":7}`, verdict{Transient, "400", true}},
		"a code that is an object":            {400, `{"Code":{"a":["b"]}}`, verdict{Transient, "", true}},
		"a code that is null":                 {400, `{"Code":null}`, verdict{Transient, "", true}},
		"an unknown code":                     {400, `{"Code":"Certificate.NewRule"}`, verdict{Transient, "Certificate.NewRule", true}},
		"an unknown code with status 403":     {403, `{"Code":"Whatever"}`, verdict{Denied, "Whatever", false}},
		"HTML with status 403":                {403, "<html>", verdict{Denied, "", false}},
		"name repeat":                         {400, `{"Code":"NameRepeat"}`, verdict{NameTaken, "NameRepeat", false}},
		"throttling of the user":              {400, `{"Code":"Throttling.User"}`, verdict{Throttled, "Throttling.User", false}},
		"throttling of a kind yet to come":    {400, `{"Code":"Throttling.Site"}`, verdict{Throttled, "Throttling.Site", false}},
		"flow control":                        {400, `{"Code":"FlowControlError"}`, verdict{Throttled, "FlowControlError", false}},
		"no service":                          {503, `{"Code":"ServiceUnavailable"}`, verdict{Transient, "ServiceUnavailable", true}},
		"status 503 without a code":           {503, ``, verdict{Throttled, "", true}},
		"an internal error with status 400":   {400, `{"Code":"InternalError"}`, verdict{Transient, "InternalError", true}},
		"an upgrade of the system":            {400, `{"Code":"OperationDenied.SystemUpgrading"}`, verdict{Transient, "OperationDenied.SystemUpgrading", false}},
		"a nonce that was used":               {400, `{"Code":"SignatureNonceUsed"}`, verdict{Transient, "SignatureNonceUsed", true}},
		"a certificate that is refused":       {400, `{"Code":"CertificateChainNotMatch"}`, verdict{Refused, "CertificateChainNotMatch", false}},
		"no permission":                       {403, `{"Code":"Forbidden.RAM","AccessDeniedDetail":{"AuthPrincipalType":"SubUser"}}`, verdict{Denied, "Forbidden.RAM", false}},
		"quota":                               {400, `{"Code":"InsufficientQuota"}`, verdict{Quota, "InsufficientQuota", false}},
		"an access key that does not exist":   {404, `{"Code":"InvalidAccessKeyId.NotFound"}`, verdict{Unauthenticated, "InvalidAccessKeyId.NotFound", false}},
		"a token that has expired":            {400, `{"Code":"InvalidSecurityToken.Expired"}`, verdict{Unauthenticated, "InvalidSecurityToken.Expired", false}},
		"a certificate that is protected":     {400, `{"Code":"InvalidStatus.DeleteProtection"}`, verdict{DeleteProtected, "InvalidStatus.DeleteProtection", false}},
		"an answer that is far too long":      {200, `{"CertId":1,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, verdict{Transient, "", true}},
		"a closing brace that never comes":    {200, `{"CertId":1`, verdict{Transient, "", true}},
		"a depth that no decoder should take": {200, strings.Repeat("[", 100_000), verdict{Transient, "", true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, reply(tc.status, tc.body))
			client, _ := newTestClient(t, server.URL)
			_, err := client.Upload(t.Context(), nil, testUpload())
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error %v is no *Error", err)
			}
			if diff := cmp.Diff(tc.want, verdict{e.Class, e.Code, e.MayHaveHappened}); diff != "" {
				t.Error(diff)
			}
			if e.Action != ActionUpload || e.HTTPStatus != tc.status && e.cause == nil {
				t.Errorf("action %q and status %d of %v", e.Action, e.HTTPStatus, e)
			}
			if (e.Permission != "") != (e.Class == Denied && e.Code != "") {
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

func TestTransportFailures(t *testing.T) {
	t.Parallel()
	t.Run("a reset after the request may have happened", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		client, _ := newTestClient(t, server.URL)
		_, err := client.Upload(t.Context(), nil, testUpload())
		if err == nil || ClassOf(err) != Transient || !MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a refused connection did not happen", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, nil)
		client, _ := newTestClient(t, server.URL)
		server.Close()
		_, err := client.Upload(t.Context(), nil, testUpload())
		if err == nil || ClassOf(err) != Transient || MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled context ends a call that hangs", func(t *testing.T) {
		t.Parallel()
		arrived, release := make(chan struct{}), make(chan struct{})
		server := newCloudServer(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
		t.Cleanup(func() { close(release) })
		client, _ := newTestClient(t, server.URL)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := client.Upload(ctx, nil, testUpload())
		if !errors.Is(err, context.Canceled) || !MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled context sends nothing", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, reply(200, "{}"))
		client, _ := newTestClient(t, server.URL)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.Upload(ctx, nil, testUpload())
		if !errors.Is(err, context.Canceled) || MayHaveHappened(err) || len(server.forms()) != 0 {
			t.Errorf("got %v after %d requests", err, len(server.forms()))
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := newCloudServer(t, reply(200, `{"CertId":1}`))
	server := newCloudServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	client, _ := newTestClient(t, server.URL)
	if _, err := client.Upload(t.Context(), nil, testUpload()); err == nil {
		t.Error("no error")
	}
	if got := len(other.forms()); got != 0 {
		t.Errorf("%d requests were redirected", got)
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
		"gone":                   {7, 400, `{"Code":"NotFound"}`, true, IsNotFound},
		"protected":              {7, 400, `{"Code":"InvalidStatus.DeleteProtection"}`, true, IsDeleteProtected},
		"an answer that is none": {7, 200, ``, true, MayHaveHappened},
		"no certificate":         {0, 200, `{}`, false, IsRefused},
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
	c := newTestCloud(t, Config{Endpoints: map[string]string{SiteInternational: "http://127.0.0.1:1"}})
	p, err := Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[string]string{
		SiteChina:         "https://cas.aliyuncs.com",
		SiteInternational: "http://127.0.0.1:1",
	} {
		client, err := c.Client(region, p)
		if err != nil || client.endpoint != want || client.Region() != region {
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
	cloud := newTestCloud(t, Config{Clock: clock, Transport: slow, UploadQPS: 0.5})
	p, err := Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	client, err := cloud.Client(SiteChina, p)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = client.Reserve(t.Context(), ActionUpload)
	clock.advance(2 * ratelimit.QuietStart)
	if _, err := client.Upload(t.Context(), nil, testUpload()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Upload(t.Context(), nil, testUpload()); !IsThrottled(err) {
		t.Errorf("a second call right after the first was written: %v", err)
	}
}

func TestObserveSeesEveryCallSent(t *testing.T) {
	t.Parallel()
	codes := []string{"", "NameRepeat", "Some.New.Code"}
	var sent int
	server := newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if code := codes[sent]; code != "" {
			w.WriteHeader(400)
			_, _ = fmt.Fprintf(w, `{"Code":%q,"RequestId":"R-%d"}`, code, sent+1)
		} else {
			_, _ = io.WriteString(w, `{"CertId":1}`)
		}
		sent++
	})
	client, _ := newTestClient(t, server.URL)
	var got []CallInfo
	client.cloud.onCall = func(info CallInfo) { got = append(got, info) }
	for range codes {
		_, _ = client.Upload(t.Context(), nil, testUpload())
	}
	want := []CallInfo{
		{Action: ActionUpload, Site: SiteChina, Outcome: "success"},
		{Action: ActionUpload, Site: SiteChina, Outcome: "name_taken", Code: "NameRepeat", HTTPStatus: 400, RequestID: "R-2", Summary: "NameRepeat"},
		{Action: ActionUpload, Site: SiteChina, Outcome: "transient", Code: "Some.New.Code", HTTPStatus: 400, RequestID: "R-3", Summary: "Some.New.Code"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	// The example of the vendor's page on signature version 1 (F51).
	form := url.Values{
		"Timestamp": {"2016-02-23T12:46:24Z"}, "Format": {"XML"}, "AccessKeyId": {"testid"}, "Action": {"DescribeRegions"},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureNonce": {"3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"},
		"Version": {"2014-05-26"}, "SignatureVersion": {"1.0"},
	}
	if got := signature("GET", "testsecret", form); got != "OLeaidS1JvxuMvnyHOwuJ+uX5qY=" {
		t.Errorf("got %s", got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	newServer := func(t *testing.T, config *tls.Config) *httptest.Server {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"CertId":%d}`, r.ProtoMajor)
		}))
		server.EnableHTTP2 = true
		server.TLS = config
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	upload := func(t *testing.T, server *httptest.Server, roots *x509.CertPool) (Uploaded, error) {
		client, _ := newTestClient(t, server.URL)
		client.cloud.http = newHTTPClient(roots)
		t.Cleanup(client.cloud.CloseIdleConnections)
		return client.Upload(t.Context(), nil, testUpload())
	}
	pool := func(server *httptest.Server) *x509.CertPool {
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		return roots
	}
	t.Run("HTTP 2 with a CA of our own", func(t *testing.T) {
		t.Parallel()
		server := newServer(t, nil)
		if got, err := upload(t, server, pool(server)); err != nil || got.CertID != 2 {
			t.Errorf("HTTP %d, %v", got.CertID, err)
		}
	})
	t.Run("an unknown CA", func(t *testing.T) {
		t.Parallel()
		_, err := upload(t, newServer(t, nil), x509.NewCertPool())
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a version of TLS that is too old", func(t *testing.T) {
		t.Parallel()
		server := newServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if got, err := upload(t, server, pool(server)); err == nil || MayHaveHappened(err) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestHintsOfTheCloud(t *testing.T) {
	t.Parallel()
	const api, user = "X-Ratelimit-User-Api", "X-Ratelimit-User"
	for name, tc := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"none":                     {nil, 0},
		"one for the action":       {map[string]string{api: "Limit:10,Remain:0,TimeLeft:300,Reset:5"}, 300 * time.Millisecond},
		"one for the user":         {map[string]string{user: "Limit:10,Remain:0,TimeLeft:300,Reset:5"}, 300 * time.Millisecond},
		"the larger for the user":  {map[string]string{api: "TimeLeft:300", user: "TimeLeft:2500"}, 2500 * time.Millisecond},
		"the larger for the api":   {map[string]string{api: "TimeLeft:2500", user: "TimeLeft:300"}, 2500 * time.Millisecond},
		"hours":                    {map[string]string{api: "TimeLeft:9999000"}, time.Minute},
		"years":                    {map[string]string{api: "TimeLeft:99999999999999", user: "TimeLeft:5"}, time.Minute},
		"a number that is too big": {map[string]string{api: "TimeLeft:99999999999999999999999"}, time.Minute},
		"no number":                {map[string]string{api: "TimeLeft:soon"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range tc.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(400)
				_, _ = io.WriteString(w, `{"Code":"Throttling.User"}`)
			})
			client, _ := newTestClient(t, server.URL)
			_, err := client.Upload(t.Context(), nil, testUpload())
			got, _ := RetryAfter(err)
			if !IsThrottled(err) || got < tc.want || got > min(tc.want+time.Second, time.Minute) {
				t.Errorf("%v: come back after %s, want %s", err, got, tc.want)
			}
		})
	}
}

// The table of docs/cas.md, and what belongs to its families.
func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for code, tc := range map[string]struct {
		status int
		want   Class
	}{
		"Throttling":       {400, Throttled},
		"Throttling.User":  {400, Throttled},
		"Throttling.Api":   {400, Throttled},
		"FlowControlError": {400, Throttled},

		"NameRepeat":       {400, NameTaken},
		"NameAlreadyExist": {400, NameTaken},

		"NotFound":               {400, NotFound},
		"NotFound.Certificate":   {404, NotFound},
		"InvalidCertId.NotFound": {400, NotFound},

		"PrivateKeyFormatException":         {400, Refused},
		"NotMatch.CertificateAndPrivateKey": {400, Refused},
		"CertificateFormatException":        {400, Refused},
		"ParseCertificateFailed":            {400, Refused},
		"CertificateChainNotMatch":          {400, Refused},
		"CertificateExpired":                {400, Refused},
		"DataTooLongException":              {400, Refused},
		"InvalidParameter":                  {400, Refused},
		"InvalidParameter.Cert":             {400, Refused},
		"InvalidParameter.Tags.Key":         {400, Refused},
		"MissingParameter":                  {400, Refused},
		"MissingParameter.Name":             {400, Refused},
		"KeyNotMatchCert":                   {400, Refused},

		"InvalidStatus.DeleteProtection": {400, DeleteProtected},

		"NoPermission":           {403, Denied},
		"Forbidden.RAM":          {403, Denied},
		"PermissionDenied":       {403, Denied},
		"AccessDenied.NoAuth":    {403, Denied},
		"Forbidden.MadeUpPolicy": {403, Denied},
		"MadeUp":                 {403, Denied},

		"InsufficientQuota": {400, Quota},

		"InvalidAccessKeyId.NotFound":                   {404, Unauthenticated},
		"InvalidAccessKeyId.Inactive":                   {400, Unauthenticated},
		"InvalidAccessKeyId":                            {403, Unauthenticated},
		"InvalidSecurityToken.NotFound":                 {404, Unauthenticated},
		"InvalidSecurityToken.Inactive":                 {400, Unauthenticated},
		"InvalidSecurityToken.Expired":                  {400, Unauthenticated},
		"InvalidSecurityToken.Malformed":                {400, Unauthenticated},
		"InvalidSecurityToken.MismatchWithAccessKey":    {400, Unauthenticated},
		"MissingSecurityToken":                          {400, Unauthenticated},
		"SignatureDoesNotMatch":                         {400, Unauthenticated},
		"IncompleteSignature":                           {400, Unauthenticated},
		"AuthenticationFail.NoPermission":               {403, Unauthenticated},
		"AuthenticationFail.OIDCToken.AudienceNotMatch": {400, Unauthenticated},

		"InvalidTimeStamp.Expired":        {400, Transient},
		"SignatureNonceUsed":              {400, Transient},
		"ServiceUnavailable":              {503, Transient},
		"InternalError":                   {500, Transient},
		"OperationDenied.SystemUpgrading": {400, Transient},
	} {
		for _, status := range []int{tc.status, 400, 500} {
			if status != tc.status && (tc.want == Denied && strings.Contains(code, "MadeUp")) {
				continue // only the status says what it is
			}
			e := newAnswerError(ActionDelete, status, code, "", "R")
			if e.Class != tc.want || e.UnknownCode {
				t.Errorf("%s with status %d is %s, unknown: %t; want %s", code, status, e.Class, e.UnknownCode, tc.want)
			}
		}
	}
	for _, code := range []string{"Certificate.NewRule", "InvalidCertId.Other", "NotFoundX", "InvalidParameterX", ""} {
		if e := newAnswerError(ActionDelete, 400, code, "", "R"); e.Class != Transient || e.UnknownCode != (code != "") {
			t.Errorf("%q is %s, unknown: %t; want a guess", code, e.Class, e.UnknownCode)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err           *Error
		text, summary string
	}{
		"an answer": {
			newAnswerError(ActionUpload, 400, "NameRepeat", "It is taken.", "R"),
			"UploadUserCertificate: NameRepeat: It is taken.", "NameRepeat: It is taken.",
		},
		"a permission": {
			newAnswerError(ActionDelete, 403, "NoPermission", "", "R"),
			"DeleteUserCertificate: NoPermission (needs the permission yundun-cert:DeleteUserCertificate)",
			"NoPermission (needs the permission yundun-cert:DeleteUserCertificate)",
		},
		"no answer": {
			&Error{Action: ActionList, Message: "the cloud did not answer", cause: io.ErrUnexpectedEOF},
			"ListUserCertificateOrder: the cloud did not answer: unexpected EOF", "the cloud did not answer",
		},
		"an unreadable answer": {
			newAnswerError(ActionList, 502, "", "", ""),
			"ListUserCertificateOrder: unreadable answer with HTTP status 502", "unreadable answer with HTTP status 502",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.err.Error() != tc.text || tc.err.Summary() != tc.summary {
				t.Errorf("got %q and %q", tc.err.Error(), tc.err.Summary())
			}
		})
	}
}
