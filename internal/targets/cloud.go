// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/gate"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Config configures a Cloud. The zero value works against the real cloud.
type Config struct {
	// Endpoints are URLs by what ParseEndpoint returns: a product, or a product and a region.
	Endpoints map[string]string
	// Workers are those who call at the same time; default 60. A product that does not answer in
	// a region may occupy a quarter of them.
	Workers int
}

// defaultWorkers is the default of Config.Workers.
const defaultWorkers = 60

// Cloud is what all adapters of a process share: endpoints and gates. It is safe for
// concurrent use.
type Cloud struct {
	caller    *alibaba.Caller
	endpoints map[string]string
	gates     *gate.Gates[struct{}]
}

// New checks the configuration and makes a Cloud that calls by the caller. Nothing is called.
func New(caller *alibaba.Caller, config Config) (*Cloud, error) {
	c := &Cloud{caller: caller, endpoints: map[string]string{}, gates: gate.New(gate.Config[struct{}]{
		Clock: caller.Clock(), Workers: cmp.Or(config.Workers, defaultWorkers), Rates: rates,
		Fresh: func() struct{} { return struct{}{} }, Merge: func(_, _ struct{}) {},
	})}
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

const (
	// checks is the pace of reads that check for drift. It is no action of the cloud.
	checks alibaba.Action = "check for drift"
	// checkShare is the part of the reads that it may take.
	checkShare = 0.2
)

// rates are the calls a second of an account at a place, and how many of the reads may be checks.
func rates(p gate.Place) map[alibaba.Action]float64 {
	product := table[Product(p.Service)]
	rates := maps.Clone(product.rates)
	rates[checks] = checkShare * product.rates[product.looks[0]]
	return rates
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
// whom others share the limits in turns. With the urgency Repair it checks for drift: its reads are
// a fifth of all that the limit allows, at most. It is cheap enough for every reconcile: what is known of
// limits is kept here, and forgotten an hour after its last use.
func (c *Cloud) Adapter(name Product, p alibaba.Provider, tenant string, urgency ratelimit.Urgency) (Adapter, error) {
	product, ok := table[name]
	if !ok {
		return nil, fmt.Errorf("unknown product %q: use one of %s", name, joinNames())
	}
	if p == nil {
		return nil, alibaba.NoCredentials("no provider")
	}
	identity, _ := c.caller.Identity(p)
	return product.adapter(&session{cloud: c, product: product, identity: identity, tenant: tenant, urgency: urgency}), nil
}

// Begin says that calls may be made from now on; see gate.Gates.Begin.
func (c *Cloud) Begin() { c.gates.Begin() }

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
	return send[T](ctx, s, t, begun, alibaba.Call{Action: action, Params: params})
}

// send is call for one that is not all parameters.
func send[T any](ctx context.Context, s *session, t Target, begun bool, call alibaba.Call) (*T, *Error) {
	ctx, cancel := context.WithTimeout(ctx, alibaba.CallTimeout)
	defer cancel()
	next, failure := s.reserve(ctx, t, call.Action, begun)
	if failure != nil {
		return nil, failure
	}
	return deliver[T](ctx, s, next, call)
}

// turn is that of one call about a target.
type turn struct {
	target      Target
	url, region string
	way         *gate.Way
	slot        *gate.Slot
}

// reserve takes the turn of a call, which deliver waits for. Who does not deliver releases its slot.
func (s *session) reserve(ctx context.Context, t Target, action alibaba.Action, begun bool) (*turn, *Error) {
	url, region, failure := s.endpoint(t.Region)
	if failure != nil {
		return nil, failure
	}
	way, horizon := s.way(region), s.urgency.Horizon()
	if begun {
		horizon = nextHorizon
	}
	slot, failed := way.Reserve(ctx, action, s.urgency, horizon)
	if looks := !begun && slices.Contains(s.product.looks, action); failed == nil && s.urgency == ratelimit.Repair && looks {
		failed = way.Pass(ctx, checks, s.urgency)
	}
	if failed != nil {
		slot.Release()
		return nil, s.fail(t, failed)
	}
	return &turn{target: t, url: url, region: region, way: way, slot: slot}, nil
}

// deliver sends a call in its turn.
func deliver[T any](ctx context.Context, s *session, next *turn, call alibaba.Call) (*T, *Error) {
	ctx, cancel := context.WithTimeout(ctx, alibaba.CallTimeout)
	defer cancel()
	call.Service, call.Version, call.Endpoint, call.Region = string(s.product.name), s.product.version, next.url, next.region
	call.Permission, call.Codes = s.product.permission+":"+string(call.Action), s.product.codes
	answer, _, failed := gate.Send[T](ctx, next.way, next.slot, call)
	if failed != nil {
		return nil, s.fail(next.target, failed)
	}
	return answer, nil
}

// way is how the session's calls go to a region now: whose limits they are is learned on the way.
func (s *session) way(region string) *gate.Way {
	place := gate.Place{Service: string(s.product.name), Region: region}
	through, _ := s.cloud.gates.Of(s.identity, place)
	return &gate.Way{Gate: through, Place: place, Identity: s.identity, Clock: s.cloud.caller.Clock(), Tenant: s.tenant}
}

// progressHint is when a resource that is being changed is worth another read (T9).
const progressHint = 2 * time.Second

// fail makes an error of the package from the failure of a call.
func (s *session) fail(t Target, failed *alibaba.Error) *Error {
	e := &Error{Class: s.classOf(failed), RetryAfter: failed.RetryAfter, Cause: failed}
	switch e.Class {
	case Progressing:
		e.RetryAfter = max(e.RetryAfter, progressHint)
	case QuotaExceeded:
		e.Limit = s.product.quota
	case Denied:
		e.Permission = failed.Permission
	case Transient, Throttled, TargetNotFound, CertificateNotFound, Refused, Unauthenticated, InUse:
	}
	e.Message, e.brief = s.explain(t, e.Class, failed, failed.Summary()), s.explain(t, e.Class, failed, failed.Brief())
	return e
}

// explain says what a failure means and what to do, around a summary of it.
func (s *session) explain(t Target, class Class, failed *alibaba.Error, summary string) string {
	text := string(failed.Action) + ": " + summary
	switch class {
	case TargetNotFound:
		return fmt.Sprintf("%s does not exist in this account: %s; check spec.target, and of which account the credentials are", t, text)
	case CertificateNotFound:
		return s.product.called + " does not find the certificate in CAS: it may have been deleted, or be in the other region: " + text +
			"; have the CloudCertificate checked by the annotation cloudcert.io/resync"
	case QuotaExceeded:
		return text + ": " + cmp.Or(s.product.raise, "take off what is not needed, or have the quota raised")
	case Denied:
		return text + s.remedy(failed)
	case Unauthenticated:
		return text + "; put a valid access key into the Secret of the credentials, or correct the operator's own"
	case Refused, InUse:
		return text + "; correct the target, or what the binding refers to"
	case Progressing, Transient, Throttled:
	}
	return text
}

// remedy says how to give the permission that a denied call lacks.
func (s *session) remedy(failed *alibaba.Error) string {
	if failed.Denial.Explicit {
		return "; take it out of what that policy denies"
	}
	text := "; grant it by a RAM policy"
	if rights := s.product.rights; len(rights) > 0 {
		text += ", with what else a change needs: " + strings.Join(rights, ", ")
	}
	return text
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
