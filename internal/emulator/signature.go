// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // signature version 1 is HMAC-SHA1
	"encoding/base64"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// clockTolerance is how far a timestamp may be off, in both directions (F47).
	clockTolerance = 15 * time.Minute
	// timestampLayout is ISO 8601 in UTC.
	timestampLayout = "2006-01-02T15:04:05Z"
)

// stringToSign is what signature version 1 signs: all parameters but Signature,
// empty ones included, sorted by name and percent-encoded twice (F51).
func stringToSign(method string, parameters map[string]string) string {
	var canonical strings.Builder
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if name == "Signature" {
			continue
		}
		if canonical.Len() > 0 {
			canonical.WriteByte('&')
		}
		canonical.WriteString(percentEncode(name))
		canonical.WriteByte('=')
		canonical.WriteString(percentEncode(parameters[name]))
	}
	return method + "&%2F&" + percentEncode(canonical.String())
}

// percentEncode escapes every byte but the unreserved ones of RFC 3986.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// sign returns the signature of a string by a secret.
func sign(secret, text string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// principal is who signed.
type principal struct {
	account *account
	key     *accessKey
}

// authenticate verifies signature, timestamp, nonce and token of a call.
func (s *Server) authenticate(method string, p map[string]string) (principal, *failure) {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		if p[name] == "" {
			return principal{}, echoing("IncompleteSignature", stringToSign(method, p))
		}
	}
	if p["SignatureMethod"] != "HMAC-SHA1" || p["SignatureVersion"] != "1.0" || p["SignatureType"] != "" {
		return principal{}, echoing("IncompleteSignature", stringToSign(method, p))
	}
	text := stringToSign(method, p)
	return s.signer(p, text, func(secret string) string { return sign(secret, text) })
}

// signer verifies who made a signature of a text, and that it is new.
func (s *Server) signer(p map[string]string, text string, sign func(secret string) string) (principal, *failure) {
	at, err := time.Parse(timestampLayout, p["Timestamp"])
	if err != nil {
		return principal{}, fail("InvalidTimeStamp.Format")
	}
	now := s.clock.Now()
	if at.Sub(now).Abs() > clockTolerance {
		return principal{}, fail("InvalidTimeStamp.Expired")
	}
	key, failed := s.findKey(p, now)
	if failed != nil {
		return principal{}, failed
	}
	if !hmac.Equal([]byte(sign(key.secret.open())), []byte(p["Signature"])) {
		return principal{}, echoing("SignatureDoesNotMatch", text)
	}
	// The nonce is looked at last, so that only a correctly signed call uses it up.
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.nonces.take(p["AccessKeyId"]+" "+p["SignatureNonce"], now) {
		return principal{}, fail("SignatureNonceUsed")
	}
	return principal{account: key.account, key: key}, nil
}

// echoing returns an error whose message repeats the string to sign with all that it
// holds, private keys included, as the gateway does (F50). Clients have to cut it off.
func echoing(code, text string) *failure {
	f := fail(code)
	f.message += " server string to sign is:" + text
	return f
}

// accessKey is a long-lived key or a session of a role.
type accessKey struct {
	id      string
	secret  sealed
	account *account
	// token, role, session and expires are set for temporary credentials.
	token         sealed
	inactive      bool
	role, session string
	expires       time.Time
	policy        *policy // nil: everything is allowed
}

func (s *Server) findKey(p map[string]string, now time.Time) (*accessKey, *failure) {
	s.mu.Lock()
	key := s.keys[p["AccessKeyId"]]
	inactive := key != nil && key.inactive
	s.mu.Unlock()
	switch token := p["SecurityToken"]; {
	case key == nil:
		return nil, fail("InvalidAccessKeyId.NotFound")
	case inactive:
		return nil, fail("InvalidAccessKeyId.Inactive")
	case token == "" && key.role != "":
		return nil, fail("MissingSecurityToken")
	case token != key.token.open() && s.issued(token):
		return nil, fail("InvalidSecurityToken.MismatchWithAccessKey")
	case token != key.token.open():
		return nil, fail("InvalidSecurityToken.Malformed")
	case !key.expires.IsZero() && !now.Before(key.expires):
		return nil, fail("InvalidSecurityToken.Expired")
	}
	return key, nil
}

// issued reports whether a token belongs to some session.
func (s *Server) issued(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		if key.role != "" && key.token.open() == token {
			return true
		}
	}
	return false
}

// SetAccessKeyActive switches an access key on or off, as a person in the console would,
// and reports whether there is one.
func (s *Server) SetAccessKeyActive(accessKeyID string, active bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.keys[accessKeyID]
	if key != nil {
		key.inactive = !active
	}
	return key != nil
}

// nonces remembers each nonce for as long as its timestamp can be valid, in two
// generations of hashes: 16 bytes or so for a call.
type nonces struct {
	seed     maphash.Seed
	old, now map[uint64]struct{}
	since    time.Time
}

// take reports whether the nonce is new, and remembers it.
func (n *nonces) take(nonce string, now time.Time) bool {
	if age := now.Sub(n.since); n.now == nil || age >= 2*clockTolerance {
		n.old = n.now
		if age >= 4*clockTolerance {
			n.old = nil
		}
		n.now, n.since = map[uint64]struct{}{}, now
	}
	if n.seed == (maphash.Seed{}) {
		n.seed = maphash.MakeSeed()
	}
	hash := maphash.String(n.seed, nonce)
	if _, used := n.old[hash]; used {
		return false
	}
	if _, used := n.now[hash]; used {
		return false
	}
	n.now[hash] = struct{}{}
	return true
}
