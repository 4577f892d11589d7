// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const ossBucket = "lockers-1"

// locker is what the lockers answer.
type locker struct {
	XMLName xml.Name `xml:"Locker"`
	Bucket  string
	Content string
}

// lockers is a service whose calls are those of buckets: Fill takes a further permission.
func lockers(content map[string]string) *Service {
	bucket := func(c *ServiceCall) string { return c.Parameters["Bucket"] }
	arn := func(c *ServiceCall) string { return "acs:locker:*:" + c.Account + ":" + bucket(c) }
	return &Service{
		Name: "lockers", Code: "Lockers", Permission: "locker", Version: "2032-01-01", Regions: []string{"cn-shanghai", "cn-beijing"},
		Host: func(region string) string { return "oss-" + region + ".aliyuncs.com" },
		Buckets: func(method string, query url.Values) string {
			if len(query) != 1 || !query.Has("locker") {
				return ""
			}
			return map[string]string{http.MethodGet: "Look", http.MethodPost: "Fill"}[method]
		},
		Actions: map[string]ServiceAction{
			"Look": {
				Parameters: []string{"Bucket"}, Subject: bucket, Resource: arn, Limit: 2,
				Document: func(c *ServiceCall) (any, *Refusal) {
					if bucket(c) != ossBucket {
						return nil, &Refusal{
							Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "The specified bucket does not exist.",
							EC: "0015-00000101", Fields: []Field{{"BucketName", bucket(c)}},
						}
					}
					return locker{Bucket: bucket(c), Content: content[bucket(c)]}, nil
				},
			},
			"Fill": {
				Parameters: []string{"Bucket", "Body"}, Subject: bucket, Resource: arn,
				Needs: func(*ServiceCall) []string { return []string{"key:Read", "key:Copy"} },
				Document: func(c *ServiceCall) (any, *Refusal) {
					content[bucket(c)] = c.Parameters["Body"]
					c.Committed()
					return nil, nil
				},
			},
		},
	}
}

// ossClient signs as the specification of signature version 4 of OSS says (T112).
type ossClient struct {
	handler http.Handler
	now     time.Time
	// url is where the bucket is, by default behind an IP.
	url, region, keyID, secret string
	// query is as it is sent, and canonical as it is signed.
	query, canonical string
	// more are further headers, and additional those of them that are to be signed.
	more       map[string]string
	additional []string
	// change is done to a request that is signed.
	change func(*http.Request)
}

// ossResult is an answer: an error, or a document.
type ossResult struct {
	status   int
	header   http.Header
	document string

	Code, Message, EC, HostID string
	RequestID                 string `xml:"RequestId"`
	StringToSign              string
	CanonicalRequest          string
	SignatureProvided         string
	BucketName                string
	ServerTime                string
	AccessDeniedDetail        struct{ AuthAction string }
}

func mac(key []byte, text string) []byte {
	sum := hmac.New(sha256.New, key)
	_, _ = io.WriteString(sum, text)
	return sum.Sum(nil)
}

func (c *ossClient) call(t *testing.T, method, body string) ossResult {
	t.Helper()
	region, address := cmp.Or(c.region, "cn-shanghai"), cmp.Or(c.url, "http://127.0.0.1:8080/"+ossBucket+"/")
	request := httptest.NewRequestWithContext(t.Context(), method, address+"?"+cmp.Or(c.query, "locker"), strings.NewReader(body))
	date := c.now.UTC().Format("20060102T150405Z")
	signed := map[string]string{"content-type": "application/xml", "x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": date}
	for name, value := range c.more {
		request.Header.Set(name, value)
		if slices.Contains(c.additional, name) || strings.HasPrefix(name, "x-oss-") || name == "content-md5" {
			signed[name] = value
		}
	}
	var lines []string
	for name, value := range signed {
		request.Header.Set(name, value)
		lines = append(lines, name+":"+value+"\n")
	}
	if slices.Contains(c.additional, "host") {
		lines = append(lines, "host:"+request.Host+"\n")
	}
	slices.Sort(lines)
	additional := strings.Join(c.additional, ";")
	canonical := method + "\n/" + ossBucket + "/\n" + cmp.Or(c.canonical, "locker") + "\n" + strings.Join(lines, "") + "\n" + additional + "\nUNSIGNED-PAYLOAD"
	scope := date[:8] + "/" + region + "/oss/aliyun_v4_request"
	key := mac(mac(mac(mac([]byte("aliyun_v4"+cmp.Or(c.secret, testSecret)), date[:8]), region), "oss"), "aliyun_v4_request")
	header := "OSS4-HMAC-SHA256 Credential=" + cmp.Or(c.keyID, testKeyID) + "/" + scope
	if additional != "" {
		header += ",AdditionalHeaders=" + additional
	}
	text := "OSS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + digest(canonical)
	request.Header.Set("Authorization", header+",Signature="+hex.EncodeToString(mac(key, text)))
	if c.change != nil {
		c.change(request)
	}
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	r := ossResult{status: recorder.Code, header: recorder.Header(), document: recorder.Body.String()}
	_ = xml.Unmarshal(recorder.Body.Bytes(), &r)
	return r
}

