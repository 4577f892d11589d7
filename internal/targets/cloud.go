// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Config configures a Cloud. The zero value works against the real cloud.
type Config struct {
	// Endpoints are URLs by what ParseEndpoint returns: a product, or a product and a region.
	Endpoints map[string]string
}

// Cloud is what all adapters of a process share: endpoints and limits. It is safe for
// concurrent use.
type Cloud struct {
	caller    *alibaba.Caller
	endpoints map[string]string

	mu       sync.Mutex
	began    time.Time // see Begin; zero before
	limiters map[limit]*ratelimit.Limiter
}

// limit says whose limit it is: an account's in a region, for one action. Until the account is
// known it is the credential's.
type limit struct {
	account, credential string
	product             Product
	region              string
	action              alibaba.Action
}

// New checks the configuration and makes a Cloud that calls by the caller. Nothing is called.
func New(caller *alibaba.Caller, config Config) (*Cloud, error) {
	c := &Cloud{caller: caller, endpoints: map[string]string{}, limiters: map[limit]*ratelimit.Limiter{}}
	for key, raw := range config.Endpoints {
		if _, _, err := ParseEndpoint(key + "=" + raw); err != nil {
			return nil, err
		}
		endpoint, err := alibaba.CheckEndpoint(raw)
		if err != nil {
			return nil, fmt.Errorf("endpoint of %s: %w", key, err)
		}
		c.endpoints[key] = endpoint
	}
	return c, nil
}

// ParseEndpoint parses a flag "<product>[/<region>]=URL". The URL is https, or http on a
// loopback address, and is a host with an optional port.
func ParseEndpoint(flag string) (key, endpoint string, err error) {
	key, raw, found := strings.Cut(flag, "=")
	name, region, regional := strings.Cut(key, "/")
	if _, ok := table[Product(name)]; !found || !ok {
		return "", "", fmt.Errorf("unknown product %q: want <product>[/<region>]=URL with one of %s", name, joinNames())
	}
	if regional && (region == "" || strings.Contains(region, "/")) {
		return "", "", fmt.Errorf("unknown region %q of product %q", region, name)
	}
	endpoint, err = alibaba.CheckEndpoint(raw)
	if err != nil {
		return "", "", err
	}
	return key, endpoint, nil
}

func joinNames() string {
	var names []string
	for _, name := range Names() {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// Adapter returns the adapter of a product that acts with a credential, on behalf of a tenant with
// whom others share the limits in turns. It is cheap enough for every reconcile: limits are kept
// here, and forgotten an hour after their last use.
func (c *Cloud) Adapter(name Product, p alibaba.Provider, tenant string, urgency ratelimit.Urgency) (Adapter, error) {
	product, ok := table[name]
	if !ok {
		return nil, fmt.Errorf("unknown product %q: use one of %s", name, joinNames())
	}
	if p == nil {
		return nil, alibaba.NoCredentials("no provider")
	}
	identity, isNew := c.caller.Identity(p)
	if isNew {
		c.dropIdle()
	}
	return product.adapter(&session{cloud: c, product: product, identity: identity, tenant: tenant, urgency: urgency}), nil
}

// Begin says that calls may be made from now on, and that another process may have made some
// until now: none is sent for a second. Without it that second begins with the first call.
func (c *Cloud) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin()
}

// c.mu is held.
func (c *Cloud) begin() time.Time {
	if c.began.IsZero() {
		c.began = c.caller.Clock().Now()
	}
	return c.began
}

// limiterFor returns the limiter of an action. As soon as the account of a credential is known,
// what was kept for the credential alone moves to the account.
func (c *Cloud) limiterFor(s *session, region string, action alibaba.Action) *ratelimit.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	rate, ok := s.product.rates[action]
	if !ok {
		return nil
	}
	key := limit{credential: s.identity.Credential(), product: s.product.name, region: region, action: action}
	if account := s.identity.KnownAccount(); account != "" {
		before := key
		key.account, key.credential = account, ""
		c.move(before, key)
	}
	l := c.limiters[key]
	if l == nil {
		l = ratelimit.New(c.caller.Clock(), rate, c.begin().Add(ratelimit.QuietStart))
		c.limiters[key] = l
	}
	return l
}

// move hands what one limiter knows to another. c.mu is held.
func (c *Cloud) move(before, after limit) {
	from := c.limiters[before]
	if from == nil {
		return
	}
	delete(c.limiters, before)
	if to := c.limiters[after]; to != nil {
		from.MergeInto(to)
		return
	}
	c.limiters[after] = from
}

// dropIdle forgets limiters that nobody has used for an hour.
func (c *Cloud) dropIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	past := c.caller.Clock().Now().Add(-alibaba.IdleAfter)
	maps.DeleteFunc(c.limiters, func(_ limit, l *ratelimit.Limiter) bool { return l.IdleSince().Before(past) })
}

// session is one product with one credential.
type session struct {
	cloud    *Cloud
	product  *product
	identity *alibaba.Identity
	tenant   string
	urgency  ratelimit.Urgency
}

// nextHorizon is how far ahead a method reserves from its second call on: it would otherwise
// throw away the answers that it has.
const nextHorizon = 2 * time.Second

// endpoint returns the URL for a region of the target's, and the region that calls name.
func (s *session) endpoint(region string) (url, named string, failure *Error) {
	if region == "" {
		region = s.product.home
	}
	for _, key := range []string{string(s.product.name) + "/" + region, string(s.product.name)} {
		if url, ok := s.cloud.endpoints[key]; ok {
			return url, region, nil
		}
	}
	url, ok := s.product.hosts[region]
	if !ok {
		return "", "", &Error{Class: Refused, Message: fmt.Sprintf(
			"no endpoint of %s is known in region %q: check the region, or name the endpoint with --target-endpoint=%s/%s=https://…",
			s.product.called, region, s.product.name, region)}
	}
	return url, region, nil
}

