// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxOIDCToken bounds the token file, in bytes.
const maxOIDCToken = 64 << 10

// Role is a RAM role that the service account of the operator takes on.
type Role struct {
	// ARN is the role's, and Provider that of the OIDC provider which vouches for the service
	// account.
	ARN, Provider string
}

// oidcRole asks STS for credentials of a role, on the word of the cluster's
// OIDC issuer.
//
// The SDK has a provider for it that cannot be used: it speaks https on the
// public roots alone, so that neither --cas-ca-file nor an emulator on loopback
// works; it takes no context; it makes a transport per call and leaks its
// connection; it reads an answer of any size; and it panics on a Code that is no
// string and on an answer without Expiration (F58). The call is unsigned and
// small.
type oidcRole struct {
	caller                                       *Caller
	roleARN, providerARN, tokenFile, sessionName string
}

// assume calls AssumeRoleWithOIDC. The token file is read each time: the
// kubelet replaces it long before the token ends.
func (r oidcRole) assume(ctx context.Context) (Credentials, error) {
	token, err := readToken(r.tokenFile)
	if err != nil {
		return Credentials{}, &Error{
			Action: actionAssumeRole, Class: Unauthenticated,
			Message: "failed to read the token file of " + envOIDCTokenFile, Cause: err, Role: r.names(),
		}
	}
	form := url.Values{
		"Action":  {string(actionAssumeRole)},
		"Version": {stsVersion},
		"Format":  {"JSON"},
		// The real time, as the SDK's signer takes.
		"Timestamp":       {time.Now().UTC().Format("2006-01-02T15:04:05Z")},
		"RoleArn":         {r.roleARN},
		"OIDCProviderArn": {r.providerARN},
		"OIDCToken":       {token},
		"RoleSessionName": {r.sessionName},
		"DurationSeconds": {"3600"},
	}
	answer, failure := send[assumeRoleAnswer](ctx, r.caller, exchange{
		Call:    Call{Service: ServiceSTS, Action: actionAssumeRole, Endpoint: r.caller.stsEndpoint, Secrets: []string{token}},
		message: formMessage(form),
	})
	if failure != nil {
		failure.Role = r.names()
		return Credentials{}, asCredentialsError(failure)
	}
	return answer.credentials(), nil
}

func (r oidcRole) names() Role { return Role{ARN: r.roleARN, Provider: r.providerARN} }

// asCredentialsError turns a refusal by STS, whatever its code, into one of the
// credentials: it is not about a certificate. What may pass stays as it is.
func asCredentialsError(err *Error) *Error {
	class, known := classOfCode(err.Code, nil)
	passes := err.Class == Throttled || known && class == Transient
	if !passes && err.HTTPStatus >= 400 && err.HTTPStatus < 500 {
		err.Class, err.UnknownCode = Unauthenticated, false
	}
	return err
}

func readToken(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the webhook's
	if err != nil {
		return "", err
	}
	defer file.Close()
	token, err := io.ReadAll(io.LimitReader(file, maxOIDCToken))
	if err != nil {
		return "", err
	}
	trimmed := strings.TrimSpace(string(token))
	if trimmed == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return trimmed, nil
}

// assumeRoleAnswer is the answer of AssumeRoleWithOIDC. It is never formatted.
type assumeRoleAnswer struct {
	Credentials struct {
		AccessKeyID     Text `json:"AccessKeyId"`
		AccessKeySecret Text
		SecurityToken   Text
		Expiration      Text
	}
}

// Validate refuses an answer without everything that credentials need.
func (a *assumeRoleAnswer) Validate() error {
	c := a.Credentials
	_, err := time.Parse(time.RFC3339, string(c.Expiration))
	if err != nil || c.AccessKeyID == "" || c.AccessKeySecret == "" || c.SecurityToken == "" {
		return errors.New("the answer carries no complete credentials")
	}
	return nil
}

// credentials are those of a valid answer.
func (a *assumeRoleAnswer) credentials() Credentials {
	c := a.Credentials
	expiration, _ := time.Parse(time.RFC3339, string(c.Expiration)) // Validate has parsed it
	return Credentials{
		AccessKeyID:     string(c.AccessKeyID),
		AccessKeySecret: string(c.AccessKeySecret),
		SecurityToken:   string(c.SecurityToken),
		Expiration:      expiration,
	}
}
