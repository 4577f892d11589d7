// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// Cloud is the products of all accounts. It is safe for concurrent use.
type Cloud struct {
	server  *emulator.Server
	options Options

	mu            sync.Mutex
	loadBalancers map[string]*loadBalancer
	listeners     map[string]*listener
	domains       map[domainKey]*domain
	classics      map[classicKey]*classic
	stores        map[storeKey][]*serverCertificate
	accelerated   map[string]*accelerated
	functions     map[string]*CustomDomain
	jobs          map[string]*job
	tokens        map[tokenKey]token
	ids           int64
}

// New returns products without anything in them, whose certificates are those of the server.
func New(server *emulator.Server, options Options) *Cloud {
	c := &Cloud{server: server, options: options}
	c.Reset()
	server.GuardDeletions(c.guard)
	return c
}

// Reset removes everything.
func (c *Cloud) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loadBalancers = map[string]*loadBalancer{}
	c.listeners = map[string]*listener{}
	c.domains = map[domainKey]*domain{}
	c.classics = map[classicKey]*classic{}
	c.stores = map[storeKey][]*serverCertificate{}
	c.accelerated = map[string]*accelerated{}
	c.functions = map[string]*CustomDomain{}
	c.jobs = map[string]*job{}
	c.tokens = map[tokenKey]token{}
}

// Names returns the products that are served, sorted.
func Names() []string {
	return []string{"alb", "cdn", "clb", "dcdn", "ddos", "esa", "fc", "ga", "mse", "nlb", "oss", "vod", "waf"}
}

func (c *Cloud) service(name string) *emulator.Service {
	if n, ok := networks[name]; ok {
		return c.network(n)
	}
	services := map[string]func() *emulator.Service{
		"alb": c.alb, "nlb": c.nlb, "clb": c.clb, "waf": c.waf, "esa": c.esa, "ga": c.ga, "ddos": c.ddos, "mse": c.mse, "fc": c.fc,
		"oss": c.oss,
	}
	if service, ok := services[name]; ok {
		return service()
	}
	return nil
}

// Handler serves a product in a region, or in all of its regions if the region is empty. It
// panics for a product that is not in Names and for a region that it does not have.
func (c *Cloud) Handler(product, region string) http.Handler {
	service := c.service(product)
	if service == nil {
		panic("products: no such product: " + product)
	}
	return c.server.Serve(service, region)
}

// Transport returns the connection of a client to a product in the same process, as that of
// emulator.Server does.
func (c *Cloud) Transport(product, region string) http.RoundTripper {
	return emulator.Direct(c.Handler(product, region))
}

// HasRegion reports whether a product is there, and serves a region.
func HasRegion(product, region string) bool {
	service := new(Cloud).service(product)
	return service != nil && (region == "" || slices.Contains(service.Regions, region))
}

// now returns the time; c.mu may be held.
func (c *Cloud) now() time.Time { return c.server.Now() }

// newID returns an id that nothing else has; c.mu is held.
func (c *Cloud) newID(prefix string) string {
	c.ids++
	return fmt.Sprintf("%s-emu%09d", prefix, c.ids)
}

// certificateOf returns the certificate of CAS that an identifier names, if the account has it.
func (c *Cloud) certificateOf(account, identifier string) (emulator.Certificate, bool) {
	number, region, _ := strings.Cut(identifier, "-")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return emulator.Certificate{}, false
	}
	return c.server.FindCertificate(account, region, id)
}

// guard protects the certificates that are in use, where the options say so.
func (c *Cloud) guard(account, region string, certID int64) string {
	if c.options.InUseCode == "" {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.used(account), fmt.Sprintf("%d-%s", certID, region)) {
		return c.options.InUseCode
	}
	return ""
}

// used returns the identifiers of all certificates that an account's products use; c.mu is
// held.
func (c *Cloud) used(account string) []string {
	var used []string
	for _, l := range c.listeners {
		if l.Account == account {
			used = append(used, l.settle(c.now()).identifiers()...)
		}
	}
	for _, d := range c.domains {
		if is := d.config.now(); d.Account == account && is.Kind == "cas" {
			used = append(used, is.Identifier)
		}
	}
	for _, l := range c.accelerated {
		if is := l.settle(c.now()); l.Account == account {
			used = append(used, is.Default)
			used = slices.AppendSeq(used, maps.Values(is.Domains))
		}
	}
	return append(used, c.usedByClassics(account)...)
}

// lagging is a value that is read later than it is set.
type lagging[T any] struct{ versions []version[T] }

type version[T any] struct {
	since time.Time
	value T
}

func (l *lagging[T]) set(now time.Time, value T) {
	l.versions = append(l.versions, version[T]{now, value})
}

// now returns the latest value.
func (l *lagging[T]) now() T { return l.versions[len(l.versions)-1].value }

// at returns the value of a time, and forgets those before it.
func (l *lagging[T]) at(t time.Time) T {
	for len(l.versions) > 1 && !l.versions[1].since.After(t) {
		l.versions = l.versions[1:]
	}
	return l.versions[0].value
}