// call sends one call of the product about a target. Further calls of the same method are begun,
// and wait longer for their place.
func call[T any](ctx context.Context, s *session, t Target, action alibaba.Action, begun bool, params map[string]string) (*T, *Error) {
	url, region, failure := s.endpoint(t.Region)
	if failure != nil {
		return nil, failure
	}
	ctx, cancel := context.WithTimeout(ctx, alibaba.CallTimeout)
	defer cancel()
	answer, failed := paced[T](ctx, s, begun, alibaba.Call{
		Service: string(s.product.name), Action: action, Version: s.product.version, Endpoint: url, Region: region, Params: params,
		Permission: s.product.permission + ":" + string(action), Codes: s.product.codes,
	})
	if failed != nil {
		return nil, s.fail(t, failed)
	}
	return answer, nil
}

// paced sends a call at its place in the pace of its action. The credentials come before the
// place is used, because a provider may have to call STS.
func paced[T any](ctx context.Context, s *session, begun bool, c alibaba.Call) (*T, *alibaba.Error) {
	slot, failure := s.reserve(ctx, c, begun)
	if failure != nil {
		return nil, failure
	}
	credentials, failure := s.identity.Credentials(ctx)
	var sent time.Time
	if failure == nil {
		sent, failure = wait(ctx, slot, c.Action)
	}
	if failure != nil {
		slot.GiveBack()
		return nil, failure
	}
	c.Written = func() { slot.Written(sent) }
	answer, failure := alibaba.Send[T](ctx, s.identity, credentials, c)
	if failure == nil {
		return answer, nil
	}
	if failure.Class == alibaba.Throttled {
		failure.RetryAfter = slot.Throttled(sent, failure.RetryAfter)
	}
	return nil, failure
}

func (s *session) reserve(ctx context.Context, c alibaba.Call, begun bool) (*ratelimit.Slot, *alibaba.Error) {
	if ctx.Err() != nil {
		return nil, alibaba.GivenUp(ctx, c.Action)
	}
	limiter := s.cloud.limiterFor(s, c.Region, c.Action)
	if limiter == nil {
		return nil, &alibaba.Error{Action: c.Action, Message: "the action has no limiter"}
	}
	horizon := s.urgency.Horizon()
	if begun {
		horizon = nextHorizon
	}
	slot, retryAfter := limiter.Reserve(s.tenant, s.urgency, horizon)
	if slot == nil || !slot.Take() {
		return nil, &alibaba.Error{Action: c.Action, Class: alibaba.Throttled, RetryAfter: retryAfter, Message: "the account's limit is in use"}
	}
	return slot, nil
}

func wait(ctx context.Context, slot *ratelimit.Slot, action alibaba.Action) (time.Time, *alibaba.Error) {
	sent, err := slot.Wait(ctx)
	if err == nil {
		return sent, nil
	}
	if paused, ok := errors.AsType[*ratelimit.PausedError](err); ok {
		return time.Time{}, &alibaba.Error{Action: action, Class: alibaba.Throttled, RetryAfter: paused.RetryAfter, Message: paused.Error()}
	}
	return time.Time{}, alibaba.GivenUp(ctx, action)
}

// progressHint is when a resource that is being changed is worth another read (T9).
const progressHint = 2 * time.Second

// fail makes an error of the package from the failure of a call.
func (s *session) fail(t Target, failed *alibaba.Error) *Error {
	e := &Error{Class: s.classOf(failed), RetryAfter: failed.RetryAfter, Cause: failed}
	e.Message = string(failed.Action) + ": " + failed.Summary()
	switch e.Class {
	case Progressing:
		e.RetryAfter = max(e.RetryAfter, progressHint)
	case TargetNotFound:
		e.Message = fmt.Sprintf("%s does not exist in this account: %s", t, e.Message)
	case CertificateNotFound:
		e.Message = s.product.called + " does not find the certificate in CAS: it may have been deleted, or be in the other region: " + e.Message
	case QuotaExceeded:
		e.Limit = s.product.quota
		if s.product.raise != "" {
			e.Message += ": " + s.product.raise
		}
	case Denied:
		e.Permission = failed.Permission
	case Transient, Throttled, Refused, Unauthenticated, InUse:
	}
	return e
}

func (s *session) classOf(failed *alibaba.Error) Class {
	switch failed.Class {
	case alibaba.Busy:
		return Progressing
	case alibaba.Throttled:
		return Throttled
	case alibaba.NotFound:
		if is(failed, s.product.noCertificate...) {
			return CertificateNotFound
		}
		return TargetNotFound
	case alibaba.Refused, alibaba.NameTaken:
		return Refused
	case alibaba.Denied:
		return Denied
	case alibaba.Quota:
		return QuotaExceeded
	case alibaba.Unauthenticated:
		return Unauthenticated
	case alibaba.DeleteProtected:
		return InUse
	case alibaba.Transient:
	}
	return Transient
}

// is reports whether a failure has one of the codes. Case is ignored (T8).
func is(err error, codes ...string) bool {
	failed, ok := errors.AsType[*alibaba.Error](err)
	return ok && slices.ContainsFunc(codes, func(code string) bool { return code != "" && strings.EqualFold(code, failed.Code) })
}
