// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is another product behind the same gateway: its calls are signed, counted,
// throttled, journaled and struck by faults like those of CAS. What they do is the
// service's own.
type Service struct {
	// Name stands in the journal, in counters, and in faults that select by it: "alb".
	Name string
	// Code is what the gateway calls the product, Permission what stands before the colon of
	// its RAM actions, Version the version of its interface.
	Code, Permission, Version string
	// Host returns the name of the host that serves a region.
	Host func(region string) string
	// Regions are those in which the product is there.
	Regions []string
	// Actions are its calls, by their names.
	Actions map[string]ServiceAction
	// Route, if set, says which action a method and a path name, and the parameters that the
	// path holds; no action is one that does not exist. Calls are then signed with version 3 and
	// have a body of JSON, which is the parameter Body. They name no region.
	Route func(method, path string) (action string, parameters map[string]string)
	// Buckets, if set, says which action a method and a query name of a bucket; no action is one
	// that does not exist. Calls are then those of OSS: signed with its signature version 4, with
	// the parameters Bucket and Body, and their answers are in XML.
	Buckets func(method string, query url.Values) (action string)
}

// ServiceAction is one call of a service.
type ServiceAction struct {
	// Parameters are those beside the common ones. N stands for a number from 1 on in a list:
	// Certificates.N.CertificateId. Any other parameter is refused.
	Parameters []string
	// Limit bounds the calls of one account and region in any half-open Per, a second by
	// default; 0 is none.
	Limit int
	Per   time.Duration
	// TakesKey says that a private key is part of the call.
	TakesKey bool
	// Subject is what the call is about, for the journal and for faults: "lsn-1".
	Subject func(*ServiceCall) string
	// Resource returns the ARN that a policy has to allow the action on.
	Resource func(*ServiceCall) string
	// Needs, if set, returns further permissions, on all resources, that the call takes.
	Needs func(*ServiceCall) []string
	// Run carries the call out and returns the answer without its RequestId.
	Run func(*ServiceCall) (map[string]any, *Refusal)
	// Document is Run of a service with Buckets: the answer is written as XML, and nil is one
	// without a body.
	Document func(*ServiceCall) (any, *Refusal)
}

// Refusal is an answer of a service that is an error. Its message must not repeat a secret.
type Refusal struct {
	Status        int
	Code, Message string
	// EC is the finer code that OSS has for an error, and Fields are further elements of it.
	EC     string
	Fields []Field
}

// Field is an element of an error in XML.
type Field struct{ Name, Value string }

// Refuse returns a refusal with the status 400 that most failures have.
func Refuse(code, message string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: code, Message: message}
}

func (r *Refusal) failure() *failure {
	if r == nil {
		return nil
	}
	return &failure{code: r.Code, message: r.Message, status: r.Status, ec: r.EC, fields: r.Fields}
}

// ServiceCall is one call of a service on its way.
type ServiceCall struct {
	// Account is who signed, Region the one that was called.
	Account, Region string
	// Parameters are all that were sent.
	Parameters map[string]string

	server     *Server
	invocation *invocation
}

// List returns the values of a list that counts from 1 without gaps: those of
// <name>.1<suffix>, <name>.2<suffix> and so on.
func (c *ServiceCall) List(name, suffix string) []string {
	var values []string
	for {
		value, ok := c.Parameters[name+"."+strconv.Itoa(len(values)+1)+suffix]
		if !ok {
			return values
		}
		values = append(values, value)
	}
}

// Committed notes that the call changed something.
func (c *ServiceCall) Committed() {
	c.server.note(c.invocation.entry, func(entry *Call) { entry.Committed = true })
}

// Fault returns the fault of this kind that the call meets, if it does.
func (c *ServiceCall) Fault(kind FaultKind) (Fault, bool) {
	at := slices.IndexFunc(c.invocation.faults, func(f Fault) bool { return f.Kind == kind })
	if at < 0 {
		return Fault{}, false
	}
	return c.invocation.faults[at], true
}

