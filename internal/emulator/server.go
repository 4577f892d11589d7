// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is the cloud: all accounts on all regions. It is safe for concurrent use.
type Server struct {
	options Options
	clock   Clock
	// ctx ends latencies and hangs when the server closes.
	ctx   context.Context
	close context.CancelFunc

	mu       sync.Mutex
	random   *rand.Rand
	accounts map[string]*account
	keys     map[string]*accessKey
	roles    map[string]roleOf
	nonces   nonces
	gauges   map[gaugeKey]*gauge
	faults   []*activeFault
	faultIDs int
	journal  []*Call
	received int64
	lastIDs  map[string]int64 // by region
	uploads  int64
	// services are the actions of each other product that is served.
	services map[string][]string
	guard    func(accountID, region string, certID int64) string
	keysSent int
}

type gaugeKey struct{ account, region, product, action string }

type roleOf struct {
	Role
	account *account
}

// account is what one account holds.
type account struct {
	id string
	// shelves holds the certificates of each region.
	shelves map[string]*shelf
	// names holds each name that is taken.
	names map[nameKey]hold
}

// New returns a cloud without certificates. Close ends what it still does.
func New(options Options) *Server {
	s := &Server{
		options:  options,
		clock:    options.Clock,
		random:   rand.New(rand.NewPCG(uint64(options.Seed), 0)), //nolint:gosec // ids and latencies, no secrets
		accounts: map[string]*account{},
		keys:     map[string]*accessKey{},
		roles:    map[string]roleOf{},
		lastIDs:  firstIDs(options.SameCertIDs),
		services: map[string][]string{},
	}
	if s.clock == nil {
		s.clock = systemClock{}
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	for _, a := range options.Accounts {
		s.addAccount(a)
	}
	s.clear()
	return s
}

func (s *Server) addAccount(a Account) {
	owner := s.accounts[a.ID]
	if owner == nil {
		owner = &account{id: a.ID}
		s.accounts[a.ID] = owner
	}
	if a.AccessKeyID != "" {
		s.keys[a.AccessKeyID] = &accessKey{id: a.AccessKeyID, secret: seal(string(a.AccessKeySecret)), account: owner}
	}
	for _, role := range a.Roles {
		s.roles[role.RoleARN] = roleOf{role, owner}
	}
}

// clear empties every account; the caller holds the lock or the only reference.
func (s *Server) clear() {
	for _, a := range s.accounts {
		a.names = map[nameKey]hold{}
		a.shelves = map[string]*shelf{}
		for _, region := range Regions {
			a.shelves[region] = &shelf{}
		}
	}
	s.gauges = map[gaugeKey]*gauge{}
	s.faults, s.journal, s.received, s.keysSent = nil, nil, 0, 0
}

// Reset removes all certificates, faults, counters and the journal. Accounts,
// sessions of roles and used nonces stay, and no CertId comes twice.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

// Close ends latencies and hangs, so that an HTTP server in front of it can stop.
func (s *Server) Close() { s.close() }

// Format implements fmt.Formatter: a server holds secrets and shows nothing.
func (s *Server) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "emulator.Server") }

// Handler serves CAS of one region, and STS, which is one for both regions. It panics
// for a region that is not in Regions.
func (s *Server) Handler(region string) http.Handler {
	if !slices.Contains(Regions, region) {
		panic("emulator: no such region: " + region)
	}
	return s.handler(door{region: region, actions: actions, style: rpc{}})
}

func (s *Server) handler(d door) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, d) })
}

// door is what one endpoint serves.
type door struct {
	region  string
	actions map[string]action
	style   style
}

// product is what an action belongs to.
type product struct {
	// name is that of a Service; empty for CAS and STS.
	name string
	// code is what the gateway calls it, and permission what RAM does.
	code, permission string
	version          string
	host             func(region string) string
	// regions are those of a Service.
	regions []string
}

var cas = &product{code: "cas", permission: "yundun-cert", version: "2020-04-07", host: func(region string) string {
	if region == RegionInternational {
		return "cas.ap-southeast-1.aliyuncs.com"
	}
	return "cas.aliyuncs.com"
}}

