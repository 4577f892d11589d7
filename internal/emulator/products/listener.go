// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// LoadBalancer is an instance of ALB or NLB.
type LoadBalancer struct {
	// Product is alb or nlb.
	Product string `json:"product"`
	ID      string `json:"id"`
	Account string `json:"account"`
	Region  string `json:"region"`
	// Edition is Basic, Standard (the default) or StandardWithWaf.
	Edition string            `json:"edition,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	// ServiceManaged says that another product of the cloud owns it.
	ServiceManaged bool `json:"serviceManaged,omitempty"`
}

type loadBalancer struct{ LoadBalancer }

// quotas are the additional certificates that all listeners of an instance may have together,
// by edition (T14). That of NLB is not known (T24), and one of ALB's stands for it.
var quotas = map[string]int{"Basic": 10, "Standard": 25, "StandardWithWaf": 25}

// Listener is a listener of a load balancer, as it is made.
type Listener struct {
	ID           string `json:"id"`
	LoadBalancer string `json:"loadBalancer"`
	// Protocol is HTTPS or QUIC for ALB, TCPSSL for NLB; others have no certificates.
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
	// Default and Additional are full identifiers. Those that are not certificates of the
	// account serve nothing.
	Default    string   `json:"default"`
	Additional []string `json:"additional,omitempty"`
}

// listener is a listener as it is kept.
type listener struct {
	Listener
	Account, Region string
	balancer        *loadBalancer

	shown lagging[served]
	// job is the change under way; nil is none.
	job *job
	// failing is how many of the next jobs fail.
	failing int
	rival   *rival
}

// served is what a listener has. It is never changed.
type served struct {
	Status     string
	Default    string
	Additional []additional
}

// additional is an additional certificate.
type additional struct{ ID, Status string }

func (s served) identifiers() []string {
	ids := []string{s.Default}
	for _, a := range s.Additional {
		ids = append(ids, a.ID)
	}
	return ids
}

func (s served) index(id string) int {
	return slices.IndexFunc(s.Additional, func(a additional) bool { return a.ID == id })
}

// with returns s with a status for each of the ids, which are appended where they are not
// there.
func (s served) with(status string, ids ...string) served {
	s.Additional = slices.Clone(s.Additional)
	for _, id := range ids {
		if at := s.index(id); at >= 0 {
			s.Additional[at].Status = status
			continue
		}
		s.Additional = append(s.Additional, additional{id, status})
	}
	return s
}

// without returns s without the ids.
func (s served) without(ids ...string) served {
	s.Additional = slices.DeleteFunc(slices.Clone(s.Additional), func(a additional) bool { return slices.Contains(ids, a.ID) })
	return s
}

const (
	statusRunning     = "Running"
	statusConfiguring = "Configuring"

	associating   = "Associating"
	associated    = "Associated"
	dissociating  = "Dissociating"
	maxPerRequest = 15
)

// job is a change of a listener (T9).
type job struct {
	id, action, listener string
	done                 time.Time
	fails                bool
	before, after        served
}

func (j *job) status(now time.Time) string {
	switch {
	case now.Before(j.done):
		return "Processing"
	case j.fails:
		return "Failed"
	}
	return "Succeeded"
}

// settle ends the job whose time has come, lets a rival act, and returns what is there.
func (l *listener) settle(now time.Time) served {
	for {
		if l.job != nil && !now.Before(l.job.done) {
			after := l.job.after
			if l.job.fails {
				after = l.job.before
			}
			l.shown.set(l.job.done, after)
			l.job = nil
			continue
		}
		if !l.rivalActs(now) {
			return l.shown.now()
		}
	}
}

// begin starts a job that shows during until it is done; c.mu is held.
func (c *Cloud) begin(l *listener, action string, during, after served) string {
	now := c.now()
	j := &job{
		id: c.newID("job"), action: action, listener: l.ID, done: now.Add(c.options.Configuring),
		before: l.shown.now(), after: after, fails: l.failing > 0,
	}
	l.failing = max(0, l.failing-1)
	during.Status = statusConfiguring
	l.shown.set(now, during)
	l.job, c.jobs[j.id] = j, j
	l.settle(now)
	return j.id
}

// dialect is in what ALB and NLB differ.
type dialect struct {
	product string
	// listenerCode and balancerCode are how codes call a listener and an instance (T8).
	listenerCode, balancerCode string
	protocols                  []string
}

func (d dialect) noListener() *emulator.Refusal {
	return &emulator.Refusal{
		Status: http.StatusNotFound, Code: "ResourceNotFound." + d.listenerCode,
		Message: "The specified resource " + d.listenerCode + " is not found.",
	}
}

func noCertificate(id string) *emulator.Refusal {
	return &emulator.Refusal{
		Status: http.StatusNotFound, Code: "ResourceNotFound.Certificate",
		Message: "The specified resource Certificate " + id + " is not found.",
	}
}

// find returns the caller's listener; c.mu is held.
func (c *Cloud) find(call *emulator.ServiceCall, d dialect) (*listener, *emulator.Refusal) {
	l := c.listeners[call.Parameters["ListenerId"]]
	if l == nil || l.Account != call.Account || l.Region != call.Region || l.balancer.Product != d.product {
		return nil, d.noListener()
	}
	l.settle(c.now())
	return l, nil
}

// writable returns the caller's listener if it takes a change now; c.mu is held.
func (c *Cloud) writable(call *emulator.ServiceCall, d dialect) (*listener, *emulator.Refusal) {
	l, refused := c.find(call, d)
	if refused != nil {
		return nil, refused
	}
	if !slices.Contains(d.protocols, l.Protocol) {
		return nil, emulator.Refuse("OperationDenied.ListenerProtocol", "The listener speaks no TLS.")
	}
	if status := l.shown.now().Status; status != statusRunning {
		return nil, emulator.Refuse("IncorrectStatus."+d.listenerCode, fmt.Sprintf("The status of %s [%s] is incorrect.", l.ID, status))
	}
	return l, nil
}

// mainland reports whether a region is one of mainland China (T4).
func (c *Cloud) mainland(region string) bool {
	return strings.HasPrefix(region, "cn-") && (region != "cn-hongkong" || c.options.HongKongIsMainland)
}

// takes returns the identifier of a certificate that a listener may have; c.mu is held.
func (c *Cloud) takes(l *listener, given string) (string, *emulator.Refusal) {
	site := emulator.RegionInternational
	if c.mainland(l.Region) {
		site = emulator.RegionChina
	}
	identifier := given
	if c.options.BareIDs && !strings.Contains(given, "-") {
		identifier = given + "-" + site
	}
	if !strings.HasSuffix(identifier, "-"+site) {
		return "", noCertificate(given)
	}
	certificate, ok := c.certificateOf(l.Account, identifier)
	if !ok {
		return "", noCertificate(given)
	}
	if certificate.Algorithm == "SM2" && !c.options.SMListeners {
		return "", emulator.Refuse("OperationDenied.SMCertificate", "SM certificates are not enabled for the account.")
	}
	return identifier, nil
}

// change runs a change of a listener: through its client token and, where only a trial is
// asked for, up to the point where it would begin.
func (c *Cloud) change(call *emulator.ServiceCall, d dialect, prepare func(*listener) (during, after served, refused *emulator.Refusal)) (map[string]any, *emulator.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.once(call, d.product, func() (map[string]any, *emulator.Refusal) {
		l, refused := c.writable(call, d)
		if refused != nil {
			return nil, refused
		}
		during, after, refused := prepare(l)
		if refused != nil {
			return nil, refused
		}
		if call.Parameters["DryRun"] == "true" {
			return nil, emulator.Refuse("DryRunOperation", "Request validation has been passed with DryRun flag set.")
		}
		call.Committed()
		return map[string]any{"JobId": c.begin(l, call.Parameters["Action"], during, after)}, nil
	})
}

// setDefault is UpdateListenerAttribute with one certificate.
func (c *Cloud) setDefault(l *listener, given []string) (during, after served, refused *emulator.Refusal) {
	now := l.shown.now()
	if len(given) != 1 {
		return now, now, emulator.Refuse("IllegalParamSize.certificateIds", "you can only have one certificate id")
	}
	id, refused := c.takes(l, given[0])
	if refused != nil {
		return now, now, refused
	}
	after = now
	if at := now.index(id); at >= 0 {
		if !c.options.DefaultMovesAdditional {
			return now, now, emulator.Refuse("ResourceAlreadyAssociated.Certificate", "The certificate is associated already.")
		}
		after = now.without(id)
	}
	after.Default = id
	return now, after, nil
}

// associate adds additional certificates.
func (c *Cloud) associate(l *listener, given []string) (during, after served, refused *emulator.Refusal) {
	now := l.shown.now()
	if len(given) < 1 || len(given) > maxPerRequest {
		return now, now, emulator.Refuse("IllegalParamSize.Certificates", "Between 1 and 15 certificates can be associated.")
	}
	var ids []string
	for _, one := range given {
		id, refused := c.takes(l, one)
		if refused != nil {
			return now, now, refused
		}
		if id == now.Default || now.index(id) >= 0 || slices.Contains(ids, id) {
			return now, now, emulator.Refuse("ResourceAlreadyAssociated.Certificate", "The certificate is associated already.")
		}
		ids = append(ids, id)
	}
	if c.additionalOf(l.balancer)+len(ids) > c.quota(l.balancer) {
		return now, now, emulator.Refuse("QuotaExceeded.LoadBalancerCertificatesNum", "The quota of additional certificates of the load balancer is exceeded.")
	}
	return now.with(associating, ids...), now.with(associated, ids...), nil
}

// dissociate removes additional certificates.
func (c *Cloud) dissociate(l *listener, given []string) (during, after served, refused *emulator.Refusal) {
	now := l.shown.now()
	if len(given) < 1 || len(given) > maxPerRequest {
		return now, now, emulator.Refuse("IllegalParamSize.Certificates", "Between 1 and 15 certificates can be dissociated.")
	}
	for _, id := range given {
		if now.index(id) < 0 {
			return now, now, emulator.Refuse("ResourceNotAssociated.Certificate", "The certificate "+id+" is not associated.")
		}
	}
	return now.with(dissociating, given...), now.without(given...), nil
}

// additionalOf counts the additional certificates of all listeners of an instance; c.mu is
// held.
func (c *Cloud) additionalOf(b *loadBalancer) int {
	n := 0
	for _, l := range c.listeners {
		if l.balancer == b {
			n += len(l.settle(c.now()).Additional)
		}
	}
	return n
}

func (c *Cloud) quota(b *loadBalancer) int {
	if c.options.AdditionalQuota > 0 {
		return c.options.AdditionalQuota
	}
	return quotas[b.Edition]
}

// seen returns what a read shows of a listener; c.mu is held, and the listener is settled.
func (c *Cloud) seen(l *listener) served { return l.shown.at(c.now().Add(-c.options.ReadLag)) }