func lockerClient(t *testing.T) (*Server, *ossClient, map[string]string) {
	t.Helper()
	content := map[string]string{}
	s, _, clock := newTestServer(t, Options{})
	return s, &ossClient{handler: s.Serve(lockers(content), ""), now: clock.Now()}, content
}

func TestABucketIsCalledByItsAddress(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{
		"an IP":                "http://127.0.0.1:8080/" + ossBucket + "/",
		"an IP and no slash":   "http://127.0.0.1:8080/" + ossBucket,
		"an IP of version 6":   "http://[::1]:8080/" + ossBucket + "/",
		"this machine":         "http://localhost:8080/" + ossBucket + "/",
		"its own host":         "https://" + ossBucket + ".oss-cn-shanghai.aliyuncs.com/",
		"its own host within":  "https://" + ossBucket + ".oss-cn-shanghai-internal.aliyuncs.com/",
		"a host of the tester": "http://" + ossBucket + ".oss.example.com:8080/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, content := lockerClient(t)
			c.url = address
			if r := c.call(t, http.MethodPost, "<Locker/>"); r.status != http.StatusOK || r.document != "" || len(r.header.Get("x-oss-request-id")) != 24 {
				t.Fatalf("status %d, %s, %v", r.status, r.document, r.header)
			}
			if content[ossBucket] != "<Locker/>" {
				t.Errorf("content %v", content)
			}
			last := s.Journal()[0]
			if last.Product != "lockers" || last.Action != "Fill" || last.Name != ossBucket || last.Account != testAccount || last.Region != "cn-shanghai" || !last.Committed {
				t.Errorf("journal %+v", last)
			}
			// Version 4 has no nonce: the same request is taken again.
			for range 2 {
				if r := c.call(t, http.MethodGet, ""); r.status != http.StatusOK || !strings.Contains(r.document, "<Bucket>"+ossBucket+"</Bucket>") {
					t.Errorf("status %d, %s", r.status, r.document)
				}
			}
			if r := c.call(t, http.MethodGet, ""); r.status != http.StatusServiceUnavailable || r.Code != "MetaOperationQpsLimitExceeded" {
				t.Errorf("beyond the limit: status %d, code %q", r.status, r.Code)
			}
		})
	}
}

func TestADoorOfOneRegionTakesSignaturesForIt(t *testing.T) {
	t.Parallel()
	s, c, _ := lockerClient(t)
	c.handler = s.Serve(lockers(nil), "cn-beijing")
	for region, want := range map[string]string{"cn-beijing": "", "cn-shanghai": "InvalidArgument"} {
		c.region = region
		if r := c.call(t, http.MethodGet, ""); r.Code != want || want != "" && r.EC != "0002-00000226" {
			t.Errorf("%s: code %q, EC %q", region, r.Code, r.EC)
		}
	}
	if calls := s.Journal(); calls[0].Region != "cn-beijing" || calls[1].Region != "cn-beijing" {
		t.Errorf("journal %+v", calls)
	}
}