// Serve adds a service to the cloud and returns what serves it in a region. Where the region
// is empty, that is each region of the service, as the call names it; so one address can
// stand for all of them. It panics for a region that the service does not have.
func (s *Server) Serve(service *Service, region string) http.Handler {
	if region != "" && !slices.Contains(service.Regions, region) {
		panic("emulator: " + service.Name + " is not in region " + region)
	}
	p := &product{
		name: service.Name, code: service.Code, permission: service.Permission, version: service.Version,
		host: service.Host, regions: service.Regions,
	}
	d := door{region: region, actions: map[string]action{}, style: service.style()}
	for name, a := range service.Actions {
		d.actions[name] = s.serviceAction(p, a)
	}
	s.mu.Lock()
	s.services[service.Name] = slices.Sorted(maps.Keys(service.Actions))
	s.mu.Unlock()
	return s.handler(d)
}

// style returns how the calls of the service are written.
func (s *Service) style() style {
	switch {
	case s.Route != nil:
		return rest{route: s.Route}
	case s.Buckets != nil:
		return oss{identify: s.Buckets}
	}
	return rpc{}
}

func (s *Server) serviceAction(p *product, a ServiceAction) action {
	limit := a.Limit
	if limit == 0 {
		limit = -1
	}
	call := func(i *invocation) *ServiceCall {
		c := &ServiceCall{Region: i.region, Parameters: i.parameters, server: s, invocation: i}
		if i.principal.account != nil {
			c.Account = i.account().id
		}
		return c
	}
	return action{
		product: p, parameters: a.Parameters, per: a.Per, takesKey: a.TakesKey,
		limit:   func(Options) int { return limit },
		subject: func(i *invocation) string { return a.Subject(call(i)) },
		resource: func(i *invocation) string {
			return a.Resource(call(i))
		},
		needs: func(i *invocation) []string {
			if a.Needs == nil {
				return nil
			}
			return a.Needs(call(i))
		},
		run: func(_ *Server, i *invocation) (any, *failure) {
			if a.Document != nil {
				document, refused := a.Document(call(i))
				return document, refused.failure()
			}
			answer, refused := a.Run(call(i))
			if refused != nil {
				return nil, refused.failure()
			}
			if i.rest == nil { // of calls by path it is in a header, but for failures
				answer["RequestId"] = i.requestID
			}
			return answer, nil
		},
	}
}

// listed matches the number of a parameter of a list.
var listed = regexp.MustCompile(`\.[1-9][0-9]*(\.|$)`)

// withoutNumbers puts N in the place of the numbers of a list.
func withoutNumbers(parameter string) string { return listed.ReplaceAllString(parameter, ".N$1") }

// keyParameters carry a private key in one of the products.
var keyParameters = []string{"SSLPri", "PrivateKey", "Key", "CertificatePrivateKey", "EncryptPrivateKey", "SignPrivateKey"}

// holdsKey reports whether a call carries a private key, under whatever name.
func holdsKey(parameters map[string]string) bool {
	for name, value := range parameters {
		if value != "" && slices.Contains(keyParameters, name) || strings.Contains(value, "PRIVATE KEY") || strings.Contains(value, "<PrivateKey") {
			return true
		}
	}
	return false
}

// KeysSent returns how many calls of other products than CAS carried a private key, but for those
// that take one: they name a certificate by its id, and nothing of it has to travel again.
func (s *Server) KeysSent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keysSent
}

// Now returns the time of the cloud.
func (s *Server) Now() time.Time { return s.clock.Now() }

// FindCertificate returns a certificate of an account in a region of CAS.
func (s *Server) FindCertificate(accountID, region string, certID int64) (Certificate, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[accountID]
	if a == nil || a.shelves[region] == nil {
		return Certificate{}, false
	}
	r := a.shelves[region].find(certID)
	if r == nil {
		return Certificate{}, false
	}
	c := r.Certificate
	c.SANs, c.Tags = slices.Clone(c.SANs), maps.Clone(c.Tags)
	return c, true
}

// HasAccount reports whether there is an account.
func (s *Server) HasAccount(accountID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[accountID] != nil
}

// GuardDeletions makes calls that delete a certificate ask first: a code that is not empty is
// their answer. It is how other products can protect what they use.
func (s *Server) GuardDeletions(guard func(accountID, region string, certID int64) (code string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard = guard
}

// guarded returns the code that a guard has for the deletion of a certificate. It is asked
// before the lock is taken, because it may look into the cloud itself.
func (s *Server) guarded(i *invocation, certID int64) string {
	s.mu.Lock()
	guard := s.guard
	s.mu.Unlock()
	if guard == nil {
		return ""
	}
	return guard(i.account().id, i.region, certID)
}
