// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStaticWantsIDAndSecret(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		credentials Credentials
		fails       bool
	}{
		"id and secret":        {Credentials{AccessKeyID: "a", AccessKeySecret: "b"}, false},
		"id, secret and token": {testCredentials(), false},
		"nothing":              {Credentials{}, true},
		"no secret":            {Credentials{AccessKeyID: "a"}, true},
		"no id":                {Credentials{AccessKeySecret: "b"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Static(tc.credentials)
			if tc.fails {
				if !errors.Is(err, ErrNoCredentials) || !IsUnauthenticated(err) {
					t.Errorf("got %v", err)
				}
				return
			}
			got, err := p.Retrieve(t.Context())
			if err != nil || got != tc.credentials {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// sts answers AssumeRoleWithOIDC with credentials that are numbered.
type sts struct {
	*cloudServer
	count    atomic.Int32
	lifetime time.Duration
	clock    Clock
	fail     atomic.Pointer[string]
}

func newSTS(t *testing.T, clock Clock, lifetime time.Duration) *sts {
	s := &sts{lifetime: lifetime, clock: clock}
	s.cloudServer = newCloudServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if body := s.fail.Load(); body != nil {
			w.WriteHeader(400)
			_, _ = w.Write([]byte(*body))
			return
		}
		_, _ = fmt.Fprintf(w, `{"RequestId":"R","Credentials":{"AccessKeyId":"STS.%d","AccessKeySecret":"s","SecurityToken":"t","Expiration":%q}}`,
			s.count.Add(1), s.clock.Now().Add(s.lifetime).UTC().Format("2006-01-02T15:04:05Z"))
	})
	return s
}

func rrsaEnv(t *testing.T) (func(string) string, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("oidc-token-one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"ALIBABA_CLOUD_ROLE_ARN":          "acs:ram::1234567890:role/cloudcert",
		"ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1234567890:oidc-provider/ack",
		"ALIBABA_CLOUD_OIDC_TOKEN_FILE":   file,
	}
	return func(name string) string { return env[name] }, file
}

func TestEnvironmentProvider(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env  map[string]string
		want string // the start of the access key id, or what the error names
		fail bool
	}{
		"nothing":                  {nil, "ALIBABA_CLOUD_ACCESS_KEY_ID", true},
		"a static pair":            {map[string]string{envAccessKeyID: "A", envAccessKeySecret: "S"}, "A", false},
		"a pair with a token":      {map[string]string{envAccessKeyID: "A", envAccessKeySecret: "S", envSecurityToken: "T"}, "A", false},
		"an id without secret":     {map[string]string{envAccessKeyID: "A"}, envAccessKeySecret, true},
		"a secret without id":      {map[string]string{envAccessKeySecret: "S"}, envAccessKeyID, true},
		"a role without a token":   {map[string]string{envRoleARN: "r", envOIDCProviderARN: "p"}, envOIDCTokenFile, true},
		"a token without a role":   {map[string]string{envOIDCTokenFile: "f", envOIDCProviderARN: "p"}, envRoleARN, true},
		"a file that is not there": {map[string]string{envRoleARN: "r", envOIDCProviderARN: "p", envOIDCTokenFile: "/nonexistent/token"}, envOIDCTokenFile, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestCaller(t, Config{})
			p, err := c.EnvironmentProvider(func(name string) string { return tc.env[name] })
			var got Credentials
			if err == nil {
				got, err = p.Retrieve(t.Context())
			}
			if !tc.fail {
				if err != nil || got.AccessKeyID != tc.want || got.SecurityToken != tc.env[envSecurityToken] {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err == nil || !IsUnauthenticated(err) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Variables that were filled from a file end with its newline.
func TestWhiteSpaceInTheEnvironmentIsDropped(t *testing.T) {
	t.Parallel()
	untidy := func(env func(string) string) func(string) string {
		return func(name string) string { return " \t" + env(name) + "\r\n" }
	}
	clock := newFreeClock()
	server := newSTS(t, clock, time.Hour)
	c := newTestCaller(t, Config{STSEndpoint: server.URL, Clock: clock})
	tidy, _ := rrsaEnv(t)
	role, err := c.EnvironmentProvider(untidy(tidy))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := role.Retrieve(t.Context()); err != nil {
		t.Error(err)
	}
	form := server.forms()[0]
	for parameter, want := range map[string]string{
		"RoleArn": tidy(envRoleARN), "OIDCProviderArn": tidy(envOIDCProviderARN), "OIDCToken": "oidc-token-one", "RoleSessionName": "cloudcert",
	} {
		if got := form.Get(parameter); got != want {
			t.Errorf("%s is %q, want %q", parameter, got, want)
		}
	}
	static := map[string]string{envAccessKeyID: testID, envAccessKeySecret: testSecret, envSecurityToken: testToken}
	p, err := c.EnvironmentProvider(untidy(func(name string) string { return static[name] }))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Retrieve(t.Context()); err != nil || got != testCredentials() {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := c.EnvironmentProvider(untidy(func(string) string { return "" })); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("white space alone is taken for credentials: %v", err)
	}
}

func TestRRSASendsTheTokenUnsignedInTheBody(t *testing.T) {
	t.Parallel()
	clock := newFreeClock()
	server := newSTS(t, clock, time.Hour)
	c := newTestCaller(t, Config{STSEndpoint: server.URL, Clock: clock})
	env, file := rrsaEnv(t)
	p, err := c.EnvironmentProvider(env)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(server.forms()); got != 0 {
		t.Errorf("%d calls before credentials are needed", got)
	}
	for range 3 {
		got, err := p.Retrieve(t.Context())
		if err != nil || got.AccessKeyID != "STS.1" || got.SecurityToken != "t" {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if err := os.WriteFile(file, []byte("oidc-token-two"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock.advance(2 * time.Hour)
	if got, err := p.Retrieve(t.Context()); err != nil || got.AccessKeyID != "STS.2" {
		t.Fatalf("got %v, %v", got, err)
	}
	forms := server.forms()
	if len(forms) != 2 {
		t.Fatalf("%d calls", len(forms))
	}
	for i, token := range []string{"oidc-token-one", "oidc-token-two"} {
		form := forms[i]
		form.Del("Timestamp")
		want := map[string][]string{
			"Action": {"AssumeRoleWithOIDC"}, "Version": {"2015-04-01"}, "Format": {"JSON"},
			"RoleArn": {env(envRoleARN)}, "OIDCProviderArn": {env(envOIDCProviderARN)}, "OIDCToken": {token},
			"RoleSessionName": {"cloudcert"}, "DurationSeconds": {"3600"},
		}
		if diff := cmp.Diff(want, map[string][]string(form)); diff != "" {
			t.Error(diff)
		}
		if query := server.requests[i].URL.RawQuery; query != "" {
			t.Errorf("query %q", query)
		}
	}
}

func TestRRSAFailures(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   Class
	}{
		"an unknown code of STS":   {400, `{"Code":"AuthenticationFail.OIDCToken.Expired","Message":"expired"}`, Unauthenticated},
		"a role that is not there": {404, `{"Code":"EntityNotExist.Role"}`, Unauthenticated},
		"an echo of the token":     {400, `{"Code":"InvalidParameter.OIDCToken","Message":"bad token oidc-token-one"}`, Unauthenticated},
		"a server error":           {500, `<html>`, Transient},
		"throttling":               {400, `{"Code":"Throttling.User"}`, Throttled},
		"no credentials":           {200, `{}`, Transient},
		"no expiration":            {200, `{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"s","SecurityToken":"t"}}`, Transient},
		"expired credentials":      {200, `{"Credentials":{"AccessKeyId":"a","AccessKeySecret":"s","SecurityToken":"t","Expiration":"2001-01-01T00:00:00Z"}}`, Unauthenticated},
		"a number as a code":       {400, `{"Code":17}`, Unauthenticated},
		"a role that may not":      {403, `{"Code":"AuthenticationFail.NoPermission"}`, Unauthenticated},
		"another audience":         {400, `{"Code":"AuthenticationFail.OIDCToken.AudienceNotMatch"}`, Unauthenticated},
		"a clock that is off":      {400, `{"Code":"InvalidTimeStamp.Expired"}`, Transient},
		"an error of its own":      {400, `{"Code":"InternalError"}`, Transient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newCloudServer(t, reply(tc.status, tc.body))
			c := newTestCaller(t, Config{STSEndpoint: server.URL, Clock: newFreeClock()})
			env, _ := rrsaEnv(t)
			p, err := c.EnvironmentProvider(env)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				_, err = p.Retrieve(t.Context())
				if err == nil || ClassOf(err) != tc.want || strings.Contains(err.Error(), "oidc-token-one") {
					t.Errorf("got %v of class %v", err, ClassOf(err))
				}
			}
			if e, ok := errors.AsType[*Error](err); tc.status != http.StatusOK && (!ok || e.Role != Role{ARN: env("ALIBABA_CLOUD_ROLE_ARN"), Provider: env("ALIBABA_CLOUD_OIDC_PROVIDER_ARN")}) {
				t.Errorf("the error does not name the role: %+v", e)
			}
			if host := strings.TrimPrefix(server.URL, "http://"); tc.want == Transient && !strings.Contains(tc.body, "Code") && !strings.Contains(err.Error(), host) {
				t.Errorf("%v does not name %s, which gave no answer of STS", err, host)
			}
			if got := len(server.forms()); got != 1 {
				t.Errorf("%d calls within the pause", got)
			}
		})
	}
}

func TestCachedProviderServesTheOldUntilTheyExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int32
		broken := false
		p := newCachedProvider("id", realClock{}, func(context.Context) (Credentials, error) {
			n := attempts.Add(1)
			time.Sleep(time.Second)
			if broken {
				return Credentials{}, errors.New("STS is away")
			}
			return Credentials{AccessKeyID: fmt.Sprintf("STS.%d", n), Expiration: time.Now().Add(time.Hour)}, nil
		})
		want := func(id string) {
			t.Helper()
			got, err := p.Retrieve(t.Context())
			if err != nil || got.AccessKeyID != id {
				t.Errorf("got %v, %v; want %s", got, err, id)
			}
		}
		want("STS.1")
		expires := time.Now().Add(time.Hour)
		time.Sleep(54 * time.Minute)
		want("STS.1")
		if got := attempts.Load(); got != 1 {
			t.Fatalf("%d attempts", got)
		}

		broken = true
		time.Sleep(2 * time.Minute)
		for time.Now().Before(expires) {
			began := time.Now()
			want("STS.1")
			if time.Since(began) != 0 {
				t.Fatalf("waited %v for credentials that are there", time.Since(began))
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if got := attempts.Load(); got < 10 || got > 60 {
			t.Errorf("%d attempts in 4 minutes", got)
		}
		if got, err := p.Retrieve(t.Context()); err == nil {
			t.Errorf("expired credentials: %v", got)
		}

		broken = false
		time.Sleep(refreshPause)
		if got, err := p.Retrieve(t.Context()); err != nil || !strings.HasPrefix(got.AccessKeyID, "STS.") {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

func TestCachedProviderRefreshesOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int32
		p := newCachedProvider("id", realClock{}, func(context.Context) (Credentials, error) {
			attempts.Add(1)
			time.Sleep(time.Second)
			return Credentials{AccessKeyID: "STS", Expiration: time.Now().Add(time.Hour)}, nil
		})
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.Retrieve(impatient); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		for range 100 {
			wg.Go(func() {
				if _, err := p.Retrieve(t.Context()); err != nil {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if got := attempts.Load(); got != 1 {
			t.Errorf("%d attempts", got)
		}
	})
}

func TestRefusedCredentialsAreReplacedWithoutALoop(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"a token that has expired":      "InvalidSecurityToken.Expired",
		"a token of another key":        "InvalidSecurityToken.MismatchWithAccessKey",
		"a token that is not known":     "InvalidSecurityToken.NotFound",
		"a key that is not known":       "InvalidAccessKeyId.NotFound",
		"a token that did not arrive":   "MissingSecurityToken",
		"a signature by another secret": "SignatureDoesNotMatch",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedCredentialsAreReplaced(t, code)
		})
	}
}

func refusedCredentialsAreReplaced(t *testing.T, code string) {
	clock := newFreeClock()
	server := newSTS(t, clock, time.Hour)
	product := newCloudServer(t, reply(400, `{"Code":"`+code+`"}`))
	c := newTestCaller(t, Config{STSEndpoint: server.URL, Clock: clock})
	env, _ := rrsaEnv(t)
	p, err := c.EnvironmentProvider(env)
	if err != nil {
		t.Fatal(err)
	}
	identity, _ := c.Identity(p)
	client := &testClient{caller: c, identity: identity, endpoint: product.URL}
	for range 5 {
		if _, err := client.call(t.Context()); !IsUnauthenticated(err) {
			t.Errorf("got %v", err)
		}
	}
	if got := server.count.Load(); got != 1 {
		t.Errorf("%d tokens within a minute", got)
	}
	clock.advance(time.Minute)
	for range 2 {
		_, _ = client.call(t.Context())
	}
	if got := server.count.Load(); got != 2 {
		t.Errorf("%d tokens after a minute", got)
	}
	forms := product.forms()
	if got := forms[len(forms)-1].Get("AccessKeyId"); got != "STS.2" {
		t.Errorf("signed by %s", got)
	}
}
