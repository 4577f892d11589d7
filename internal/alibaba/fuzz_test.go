// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
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
		made := new(testAnswer)
		err := decode(x, response, body, made)
		check(err)
		if err == nil && (made.ID.Int64() <= 0 || status != 200) {
			t.Errorf("thing %q with status %d", made.ID, status)
		}
		identity := new(callerIdentityAnswer)
		err = decode(x, response, body, identity)
		check(err)
		if err == nil && identity.AccountID == "" {
			t.Error("no account")
		}
		role := new(assumeRoleAnswer)
		err = decode(x, response, body, role)
		check(err)
		if err == nil {
			if c := role.credentials(); c.AccessKeyID == "" || c.Expiration.IsZero() {
				t.Errorf("credentials %v", c)
			}
		}
	})
}

// FuzzList reads any answer with a list entry by entry, and compares what came of it with
// encoding/json, which reads it whole.
func FuzzList(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"Things":[]}`, `{"Things":null,"RequestId":"R"}`, `{"Things":[{"Id":1},{"Id":"2"},null,"a",[[]]],"TotalCount":5}`,
		`{"TotalCount":1,"things":[{"Id":1}]}`, `{"Things":[{"Id":1}],"Things":[{"Id":2}]}`, `{"Things":{"Id":1}}`, `{"Things":[1,]}`, `{"Things":[1]} x`,
		`{"Things":[{"Id":1}`, `{"Code":"A","Message":{"a":["Things"]}}`, ` { "Things" : [ 1 , 2 ] } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := &thingsAnswer{}
		head, err := readList(bytes.NewReader(body), answer)
		var whole map[string]json.RawMessage
		if json.Unmarshal(body, &whole) != nil || whole == nil {
			if err == nil && head != nil {
				t.Errorf("%q is no object; read %q and %q", body, head, answer.taken)
			}
			return
		}
		var want []json.RawMessage
		isList := true
		for name, value := range whole {
			if strings.EqualFold(name, "Things") {
				isList = isList && json.Unmarshal(value, &want) == nil
				delete(whole, name)
			}
		}
		if err != nil || head == nil || !isList || len(whole) > 1 || bytes.Count(bytes.ToLower(body), []byte("things")) > 1 {
			return // no list, one that is too long, or several lists
		}
		var rest map[string]json.RawMessage
		if err := json.Unmarshal(head, &rest); err != nil || len(rest) != len(whole) {
			t.Errorf("%q: the rest is %q, %v", body, head, err)
		}
		if !slices.EqualFunc(want, answer.taken, func(a json.RawMessage, b string) bool { return string(a) == b }) {
			t.Errorf("%q: took %q", body, answer.taken)
		}
	})
}