func TestSignatureVersion4OfOSSIsVerified(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	replace := func(old, replacement string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
		}
	}
	for name, tc := range map[string]struct {
		client ossClient
		late   time.Duration
		body   string
		status int
		code   string
	}{
		"as it should be":                 {status: 200},
		"a parameter with an equals sign": {client: ossClient{query: "locker="}, status: 200},
		"additional headers":              {client: ossClient{additional: []string{"host", "range"}, more: map[string]string{"range": "bytes=0-9"}}, status: 200},
		"a header of OSS":                 {client: ossClient{more: map[string]string{"x-oss-meta": "a"}}, status: 200},
		"a header that is not signed":     {client: ossClient{more: map[string]string{"range": "bytes=0-9"}}, status: 200},
		"the digest of its body":          {client: ossClient{more: map[string]string{"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}}, status: 200},
		"14 minutes late":                 {late: -14 * time.Minute, status: 200},

		"no signature":               {client: ossClient{change: set("Authorization", "")}, status: 403, code: "AccessDenied"},
		"a signature of version 1":   {client: ossClient{change: set("Authorization", "OSS "+testKeyID+":c2ln")}, status: 400, code: "InvalidArgument"},
		"another product":            {client: ossClient{change: replace("/oss/", "/oss-cloudbox/")}, status: 400, code: "InvalidArgument"},
		"another end":                {client: ossClient{change: replace("aliyun_v4_request", "aws4_request")}, status: 400, code: "InvalidArgument"},
		"no date":                    {client: ossClient{change: set("x-oss-date", "")}, status: 403, code: "AccessDenied"},
		"another date":               {client: ossClient{change: replace("/2026", "/2025")}, status: 400, code: "InvalidArgument"},
		"a region that it has not":   {client: ossClient{region: "cn-nowhere"}, status: 400, code: "InvalidArgument"},
		"a region of another host":   {client: ossClient{region: "cn-beijing", url: "https://" + ossBucket + ".oss-cn-shanghai.aliyuncs.com/"}, status: 400, code: "InvalidArgument"},
		"a body that is signed":      {client: ossClient{change: set("x-oss-content-sha256", digest(""))}, status: 400, code: "InvalidArgument"},
		"a header that is not there": {client: ossClient{additional: []string{"range"}}, status: 400, code: "InvalidArgument"},
		"headers out of order":       {client: ossClient{additional: []string{"range", "host"}, more: map[string]string{"range": "a"}}, status: 400, code: "InvalidArgument"},
		"a header that always is":    {client: ossClient{additional: []string{"content-type"}}, status: 400, code: "InvalidArgument"},
		"an old one":                 {late: -16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
		"one of later":               {late: 16 * time.Minute, status: 403, code: "RequestTimeTooSkewed"},
		"another key":                {client: ossClient{keyID: "LTAIother"}, status: 403, code: "InvalidAccessKeyId"},
		"another secret":             {client: ossClient{secret: "other"}, status: 403, code: "SignatureDoesNotMatch"},
		"another bucket":             {client: ossClient{change: func(r *http.Request) { r.URL.Path = "/lockers-2/" }}, status: 403, code: "SignatureDoesNotMatch"},
		"a header that was changed":  {client: ossClient{change: set("Content-Type", "text/plain")}, status: 403, code: "SignatureDoesNotMatch"},
		"a header that was added":    {client: ossClient{change: set("x-oss-meta", "a")}, status: 403, code: "SignatureDoesNotMatch"},
		"a token of nobody":          {client: ossClient{more: map[string]string{"x-oss-security-token": "token"}}, status: 403, code: "InvalidSecurityToken"},
		"a session without a token":  {client: ossClient{keyID: "STS.a"}, status: 403, code: "InvalidAccessKeyId"},
		"a token of another session": {
			client: ossClient{keyID: "STS.a", more: map[string]string{"x-oss-security-token": "token-b"}}, status: 403, code: "AccessKeyIdAndSecurityTokenNotMatch",
		},
		"a session that is over": {
			client: ossClient{keyID: "STS.b", more: map[string]string{"x-oss-security-token": "token-b"}}, status: 403, code: "SecurityTokenExpired",
		},
		"a session": {client: ossClient{keyID: "STS.a", more: map[string]string{"x-oss-security-token": "token-a"}}, status: 200},

		"a parameter of nobody":       {client: ossClient{query: "locker&a=b"}, status: 405, code: "MethodNotAllowed"},
		"an object":                   {client: ossClient{url: "http://127.0.0.1:8080/" + ossBucket + "/object"}, status: 405, code: "MethodNotAllowed"},
		"no bucket":                   {client: ossClient{url: "http://127.0.0.1:8080/"}, status: 405, code: "MethodNotAllowed"},
		"a bucket that cannot be":     {client: ossClient{url: "http://127.0.0.1:8080/Lockers/"}, status: 400, code: "InvalidBucketName"},
		"a bucket as a directory":     {client: ossClient{url: "https://oss-cn-shanghai.aliyuncs.com/" + ossBucket + "/"}, status: 403, code: "SecondLevelDomainForbidden"},
		"a body of something else":    {client: ossClient{more: map[string]string{"content-md5": "AAAA"}}, status: 400, code: "InvalidDigest"},
		"a body where none can be":    {body: "<Locker/>", status: 400, code: "InvalidArgument"},
		"a query that makes no sense": {client: ossClient{query: "locker&%zz"}, status: 400, code: "InvalidArgument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ready, _ := lockerClient(t)
			for id, token := range map[string]string{"STS.a": "token-a", "STS.b": "token-b"} {
				s.keys[id] = &accessKey{id: id, secret: seal(testSecret), token: seal(token), account: s.accounts[testAccount], role: "acs:ram::1:role/a"}
			}
			s.keys["STS.b"].expires = epoch
			c := tc.client
			c.handler, c.now = ready.handler, ready.now.Add(tc.late)
			r := c.call(t, http.MethodGet, tc.body)
			if r.status != tc.status || r.Code != tc.code {
				t.Fatalf("status %d, code %q, want %d and %q: %s", r.status, r.Code, tc.status, tc.code, r.document)
			}
			if id := r.header.Get("x-oss-request-id"); id == "" || tc.code != "" && r.RequestID != id || r.header.Get("Content-Type") != "application/xml" {
				t.Errorf("request id %q and %q, type %s", id, r.RequestID, r.header.Get("Content-Type"))
			}
		})
	}
}

// The examples are those that the vendor's own client is tested with.
func TestTheVendorsSignaturesAreVerified(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		seconds    int64
		additional []string
		token      string
		want       string
	}{
		"headers of OSS alone": {1702743657, nil, "", "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"},
		"a token":              {1702784856, nil, "token", "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"},
		"additional headers":   {1702747512, []string{"abc", "zabc"}, "", "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(tc.seconds, 0).UTC()
			header := http.Header{}
			for name, value := range map[string]string{
				"x-oss-head1": "value", "abc": "value", "ZAbc": "value", "XYZ": "value", "content-type": "text/plain",
				"x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": at.Format(ossTime), "Host": "bucket.oss-cn-hangzhou.aliyuncs.com",
			} {
				header.Set(name, value)
			}
			if tc.token != "" {
				header.Set("x-oss-security-token", tc.token)
			}
			named := ""
			if tc.additional != nil {
				named = "AdditionalHeaders=" + strings.Join(tc.additional, ";") + ","
			}
			header.Set("Authorization", "OSS4-HMAC-SHA256 Credential=ak/"+at.Format("20060102")+"/cn-hangzhou/oss/aliyun_v4_request,"+named+"Signature="+tc.want)
			call := &restCall{path: "/1234+-/123/1.txt", header: header, query: url.Values{
				"param1": {"value1"}, "+param1": {"value3"}, "|param1": {"value4"}, "+param2": {""}, "|param2": {""}, "param2": {""},
			}.Encode()}
			if got := call.scope().sign("sk", call.stringToSign(http.MethodPut)); got != tc.want {
				t.Errorf("signature %s, want %s of\n%s", got, tc.want, call.canonicalRequest(http.MethodPut))
			}
		})
	}
}

