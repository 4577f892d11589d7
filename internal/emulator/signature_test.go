// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSignatureGoldenVectors(t *testing.T) {
	t.Parallel()
	ours := map[string]string{
		"AccessKeyId": "LTAIgolden", "Action": "UploadUserCertificate", "Empty": "", "Format": "JSON", "Name": "web_1",
		"Note": "a b+c*~/=&你", "Signature": "not part of it", "SignatureMethod": "HMAC-SHA1",
	}
	const encoded = "&%2F&AccessKeyId%3DLTAIgolden%26Action%3DUploadUserCertificate%26Empty%3D%26Format%3DJSON%26Name%3Dweb_1" +
		"%26Note%3Da%2520b%252Bc%252A~%252F%253D%2526%25E4%25BD%25A0%26SignatureMethod%3DHMAC-SHA1"
	tests := map[string]struct {
		method, secret string
		parameters     map[string]string
		text, want     string
	}{
		// The example of the vendor's documentation of signature version 1.
		"the documented example": {
			method: "GET", secret: "testsecret",
			parameters: map[string]string{
				"Timestamp": "2016-02-23T12:46:24Z", "Format": "XML", "AccessKeyId": "testid", "Action": "DescribeRegions",
				"SignatureMethod": "HMAC-SHA1", "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
				"Version": "2014-05-26", "SignatureVersion": "1.0",
			},
			text: "GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML%26SignatureMethod%3DHMAC-SHA1" +
				"%26SignatureNonce%3D3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf%26SignatureVersion%3D1.0" +
				"%26Timestamp%3D2016-02-23T12%253A46%253A24Z%26Version%3D2014-05-26",
			want: "OLeaidS1JvxuMvnyHOwuJ+uX5qY=",
		},
		// printf '%s' "$text" | openssl dgst -sha1 -hmac 'golden-secret&' -binary | base64
		"every kind of character in a POST": {"POST", "golden-secret", ours, "POST" + encoded, "4alE4pyMfU1U8jL7cIduK6M09CE="},
		"the method counts":                 {"GET", "golden-secret", ours, "GET" + encoded, "1oYy0/OZZTwwlbkS8wAmiYBqfZc="},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := stringToSign(test.method, test.parameters)
			if text != test.text {
				t.Errorf("string to sign is\n%s, want\n%s", text, test.text)
			}
			if got := sign(test.secret, text); got != test.want {
				t.Errorf("signature is %s, want %s", got, test.want)
			}
		})
	}
}

func TestCallsThatAreNotAuthenticated(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before func(map[string]string) // changes what is signed
		after  func(map[string]string) // changes what was signed
		code   string
		status int
	}{
		"an unknown access key":          {before: set("AccessKeyId", "LTAInobody"), code: "InvalidAccessKeyId.NotFound", status: 404},
		"no access key":                  {before: unset("AccessKeyId"), code: "IncompleteSignature", status: 400},
		"no signature":                   {after: unset("Signature"), code: "IncompleteSignature", status: 400},
		"no nonce":                       {before: unset("SignatureNonce"), code: "IncompleteSignature", status: 400},
		"another signature method":       {before: set("SignatureMethod", "HMAC-SHA256"), code: "IncompleteSignature", status: 400},
		"another signature version":      {before: set("SignatureVersion", "2.0"), code: "IncompleteSignature", status: 400},
		"a wrong signature":              {after: set("Signature", "4alE4pyMfU1U8jL7cIduK6M09CE="), code: "SignatureDoesNotMatch", status: 400},
		"a parameter changed on its way": {after: set("CertId", "2"), code: "SignatureDoesNotMatch", status: 400},
		"an empty parameter left out":    {after: unset("SignatureType"), code: "SignatureDoesNotMatch", status: 400},
		"a token with a long-lived key":  {before: set("SecurityToken", "x"), code: "InvalidSecurityToken.Malformed", status: 400},
		"a timestamp that is none":       {before: set("Timestamp", "2026-05-06 07:08:09"), code: "InvalidTimeStamp.Format", status: 400},
		"a clock a quarter of an hour late": {
			before: set("Timestamp", epoch.Add(-15*time.Minute-time.Second).Format(timestampLayout)), code: "InvalidTimeStamp.Expired", status: 400,
		},
		"a clock a quarter of an hour early": {
			before: set("Timestamp", epoch.Add(15*time.Minute+time.Second).Format(timestampLayout)), code: "InvalidTimeStamp.Expired", status: 400,
		},
		"a clock just late enough": {before: set("Timestamp", epoch.Add(-15*time.Minute).Format(timestampLayout)), code: "NotFound", status: 400},
		"the other region":         {before: set("RegionId", RegionInternational), code: "InvalidRegionId", status: 400},
		"no region":                {before: unset("RegionId"), code: "InvalidRegionId", status: 400},
		"no action":                {before: unset("Action"), code: "MissingParameter", status: 400},
		"an action that is none":   {before: set("Action", "DescribeRegions"), code: "InvalidAction.NotFound", status: 404},
		"another product's version": {
			before: set("Version", sts.version), code: "InvalidVersion", status: 400,
		},
		"an answer in XML": {before: set("Format", "XML"), code: "InvalidParameter", status: 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := newTestServer(t, Options{})
			p := c.common("DeleteUserCertificate")
			p["CertId"] = "1"
			if test.before != nil {
				test.before(p)
			}
			p["Signature"] = testSign(http.MethodPost, testSecret, p)
			if test.after != nil {
				test.after(p)
			}
			r := c.post(form(p))
			if r.status != test.status || r.code() != test.code {
				t.Errorf("answer %d %s, want %d %s: %s", r.status, r.code(), test.status, test.code, r.body)
			}
			if call := s.Journal()[0]; call.Code != test.code || call.Status != test.status || call.Committed {
				t.Errorf("journal says %+v", call)
			}
		})
	}
}

