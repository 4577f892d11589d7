// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

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
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

func newTestCaller(t *testing.T, config Config) *Caller {
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

// testClient makes calls of a product that is made up.
type testClient struct {
	caller   *Caller
	identity *Identity
	endpoint string
}

func newTestClient(t *testing.T, url string) *testClient {
	t.Helper()
	c := newTestCaller(t, Config{STSEndpoint: url, Clock: newFreeClock()})
	p, err := Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	identity, _ := c.Identity(p)
	return &testClient{caller: c, identity: identity, endpoint: url}
}

const testKey = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0IG9mIHRoZSBwcml2YXRlIGtleSwgYSBsb25nIGxpbmU~*+x\n-----END PRIVATE KEY-----\n"

type testAnswer struct {
	ID Text `json:"Id"`
}

func (a *testAnswer) Validate() error {
	if a.ID.Int64() <= 0 {
		return errors.New("the answer carries no Id")
	}
	return nil
}

func testCall() Call {
	return Call{
		Action: "MakeThing", Version: "2000-01-02", Region: "eu-north-9",
		Params:  map[string]string{"Name": "prod *~+ä", "Key": testKey, "Things.1.Key": "a", "Comment": ""},
		Secrets: []string{testKey}, Permission: "things:MakeThing", Codes: Codes{"ThingRepeat": NameTaken},
	}
}

// call makes a thing and returns its id.
func (c *testClient) call(ctx context.Context) (int64, error) {
	credentials, failure := c.identity.Credentials(ctx)
	if failure != nil {
		return 0, failure
	}
	call := testCall()
	call.Endpoint = c.endpoint
	answer, failure := Send[testAnswer](ctx, c.identity, credentials, call)
	if failure != nil {
		return 0, failure
	}
	return answer.ID.Int64(), nil
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

func TestEveryParameterIsSignedInTheBody(t *testing.T) {
	t.Parallel()
	server := newCloudServer(t, reply(200, `{"Id":12345}`))
	client := newTestClient(t, server.URL)
	if id, err := client.call(t.Context()); err != nil || id != 12345 {
		t.Fatalf("got %d, %v", id, err)
	}
	request, form := server.requests[0], server.forms()[0]
	if request.URL.RawQuery != "" || request.URL.Path != "/" || request.Method != http.MethodPost {
		t.Errorf("sent %s %s", request.Method, request.URL)
	}
	if want := signature("POST", testSecret, form); form.Get("Signature") != want {
		t.Errorf("signature %q, want %q", form.Get("Signature"), want)
	}
	for name, want := range map[string]string{
		"Action": "MakeThing", "Version": "2000-01-02", "RegionId": "eu-north-9", "Format": "JSON",
		"AccessKeyId": testID, "SecurityToken": testToken, "Name": "prod *~+ä", "Key": testKey, "Things.1.Key": "a",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if form.Has("Comment") {
		t.Error("a parameter was sent without a value")
	}
}

func TestTransportFailures(t *testing.T) {
	t.Parallel()
	t.Run("a reset after the request may have happened", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		client := newTestClient(t, server.URL)
		_, err := client.call(t.Context())
		if err == nil || ClassOf(err) != Transient || !MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a refused connection did not happen", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, nil)
		client := newTestClient(t, server.URL)
		server.Close()
		_, err := client.call(t.Context())
		if err == nil || ClassOf(err) != Transient || MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled context ends a call that hangs", func(t *testing.T) {
		t.Parallel()
		arrived, release := make(chan struct{}), make(chan struct{})
		server := newCloudServer(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
		t.Cleanup(func() { close(release) })
		client := newTestClient(t, server.URL)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		_, err := client.call(ctx)
		if !errors.Is(err, context.Canceled) || !MayHaveHappened(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a cancelled context sends nothing", func(t *testing.T) {
		t.Parallel()
		server := newCloudServer(t, reply(200, "{}"))
		client := newTestClient(t, server.URL)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := client.call(ctx)
		if !errors.Is(err, context.Canceled) || MayHaveHappened(err) || len(server.forms()) != 0 {
			t.Errorf("got %v after %d requests", err, len(server.forms()))
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	other := newCloudServer(t, reply(200, `{"Id":1}`))
	server := newCloudServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	client := newTestClient(t, server.URL)
	if _, err := client.call(t.Context()); err == nil {
		t.Error("no error")
	}
	if got := len(other.forms()); got != 0 {
		t.Errorf("%d requests were redirected", got)
	}
}

// TestAnAnswerWithAnIDIsTheClouds: nobody has to look for a proxy.
func TestAnAnswerWithAnIDIsTheClouds(t *testing.T) {
	t.Parallel()
	for _, answer := range []http.HandlerFunc{reply(200, `{"RequestId":"R"}`), reply(500, `{"RequestId":"R","Message":"sorry"}`)} {
		server := newCloudServer(t, answer)
		_, err := newTestClient(t, server.URL).call(t.Context())
		if err == nil || strings.Contains(err.Error(), "proxy") {
			t.Errorf("got %v", err)
		}
	}
}

// TestAStrangeAnswerNamesWhoGaveIt: whoever runs a proxy, or has set an endpoint, has to know.
func TestAStrangeAnswerNamesWhoGaveIt(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":                       reply(200, "<html>log in first</html>"),
		"a page of an error":           reply(502, "<html>bad gateway</html>"),
		"a page that forbids":          reply(403, "<html>blocked</html>"),
		"an error without a code":      reply(404, `{"message":"no Route matched"}`),
		"JSON of something else":       reply(200, `{"hello":"world"}`),
		"an answer that does not stop": reply(200, strings.Repeat(" ", 2*maxAnswer)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, answer)
			_, err := newTestClient(t, server.URL).call(t.Context())
			failure, ok := errors.AsType[*Error](err)
			if host := strings.TrimPrefix(server.URL, "http://"); !ok || !strings.Contains(failure.Summary(), "it came from "+host+": check") {
				t.Errorf("%v does not name %s", err, host)
			}
		})
	}
}

func TestObserveSeesEveryCallSent(t *testing.T) {
	t.Parallel()
	codes := []string{"", "ThingRepeat", "Some.New.Code", "Throttling.User"}
	var sent int
	server := newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if code := codes[sent]; code != "" {
			w.WriteHeader(400)
			_, _ = fmt.Fprintf(w, `{"Code":%q,"RequestId":"R-%d"}`, code, sent+1)
		} else {
			_, _ = io.WriteString(w, `{"Id":1}`)
		}
		sent++
	})
	client := newTestClient(t, server.URL)
	var got []CallInfo
	client.caller.onCall = func(_ context.Context, info CallInfo) { got = append(got, info) }
	for range codes {
		_, _ = client.call(t.Context())
	}
	want := []CallInfo{
		{Action: "MakeThing", Region: "eu-north-9", Outcome: "success"},
		{Action: "MakeThing", Region: "eu-north-9", Outcome: "name_taken", Code: "ThingRepeat", KnownCode: "ThingRepeat", HTTPStatus: 400, RequestID: "R-2", Summary: "ThingRepeat"},
		{Action: "MakeThing", Region: "eu-north-9", Outcome: "transient", Code: "Some.New.Code", KnownCode: OtherCode, HTTPStatus: 400, RequestID: "R-3", Summary: "Some.New.Code"},
		{Action: "MakeThing", Region: "eu-north-9", Outcome: "throttled", Code: "Throttling.User", KnownCode: "Throttling", HTTPStatus: 400, RequestID: "R-4", Summary: "Throttling.User"},
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
			_, _ = fmt.Fprintf(w, `{"Id":%d}`, r.ProtoMajor)
		}))
		server.EnableHTTP2 = true
		server.TLS = config
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	upload := func(t *testing.T, server *httptest.Server, roots *x509.CertPool) (int64, error) {
		client := newTestClient(t, server.URL)
		client.caller.http = newHTTPClient(roots)
		t.Cleanup(client.caller.CloseIdleConnections)
		return client.call(t.Context())
	}
	pool := func(server *httptest.Server) *x509.CertPool {
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		return roots
	}
	t.Run("HTTP 1.1 with a CA of our own, also where HTTP 2 is offered", func(t *testing.T) {
		t.Parallel()
		server := newServer(t, nil)
		if got, err := upload(t, server, pool(server)); err != nil || got != 1 {
			t.Errorf("HTTP %d, %v", got, err)
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
			client := newTestClient(t, server.URL)
			_, err := client.call(t.Context())
			got, _ := RetryAfter(err)
			if !IsThrottled(err) || got != tc.want {
				t.Errorf("%v: come back after %s, want %s", err, got, tc.want)
			}
		})
	}
}

