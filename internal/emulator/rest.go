// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// restCall is what a call has that names its object by a path, or a bucket.
type restCall struct {
	path, query string
	header      http.Header
	body        []byte
}

// rest is the style of calls that name an object by a path. They are signed with version 3 and
// have a body of JSON.
type rest struct {
	rpc
	// route is that of Service.
	route func(method, path string) (action string, parameters map[string]string)
}

// read returns the call that method and path make at a door. Its body is one more parameter.
func (t rest) read(d door, w http.ResponseWriter, r *http.Request) (i *invocation, secretInURL bool, failed *failure) {
	header := r.Header.Clone()
	header.Set("Host", r.Host)
	call := &restCall{path: r.URL.EscapedPath(), query: r.URL.RawQuery, header: header}
	i = &invocation{style: t, region: d.region, method: r.Method, parameters: map[string]string{}, rest: call}
	secretInURL = strings.Contains(r.URL.Path+r.URL.RawQuery, "PRIVATE") || r.URL.Query().Has("SecurityToken")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return i, secretInURL, fail("DataTooLongException")
	}
	call.body = body
	action, parameters := t.route(r.Method, r.URL.Path)
	if a, ok := d.actions[action]; ok {
		i.action, i.spec, i.parameters = action, &a, parameters
	}
	if len(body) > 0 {
		i.parameters["Body"] = string(body)
	}
	return i, secretInURL, nil
}

// accept verifies that the call exists and who makes it.
func (rest) accept(s *Server, i *invocation) *failure {
	switch {
	case i.spec == nil, i.rest.header.Get("x-acs-action") != i.action:
		return fail("InvalidAction.NotFound")
	case i.rest.header.Get("x-acs-version") != i.spec.product.version:
		return fail("InvalidVersion")
	case i.rest.query != "":
		return fail("InvalidParameter", "A parameter is unknown to this action.")
	}
	who, failed := s.authenticateV3(i)
	if failed != nil {
		return failed
	}
	i.principal = who
	s.note(i.entry, func(c *Call) { c.Account = who.account.id })
	return i.spec.refuseUnknown(i.parameters)
}

// authorization is the header of signature version 3 (F81).
var authorization = regexp.MustCompile(`^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([a-z0-9;-]+),Signature=([0-9a-f]{64})$`)

// signedAlways are the headers that the signature has to cover where they are sent.
var signedAlways = []string{"host", "content-type"}

// authenticateV3 verifies signature, timestamp, nonce and token of a call with a path (F81).
func (s *Server) authenticateV3(i *invocation) (principal, *failure) {
	h := i.rest.header
	parts := authorization.FindStringSubmatch(h.Get("Authorization"))
	if parts == nil {
		return principal{}, echoing("IncompleteSignature", h.Get("Authorization"))
	}
	names := strings.Split(parts[2], ";")
	for name := range h {
		name = strings.ToLower(name)
		if (strings.HasPrefix(name, "x-acs-") || slices.Contains(signedAlways, name)) && !slices.Contains(names, name) {
			return principal{}, echoing("IncompleteSignature", parts[2])
		}
	}
	digest := sha256.Sum256(i.rest.body)
	if !slices.IsSorted(names) || h.Get("x-acs-content-sha256") != hex.EncodeToString(digest[:]) {
		return principal{}, echoing("SignatureDoesNotMatch", parts[2])
	}
	text := i.canonical(names)
	return s.signer(map[string]string{
		"AccessKeyId": parts[1], "SecurityToken": h.Get("x-acs-security-token"), "Signature": parts[3],
		"SignatureNonce": h.Get("x-acs-signature-nonce"), "Timestamp": h.Get("x-acs-date"),
	}, text, func(secret string) string {
		hashed := sha256.Sum256([]byte(text))
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(hashed[:])))
		return hex.EncodeToString(mac.Sum(nil))
	})
}

// canonical is the text whose digest is signed.
func (i *invocation) canonical(names []string) string {
	lines := []string{i.method, i.rest.path, i.rest.query}
	for _, name := range names {
		lines = append(lines, name+":"+strings.TrimSpace(i.rest.header.Get(name)))
	}
	return strings.Join(append(lines, "", strings.Join(names, ";"), i.rest.header.Get("x-acs-content-sha256")), "\n")
}
