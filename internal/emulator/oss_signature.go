// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	ossAlgorithm = "OSS4-HMAC-SHA256"
	// ossTime is the layout of x-oss-date.
	ossTime = "20060102T150405Z"
	// ossPayload stands for the body, which the signature does not cover.
	ossPayload = "UNSIGNED-PAYLOAD"
)

// ossAuthorization is the header of signature version 4 of OSS (T112).
var ossAuthorization = regexp.MustCompile(`^` + ossAlgorithm + ` Credential=([^,]+),(?: *AdditionalHeaders=([a-z0-9;-]+),)? *Signature=([0-9a-f]{64})$`)

// ossScope is what a signature is for.
type ossScope struct {
	keyID, date, region string
	// additional are the headers that are signed besides those that always are.
	additional []string
	signature  string
	// written says that the header has the form of version 4, and complete that its credential
	// is one for OSS.
	written, complete bool
}

func (s ossScope) String() string { return s.date + "/" + s.region + "/oss/aliyun_v4_request" }

// scope reads the header Authorization.
func (c *restCall) scope() ossScope {
	parts := ossAuthorization.FindStringSubmatch(c.header.Get("Authorization"))
	if parts == nil {
		return ossScope{}
	}
	scope := ossScope{written: true, signature: parts[3]}
	if parts[2] != "" {
		scope.additional = strings.Split(parts[2], ";")
	}
	credential := strings.Split(parts[1], "/")
	if len(credential) != 5 || credential[3] != "oss" || credential[4] != "aliyun_v4_request" {
		return scope
	}
	scope.keyID, scope.date, scope.region, scope.complete = credential[0], credential[1], credential[2], true
	return scope
}

// authenticateOSS verifies signature, time and token of a call (T112). Version 4 has no nonce: what
// was sent once can be sent again.
func (s *Server) authenticateOSS(i *invocation, t oss) (principal, *failure) {
	scope := i.rest.scope()
	at, failed := i.rest.checkScope(scope, i.region, t)
	if failed != nil {
		return principal{}, failed
	}
	now := s.clock.Now()
	if at.Sub(now).Abs() > clockTolerance {
		f := t.fail("RequestTimeTooSkewed")
		f.fields = []Field{
			{"MaxAllowedSkewMilliseconds", "900000"},
			{"RequestTime", at.UTC().Format("2006-01-02T15:04:05.000Z")}, {"ServerTime", now.UTC().Format("2006-01-02T15:04:05.000Z")},
		}
		return principal{}, f
	}
	key, failed := s.findKey(map[string]string{"AccessKeyId": scope.keyID, "SecurityToken": i.rest.header.Get("x-oss-security-token")}, now)
	if failed != nil {
		return principal{}, t.fail(failed.code)
	}
	if !hmac.Equal([]byte(scope.sign(key.secret.open(), i.rest.stringToSign(i.method))), []byte(scope.signature)) {
		f := t.fail("SignatureDoesNotMatch")
		t.echo(i, f)
		return principal{}, f
	}
	return principal{account: key.account, key: key}, nil
}

// checkScope refuses what no signature could make right, and returns the time of the call.
func (c *restCall) checkScope(scope ossScope, region string, t oss) (time.Time, *failure) {
	at, err := time.Parse(ossTime, c.header.Get("x-oss-date"))
	wrong := func(message, ec string) (time.Time, *failure) {
		f := t.fail("InvalidArgument")
		f.message, f.ec = message, ec
		return at, f
	}
	switch {
	case c.header.Get("Authorization") == "":
		f := t.fail("AccessDenied")
		f.message = "Anonymous user has no right to access this bucket."
		return at, f
	case !scope.written:
		return wrong("Authorization header is invalid.", "")
	case !scope.complete:
		return wrong("Invalid credential in Authorization header.", "0002-00000213")
	case err != nil:
		f := t.fail("AccessDenied")
		f.message = "OSS authentication requires a valid Date."
		return at, f
	case scope.date != at.Format("20060102"):
		return wrong("Invalid signing date in Authorization header.", "0002-00000212")
	case scope.region != region || region == "":
		return wrong("Invalid signing region in Authorization header.", "0002-00000226")
	case c.header.Get("x-oss-content-sha256") != ossPayload:
		return wrong("The x-oss-content-sha256 header has to be UNSIGNED-PAYLOAD.", "")
	case !slices.IsSorted(scope.additional) || slices.ContainsFunc(scope.additional, func(name string) bool { return signedByDefault(name) || c.header.Get(name) == "" }):
		return wrong("Invalid additional headers in Authorization header.", "")
	}
	return at, nil
}

// signedByDefault reports whether a header is signed wherever it is sent.
func signedByDefault(name string) bool {
	return strings.HasPrefix(name, "x-oss-") || name == "content-type" || name == "content-md5"
}

// canonicalRequest is what a call comes to in the signature. The bucket stands before the object
// even where the host names it.
func (c *restCall) canonicalRequest(method string) string {
	at, additional := c.address(), c.scope().additional
	lines := []string{method, escapePath("/" + at.bucket + "/" + at.key), canonicalQuery(c.query)}
	headers := map[string]string{}
	for name, values := range c.header {
		name = strings.ToLower(name)
		if signedByDefault(name) || slices.Contains(additional, name) {
			headers[name] = joined(values)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		lines = append(lines, name+":"+headers[name])
	}
	return strings.Join(append(lines, "", strings.Join(additional, ";"), c.header.Get("x-oss-content-sha256")), "\n")
}

func joined(values []string) string {
	trimmed := make([]string, len(values))
	for n, value := range values {
		trimmed[n] = strings.TrimSpace(value)
	}
	return strings.Join(trimmed, ",")
}

func escapePath(path string) string { return strings.ReplaceAll(percentEncode(path), "%2F", "/") }

// canonicalQuery writes the parameters of a URL sorted, and those without a value without "=".
func canonicalQuery(raw string) string {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return raw // the call has been refused for it
	}
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pair := percentEncode(name)
			if value != "" {
				pair += "=" + percentEncode(value)
			}
			pairs = append(pairs, pair)
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(pairs, "&")
}

func (c *restCall) stringToSign(method string) string {
	digest := sha256.Sum256([]byte(c.canonicalRequest(method)))
	return strings.Join([]string{ossAlgorithm, c.header.Get("x-oss-date"), c.scope().String(), hex.EncodeToString(digest[:])}, "\n")
}

// sign returns the signature of a text for the scope.
func (s ossScope) sign(secret, text string) string {
	key := []byte("aliyun_v4" + secret)
	for _, part := range []string{s.date, s.region, "oss", "aliyun_v4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// echo repeats what was signed, with every header that was, the security token included, as OSS does
// (T113). Clients have to leave it out.
func (oss) echo(i *invocation, f *failure) {
	scope := i.rest.scope()
	f.fields = []Field{
		{"OSSAccessKeyId", scope.keyID}, {"SignatureProvided", scope.signature},
		{"StringToSign", i.rest.stringToSign(i.method)}, {"CanonicalRequest", i.rest.canonicalRequest(i.method)},
	}
}