func TestErrorsOfOSSAreLikeItsOwn(t *testing.T) {
	t.Parallel()
	s, c, _ := lockerClient(t)
	c.more = map[string]string{"x-oss-meta": "secret-of-a-header"}
	c.secret = "other"
	r := c.call(t, http.MethodGet, "")
	if !strings.HasPrefix(r.StringToSign, "OSS4-HMAC-SHA256\n20260506T070809Z\n20260506/cn-shanghai/oss/aliyun_v4_request\n") || len(r.SignatureProvided) != 64 {
		t.Errorf("string to sign %q, signature %q", r.StringToSign, r.SignatureProvided)
	}
	if !strings.HasPrefix(r.CanonicalRequest, "GET\n/"+ossBucket+"/\nlocker\n") || !strings.Contains(r.CanonicalRequest, "x-oss-meta:secret-of-a-header\n") {
		t.Errorf("canonical request %q", r.CanonicalRequest)
	}
	_, c, _ = lockerClient(t)
	c.now = c.now.Add(-time.Hour)
	if r := c.call(t, http.MethodGet, ""); r.ServerTime != "2026-05-06T07:08:09.000Z" || r.EC == "" || r.header.Get("x-oss-ec") != r.EC {
		t.Errorf("server time %q, EC %q, headers %v", r.ServerTime, r.EC, r.header)
	}
	if s.Inject(Fault{Kind: FaultFail, Product: "lockers", Action: "Look"}) == 0 {
		t.Error("the actions of a service with buckets cannot be selected")
	}
}

