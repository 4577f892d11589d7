// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ratelimit keeps to the limits that a cloud sets for an account: each limiter
// paces the calls of one action, adapts to throttled answers, and hands out places in
// the order of urgency, and within an urgency to one tenant after the other.
package ratelimit

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Clock tells the time; a test brings its own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Urgency orders those who want a place of a limiter. Who is less urgent
// reserves less far ahead, so that a place is always left for who is more so; and for each
// lower urgency a part of the places is kept (lowerEvery).
type Urgency int

const (
	// Prompt is for renewals and new objects.
	Prompt Urgency = iota
	// Backlog is for what a start finds undone.
	Backlog
	// Repair is for drift repair and other work that can wait.
	Repair
)

// Horizon is how far ahead a place may be reserved. A longer wait is not worth
// a worker: the caller is told when to come back.
func (u Urgency) Horizon() time.Duration {
	switch u {
	case Backlog:
		return 300 * time.Millisecond
	case Repair:
		return 100 * time.Millisecond
	case Prompt:
	}
	return 500 * time.Millisecond
}

const (
	// QuietStart is how long a process waits with its first calls: what one before
	// it sent may still count in the cloud's window of a second.
	QuietStart = time.Second
	// maxHint bounds the hint to come back: a queue may be gone by then.
	maxHint = time.Minute
	// maxLag is how much later than promised a place may become, by pauses,
	// before its owner gives it up rather than hold a worker.
	maxLag = time.Second
	// decrease is what throttled answers leave of the rate; a single one at the full
	// rate leaves byChance: calls may have met on the way. recovery is the part of the
	// full rate that comes back each second.
	decrease = 0.8
	byChance = 0.95
	recovery = 0.02
	// minShare is the part of the full rate that is never given up.
	minShare = 0.05
	// A throttled answer stops everything for a moment: until the cloud's window
	// has moved on, or for as long as the cloud says.
	minPause = 100 * time.Millisecond
	maxPause = 10 * time.Second
)

// Limiter paces the calls of one account, region and action. The cloud counts in
// a sliding window of a second, over all who use the account, and answers
// jitter: calls are therefore spread evenly (a burst of one), and two things
// keep to the limit, the pace at which places are handed out and a window over
// what was really sent, for owners that use their place late.
//
// The rate adapts: throttled answers take a fifth off, a single one at the full rate
// a twentieth, and it comes back by two hundredths a second.
//
// Places stand on a time line that pauses shift: the place at t is due at
// t + shift.
type Limiter struct {
	clock Clock
	full  float64 // calls a second when nobody disturbs

	mu       sync.Mutex
	base     float64   // the rate right after the last decrease
	slowed   time.Time // the last decrease
	single   bool      // one answer was its reason
	shift    time.Duration
	next     time.Time   // on the shifted line: the first place not handed out
	freed    []time.Time // on the shifted line: places given back, sorted
	sent     []time.Time // the last calls, oldest first, at most cap(sent)
	turns    turns
	used     time.Time // when it was last asked for anything
	mergedTo *Limiter
}

// New makes a limiter whose first place is at the given time, at the
// earliest.
func New(clock Clock, rate float64, first time.Time) *Limiter {
	return &Limiter{
		clock: clock, full: rate, base: rate, next: first, used: clock.Now(), turns: newTurns(),
		sent: make([]time.Time, 0, int(rate)+1),
	}
}

// rate is the present number of places a second.
func (l *Limiter) rate(now time.Time) float64 {
	if l.base >= l.full {
		return l.full
	}
	return min(l.full, l.base+l.full*recovery*max(0, now.Sub(l.slowed).Seconds()))
}

func (l *Limiter) interval(now time.Time) time.Duration {
	return time.Duration(float64(time.Second) / l.rate(now))
}

// Reserve takes the first free place for a tenant, if it is within the horizon and the
// tenant's turn; else it returns how long to wait before asking again. Who may reserve further
// ahead than is usual for the urgency has begun something that would be lost, and is not
// held up for a turn.
func (l *Limiter) Reserve(tenant string, u Urgency, horizon time.Duration) (*Slot, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.used = now
	line := now.Add(-l.shift)
	l.freed = slices.DeleteFunc(l.freed, func(at time.Time) bool { return at.Before(line) })
	l.turns.due(line)

	reuse := len(l.freed) > 0
	at := later(l.next, line)
	if reuse {
		at = l.freed[0]
	}
	wait, interval := at.Sub(line), l.interval(now)
	expected := l.turns.arrive(tenant, u, now)
	reach := l.turns.reach(u, horizon, interval, now)
	round, alone := l.turns.round(tenant, u, now, interval, reach)
	next := now
	if !alone {
		next = later(now, l.turns.next(tenant, u).Add(-reach))
	}
	begun := horizon > u.Horizon()
	if wait > reach || !begun && (next.After(now) || !l.turns.mayHold(tenant, u, interval)) {
		first := later(next, now.Add(wait-min(reach, wait)/2))
		return nil, l.turns.comeBack(tenant, u, now, first, round, expected).Sub(now)
	}
	if reuse {
		l.freed = l.freed[1:]
	} else {
		l.next = at.Add(interval)
	}
	taken := turn{at, tenant, u}
	l.turns.take(taken, now, round, alone)
	return &Slot{limiter: l, turn: taken, due: at.Add(l.shift)}, 0
}

