// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package products

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// Handshake is what a client gets.
type Handshake struct {
	// CertIdentifier is the certificate that is served; empty for none.
	CertIdentifier string `json:"certIdentifier"`
	CertID         int64  `json:"certId"`
	// Name is its name in CAS.
	Name string `json:"name"`
	// Covers says that the certificate is for the host, and NotAfter until when.
	Covers   bool      `json:"covers"`
	NotAfter time.Time `json:"notAfter,omitzero"`
}

// Valid reports whether a client at that time takes what it gets.
func (h Handshake) Valid(now time.Time) bool {
	return h.CertID > 0 && h.Covers && now.Before(h.NotAfter)
}

// candidate is a certificate that may be served.
type candidate struct {
	identifier string
	emulator.Certificate
}

// Shake answers which certificate a client gets that asks a listener, or the edges of a
// domain, for a host. A listener of CLB is <load balancer>:<port>. It reports whether there is
// such a listener or domain.
func (c *Cloud) Shake(listenerID, sni string) (Handshake, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.listeners[listenerID]; l != nil {
		return c.shakeListener(l, sni), true
	}
	if l := c.accelerated[listenerID]; l != nil {
		return c.shakeAccelerated(l, sni), true
	}
	for key, l := range c.classics {
		if fmt.Sprintf("%s:%d", key.balancer, key.port) == listenerID {
			return c.shakeClassic(l, sni), true
		}
	}
	if d := c.domainNamed(listenerID); d != nil {
		return c.shakeDomain(d, sni), true
	}
	return Handshake{}, false
}

// domainNamed returns a domain by its name alone: that of the first product, by name, which has one. It
// returns nil where none has; c.mu is held.
func (c *Cloud) domainNamed(name string) (found *domain) {
	for _, d := range c.domains {
		if d.Name == name && (found == nil || d.Product < found.Product) {
			found = d
		}
	}
	return found
}

// shakeListener chooses as ALB does: an exact name before a wildcard, elliptic curves before
// RSA, SHA before MD5, the longer key, the longer validity (T15). What is on its way in or out
// is not served. Where nothing fits it is the default. c.mu is held.
func (c *Cloud) shakeListener(l *listener, sni string) Handshake {
	now := l.settle(c.now())
	fallback, candidates := candidate{}, []candidate{}
	add := func(id string) (candidate, bool) {
		certificate, ok := c.certificateOf(l.Account, id)
		if ok {
			candidates = append(candidates, candidate{id, certificate})
		}
		return candidate{id, certificate}, ok
	}
	if one, ok := add(now.Default); ok {
		fallback = one
	}
	for _, a := range now.Additional {
		if a.Status == associated {
			add(a.ID)
		}
	}
	candidates = slices.DeleteFunc(candidates, func(one candidate) bool { return one.fit(sni) == 0 })
	if len(candidates) == 0 {
		return fallback.handshake(sni)
	}
	return slices.MinFunc(candidates, func(a, b candidate) int { return a.compare(b, sni) }).handshake(sni)
}

// fit is 2 where a certificate names the host, 1 where a wildcard of it does, and else 0.
func (c candidate) fit(host string) int {
	host = strings.ToLower(host)
	best := 0
	for _, name := range append([]string{c.CommonName}, c.SANs...) {
		name = strings.ToLower(name)
		if name == host {
			return 2
		}
		if _, parent, ok := strings.Cut(host, "."); ok && name == "*."+parent {
			best = 1
		}
	}
	return best
}

func (c candidate) compare(other candidate, host string) int {
	elliptic := func(one candidate) int { return map[bool]int{true: 1}[one.Algorithm == "ECC"] }
	sha := func(one candidate) int { return map[bool]int{true: 1}[!strings.HasPrefix(one.Signature, "MD5")] }
	return cmp.Or(
		cmp.Compare(other.fit(host), c.fit(host)),
		cmp.Compare(elliptic(other), elliptic(c)),
		cmp.Compare(sha(other), sha(c)),
		cmp.Compare(other.KeyBits, c.KeyBits),
		other.NotAfter.Compare(c.NotAfter),
		cmp.Compare(other.CertID, c.CertID),
	)
}

func (c candidate) handshake(sni string) Handshake {
	if c.CertID == 0 {
		return Handshake{}
	}
	return Handshake{CertIdentifier: c.identifier, CertID: c.CertID, Name: c.Name, Covers: c.fit(sni) > 0, NotAfter: c.NotAfter}
}
