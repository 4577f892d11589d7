// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"crypto/hmac"
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// How long a session may be, in seconds (F36).
const (
	minSession, defaultSession, maxSession = 900, 3600, 43200
)

// identityAnswer is the answer of GetCallerIdentity (F68).
type identityAnswer struct {
	RequestID    string `json:"RequestId"`
	IdentityType string
	AccountID    string `json:"AccountId"`
	Arn          string
	UserID       string `json:"UserId,omitempty"`
	RoleID       string `json:"RoleId,omitempty"`
	PrincipalID  string `json:"PrincipalId"`
}

// userID is the RAM user behind every access key.
const userID = "200000000000000001"

// callerIdentity is GetCallerIdentity, which needs no permission (F34).
func (s *Server) callerIdentity(i *invocation) (any, *failure) {
	id, key := i.account().id, i.principal.key
	answer := identityAnswer{RequestID: i.requestID, AccountID: id}
	if key.role == "" {
		answer.IdentityType, answer.UserID, answer.PrincipalID = "RAMUser", userID, userID
		answer.Arn = "acs:ram::" + id + ":user/emulated-user"
		return answer, nil
	}
	answer.IdentityType, answer.RoleID = "AssumedRoleUser", "300000000000000001"
	answer.PrincipalID = answer.RoleID + ":" + key.session
	answer.Arn = assumedARN(key)
	return answer, nil
}

func assumedARN(key *accessKey) string {
	return "acs:ram::" + key.account.id + ":assumed-role/" + roleName(key.role) + "/" + key.session
}

// roleName is the name in the ARN of a role.
func roleName(arn string) string {
	_, name, _ := strings.Cut(arn, ":role/")
	return name
}

// assumeAnswer is the answer of AssumeRoleWithOIDC (F69).
type assumeAnswer struct {
	RequestID       string `json:"RequestId"`
	AssumedRoleUser struct {
		Arn           string
		AssumedRoleID string `json:"AssumedRoleId"`
	}
	Credentials struct {
		AccessKeyID     string `json:"AccessKeyId"`
		AccessKeySecret string
		SecurityToken   string
		Expiration      string
	}
}

var sessionPattern = regexp.MustCompile(`^[A-Za-z0-9.@_-]{2,64}$`)

// assumeRoleWithOIDC trades the token of a pod for temporary credentials.
func (s *Server) assumeRoleWithOIDC(i *invocation) (any, *failure) {
	p := i.parameters
	for _, name := range []string{"RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName"} {
		if p[name] == "" {
			return nil, fail("MissingParameter", name+" is mandatory for this action.")
		}
	}
	if !sessionPattern.MatchString(p["RoleSessionName"]) {
		return nil, fail("InvalidParameter", "RoleSessionName is invalid.")
	}
	seconds := defaultSession
	if given := p["DurationSeconds"]; given != "" {
		var err error
		if seconds, err = strconv.Atoi(given); err != nil || seconds < minSession || seconds > maxSession {
			return nil, fail("InvalidParameter", "DurationSeconds is invalid.")
		}
	}
	// One code serves for an unknown role and for one that trusts another provider,
	// which is a guess (F78).
	role, ok := s.roles[p["RoleArn"]]
	if !ok || role.OIDCProviderARN != p["OIDCProviderArn"] {
		return nil, fail("AuthenticationFail.NoPermission")
	}
	if role.Token != "" && !hmac.Equal([]byte(role.Token), []byte(p["OIDCToken"])) {
		return nil, fail("AuthenticationFail.OIDCToken.AudienceNotMatch")
	}
	key := &accessKey{
		id: "STS." + rand.Text(), secret: seal(rand.Text()), token: seal(rand.Text() + rand.Text()),
		account: role.account, role: role.RoleARN, session: strings.Clone(p["RoleSessionName"]),
		expires: s.clock.Now().Add(time.Duration(seconds) * time.Second),
	}
	s.addSession(i, key)
	answer := assumeAnswer{RequestID: i.requestID}
	answer.AssumedRoleUser.Arn = assumedARN(key)
	answer.AssumedRoleUser.AssumedRoleID = fmt.Sprintf("300000000000000001:%s", key.session)
	answer.Credentials.AccessKeyID = key.id
	answer.Credentials.AccessKeySecret = key.secret.open()
	answer.Credentials.SecurityToken = key.token.open()
	answer.Credentials.Expiration = key.expires.UTC().Format(timestampLayout)
	return answer, nil
}

// addSession enters the key of a session, and forgets those that expired more than a
// day ago. Until then a call with one is answered InvalidSecurityToken.Expired.
func (s *Server) addSession(i *invocation, key *accessKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.clock.Now().Add(-24 * time.Hour)
	maps.DeleteFunc(s.keys, func(_ string, k *accessKey) bool { return !k.expires.IsZero() && k.expires.Before(limit) })
	s.keys[key.id] = key
	i.entry.Account = key.account.id
}