func TestPermissionsOfOSSAreAllAskedFor(t *testing.T) {
	t.Parallel()
	all := map[string]string{"locker:Fill": "acs:locker:*:" + testAccount + ":" + ossBucket, "key:Read": "*", "key:Copy": "*"}
	for name, missing := range map[string]string{"nothing": "", "the action": "locker:Fill", "one more": "key:Read", "the other": "key:Copy"} {
		t.Run(name+" is missing", func(t *testing.T) {
			t.Parallel()
			s, c, content := lockerClient(t)
			var statements []Statement
			for action, resource := range all {
				if action != missing {
					statements = append(statements, Statement{Actions: []string{action}, Resources: []string{resource}})
				}
			}
			s.SetPolicy(testKeyID, statements)
			r := c.call(t, http.MethodPost, "<Locker/>")
			if missing == "" {
				if r.status != http.StatusOK || len(content) != 1 {
					t.Errorf("status %d, code %s", r.status, r.Code)
				}
				return
			}
			if r.status != http.StatusForbidden || r.Code != "AccessDenied" || r.AccessDeniedDetail.AuthAction != missing || len(content) != 0 {
				t.Errorf("status %d, code %s, action %s", r.status, r.Code, r.AccessDeniedDetail.AuthAction)
			}
		})
	}
}

func TestFaultsStrikeCallsOfOSS(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault     Fault
		status    int
		code      string
		committed bool
	}{
		"a failure":             {Fault{Kind: FaultFail}, 503, "ServiceUnavailable", false},
		"a failure of a code":   {Fault{Kind: FaultFail, Code: "InternalError"}, 500, "InternalError", false},
		"a code of nobody":      {Fault{Kind: FaultFail, Code: "Nobody", Status: 418}, 418, "Nobody", false},
		"a lost answer":         {Fault{Kind: FaultFail, AfterCommit: true}, 503, "ServiceUnavailable", true},
		"throttling":            {Fault{Kind: FaultThrottle, TimeLeft: time.Second}, 503, "MetaOperationQpsLimitExceeded", false},
		"a denial":              {Fault{Kind: FaultDenied}, 403, "AccessDenied", false},
		"a number":              {Fault{Kind: FaultNumericCode}, 500, "500", false},
		"an echo":               {Fault{Kind: FaultEchoSignature}, 403, "SignatureDoesNotMatch", false},
		"an empty answer":       {Fault{Kind: FaultEmpty}, 200, "", false},
		"a page of the gateway": {Fault{Kind: FaultHTML}, 502, "", false},
		"half of an answer":     {Fault{Kind: FaultTruncated}, 200, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, content := lockerClient(t)
			tc.fault.Product, tc.fault.NameContains = "lockers", ossBucket
			s.Inject(tc.fault)
			r := c.call(t, http.MethodPost, "<Locker/>")
			if r.status != tc.status || r.Code != tc.code || (len(content) == 1) != tc.committed {
				t.Errorf("status %d, code %q, content %v: %s", r.status, r.Code, content, r.document)
			}
			if tc.fault.Kind == FaultDenied && r.AccessDeniedDetail.AuthAction != "locker:Fill" {
				t.Errorf("action %s", r.AccessDeniedDetail.AuthAction)
			}
			if tc.fault.Kind == FaultEchoSignature && (r.StringToSign == "" || r.CanonicalRequest == "") {
				t.Errorf("nothing of what was signed: %s", r.document)
			}
			if r.header.Get("X-Ratelimit-User-Api") != "" {
				t.Error("a header of the gateway")
			}
		})
	}
}

func TestKeysAreSeenInXML(t *testing.T) {
	t.Parallel()
	s, c, _ := lockerClient(t)
	c.call(t, http.MethodPost, "<Locker><PrivateKey>abc</PrivateKey></Locker>")
	c.call(t, http.MethodPost, "<Locker>-----BEGIN RSA PRIVATE KEY-----</Locker>")
	c.call(t, http.MethodPost, "<Locker><Key>abc</Key></Locker>")
	if s.KeysSent() != 2 {
		t.Errorf("keys %d", s.KeysSent())
	}
	c.url = "http://127.0.0.1:8080/" + ossBucket + "/"
	c.query = "locker&x-oss-security-token=token"
	c.call(t, http.MethodGet, "")
	if last := s.Journal()[3]; !last.SecretInURL {
		t.Error("a token in the URL goes unnoticed")
	}
	if r := c.call(t, http.MethodGet, ""); strings.Contains(r.document, "token") {
		t.Errorf("the token is repeated: %s", r.document)
	}
}
