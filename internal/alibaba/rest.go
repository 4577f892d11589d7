// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// REST makes a call one of an interface that has a path for each object and takes JSON.
type REST struct {
	Method string
	// Path is sent as it is signed: each of its segments is escaped by Segment.
	Path string
	// Body is JSON; empty for none. It may hold a secret, which Call.Secrets has to name too.
	Body []byte
}

// Segment escapes a segment of a path: every byte but the unreserved ones of RFC 3986.
func Segment(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// signatureV3 names the signature of the headers (F81).
const signatureV3 = "ACS3-HMAC-SHA256"

// signREST returns a call of that style with signature version 3, which the SDK does not have: it
// covers path, headers and the digest of the body, and stands in a header (F81). Nothing of the
// body is in what a refusal repeats.
func signREST(call Call, c Credentials, now time.Time) message {
	_, host, _ := strings.Cut(call.Endpoint, "://")
	m := message{method: call.REST.Method, path: call.REST.Path, body: string(call.REST.Body)}
	signed := map[string]string{
		"host": host, "x-acs-action": string(call.Action), "x-acs-version": call.Version,
		"x-acs-date": now.UTC().Format("2006-01-02T15:04:05Z"), "x-acs-signature-nonce": rand.Text(),
		"x-acs-content-sha256": hexDigest(m.body),
	}
	if m.body != "" {
		signed["content-type"] = "application/json; charset=utf-8"
	}
	if c.SecurityToken != "" {
		signed["x-acs-security-token"] = c.SecurityToken
	}
	m.header = maps.Clone(signed)
	delete(m.header, "host") // net/http sends it
	m.header["Accept"] = "application/json"
	m.header["Authorization"] = authorizationV3(m.method, m.path, "", signed, c)
	return m
}

// authorizationV3 returns the header of signature version 3: signed are the headers that it covers, with
// the digest of the body among them.
func authorizationV3(method, path, query string, signed map[string]string, c Credentials) string {
	names := slices.Sorted(maps.Keys(signed))
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", method, path, query)
	for _, name := range names {
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(signed[name]))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", strings.Join(names, ";"), signed["x-acs-content-sha256"])
	mac := hmac.New(sha256.New, []byte(c.AccessKeySecret))
	_, _ = mac.Write([]byte(signatureV3 + "\n" + hexDigest(canonical.String())))
	return fmt.Sprintf("%s Credential=%s,SignedHeaders=%s,Signature=%s",
		signatureV3, c.AccessKeyID, strings.Join(names, ";"), hex.EncodeToString(mac.Sum(nil)))
}

func hexDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