func set(name, value string) func(map[string]string) {
	return func(p map[string]string) { p[name] = value }
}

func unset(name string) func(map[string]string) {
	return func(p map[string]string) { delete(p, name) }
}

func TestASignatureThatIsWrongOrMissingEchoesThePrivateKey(t *testing.T) {
	t.Parallel()
	p := issueFor("a.example.com")
	for name, test := range map[string]struct {
		signature string
		code      string
	}{
		"wrong":   {"AAAA", "SignatureDoesNotMatch"},
		"missing": {"", "IncompleteSignature"},
	} {
		_, c, _ := newTestServer(t, Options{})
		upload := c.common("UploadUserCertificate")
		upload["Name"], upload["Cert"], upload["Key"], upload["Signature"] = "web", p.cert, p.key, test.signature
		r := c.post(form(upload))
		message, _ := r.fields["Message"].(string)
		_, echo, _ := strings.Cut(message, "server string to sign is:")
		for range 2 {
			echo, _ = url.PathUnescape(echo)
		}
		if r.status != http.StatusBadRequest || r.code() != test.code || !strings.Contains(echo, "-----BEGIN EC PRIVATE KEY-----") {
			t.Errorf("%s: %d %q, echoes %d bytes", name, r.status, r.code(), len(echo))
		}
	}
}

func TestAReplayIsRefused(t *testing.T) {
	t.Parallel()
	_, c, clock := newTestServer(t, Options{})
	p := c.common("GetCallerIdentity")
	p["Signature"] = testSign(http.MethodPost, testSecret, p)
	forged := maps.Clone(p)
	forged["Signature"] = "AAAA"
	if r := c.post(form(forged)); r.code() != "SignatureDoesNotMatch" {
		t.Fatalf("forged call: %s", r.body)
	}
	if r := c.post(form(p)); r.status != http.StatusOK {
		t.Fatalf("a forged call used up the nonce: %s", r.body)
	}
	clock.advance(14 * time.Minute)
	if r := c.post(form(p)); r.code() != "SignatureNonceUsed" {
		t.Errorf("replay: %s", r.body)
	}
}

func TestNoncesAreRememberedAsLongAsTheyCanBeReplayed(t *testing.T) {
	t.Parallel()
	var n nonces
	for step := range 40 {
		at := epoch.Add(time.Duration(step) * 7 * time.Minute)
		if !n.take(at.String(), at) {
			t.Fatalf("a new nonce was refused at step %d", step)
		}
		// A timestamp may be 15 minutes early: the nonce lives for 30 minutes.
		for back := range min(step, 4) + 1 {
			if n.take(at.Add(-time.Duration(back)*7*time.Minute).String(), at) {
				t.Fatalf("a nonce of %d minutes ago was taken again", back*7)
			}
		}
		if len(n.now)+len(n.old) > 12 {
			t.Fatalf("%d nonces are kept", len(n.now)+len(n.old))
		}
	}
}

func TestParametersMayStandInQueryOrBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method  string
		inQuery func(name string) bool
	}{
		"all in the body":           {http.MethodPost, func(string) bool { return false }},
		"all in the query of a GET": {http.MethodGet, func(string) bool { return true }},
		"some in each":              {http.MethodPost, func(name string) bool { return strings.HasPrefix(name, "Signature") }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _ := newTestServer(t, Options{})
			p := c.common("GetCallerIdentity")
			p["Signature"] = testSign(test.method, testSecret, p)
			query, body := map[string]string{}, map[string]string{}
			for name, value := range p {
				if test.inQuery(name) {
					query[name] = value
				} else {
					body[name] = value
				}
			}
			request := httptest.NewRequestWithContext(t.Context(), test.method, "/?"+form(query).Encode(), strings.NewReader(form(body).Encode()))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if r := c.do(request); r.fields["AccountId"] != testAccount {
				t.Errorf("answer %d %s", r.status, r.body)
			}
		})
	}
}

func TestRequestsThatAreNoCalls(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, target, body, kind string
		code                       string
		status                     int
	}{
		"another path":            {method: "POST", target: "/api", code: "InvalidAction.NotFound", status: 404},
		"another method":          {method: "PUT", target: "/", code: "UnsupportedHTTPMethod", status: 405},
		"a query that is none":    {method: "GET", target: "/?a=%zz", code: "InvalidParameter", status: 400},
		"a body that is none":     {method: "POST", target: "/", body: "a=%zz", code: "InvalidParameter", status: 400},
		"a parameter twice":       {method: "POST", target: "/?Action=x", body: "Action=y", code: "InvalidParameter", status: 400},
		"a JSON body is not read": {method: "POST", target: "/", body: `{"Action":"x"}`, kind: "application/json", code: "MissingParameter", status: 400},
		"more than a megabyte":    {method: "POST", target: "/", body: strings.Repeat("a", maxRequest+1), code: "DataTooLongException", status: 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c, _ := newTestServer(t, Options{})
			request := httptest.NewRequestWithContext(t.Context(), test.method, test.target, strings.NewReader(test.body))
			if test.kind == "" {
				test.kind = "application/x-www-form-urlencoded"
			}
			request.Header.Set("Content-Type", test.kind)
			if r := c.do(request); r.status != test.status || r.code() != test.code {
				t.Errorf("answer %d %s, want %d %s", r.status, r.code(), test.status, test.code)
			}
		})
	}
}