// The table of docs/cas.md, without what CAS alone answers, and what belongs to its families.
func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	for code, tc := range map[string]struct {
		status int
		want   Class
	}{
		"ThingRepeat": {400, NameTaken}, // the product's own

		"Throttling":       {400, Throttled},
		"Throttling.User":  {400, Throttled},
		"Throttling.Api":   {400, Throttled},
		"FlowControlError": {400, Throttled},

		"NotFound":             {400, NotFound},
		"NotFound.Certificate": {404, NotFound},

		"InvalidParameter":          {400, Refused},
		"InvalidParameter.Cert":     {400, Refused},
		"InvalidParameter.Tags.Key": {400, Refused},
		"MissingParameter":          {400, Refused},
		"MissingParameter.Name":     {400, Refused},

		"NoPermission":           {403, Denied},
		"Forbidden.RAM":          {403, Denied},
		"PermissionDenied":       {403, Denied},
		"AccessDenied.NoAuth":    {403, Denied},
		"Forbidden.MadeUpPolicy": {403, Denied},
		"MadeUp":                 {403, Denied},

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
			e := newAnswerError(testCall(), status, code, "", "R")
			if e.Class != tc.want || e.UnknownCode {
				t.Errorf("%s with status %d is %s, unknown: %t; want %s", code, status, e.Class, e.UnknownCode, tc.want)
			}
		}
	}
	for _, code := range []string{"Certificate.NewRule", "NameRepeat", "InvalidCertId.Other", "NotFoundX", "InvalidParameterX", ""} {
		if e := newAnswerError(testCall(), 400, code, "", "R"); e.Class != Transient || e.UnknownCode != (code != "") {
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
			newAnswerError(testCall(), 400, "ThingRepeat", "It is taken.", "R"),
			"MakeThing: ThingRepeat: It is taken.", "ThingRepeat: It is taken.",
		},
		"a permission": {
			newAnswerError(testCall(), 403, "NoPermission", "", "R"),
			"MakeThing: NoPermission (needs the permission things:MakeThing)",
			"NoPermission (needs the permission things:MakeThing)",
		},
		"no answer": {
			&Error{Action: "MakeThing", Message: "the cloud did not answer", Cause: io.ErrUnexpectedEOF},
			"MakeThing: the cloud did not answer: unexpected EOF", "the cloud did not answer",
		},
		"an unreadable answer": {
			newAnswerError(Call{Action: "MakeThing", Endpoint: "https://things.example.com"}, 502, "", "", ""),
			"MakeThing: unreadable answer with HTTP status 502; it came from things.example.com: " +
				"check that this is the cloud's endpoint, and that no proxy or firewall answers in its place",
			"unreadable answer with HTTP status 502; it came from things.example.com: " +
				"check that this is the cloud's endpoint, and that no proxy or firewall answers in its place",
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