var sts = &product{code: "Sts", permission: "sts", version: "2015-04-01", host: func(string) string { return "sts.aliyuncs.com" }}

// action is one call of the interface.
type action struct {
	product *product
	// unsigned calls carry a token in place of a signature.
	unsigned bool
	limit    func(Options) int
	// per is the time to which the limit applies; 0 is a second.
	per time.Duration
	// subject and resource are what the call is about, and its ARN; nil where it has none.
	subject, resource func(*invocation) string
	// needs are the further permissions of ServiceAction; nil where there are none.
	needs func(*invocation) []string
	run   func(*Server, *invocation) (any, *failure)
	// parameters are those beside the common ones.
	parameters []string
	// takesKey is that of ServiceAction.
	takesKey bool
}

// commonParameters may come with every call (F70).
var commonParameters = []string{
	"Action", "Version", "Format", "AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureType",
	"SignatureNonce", "Timestamp", "RegionId", "SecurityToken",
}

// knows reports whether a call may carry a parameter. The cloud may ignore others (F76);
// here they are refused, so that a misspelt one does not go unnoticed.
func (a action) knows(parameter string) bool {
	return slices.Contains(commonParameters, parameter) || slices.Contains(a.parameters, withoutNumbers(parameter)) ||
		strings.HasPrefix(parameter, "Tags.") && slices.Contains(a.parameters, "Tags")
}

func limit(configured, documented int) int {
	if configured == 0 {
		return documented
	}
	return configured
}

func noLimit(Options) int       { return -1 }
func detailLimit(o Options) int { return limit(o.DetailLimit, 100) }

// actions are the calls of the interface, with the documented limits per second (F28).
// That of GetCertificateDetail is a guess.
var actions = map[string]action{
	"UploadUserCertificate": {
		product: cas, limit: func(o Options) int { return limit(o.UploadLimit, 100) }, run: (*Server).upload,
		// ClientToken makes nothing idempotent (F6), so it is taken and ignored.
		parameters: []string{
			"Name", "Cert", "Key", "EncryptCert", "EncryptPrivateKey", "SignCert", "SignPrivateKey",
			"ResourceGroupId", "Tags", "ClientToken",
		},
	},
	"ListUserCertificateOrder": {
		product: cas, limit: func(o Options) int { return limit(o.ListLimit, 10) }, run: (*Server).list,
		parameters: []string{"OrderType", "Status", "Keyword", "CurrentPage", "ShowSize", "ResourceGroupId"},
	},
	"DeleteUserCertificate": {
		product: cas, limit: func(o Options) int { return limit(o.DeleteLimit, 100) }, run: (*Server).delete,
		parameters: []string{"CertId"},
	},
	"GetUserCertificateDetail": {
		product: cas, limit: detailLimit, run: (*Server).userCertificateDetail,
		parameters: []string{"CertId", "CertFilter"},
	},
	"GetCertificateDetail": {
		product: cas, limit: detailLimit, run: (*Server).certificateDetail,
		parameters: []string{"CertificateId"},
	},
	"GetCallerIdentity": {product: sts, limit: noLimit, run: (*Server).callerIdentity},
	"AssumeRoleWithOIDC": {
		product: sts, limit: noLimit, unsigned: true, run: (*Server).assumeRoleWithOIDC,
		parameters: []string{"DurationSeconds", "OIDCProviderArn", "OIDCToken", "Policy", "RoleArn", "RoleSessionName"},
	},
}

// invocation is one call on its way.
type invocation struct {
	style                  style
	region, method, action string
	// spec describes the action; nil for one that does not exist.
	spec       *action
	parameters map[string]string
	// rest is what a call has that is not all parameters; nil for any other.
	rest      *restCall
	principal principal
	requestID string
	// subject is what the call is about: the name to upload under, or the resource.
	subject string
	faults  []Fault
	entry   *Call
}

// product returns what the call is of: a call that does not exist is one of CAS.
func (i *invocation) product() *product {
	if i.spec == nil {
		return cas
	}
	return i.spec.product
}

