// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// doors is a service that is called by paths: a key is part of the call that locks one.
func doors(locked map[string]string) *Service {
	door := func(c *ServiceCall) string { return c.Parameters["Door"] }
	return &Service{
		Name: "doors", Code: "Doors", Permission: "door", Version: "2031-01-01", Regions: []string{"cn-shanghai"},
		Host: func(region string) string { return "doors." + region + ".aliyuncs.com" },
		Route: func(method, path string) (string, map[string]string) {
			name, ok := strings.CutPrefix(path, "/2031-01-01/doors/")
			if !ok {
				return "", nil
			}
			return map[string]string{http.MethodGet: "Look", http.MethodPut: "Lock"}[method], map[string]string{"Door": name}
		},
		Actions: map[string]ServiceAction{
			"Look": {
				Parameters: []string{"Door"}, Subject: door, Resource: func(*ServiceCall) string { return "*" },
				Run: func(c *ServiceCall) (map[string]any, *Refusal) {
					return map[string]any{"locked": locked[door(c)] != ""}, nil
				},
			},
			"Lock": {
				Parameters: []string{"Door", "Body"}, Subject: door, Resource: func(c *ServiceCall) string { return "door/" + door(c) }, TakesKey: true,
				Run: func(c *ServiceCall) (map[string]any, *Refusal) {
					locked[door(c)] = c.Parameters["Body"]
					c.Committed()
					return map[string]any{}, nil
				},
			},
		},
	}
}

// restClient signs as the specification of signature version 3 says (F81).
type restClient struct {
	handler http.Handler
	now     time.Time
	nonce   int
	// change is done to a request that is signed.
	change func(*http.Request)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (c *restClient) call(method, path, action, body string) (status int, code string) {
	c.nonce++
	request := httptest.NewRequest(method, "http://doors.example.com"+path, strings.NewReader(body))
	signed := map[string]string{
		"host": "doors.example.com", "x-acs-action": action, "x-acs-version": "2031-01-01", "x-acs-date": c.now.Format(timestampLayout),
		"x-acs-signature-nonce": fmt.Sprint(c.nonce), "x-acs-content-sha256": digest(body),
	}
	var names, lines []string
	for name := range signed {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		request.Header.Set(name, signed[name])
		lines = append(lines, name+":"+signed[name]+"\n")
	}
	list := strings.Join(names, ";")
	canonical := method + "\n" + request.URL.EscapedPath() + "\n\n" + strings.Join(lines, "") + "\n" + list + "\n" + digest(body)
	mac := hmac.New(sha256.New, []byte(testSecret))
	_, _ = io.WriteString(mac, "ACS3-HMAC-SHA256\n"+digest(canonical))
	request.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+testKeyID+",SignedHeaders="+list+",Signature="+hex.EncodeToString(mac.Sum(nil)))
	if c.change != nil {
		c.change(request)
	}
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	var answer struct{ Code string }
	_ = json.Unmarshal(recorder.Body.Bytes(), &answer)
	return recorder.Code, answer.Code
}

func doorClient(t *testing.T) (*Server, *restClient, map[string]string) {
	t.Helper()
	locked := map[string]string{}
	s, _, clock := newTestServer(t, Options{})
	return s, &restClient{handler: s.Serve(doors(locked), ""), now: clock.Now()}, locked
}

func TestAServiceIsCalledByPath(t *testing.T) {
	t.Parallel()
	s, c, locked := doorClient(t)
	const body = `{"key":"-----BEGIN RSA PRIVATE KEY-----"}`
	if status, code := c.call(http.MethodPut, "/2031-01-01/doors/%2A.a", "Lock", body); status != http.StatusOK || code != "" {
		t.Fatalf("status %d, code %q", status, code)
	}
	if diff := cmp.Diff(map[string]string{"*.a": body}, locked); diff != "" {
		t.Error(diff)
	}
	last := s.Journal()[0]
	if last.Product != "doors" || last.Action != "Lock" || last.Name != "*.a" || last.Account != testAccount || !last.Committed || s.KeysSent() != 0 {
		t.Errorf("keys %d, journal %+v", s.KeysSent(), last)
	}
	// The exception is of one call, not of the product.
	c.call(http.MethodGet, "/2031-01-01/doors/a", "Look", body)
	c.call(http.MethodPut, "/2031-01-01/windows/a", "Lock", body)
	if s.KeysSent() != 2 {
		t.Errorf("keys %d", s.KeysSent())
	}
}

func TestSignatureVersion3IsVerified(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, tc := range map[string]struct {
		action string
		late   time.Duration
		change func(*http.Request)
		code   string
	}{
		"as it should be":            {code: ""},
		"another action":             {action: "Lock", code: "InvalidAction.NotFound"},
		"another version":            {change: set("x-acs-version", "2030-01-01"), code: "InvalidVersion"},
		"another path":               {change: func(r *http.Request) { r.URL.Path = "/2031-01-01/doors/b" }, code: "SignatureDoesNotMatch"},
		"a query":                    {change: func(r *http.Request) { r.URL.RawQuery = "a=b" }, code: "InvalidParameter"},
		"a digest of something else": {change: set("x-acs-content-sha256", digest("x")), code: "SignatureDoesNotMatch"},
		"a header that is not signed": {
			change: set("x-acs-security-token", "token"), code: "IncompleteSignature",
		},
		"a type that is not signed": {change: set("Content-Type", "text/plain"), code: "IncompleteSignature"},
		"no signature":              {change: set("Authorization", ""), code: "IncompleteSignature"},
		"another key": {
			change: func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), testKeyID, "LTAIother", 1))
			}, code: "InvalidAccessKeyId.NotFound",
		},
		"an old one": {late: -time.Hour, code: "InvalidTimeStamp.Expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _ := doorClient(t)
			c.change, c.now = tc.change, c.now.Add(tc.late)
			action := tc.action
			if action == "" {
				action = "Look"
			}
			if _, code := c.call(http.MethodGet, "/2031-01-01/doors/a", action, ""); code != tc.code {
				t.Errorf("code %q, want %q", code, tc.code)
			}
		})
	}
	_, c, _ := doorClient(t)
	for _, want := range []string{"", "SignatureNonceUsed"} {
		c.nonce = 0
		if _, code := c.call(http.MethodGet, "/2031-01-01/doors/a", "Look", ""); code != want {
			t.Errorf("code %q, want %q", code, want)
		}
	}
}
