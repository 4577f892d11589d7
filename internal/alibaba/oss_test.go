// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestABucketIsALabelOfTheHostWhereThatCanHaveOne(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://oss-cn-shanghai.aliyuncs.com":     "https://shop.oss-cn-shanghai.aliyuncs.com/",
		"https://oss.internal.example.com:8443":    "https://shop.oss.internal.example.com:8443/",
		"http://127.0.0.1:8080":                    "http://127.0.0.1:8080/shop/",
		"http://localhost:8080":                    "http://localhost:8080/shop/",
		"https://192.0.2.7":                        "https://192.0.2.7/shop/",
		"https://[2001:db8::7]":                    "https://[2001:db8::7]/shop/",
		"https://[2001:db8::7]:8443":               "https://[2001:db8::7]:8443/shop/",
		"https://oss-127.0.0.1.nip.io.example.com": "https://shop.oss-127.0.0.1.nip.io.example.com/",
	} {
		if at, path := bucketEndpoint(endpoint, "shop"); at+path != want {
			t.Errorf("%s: %s", endpoint, at+path)
		}
	}
}

// TestOSSIsSignedForTheBucket takes the host of the cloud, which nothing is sent to. That the signature is
// right shows against the emulator, which verifies it by code of its own.
func TestOSSIsSignedForTheBucket(t *testing.T) {
	t.Parallel()
	call := Call{
		Action: "PutCname", Region: "cn-shanghai", Endpoint: "https://oss-cn-shanghai.aliyuncs.com",
		OSS: &OSS{Method: http.MethodPost, Bucket: "shop", Query: "cname&comp=add", Body: []byte("<a/>")},
	}
	m, failure := signed(context.Background(), &call, testCredentials(), time.Date(2026, 11, 26, 20, 0, 0, 0, time.UTC))
	if failure != nil {
		t.Fatal(failure)
	}
	if call.Endpoint != "https://shop.oss-cn-shanghai.aliyuncs.com" || m.method != http.MethodPost || m.path != "/?cname&comp=add" || m.body != "<a/>" {
		t.Errorf("%s %s%s %q", m.method, call.Endpoint, m.path, m.body)
	}
	for name, want := range map[string]string{
		"Content-Md5": "8BnumgOXiv+fm3jQ3fPttw==", "Content-Type": "application/xml", "X-Oss-Security-Token": testToken, "X-Oss-Date": "20261126T200000Z",
	} {
		if m.header[name] != want {
			t.Errorf("%s is %q, want %q", name, m.header[name], want)
		}
	}
	if want := "OSS4-HMAC-SHA256 Credential=" + testID + "/20261126/cn-shanghai/oss/aliyun_v4_request,Signature="; !strings.HasPrefix(m.header["Authorization"], want) {
		t.Errorf("signed %q", m.header["Authorization"])
	}
}

type testXML struct {
	XMLName xml.Name `xml:"Things"`
	ID      Text     `xml:"Id"`
}

func (a *testXML) Validate() error {
	if a.ID == "" {
		return errors.New("the answer carries no Id")
	}
	return nil
}

// readThings makes a call whose answer is XML.
func readThings(t *testing.T, endpoint string) (*testXML, *Error) {
	t.Helper()
	client := newTestClient(t, endpoint)
	credentials, failure := client.identity.Credentials(t.Context())
	if failure != nil {
		t.Fatal(failure)
	}
	return Send[testXML](t.Context(), client.identity, credentials, Call{
		Action: "ListThings", Region: "cn-shanghai", Endpoint: endpoint, Permission: "oss:ListThings", Codes: Codes{"AccessDenied": Denied},
		OSS: &OSS{Method: http.MethodGet, Bucket: "shop", Query: "things"},
	})
}

