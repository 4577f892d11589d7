// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode decodes any answer as each of the answers that there are.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `"a"`, `<html>`, `{"CertId":12345,"RequestId":"BDB8","ResourceId":"cas-upload-xki1d0"}`,
		`{"Code":400}`, `{"Code":{}}`, `{"Code":"NameRepeat","Message":["a"]}`, `{"CertId":"1e3"}`, `{"CertId":-1}`,
		`{"Code":"SignatureDoesNotMatch","Message":"server string to sign is:the-secret-of-the-request"}`,
		`{"TotalCount":1,"CertificateOrderList":[{"CertificateId":1,"Sha2":"AB","SerialNo":"0001","EndDate":"2027-01-02"}]}`,
		`{"TotalCount":1,"CertificateOrderList":[null,{"Sans":{}}]}`, `{"AccountId":17}`,
		`{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"b","SecurityToken":"c","Expiration":"2030-01-01T00:00:00Z"}}`,
		`{"Code":"Throttling.User","Message":"\ud800"}`,
	} {
		f.Add(200, []byte(seed), "x,TimeLeft:250")
		f.Add(400, []byte(seed), "")
	}
	const secret = "the-secret-of-the-request"
	f.Fuzz(func(t *testing.T, status int, body []byte, header string) {
		response := &http.Response{StatusCode: status, Header: http.Header{"X-Ratelimit-User-Api": {header}}}
		x := exchange{action: ActionUpload, secrets: []string{secret}}
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
		uploaded, err := decode[uploadAnswer](x, response, body)
		check(err)
		if err == nil && (uploaded.CertID.int64() <= 0 || status != 200) {
			t.Errorf("certificate %q with status %d", uploaded.CertID, status)
		}
		listed, err := decode[listAnswer](x, response, body)
		check(err)
		if err == nil {
			for _, entry := range listed.CertificateOrderList {
				c := entry.certificate()
				if _, err := hex.DecodeString(c.SHA256); err != nil || len(c.SHA256) != 0 && len(c.SHA256) != 64 {
					t.Errorf("digest %q", c.SHA256)
				}
			}
		}
		_, err = decode[deleteAnswer](x, response, body)
		check(err)
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
