// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package breaker keeps those who wait for one place from holding up all others. Its calls
// occupy workers; a place that stops answering would have all of them within seconds.
package breaker

import (
	"sync"
	"time"
)

// Clock tells the time; a test brings its own.
type Clock interface {
	Now() time.Time
}

const (
	// mostUnanswered is after how many unanswered calls in a row a place is only probed.
	mostUnanswered = 5
	// probePause is the time between two probes: where connections are refused at once, a
	// probe takes no time.
	probePause = time.Second
	// turnedAway is how long to wait where a place is being probed. A probe that hangs takes
	// 4.5 s, so that all are back within 10 s of the place's return.
	turnedAway = 3 * time.Second
	// crowded is how long to wait where too many calls are under way.
	crowded = 200 * time.Millisecond
	// shareOfFree is how many times as many calls one tenant may have under way as are free.
	shareOfFree = 5
	// spread keeps those who were told to try again from trying all at once.
	spread = time.Millisecond
)

// Breaker bounds the calls to one place. A quarter of the workers may always be busy with it,
// more only as it answers, and seven eighths at most; one tenant leaves some of them to others.
// After five unanswered calls in a row it is probed by one call at a time until it answers. It
// is safe for concurrent use.
type Breaker struct {
	clock   Clock
	workers int
	around  *Breaker // a larger place that this one is a part of; nil if there is none

	mu         sync.Mutex
	busy       int            // calls under way
	held       map[string]int // of each tenant
	answers    recent
	unanswered int // calls in a row
	probes     int // 1 while a probe is under way
	probeAfter time.Time
	hint       time.Time // when the last one was told to try again
	probers    map[string]prober
}

// prober is a tenant that wants to call a place which is being probed.
type prober struct {
	asked, probed time.Time
}

// New makes the breaker of a place for a process with so many workers. A breaker that is
// around others bounds all their calls together, and does not stop them: what one of its parts
// leaves unanswered says nothing of another.
func New(clock Clock, workers int, around *Breaker) *Breaker {
	return &Breaker{clock: clock, workers: workers, around: around}
}

// Call is a call under way. It ends once, by one of its methods.
type Call struct {
	breaker *Breaker
	around  *Call
	tenant  string
	probe   bool
}

// Enter admits a call of a tenant, or returns how long to wait before asking again. Tenants
// probe in turn: what one of them sends may be the reason why no answer comes.
func (b *Breaker) Enter(tenant string) (*Call, time.Duration) {
	call := &Call{breaker: b, tenant: tenant}
	if b.around != nil {
		around, wait := b.around.enter(&Call{breaker: b.around, tenant: tenant}, false)
		if around == nil {
			return nil, wait
		}
		call.around = around
	}
	entered, wait := b.enter(call, b.around != nil)
	if entered == nil {
		call.around.Cancel()
	}
	return entered, wait
}

// Open reports whether the place has left five calls in a row unanswered.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isOpen()
}

// IsIdle reports whether no call is under way.
func (b *Breaker) IsIdle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy == 0
}

// May returns how long to wait before a call of a tenant may be admitted, 0 where one would be
// now. It takes no turn.
func (b *Breaker) May(tenant string) (wait time.Duration) {
	if b.around != nil {
		if wait := b.around.may(tenant, false); wait > 0 {
			return wait
		}
	}
	return b.may(tenant, b.around != nil)
}

func (b *Breaker) may(tenant string, stops bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuse(tenant, stops, b.clock.Now())
}

func (b *Breaker) enter(call *Call, stops bool) (*Call, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	call.probe = stops && b.isOpen()
	if call.probe {
		b.ask(call.tenant, now)
	}
	if wait := b.refuse(call.tenant, stops, now); wait > 0 {
		return nil, wait
	}
	if b.held == nil {
		b.held = map[string]int{}
	}
	b.busy++
	b.held[call.tenant]++
	if call.probe {
		b.probes++
		b.probers[call.tenant] = prober{asked: now, probed: now} // its turn is over, whatever becomes of the call
	}
	return call, 0
}

