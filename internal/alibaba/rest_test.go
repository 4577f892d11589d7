// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSignatureVersion3IsThatOfTheSpecification takes the example that the vendor's page on version 3
// gives with its signature (F81).
func TestSignatureVersion3IsThatOfTheSpecification(t *testing.T) {
	t.Parallel()
	got := authorizationV3(http.MethodPost, "/", "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", map[string]string{
		"host": "ecs.cn-shanghai.aliyuncs.com", "x-acs-action": "RunInstances", "x-acs-version": "2014-05-26",
		"x-acs-date": "2023-10-26T10:22:32Z", "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
		"x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	}, Credentials{AccessKeyID: "YourAccessKeyId", AccessKeySecret: "YourAccessKeySecret"})
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// restCall changes a thing under a path, with a key in its body.
func restCall(t *testing.T, endpoint string) Call {
	t.Helper()
	body, err := json.Marshal(map[string]string{"key": testKey})
	if err != nil {
		t.Fatal(err)
	}
	return Call{
		Action: "ChangeThing", Version: "2000-01-02", Region: "eu-north-9", Endpoint: endpoint, Secrets: []string{testKey}, Permission: "things:ChangeThing",
		REST: &REST{Method: http.MethodPut, Path: "/2000-01-02/things/" + Segment("*.a b/c~d"), Body: body},
	}
}

func (c *testClient) send(t *testing.T, call Call) *Error {
	t.Helper()
	credentials, failure := c.identity.Credentials(t.Context())
	if failure == nil {
		_, failure = Send[testAnswer](t.Context(), c.identity, credentials, call)
	}
	return failure
}

func TestRESTIsSentAsItIsSigned(t *testing.T) {
	t.Parallel()
	var body atomic.Value
	server := newCloudServer(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body.Store(string(raw))
		_, _ = io.WriteString(w, `{"Id":1}`)
	})
	client := newTestClient(t, server.URL)
	call := restCall(t, server.URL)
	if failure := client.send(t, call); failure != nil {
		t.Fatal(failure)
	}
	request := server.requests[0]
	if request.Method != http.MethodPut || request.RequestURI != "/2000-01-02/things/%2A.a%20b%2Fc~d" || body.Load() != string(call.REST.Body) {
		t.Errorf("sent %s %s %v", request.Method, request.RequestURI, body.Load())
	}
	signed := map[string]string{"host": request.Host}
	for name := range request.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-acs-") || name == "content-type" {
			signed[name] = request.Header.Get(name)
		}
	}
	if want := authorizationV3("PUT", request.RequestURI, "", signed, testCredentials()); request.Header.Get("Authorization") != want {
		t.Errorf("signed %q, want %q", request.Header.Get("Authorization"), want)
	}
	for name, want := range map[string]string{
		"x-acs-action": "ChangeThing", "x-acs-version": "2000-01-02", "x-acs-security-token": testToken, "x-acs-content-sha256": hexDigest(string(call.REST.Body)),
	} {
		if signed[name] != want {
			t.Errorf("%s is %q, want %q", name, signed[name], want)
		}
	}
	if failure := client.send(t, call); failure != nil || server.requests[1].Header.Get("x-acs-signature-nonce") == signed["x-acs-signature-nonce"] {
		t.Errorf("a nonce was used twice: %v", failure)
	}
}

// TestRESTShowsNoSecretThatIsSentBack, whole or in part, whatever the answer makes of it.
func TestRESTShowsNoSecretThatIsSentBack(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(string) string{
		"the body": func(body string) string { return body },
		"the body in words": func(body string) string {
			return `{"Code":"InvalidArgument","Message":` + quoted("cannot read "+body) + `}`
		},
		"the key in words": func(string) string { return `{"Code":"InvalidArgument","Message":` + quoted("bad key "+testKey) + `}` },
		"a line of the key": func(string) string {
			return `{"Code":"InvalidArgument","Message":` + quoted(strings.Split(testKey, "\n")[1]) + `}`
		},
		"the key as a code":  func(string) string { return `{"Code":` + quoted(testKey) + `,"Message":"no"}` },
		"no JSON":            func(body string) string { return "<p>" + body },
		"the key for an id":  func(string) string { return `{"Code":"Busy","RequestId":` + quoted(testKey) + `}` },
		"the secret of both": func(string) string { return `{"Code":"Forbidden","Message":` + quoted(testSecret+" "+testToken) + `}` },
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				server := newCloudServer(t, func(w http.ResponseWriter, r *http.Request) {
					raw, _ := io.ReadAll(r.Body)
					w.WriteHeader(status)
					_, _ = io.WriteString(w, answer(string(raw)))
				})
				failure := newTestClient(t, server.URL).send(t, restCall(t, server.URL))
				if failure == nil {
					t.Fatal("no error")
				}
				parts := append(strings.Split(strings.TrimSpace(testKey), "\n")[1:2], testSecret, testToken)
				if secret := findSecret(failure.Error()+failure.Summary()+failure.RequestID+failure.Code, parts); secret != "" {
					t.Errorf("the error holds %q", secret)
				}
			})
		}
	}
}

func quoted(text string) string {
	raw, _ := json.Marshal(text)
	return string(raw)
}
