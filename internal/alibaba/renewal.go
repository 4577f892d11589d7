// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"context"
	"sync"
	"time"
)

const (
	// refreshAhead is how long before their end credentials are renewed: a
	// minute more than the SDK's 180 s would leave no time for a retry.
	refreshAhead = 5 * time.Minute
	// refreshPause is the least time between two attempts to renew, so that a
	// failing STS is not called by every reconcile.
	refreshPause = 5 * time.Second
	// minLifetime keeps credentials that the cloud refuses from being renewed in
	// a loop.
	minLifetime = time.Minute
)

// cachedProvider keeps temporary credentials: one renewal at a time, begun
// before they end and in the background, while the old ones are served until
// they really expire. The SDK's providers do none of this: they do not lock, and
// fail in the last 180 s although the old credentials still work (F57).
type cachedProvider struct {
	id    string
	clock Clock
	fetch func(context.Context) (Credentials, error)
	// observe, if set, is told of every attempt: until when the credentials last, or why
	// there are no new ones.
	observe func(expires time.Time, err error)

	mu      sync.Mutex
	current sealed // the credentials until expires; nil: none yet
	expires time.Time
	fetched time.Time
	tried   time.Time
	err     error         // of the last attempt
	flight  chan struct{} // closed when the running attempt ends; nil: none runs
}

func newCachedProvider(id string, clock Clock, fetch func(context.Context) (Credentials, error)) *cachedProvider {
	return &cachedProvider{id: id, clock: clock, fetch: fetch}
}

func (p *cachedProvider) ID() string { return p.id }

// source is the role's: no other credentials are renewed here.
func (p *cachedProvider) source() string { return SourceRRSA }

// Retrieve returns valid credentials, at once where there are some.
func (p *cachedProvider) Retrieve(ctx context.Context) (Credentials, error) {
	p.mu.Lock()
	now := p.clock.Now()
	valid := p.current != nil && now.Before(p.expires)
	if !valid || now.After(p.refreshTime()) {
		p.startRefresh(now)
	}
	if valid {
		defer p.mu.Unlock()
		return p.current(), nil
	}
	flight := p.flight
	if flight == nil {
		defer p.mu.Unlock()
		return Credentials{}, p.err
	}
	p.mu.Unlock()

	select {
	case <-ctx.Done():
		return Credentials{}, GivenUp(ctx, actionCredentials)
	case <-flight:
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && p.clock.Now().Before(p.expires) {
		return p.current(), nil
	}
	if p.err != nil {
		return Credentials{}, p.err
	}
	return Credentials{}, &Error{Action: actionCredentials, Class: Unauthenticated, Message: "the credentials have expired"}
}

// refreshTime is when the current credentials are to be renewed: some minutes
// before they end, or after three quarters of a short life.
func (p *cachedProvider) refreshTime() time.Time {
	life := p.expires.Sub(p.fetched)
	return p.expires.Add(-min(refreshAhead, life/4))
}

// startRefresh begins an attempt unless one runs or the last one just ended. It
// runs on a context of its own: a caller that gives up must not fail the others.
func (p *cachedProvider) startRefresh(now time.Time) {
	if p.flight != nil || (!p.tried.IsZero() && now.Before(p.tried.Add(refreshPause))) {
		return
	}
	done := make(chan struct{})
	p.flight = done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
		defer cancel()
		fresh, err := p.fetch(ctx)
		err = p.finishRefresh(fresh, err)
		if p.observe != nil {
			p.observe(fresh.Expiration, err)
		}
		close(done)
	}()
}

// finishRefresh keeps what an attempt came to, and returns why that is nothing.
func (p *cachedProvider) finishRefresh(fresh Credentials, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if err == nil && !now.Before(fresh.Expiration) {
		err = &Error{
			Action: actionAssumeRole, Class: Unauthenticated,
			Message: "STS answered with credentials that have expired; is the clock right?",
		}
	}
	p.flight, p.err, p.tried = nil, err, now
	if err != nil {
		return err
	}
	p.current, p.expires, p.fetched, p.tried = seal(fresh), fresh.Expiration, now, time.Time{}
	return nil
}

// refused says that the cloud does not take these credentials any more: they
// were revoked, its clock is ahead of ours, or key and token do not belong together.
// The next Retrieve asks for others.
func (p *cachedProvider) refused(c Credentials) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return
	}
	if current := p.current(); current.AccessKeyID != c.AccessKeyID || current.SecurityToken != c.SecurityToken {
		return
	}
	if now := p.clock.Now(); !now.Before(p.fetched.Add(minLifetime)) {
		p.current = nil
	}
}