// isOpen reports whether the place is only probed. The lock is held.
func (b *Breaker) isOpen() bool { return b.unanswered >= mostUnanswered }

// refuse returns how long a tenant has to wait before it is admitted; 0 where it is now. The lock
// is held.
func (b *Breaker) refuse(tenant string, stops bool, now time.Time) time.Duration {
	open := stops && b.isOpen()
	switch {
	case open && (!b.isNext(tenant, now) || b.probes > 0):
		return b.comeBack(now, turnedAway)
	case open && now.Before(b.probeAfter):
		return b.probeAfter.Sub(now)
	case !open && !b.hasRoom(tenant, now): // what hangs since before must not keep the probe out
		return b.comeBack(now, crowded)
	}
	return 0
}

// ask notes that a tenant wants to probe. The lock is held.
func (b *Breaker) ask(tenant string, now time.Time) {
	if b.probers == nil {
		b.probers = map[string]prober{}
	}
	b.probers[tenant] = prober{asked: now, probed: b.probers[tenant].probed}
}

// isNext reports whether it is a tenant's turn to probe: no other that has asked lately has
// waited longer. The lock is held.
func (b *Breaker) isNext(tenant string, now time.Time) bool {
	own := b.probers[tenant]
	for _, other := range b.probers {
		if other.probed.Before(own.probed) && now.Sub(other.asked) < 2*turnedAway {
			return false
		}
	}
	return true
}

// hasRoom reports whether one more worker may be busy with the place, for a tenant.
func (b *Breaker) hasRoom(tenant string, now time.Time) bool {
	limit := min(max(b.workers/4, 1)+b.answers.count(now), max(b.workers-b.workers/8, 1))
	held, free := b.held[tenant], limit-b.busy
	return free > 0 && (held == 0 || held < shareOfFree*free)
}

// comeBack hands out times to ask again, one after the other.
func (b *Breaker) comeBack(now time.Time, wait time.Duration) time.Duration {
	b.hint = b.hint.Add(spread)
	if first := now.Add(wait); b.hint.Before(first) {
		b.hint = first
	}
	return b.hint.Sub(now)
}

// Answered ends a call to which an answer came, whatever it said.
func (c *Call) Answered() {
	c.end(func(b *Breaker, now time.Time) {
		b.unanswered, b.probers = 0, nil
		b.answers.add(now)
	})
}

// Unanswered ends a call to which none came, and returns how long to wait before the next:
// 0 while the place is not probed.
func (c *Call) Unanswered() (wait time.Duration) {
	c.end(func(b *Breaker, now time.Time) {
		b.unanswered++
		b.probeAfter = now.Add(probePause)
	})
	if c.breaker.Open() {
		wait = turnedAway
	}
	return wait
}

// Cancel ends a call that was not sent after all. It may be called on nil.
func (c *Call) Cancel() {
	if c != nil {
		c.end(func(*Breaker, time.Time) {})
	}
}

func (c *Call) end(note func(b *Breaker, now time.Time)) {
	c.leave(note)
	if c.around != nil {
		c.around.end(note)
	}
}

func (c *Call) leave(note func(b *Breaker, now time.Time)) {
	b := c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy--
	if b.held[c.tenant]--; b.held[c.tenant] == 0 {
		delete(b.held, c.tenant)
	}
	if c.probe {
		b.probes--
	}
	note(b, b.clock.Now())
}

// lately is the time in which answers raise the limit.
const lately = time.Second

// recent counts what happened lately, to half of that time.
type recent struct {
	since       time.Time // when now began
	now, before int
}

func (r *recent) add(at time.Time) {
	r.turn(at)
	r.now++
}

func (r *recent) count(at time.Time) int {
	r.turn(at)
	return r.now + r.before
}

// turn begins anew after half of the time.
func (r *recent) turn(at time.Time) {
	switch passed := at.Sub(r.since); {
	case passed < lately/2:
	case passed < lately:
		r.since, r.before, r.now = r.since.Add(lately/2), r.now, 0
	default:
		r.since, r.before, r.now = at, 0, 0
	}
}
