// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// roundTripper is a cloud inside a synctest bubble, where no network can be.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answerWith(body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// newBubbleClient returns a client that sends to the given function, with real
// time, which a bubble fakes.
func newBubbleClient(t *testing.T, send roundTripper) *testClient {
	t.Helper()
	c, err := New(Config{Transport: send})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Static(testCredentials())
	if err != nil {
		t.Fatal(err)
	}
	identity, _ := c.Identity(p)
	return &testClient{caller: c, identity: identity}
}

func TestTheAccountOfEachCredentialIsToldOnce(t *testing.T) {
	t.Parallel()
	for source, env := range map[string]map[string]string{SourceEnvironment: {envAccessKeyID: "A", envAccessKeySecret: "S"}, SourceGiven: nil} {
		synctest.Test(t, func(t *testing.T) {
			client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
				return answerWith(`{"AccountId":"1234567890","RequestId":"R"}`), nil
			})
			var told []AccountInfo
			client.caller.onAccount = func(info AccountInfo) { told = append(told, info) }
			if env != nil {
				own, err := client.caller.EnvironmentProvider(func(name string) string { return env[name] })
				if err != nil {
					t.Fatal(err)
				}
				client.identity, _ = client.caller.Identity(own)
			}
			for range 2 {
				if _, err := client.identity.Account(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff([]AccountInfo{{Source: source, Account: "1234567890"}}, told); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhereCredentialsComeFrom(t *testing.T) {
	t.Parallel()
	env, _ := rrsaEnv(t)
	role, err := newTestCaller(t, Config{}).EnvironmentProvider(env)
	if err != nil {
		t.Fatal(err)
	}
	if got := SourceOf(role); got != SourceRRSA {
		t.Errorf("a role comes from %q", got)
	}
}

// Nobody sees the failure otherwise; and nobody wants to see it each minute.
func TestAFailureToLearnTheAccountIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		code := "NoPermission"
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			answer := answerWith(`{"Code":"` + code + `","RequestId":"R"}`)
			answer.StatusCode = 403
			return answer, nil
		})
		var told []string
		client.caller.onCall = func(_ context.Context, call CallInfo) {
			told = append(told, fmt.Sprint(call.Action, " ", call.Code, " ", call.Repeated))
		}
		for _, code = range []string{"NoPermission", "NoPermission", "NoPermission", "InternalError"} {
			if _, err := client.identity.Account(t.Context()); err == nil {
				t.Error("no error")
			}
			time.Sleep(accountRetry)
		}
		want := []string{
			"GetCallerIdentity NoPermission false", "GetCallerIdentity NoPermission true",
			"GetCallerIdentity NoPermission true", "GetCallerIdentity InternalError false",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAccountIsAskedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			return answerWith(`{"AccountId":"1234567890","Arn":"a","UserId":1}`), nil
		})
		if got := client.identity.KnownAccount(); got != "" {
			t.Errorf("known before it was asked for: %q", got)
		}
		impatient, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := client.identity.Account(impatient); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			other, isNew := client.caller.Identity(client.identity.provider)
			if isNew {
				t.Error("one credential, two identities")
			}
			wg.Go(func() {
				if got, err := other.Account(t.Context()); err != nil || got != "1234567890" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if got := asked.Load(); got != 1 || client.identity.KnownAccount() != "1234567890" {
			t.Errorf("asked %d times, account %q", got, client.identity.KnownAccount())
		}
	})
}

func TestAccountFailureIsRememberedForAMinute(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"no answer": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"a refusal": func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
		"an answer without an account": func(*http.Request) (*http.Response, error) {
			return answerWith(`{"AccountId":""}`), nil
		},
		"an account that is none": func(*http.Request) (*http.Response, error) {
			return answerWith(`{"AccountId":"a b"}`), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked int
				client := newBubbleClient(t, func(r *http.Request) (*http.Response, error) { asked++; return fail(r) })
				began := time.Now()
				if _, err := client.identity.Account(t.Context()); err == nil {
					t.Error("no error")
				}
				if took := time.Since(began); took > accountTimeout {
					t.Errorf("took %v", took)
				}
				failed := time.Now()
				for time.Since(failed) < accountRetry {
					_, err := client.identity.Account(t.Context())
					if after, ok := RetryAfter(err); !ok || after > accountRetry || after <= 0 {
						t.Fatalf("got %v", err)
					}
					time.Sleep(5 * time.Second)
				}
				if asked != 1 {
					t.Errorf("asked %d times within a minute", asked)
				}
				_, _ = client.identity.Account(t.Context())
				if asked != 2 {
					t.Errorf("asked %d times after a minute", asked)
				}
			})
		})
	}
}

func TestRotatedCredentialsAreForgotten(t *testing.T) {
	t.Parallel()
	clock := newFreeClock()
	c := newTestCaller(t, Config{Clock: clock})
	for i := range 500 {
		p, err := Static(Credentials{AccessKeyID: fmt.Sprint(i), AccessKeySecret: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if _, isNew := c.Identity(p); !isNew {
			t.Error("a credential is known before it is used")
		}
		if _, isNew := c.Identity(p); isNew {
			t.Error("a credential is forgotten at once")
		}
		clock.advance(6 * time.Minute)
	}
	if left := c.strangers.Len() + c.known.Len(); left > 20 {
		t.Errorf("%d identities are left of two hours", left)
	}
}

// TestTheOperatorIsNotForgottenForMadeUpCredentials: while STS does not answer, a failure to learn the operator's
// account is remembered, or each of its reconciles would wait for STS.
func TestTheOperatorIsNotForgottenForMadeUpCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("no route to host") })
		env := map[string]string{envAccessKeyID: "own", envAccessKeySecret: "S"}
		own, err := client.caller.EnvironmentProvider(func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		before, _ := client.caller.Identity(own)
		for i := range 5 * maxStrangers {
			made, err := Static(Credentials{AccessKeyID: fmt.Sprint(i), AccessKeySecret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			client.caller.Identity(made)
		}
		if after, isNew := client.caller.Identity(own); isNew || after != before {
			t.Error("what is known of the operator's own credentials gave way to those that are made up")
		}
	})
}

// Whoever may write a Secret of credentials can make up as many as they like.
func TestMadeUpCredentialsDriveOutNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		client := newBubbleClient(t, func(r *http.Request) (*http.Response, error) {
			_ = r.ParseForm()
			id := r.PostForm.Get("AccessKeyId")
			asked[id]++
			if id != testID {
				answer := answerWith(`{"Code":"InvalidAccessKeyId.NotFound"}`)
				answer.StatusCode = 404
				return answer, nil
			}
			return answerWith(`{"AccountId":"1234567890"}`), nil
		})
		for i := range 2000 {
			made, err := Static(Credentials{AccessKeyID: fmt.Sprint(i), AccessKeySecret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			id, _ := client.caller.Identity(made)
			_, _ = id.Account(t.Context())
			own, _ := client.caller.Identity(client.identity.provider)
			if account, err := own.Account(t.Context()); account != "1234567890" {
				t.Fatalf("account %q, %v", account, err)
			}
		}
		if asked[testID] != 1 {
			t.Errorf("asked %d times whose the credentials are", asked[testID])
		}
		if kept := client.caller.strangers.Len() + client.caller.known.Len(); kept > 2*maxStrangers+1 {
			t.Errorf("%d identities are kept", kept)
		}
	})
}
