// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode decodes any answer as each of those that this package knows.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `"a"`, `<html>`, `{"Id":12345,"RequestId":"BDB8"}`,
		`{"Code":400}`, `{"Code":{}}`, `{"Code":"ThingRepeat","Message":["a"]}`, `{"Id":"1e3"}`, `{"Id":-1}`,
		`{"Code":"SignatureDoesNotMatch","Message":"server string to sign is:the-secret-of-the-request"}`,
		`{"AccountId":17}`,
		`{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"b","SecurityToken":"c","Expiration":"2030-01-01T00:00:00Z"}}`,
		`{"Code":"Throttling.User","Message":"\ud800"}`,
	} {
		f.Add(200, []byte(seed), "x,TimeLeft:250")
		f.Add(400, []byte(seed), "")
	}
	const secret = "the-secret-of-the-request"
	f.Fuzz(func(t *testing.T, status int, body []byte, header string) {
		response := &http.Response{StatusCode: status, Header: http.Header{"X-Ratelimit-User-Api": {header}}}
		x := exchange{Call: Call{Action: "MakeThing", Secrets: []string{secret}}}
		check := func(err *Error) {
			if err == nil {
				return
			}
			shown := err.Error() + err.RequestID
			if strings.Contains(shown, secret) || !utf8.ValidString(shown) || len(shown) > 2*maxMessage {
				t.Errorf("error %q", shown)
			}
			if err.RetryAfter < 0 || err.Class == Transient && status == 200 && err.Code == "" && !err.MayHaveHappened {
				t.Errorf("error %+v", *err)
			}
		}
		made, err := decode[testAnswer](x, response, body)
		check(err)
		if err == nil && (made.ID.Int64() <= 0 || status != 200) {
			t.Errorf("thing %q with status %d", made.ID, status)
		}
		identity, err := decode[callerIdentityAnswer](x, response, body)
		check(err)
		if err == nil && identity.AccountID == "" {
			t.Error("no account")
		}
		role, err := decode[assumeRoleAnswer](x, response, body)
		check(err)
		if err == nil {
			if c, err := role.credentials(); err == nil && (c.AccessKeyID == "" || c.Expiration.IsZero()) {
				t.Errorf("credentials %v", c)
			}
		}
	})
}