// admit lets the call of a place go if it is due and returns when that was; else
// the time is zero and the call has to wait.
func (l *Limiter) admit(at time.Time) (sent time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := at.Add(l.shift)
	if l.mergedTo != nil {
		return l.mergedTo.admitAt(due)
	}
	return l.admitLocked(due)
}

func (l *Limiter) admitAt(due time.Time) (sent time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mergedTo != nil {
		return l.mergedTo.admitAt(due)
	}
	return l.admitLocked(due)
}

// windowFree returns when the window over what was really sent takes another call.
//
//	window = 1 s + 0.9 × (n / rate − 1 s)
//
// It is longer than the cloud's second because calls may arrive closer together than they were
// sent. The last tenth is left out so that the pace can catch up with timers that fire late.
func (l *Limiter) windowFree() time.Time {
	if len(l.sent) < cap(l.sent) {
		return time.Time{}
	}
	paced := time.Duration(float64(cap(l.sent)) / l.full * float64(time.Second))
	return l.sent[0].Add(time.Second + (paced-time.Second)*9/10)
}

// admitLocked lets no more calls go than the window takes.
func (l *Limiter) admitLocked(due time.Time) (sent time.Time, wait time.Duration) {
	now := l.clock.Now()
	due = later(due, l.windowFree())
	if now.Before(due) {
		return time.Time{}, due.Sub(now)
	}
	l.used = now
	l.record(now)
	return now, 0
}

// record enters a call into the window, which keeps the latest. l.mu is held.
func (l *Limiter) record(at time.Time) {
	if len(l.sent) == cap(l.sent) {
		l.sent = slices.Delete(l.sent, 0, 1)
	}
	index, _ := slices.BinarySearchFunc(l.sent, at, time.Time.Compare)
	l.sent = slices.Insert(l.sent, index, at)
}

// written says that the call that was let go at sent has left only now. It had to be
// signed, to get a connection and its share of the CPU: milliseconds, which are all the
// room that there is close to the cloud's limit.
func (l *Limiter) written(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mergedTo != nil {
		l.mergedTo.written(sent)
		return
	}
	if index, found := slices.BinarySearchFunc(l.sent, sent, time.Time.Compare); found {
		l.sent = slices.Delete(l.sent, index, index+1)
	}
	l.record(l.clock.Now())
}

// giveBack makes a place that was not used free again.
func (l *Limiter) giveBack(one turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mergedTo != nil {
		return
	}
	l.turns.giveBack(one)
	index, _ := slices.BinarySearchFunc(l.freed, one.at, time.Time.Compare)
	l.freed = slices.Insert(l.freed, index, one.at)
	// The last places of the line are taken back altogether, so that a pause or
	// another rate applies to them anew.
	for n := len(l.freed); n > 0 && !l.freed[n-1].Add(l.interval(l.clock.Now())).Before(l.next); n-- {
		l.next = l.freed[n-1]
		l.freed = l.freed[:n-1]
	}
}

// throttled slows down after a throttled answer to the call of a turn that was sent at
// the given time. Answers to calls sent before the last slowing tell nothing
// new. It returns when it is worth asking again.
func (l *Limiter) throttled(of turn, sent time.Time, timeLeft time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mergedTo != nil {
		return l.mergedTo.throttled(of, sent, timeLeft)
	}
	now := l.clock.Now()
	if !sent.Before(l.slowed) {
		pause := min(max(timeLeft, minPause), maxPause)
		keep := decrease
		if l.single = l.rate(now) >= l.full; l.single {
			keep = byChance
		}
		l.base = max(l.full*minShare, l.rate(now)*keep)
		l.slowed = now.Add(pause)
		l.next = later(l.next, now.Add(-l.shift))
		l.shift += pause
	} else if l.single {
		l.single = false
		l.base = max(l.full*minShare, l.base*decrease/byChance)
	}
	first := later(l.next.Add(l.shift), l.slowed)
	round, _ := l.turns.round(of.tenant, of.urgency, now, l.interval(now), 0)
	return max(timeLeft, l.turns.comeBack(of.tenant, of.urgency, now, first, round, false).Sub(now))
}

// MergeInto hands everything over to the limiter of the account, once it is
// known that both are of the same one: what was sent, the later queue and the
// lower rate. Places that are still out keep their time, but are admitted by the
// window of the other.
func (l *Limiter) MergeInto(to *Limiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.mu.Lock()
	defer to.mu.Unlock()
	now := l.clock.Now()
	if rate := l.rate(now); rate < to.rate(now) {
		to.base, to.slowed = rate, later(now, l.slowed)
	}
	to.next = later(to.next, l.next.Add(l.shift-to.shift))
	to.used = later(to.used, l.used)
	all := append(slices.Clone(to.sent), l.sent...)
	slices.SortFunc(all, time.Time.Compare)
	to.sent = append(to.sent[:0], all[max(0, len(all)-cap(to.sent)):]...)
	to.turns.merge(&l.turns, l.shift-to.shift)
	l.mergedTo = to
	l.freed = nil
}

// IdleSince returns when the limiter was last asked for anything.
func (l *Limiter) IdleSince() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ValidRate reports whether a limiter can run at this rate.
func ValidRate(rate float64) bool {
	return rate > 0 && rate <= 10000 && !math.IsNaN(rate)
}