// account returns the account whose key signed the call.
func (i *invocation) account() *account { return i.principal.account }

// shelf returns the certificates of that account at the region that was called.
func (i *invocation) shelf() *shelf { return i.account().shelves[i.region] }

// answer carries out one call up to its answer.
func (s *Server) answer(ctx context.Context, i *invocation) reply {
	s.pause(s.options.LatencyBefore)
	failed := i.style.accept(s, i)
	if failed == nil {
		failed = s.authorize(i)
	}
	if failed == nil {
		failed = s.admit(i)
	}
	if failed != nil {
		return s.refuse(i, failed)
	}
	if r, done := s.failBefore(ctx, i); done {
		return r
	}
	value, failed := i.spec.run(s, i)
	r := s.answerOr(i, value, failed)
	if r.failed == nil {
		s.note(i.entry, func(c *Call) { c.Decided = s.clock.Now() })
	}
	r = s.failAfter(ctx, i, r)
	s.pause(s.options.LatencyAfter)
	return r
}

// accept verifies that the call exists and who makes it.
func (rpc) accept(s *Server, i *invocation) *failure {
	p := i.parameters
	switch {
	case i.action == "":
		return fail("MissingParameter", "Action is mandatory for this action.")
	case i.spec == nil:
		return fail("InvalidAction.NotFound")
	case p["Version"] != i.spec.product.version:
		return fail("InvalidVersion")
	// The default of the gateway is XML; the emulator answers in JSON alone.
	case !strings.EqualFold(p["Format"], "JSON"):
		return fail("InvalidParameter", "Only Format=JSON is served here.")
	}
	if i.spec.unsigned {
		return i.spec.refuseUnknown(p)
	}
	who, failed := s.authenticate(i.method, p)
	if failed != nil {
		return failed
	}
	i.principal = who
	s.note(i.entry, func(c *Call) { c.Account = who.account.id })
	// A call that names the other region is refused, which is a guess (F76):
	// a client that mixes up the two would find no certificate of its own here (F9).
	if i.spec.product != sts && (i.region == "" || p["RegionId"] != i.region) {
		return fail("InvalidRegionId")
	}
	return i.spec.refuseUnknown(p)
}

func (a action) refuseUnknown(p map[string]string) *failure {
	for name := range p {
		if !a.knows(name) {
			return fail("InvalidParameter", "A parameter is unknown to this action.")
		}
	}
	return nil
}

// admit counts the call, throttles it, and picks the faults that it meets.
func (s *Server) admit(i *invocation) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	g := s.gauge(i)
	if !g.admit(now, i.spec.limit(s.options), s.options.CountThrottled) {
		f := i.style.fail("Throttling.User")
		f.timeLeft, f.limit = g.timeLeft(now), i.spec.limit(s.options)
		return f
	}
	i.faults = s.matchFaults(i)
	return nil
}

// gauge returns the counters of a call; the caller holds the lock.
func (s *Server) gauge(i *invocation) *gauge {
	key := gaugeKey{region: i.region, product: i.product().name, action: i.action}
	if i.principal.account != nil {
		key.account = i.principal.account.id
	}
	if s.options.LimitsSharedAcrossRegions {
		key.region = ""
	}
	g := s.gauges[key]
	if g == nil {
		g = &gauge{outcomes: map[string]int{}}
		g.counted.span = i.spec.per
		s.gauges[key] = g
	}
	return g
}

// pause sleeps for a latency, whatever the client does meanwhile.
func (s *Server) pause(l Latency) {
	d := l.Base
	if l.Jitter > 0 {
		s.mu.Lock()
		d += time.Duration(s.random.Int64N(2*int64(l.Jitter)+1)) - l.Jitter
		s.mu.Unlock()
	}
	if d > 0 {
		_ = s.clock.Sleep(s.ctx, d)
	}
}

// commit notes that a call changed the account; the caller holds the lock.
func (i *invocation) commit(now time.Time, r *record) {
	i.entry.Committed, i.entry.Decided = true, now
	i.entry.CertID, i.entry.Name = r.CertID, r.Name
}
