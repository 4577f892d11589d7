// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"fmt"
	"strings"
	"time"
)

// The variables of static credentials (F35), and those that the RRSA webhook
// of ACK injects.
const (
	envAccessKeyID     = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	envAccessKeySecret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	envSecurityToken   = "ALIBABA_CLOUD_SECURITY_TOKEN" //nolint:gosec // the name of a variable
	envRoleARN         = "ALIBABA_CLOUD_ROLE_ARN"
	envOIDCProviderARN = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
	envOIDCTokenFile   = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
	envRoleSessionName = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
)

// EnvironmentProvider returns the provider that the environment configures:
// static credentials, else the role of the service account (RRSA). The order is
// that of the vendor's default chain. Nothing is called and no file is read
// until credentials are needed. If nothing is configured, or only in part, the
// error is of class Unauthenticated and wraps ErrNoCredentials.
//
// White space around a value is dropped: a variable that was filled from a file ends
// with a newline, and no value holds any.
func (c *Caller) EnvironmentProvider(environment func(string) string) (Provider, error) {
	getenv := func(name string) string { return strings.TrimSpace(environment(name)) }
	static := Credentials{
		AccessKeyID:     getenv(envAccessKeyID),
		AccessKeySecret: getenv(envAccessKeySecret),
		SecurityToken:   getenv(envSecurityToken),
	}
	if static.AccessKeyID != "" || static.AccessKeySecret != "" {
		if err := requireEnv(getenv, envAccessKeyID, envAccessKeySecret); err != nil {
			return nil, err
		}
		return newStaticProvider(static, SourceEnvironment), nil
	}
	role := oidcRole{
		caller:      c,
		roleARN:     getenv(envRoleARN),
		providerARN: getenv(envOIDCProviderARN),
		tokenFile:   getenv(envOIDCTokenFile),
		sessionName: getenv(envRoleSessionName),
	}
	if role.roleARN == "" && role.providerARN == "" && role.tokenFile == "" {
		return nil, NoCredentials(fmt.Sprintf("set %s and %s, or let RRSA set %s, %s and %s",
			envAccessKeyID, envAccessKeySecret, envRoleARN, envOIDCProviderARN, envOIDCTokenFile))
	}
	if err := requireEnv(getenv, envRoleARN, envOIDCProviderARN, envOIDCTokenFile); err != nil {
		return nil, err
	}
	if role.sessionName == "" {
		role.sessionName = "cloudcert"
	}
	id := hashID("oidc", c.stsEndpoint, role.roleARN, role.providerARN, role.tokenFile, role.sessionName)
	provider := newCachedProvider(id, c.clock, role.assume)
	provider.observe = func(expires time.Time, err error) { c.observeRefresh(SourceRRSA, expires, err) }
	return provider, nil
}

func requireEnv(getenv func(string) string, names ...string) error {
	for _, name := range names {
		if getenv(name) == "" {
			return NoCredentials(name + " is not set")
		}
	}
	return nil
}
