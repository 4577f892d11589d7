// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// accountTimeout is short because an upload may be waiting for the answer.
	accountTimeout = 2 * time.Second
	// accountRetry is how long a failure to learn the account is remembered.
	accountRetry = time.Minute
	// IdleAfter is how long what is kept per credential or account outlives its last use;
	// credentials may stay twice as long. Temporary ones change for ever; what they leave
	// must go.
	IdleAfter = time.Hour
)

const (
	stsVersion = "2015-04-01"
	// stsRegion is named in calls to STS, which has one endpoint for all regions.
	stsRegion            = "cn-hangzhou"
	builtinSTSEndpoint   = "https://sts.aliyuncs.com"
	actionCallerIdentity = Action("GetCallerIdentity")
	actionAssumeRole     = Action("AssumeRoleWithOIDC")
	// actionCredentials names errors for which nothing was called.
	actionCredentials = Action("credentials")
)

// Identity is one credential, and what is known about it: whose account it is of. It is
// shared by the clients of all products and regions.
type Identity struct {
	caller   *Caller
	provider Provider
	account  atomic.Pointer[string] // set once

	mu     sync.Mutex
	flight chan struct{} // closed when the running attempt ends; nil: none runs
	failed time.Time
	err    *Error
}

// Identity returns what is known about a provider's credential, and reports whether that
// was nothing until now. It is forgotten when others come and it was not asked for in an hour
// or two, or when too many others were.
func (c *Caller) Identity(p Provider) (id *Identity, isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if id, ok := c.known.Get(p.ID(), now); ok {
		return id, false
	}
	if id, ok := c.strangers.Get(p.ID(), now); ok {
		return id, false
	}
	id = &Identity{caller: c, provider: p}
	if id.IsOwn() {
		c.known.Put(p.ID(), id, now)
	} else {
		c.strangers.Put(p.ID(), id, now)
	}
	return id, true
}

// introduce keeps an identity whose account was learned apart from those that are made up.
func (c *Caller) introduce(id *Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strangers.Delete(id.Credential())
	c.known.Put(id.Credential(), id, c.clock.Now())
}

// Credential tells this credential from others; see Provider.ID.
func (id *Identity) Credential() string { return id.provider.ID() }

// IsOwn reports whether the credential is the operator's own, which nobody else can make up.
func (id *Identity) IsOwn() bool { return SourceOf(id.provider) != SourceGiven }

// KnownAccount returns the id of the account that the credential is of, and ""
// as long as that was not learned. It never calls.
func (id *Identity) KnownAccount() string {
	if account := id.account.Load(); account != nil {
		return *account
	}
	return ""
}

// Account returns the id of the account that the credential is of. The first
// call asks STS, for at most 2 s: callers at the same time share one attempt. A failure is
// remembered for a minute, in which nothing is called.
func (id *Identity) Account(ctx context.Context) (string, error) {
	if account := id.KnownAccount(); account != "" {
		return account, nil
	}
	flight, err := id.startLearning(ctx)
	if err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", GivenUp(ctx, actionCallerIdentity)
	case <-flight:
	}
	if account := id.KnownAccount(); account != "" {
		return account, nil
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	return "", id.err
}

func (id *Identity) startLearning(ctx context.Context) (chan struct{}, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.flight != nil {
		return id.flight, nil
	}
	if until := id.failed.Add(accountRetry); id.err != nil && id.caller.clock.Now().Before(until) {
		remembered := *id.err
		remembered.RetryAfter = until.Sub(id.caller.clock.Now())
		return nil, &remembered
	}
	before := ""
	if id.err != nil {
		before = id.err.Summary()
	}
	done := make(chan struct{})
	id.flight = done
	// A caller that gives up must not fail the others. In the log the attempt is that of the first.
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), accountTimeout)
		defer cancel()
		account, err := id.callerIdentity(ctx, before)
		if err == nil {
			id.account.Store(&account)
			id.caller.introduce(id)
			if observe := id.caller.onAccount; observe != nil {
				observe(AccountInfo{Source: SourceOf(id.provider), Account: account})
			}
		}
		id.mu.Lock()
		id.flight, id.err, id.failed = nil, err, id.caller.clock.Now()
		id.mu.Unlock()
		close(done)
	}()
	return done, nil
}

// callerIdentity calls GetCallerIdentity, which needs no permission (F34).
func (id *Identity) callerIdentity(ctx context.Context, before string) (string, *Error) {
	credentials, err := id.Credentials(ctx)
	if err != nil {
		return "", err
	}
	call := Call{Service: ServiceSTS, Action: actionCallerIdentity, Version: stsVersion, Endpoint: id.caller.stsEndpoint}
	form, err := sign(call, stsRegion, credentials)
	if err != nil {
		return "", err
	}
	call.Secrets = credentials.secrets()
	answer, err := send[callerIdentityAnswer](ctx, id.caller, exchange{Call: call, message: formMessage(form), before: before})
	if err != nil {
		id.noteRefusal(credentials, err)
		return "", err
	}
	return string(answer.AccountID), nil
}

type callerIdentityAnswer struct {
	AccountID Text `json:"AccountId"`
}

// Validate refuses what is no account.
func (a *callerIdentityAnswer) Validate() error {
	if id := string(a.AccountID); id == "" || len(id) > 64 || strings.Trim(id, "0123456789") != "" {
		return errors.New("the answer carries no AccountId")
	}
	return nil
}

// Credentials returns credentials that are valid now. What a provider says beyond
// *Error is for its own messages to keep clean.
func (id *Identity) Credentials(ctx context.Context) (Credentials, *Error) {
	credentials, err := id.provider.Retrieve(ctx)
	if err == nil {
		return credentials, nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return Credentials{}, e
	}
	return Credentials{}, &Error{Action: actionCredentials, Class: Unauthenticated, Message: "no credentials can be had", Cause: err}
}

// noteRefusal lets a provider that caches know that its credentials are not
// taken any more.
func (id *Identity) noteRefusal(credentials Credentials, err *Error) {
	if cached, ok := id.provider.(interface{ refused(Credentials) }); ok && err.Class == Unauthenticated {
		cached.refused(credentials)
	}
}
