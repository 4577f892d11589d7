// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// accountTimeout is short because an upload may be waiting for the answer.
	accountTimeout = 2 * time.Second
	// accountRetry is how long a failure to learn the account is remembered.
	accountRetry = time.Minute
)

// identity is what is known about one credential: whose account it is of. It is
// shared by the clients of all sites.
type identity struct {
	provider Provider
	account  atomic.Pointer[string] // set once, under Cloud.mu
	used     time.Time              // under Cloud.mu

	mu     sync.Mutex
	flight chan struct{} // closed when the running attempt ends; nil: none runs
	failed time.Time
	err    *Error
}

// identityOf returns what is known about a provider's credential.
func (c *Cloud) identityOf(p Provider) *identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.identities[p.ID()]
	if !ok {
		c.dropIdle()
		id = &identity{provider: p}
		c.identities[p.ID()] = id
	}
	id.used = c.clock.Now()
	return id
}

func (id *identity) knownAccount() string {
	if account := id.account.Load(); account != nil {
		return *account
	}
	return ""
}

// budget returns whose limits apply to calls at the site.
func (id *identity) budget(site string) budget {
	if account := id.knownAccount(); account != "" {
		return budget{account: account, site: site}
	}
	return budget{provider: id.provider.ID(), site: site}
}

// learnAccount asks STS whose credential it is, once: callers at the same time
// share one attempt, and a failure is remembered for a minute.
func (c *Cloud) learnAccount(ctx context.Context, id *identity) (string, error) {
	if account := id.knownAccount(); account != "" {
		return account, nil
	}
	flight, err := c.startLearning(id)
	if err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", newContextError(ctx, actionCallerIdentity)
	case <-flight:
	}
	if account := id.knownAccount(); account != "" {
		return account, nil
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	return "", id.err
}

func (c *Cloud) startLearning(id *identity) (chan struct{}, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.flight != nil {
		return id.flight, nil
	}
	if until := id.failed.Add(accountRetry); id.err != nil && c.clock.Now().Before(until) {
		remembered := *id.err
		remembered.RetryAfter = until.Sub(c.clock.Now())
		return nil, &remembered
	}
	before := ""
	if id.err != nil {
		before = id.err.Summary()
	}
	done := make(chan struct{})
	id.flight = done
	// On a context of its own: a caller that gives up must not fail the others.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), accountTimeout)
		defer cancel()
		account, err := c.callerIdentity(ctx, id.provider, before)
		if err == nil {
			c.accountKnown(id, account)
		}
		id.mu.Lock()
		id.flight, id.err, id.failed = nil, err, c.clock.Now()
		id.mu.Unlock()
		close(done)
	}()
	return done, nil
}

// callerIdentity calls GetCallerIdentity, which needs no permission (F34).
func (c *Cloud) callerIdentity(ctx context.Context, p Provider, before string) (string, *Error) {
	credentials, err := retrieve(ctx, p)
	if err != nil {
		return "", err
	}
	request := &callerIdentityRequest{newRPC("Sts", stsVersion, actionCallerIdentity)}
	form, signErr := sign(request, SiteChina, credentials)
	if signErr != nil {
		return "", &Error{Action: actionCallerIdentity, Message: "the request cannot be signed", cause: signErr}
	}
	answer, err := send[callerIdentityAnswer](ctx, c, exchange{
		action: actionCallerIdentity, endpoint: c.stsEndpoint, form: form, secrets: credentials.secrets(), before: before,
	})
	if err != nil {
		noteRefusal(p, credentials, err)
		return "", err
	}
	return string(answer.AccountID), nil
}
