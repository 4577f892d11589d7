// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate lets calls to the cloud go: at the pace that the limits of an account allow, one
// tenant after the other, and to places that answer. What it keeps for accounts and credentials is
// bounded in memory.
package gate

import (
	"maps"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/breaker"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// Place is where calls go to: a service in a region.
type Place struct{ Service, Region string }

// key says whose gate it is: the account's at a place, or, until that is known, the
// credential's. It is never an access key id, which changes with every token.
type key struct {
	account, credential string
	own                 bool // the credential is the operator's own
	Place
}

// isStranger reports whether anybody can make up such a key.
func (k key) isStranger() bool { return k.account == "" && !k.own }

// Config configures Gates.
type Config[T any] struct {
	// Clock tells the time.
	Clock alibaba.Clock
	// Workers are those who call at the same time. A place that does not answer may occupy a
	// quarter of them.
	Workers int
	// Rates returns the calls a second that one account makes at a place, by action.
	Rates func(Place) map[alibaba.Action]float64
	// Fresh makes what its user keeps beside a gate, and Merge hands it over to that of another
	// gate, once it is known that both are of one account.
	Fresh func() T
	Merge func(from, to T)
	// HasTime, if set, reports whether calls of an action have time: where a place does not answer
	// they are given no hint, and so are tried less often each time.
	HasTime func(alibaba.Action) bool
}

// Gates are the gates of all accounts. They are safe for concurrent use.
type Gates[T any] struct {
	config Config[T]

	mu     sync.Mutex
	began  time.Time // see Begin; zero before
	gates  kept[entry[T]]
	around map[Place]*breaker.Breaker // of all accounts at a place together
	purged time.Time
}

// entry is a gate, and what is kept beside it.
type entry[T any] struct {
	*Gate
	kept T
}

// isIdle reports whether nobody has used a gate lately.
func (e entry[T]) isIdle(now time.Time) bool {
	for _, l := range e.limiters {
		if !l.IdleSince().Before(now.Add(-alibaba.IdleAfter)) {
			return false
		}
	}
	return true
}

// New makes gates of which none is there yet.
func New[T any](config Config[T]) *Gates[T] {
	return &Gates[T]{config: config, gates: newKept[entry[T]](), around: map[Place]*breaker.Breaker{}}
}

// Begin says that calls may be made from now on, and that another process may have made some
// until now: none is sent for a second. Without it that second begins with the first call that
// is asked for.
func (g *Gates[T]) Begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin()
}

// g.mu is held.
func (g *Gates[T]) begin() time.Time {
	if g.began.IsZero() {
		g.began = g.config.Clock.Now()
	}
	return g.began
}

// Of returns the gate of a credential's calls to a place, and what is kept beside it. As soon as
// the account is known, what was kept for the credential alone moves to the account.
func (g *Gates[T]) Of(id *alibaba.Identity, p Place) (*Gate, T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := keyOf(id, p)
	if account := id.KnownAccount(); account != "" {
		of = g.move(of, account)
	}
	now := g.config.Clock.Now()
	e := g.gates.get(of, now, func() entry[T] { return g.fresh(p) }, func(e entry[T]) bool { return e.isIdle(now) })
	return e.Gate, e.kept
}

// keyOf is the key of a credential alone.
func keyOf(id *alibaba.Identity, p Place) key {
	return key{credential: id.Credential(), own: id.IsOwn(), Place: p}
}

// Known moves what was kept for a credential at some places to its account, so that the account's
// other credentials count with it from now on.
func (g *Gates[T]) Known(id *alibaba.Identity, places ...Place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range places {
		g.move(keyOf(id, p), id.KnownAccount())
	}
}

// move moves what a credential has at a place to its account, where it meets that of other
// credentials of the same one. g.mu is held.
func (g *Gates[T]) move(before key, account string) (after key) {
	after = key{account: account, Place: before.Place}
	g.gates.move(before, after, g.config.Clock.Now(), func(from, to entry[T]) {
		for action, l := range from.limiters {
			l.MergeInto(to.limiters[action])
		}
		g.config.Merge(from.kept, to.kept) // calls under way end where they began
	})
	return after
}

// fresh makes a gate. Its first call is a quiet second after the process began. g.mu is held.
func (g *Gates[T]) fresh(p Place) entry[T] {
	if now := g.config.Clock.Now(); now.Sub(g.purged) >= purgeInterval {
		g.purge(now)
	}
	around := g.around[p]
	if around == nil {
		around = breaker.New(g.config.Clock, g.config.Workers, nil)
		g.around[p] = around
	}
	limiters := map[alibaba.Action]*ratelimit.Limiter{}
	for action, rate := range g.config.Rates(p) {
		limiters[action] = ratelimit.New(g.config.Clock, rate, g.begin().Add(ratelimit.QuietStart))
	}
	gate := &Gate{limiters: limiters, breaker: breaker.New(g.config.Clock, g.config.Workers, around), hasTime: g.config.HasTime}
	return entry[T]{gate, g.config.Fresh()}
}

// purgeInterval is how often is forgotten what nobody has used lately, while gates are made.
const purgeInterval = time.Minute

// purge forgets the gates of accounts that nobody has used for an hour. g.mu is held.
func (g *Gates[T]) purge(now time.Time) {
	g.purged = now
	used := map[Place]bool{}
	maps.DeleteFunc(g.gates.lasting, func(of key, e entry[T]) bool {
		idle := e.isIdle(now)
		used[of.Place] = used[of.Place] || !idle
		return idle
	})
	maps.DeleteFunc(g.around, func(p Place, b *breaker.Breaker) bool { return !used[p] && b.IsIdle() })
}

// Pace is whose calls are paced together. The account is empty until it is learned.
type Pace struct {
	Account string
	Place
	Action alibaba.Action
}

// Rates returns how many calls a second are let go now, of everything that is in use. Those
// whose account is not known yet are left out: they are as many as there are credentials.
func (g *Gates[T]) Rates() map[Pace]float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	rates := map[Pace]float64{}
	for of, e := range g.gates.lasting {
		if of.account == "" {
			continue
		}
		for action, limiter := range e.limiters {
			rates[Pace{Account: of.account, Place: of.Place, Action: action}] = limiter.Rate()
		}
	}
	return rates
}