func TestAnAnswerOfOSSIsXML(t *testing.T) {
	t.Parallel()
	const requestID = "5C1B138A109F4E405B2D"
	for name, tc := range map[string]struct {
		status  int
		cloud   bool // is the header there that OSS gives
		body    string
		class   Class
		message string // in it, of the error; empty for none
	}{
		"an answer":            {200, true, `<?xml version="1.0"?><Things><Id>7</Id></Things>`, Transient, ""},
		"no body":              {200, true, "", Transient, "the answer carries no Id"},
		"another answer":       {200, true, "<Others><Id>7</Id></Others>", Transient, "not the expected XML"},
		"a page of a proxy":    {200, false, "<html><body>sign in</body></html>", Transient, "no proxy or firewall answers"},
		"JSON":                 {200, true, `{"Id":7}`, Transient, "not the expected XML"},
		"a denial":             {403, true, "<Error><Code>AccessDenied</Code><Message>no right</Message></Error>", Denied, "needs the permission oss:ListThings"},
		"a bucket elsewhere":   {403, true, "<Error><Code>AccessDenied</Code><Message>use another</Message><Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint></Error>", NotFound, "use another"},
		"a clock that is off":  {403, true, "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>", Transient, "RequestTimeTooSkewed"},
		"a wrong secret":       {403, true, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><StringToSign>" + testSecret + "</StringToSign></Error>", Unauthenticated, "SignatureDoesNotMatch"},
		"a gateway":            {503, false, "<html>", Transient, "unreadable answer with HTTP status 503"},
		"an answer too long":   {200, true, "<Things><Id>" + strings.Repeat("7", maxXML) + "</Id></Things>", Transient, "too long"},
		"one that is as large": {200, true, "<Things><Id>7</Id><Other>" + strings.Repeat("7", maxXML/2) + "</Other></Things>", Transient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
				if tc.cloud {
					w.Header().Set(requestIDOfOSS, requestID)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			answer, failure := readThings(t, server.URL)
			if uri := server.requests[0].RequestURI; uri != "/shop/?things" {
				t.Errorf("asked for %s", uri)
			}
			if tc.message == "" {
				if failure != nil || answer.ID != "7" {
					t.Errorf("%v, %v", answer, failure)
				}
				return
			}
			if failure == nil || failure.Class != tc.class || !strings.Contains(failure.Summary(), tc.message) {
				t.Fatalf("failed with %v, want %s: %s", failure, tc.class, tc.message)
			}
			if tc.cloud && failure.RequestID != requestID && tc.message != "too long" {
				t.Errorf("request id %q", failure.RequestID)
			}
			if secret := findSecret(failure.Error(), []string{testSecret, testToken}); secret != "" {
				t.Errorf("the error holds %q", secret)
			}
		})
	}
}

// TestNoBucketIsNamedThatDoesNotAnswer: what is said of a place that does not answer is said to everybody
// whose calls go there, and a bucket is one tenant's.
func TestNoBucketIsNamedThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	c := newTestCaller(t, Config{})
	for endpoint, want := range map[string]string{
		"https://oss-cn-shanghai.aliyuncs.com": "oss-cn-shanghai.aliyuncs.com",
		"http://127.0.0.1:8080":                "127.0.0.1:8080",
	} {
		call := Call{Action: "ListCname", Region: "cn-shanghai", Endpoint: endpoint, OSS: &OSS{Method: http.MethodGet, Bucket: "shop", Query: "cname"}}
		m, failure := signed(t.Context(), &call, testCredentials(), time.Now())
		if failure != nil {
			t.Fatal(failure)
		}
		request, err := http.NewRequestWithContext(t.Context(), m.method, call.Endpoint+m.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for _, cause := range []error{&net.DNSError{Err: "no such host", Name: request.URL.Host, IsNotFound: true}, context.DeadlineExceeded, io.ErrUnexpectedEOF} {
			failure := c.newTransportError(exchange{Call: call, message: m}, request, false, cause)
			if said := failure.Summary(); strings.Contains(said, "shop") || !strings.Contains(said, want) {
				t.Errorf("%v: %q", cause, said)
			}
		}
	}
}
