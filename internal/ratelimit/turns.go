// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"maps"
	"slices"
	"time"
)

// lowerEvery is how many places go to more urgent callers before one is kept for each of the
// two lower urgencies: 18 + 1 + 1, so that a tenth of the rate is theirs.
const lowerEvery = 18

// lostAfter is how late somebody may be who was told to come back, before he is taken to
// have gone away.
const lostAfter = time.Second

// turns sees to it that the places of a limiter are shared. Its limiter holds the lock.
//
// Within an urgency tenants take turns. Of the places that can be reserved no tenant holds
// more than half as many as are left free, so that whoever holds none finds one, and soon. What a
// tenant holds for less urgent work does not count: its backlog holds up no renewal of its own.
// Those who have to wait queue for each tenant apart, so that a long queue delays only its own
// tenant; and while several tenants have a queue, each gets one place in a round.
type turns struct {
	ahead  []turn // the places that are reserved and not due yet, sorted
	held   Held   // how many of them each tenant holds
	queues [Repair + 1]map[string]*queue
	passed [Repair + 1]int // places that went to more urgent callers, for which this urgency had none yet
}

// turn is a reserved place.
type turn struct {
	at      time.Time // on the limiter's shifted line
	tenant  string
	urgency Urgency
}

// queue are the callers of one tenant and urgency that were told to come back.
type queue struct {
	hints []time.Time // when each of them does, sorted
	turn  time.Time   // when the tenant may have its next place while others wait
}

func newTurns() turns {
	t := turns{held: Held{}}
	for u := range t.queues {
		t.queues[u] = map[string]*queue{}
	}
	return t
}

// due forgets the places before a time on the line.
func (t *turns) due(line time.Time) {
	n := 0
	for n < len(t.ahead) && t.ahead[n].at.Before(line) {
		t.held.Remove(t.ahead[n].tenant, t.ahead[n].urgency)
		n++
	}
	t.ahead = slices.Delete(t.ahead, 0, n)
}

// mayHold reports whether a tenant holds so few places that it may have one more, of those
// that are within anybody's reach. Callers without a tenant are the operator itself, which asks
// for one place at a time.
func (t *turns) mayHold(tenant string, u Urgency, interval time.Duration) bool {
	holds, places := t.held.AtLeast(tenant, u), int(Prompt.Horizon()/interval)+1
	return tenant == "" || holds == 0 || 2*holds < places-len(t.ahead)
}

// reach is how far ahead a caller may reserve now, who usually may as far as horizon. A
// lower urgency whose turn it is may reach as far as the highest, which leaves it a place.
func (t *turns) reach(u Urgency, horizon, interval time.Duration, now time.Time) time.Duration {
	if t.passed[u] >= lowerEvery {
		return max(horizon, Prompt.Horizon())
	}
	for lower := u + 1; lower <= Repair; lower++ {
		if t.passed[lower] >= lowerEvery && t.isWaiting(lower, now) {
			horizon = max(horizon-interval, 0)
		}
	}
	return horizon
}

func (t *turns) isWaiting(u Urgency, now time.Time) bool {
	for _, q := range t.queues[u] {
		if len(q.hints) > 0 && q.hints[len(q.hints)-1].After(now) {
			return true
		}
	}
	return false
}

// arrive takes a caller out of the queue of its tenant if it was told to come about now, and
// reports whether it was. Who never came is forgotten.
func (t *turns) arrive(tenant string, u Urgency, now time.Time) (expected bool) {
	maps.DeleteFunc(t.queues[u], func(_ string, q *queue) bool {
		gone, _ := slices.BinarySearchFunc(q.hints, now.Add(-lostAfter), time.Time.Compare)
		q.hints = slices.Delete(q.hints, 0, gone)
		return len(q.hints) == 0 && !q.turn.After(now)
	})
	q := t.queues[u][tenant]
	if q == nil || len(q.hints) == 0 || q.hints[0].After(now) {
		return false
	}
	q.hints = slices.Delete(q.hints, 0, 1)
	return true
}

// round is the time in which each tenant that waits has one place, the asking one included,
// and whether that is the only one. A tenant that comes later than that does not count.
func (t *turns) round(tenant string, u Urgency, now time.Time, interval, reach time.Duration) (round time.Duration, alone bool) {
	latest := now.Add(max(time.Duration(len(t.queues[u]))*interval, reach))
	others := 0
	for name, q := range t.queues[u] {
		if name != tenant && len(q.hints) > 0 && !q.hints[0].After(latest) {
			others++
		}
	}
	return time.Duration(others+1) * interval, others == 0
}

// next is when a tenant may have its next place while others wait.
func (t *turns) next(tenant string, u Urgency) time.Time {
	if q := t.queues[u][tenant]; q != nil {
		return q.turn
	}
	return time.Time{}
}

func (t *turns) queue(tenant string, u Urgency) *queue {
	q := t.queues[u][tenant]
	if q == nil {
		q = &queue{}
		t.queues[u][tenant] = q
	}
	return q
}

// take notes that a place is reserved. The tenant's next turn is a round later, if others
// wait.
func (t *turns) take(one turn, now time.Time, round time.Duration, alone bool) {
	t.insert(one)
	if !alone {
		q := t.queue(one.tenant, one.urgency)
		q.turn = later(q.turn, now).Add(round)
	}
	t.passed[one.urgency] = max(t.passed[one.urgency]-lowerEvery, 0)
	for lower := one.urgency + 1; lower <= Repair; lower++ {
		t.passed[lower] = min(t.passed[lower]+1, 2*lowerEvery) // who does not come keeps no more than two
	}
}

func (t *turns) insert(one turn) {
	index, _ := slices.BinarySearchFunc(t.ahead, one.at, compareTurn)
	t.ahead = slices.Insert(t.ahead, index, one)
	t.held.Add(one.tenant, one.urgency)
}

func compareTurn(one turn, at time.Time) int { return one.at.Compare(at) }

// giveBack notes that a place is free again. It may be due already.
func (t *turns) giveBack(one turn) {
	index, found := slices.BinarySearchFunc(t.ahead, one.at, compareTurn)
	for ; found && index < len(t.ahead) && t.ahead[index].at.Equal(one.at); index++ {
		if other := t.ahead[index]; other.tenant == one.tenant && other.urgency == one.urgency {
			t.ahead = slices.Delete(t.ahead, index, index+1)
			t.held.Remove(one.tenant, one.urgency)
			return
		}
	}
}

// comeBack hands out times to ask again, the earliest at first. Those of one tenant follow
// one another a quarter faster than its rounds, so that the queue neither runs dry nor is
// asked by everybody at once. Who was expected, and found no place, stays at the head.
func (t *turns) comeBack(tenant string, u Urgency, now, first time.Time, round time.Duration, expected bool) time.Time {
	q := t.queue(tenant, u)
	at := first
	if n := len(q.hints); n > 0 && !expected {
		at = later(q.hints[n-1].Add(round*4/5), first)
	}
	if latest := now.Add(maxHint); at.After(latest) {
		at = latest
	}
	index, _ := slices.BinarySearchFunc(q.hints, at, time.Time.Compare)
	q.hints = slices.Insert(q.hints, index, at)
	return at
}

// merge takes over the places of another limiter, which are later by a shift on this one's
// line.
func (t *turns) merge(from *turns, shift time.Duration) {
	for _, one := range from.ahead {
		one.at = one.at.Add(shift)
		t.insert(one)
	}
	*from = newTurns()
}
