// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"maps"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

const (
	// An object may make five calls at once, then one in ten seconds, whatever becomes of
	// them. They are counted in seconds: a call costs ten of them, and a Secret that was read
	// for nothing one.
	costOfCall = 10
	costOfRead = 1
	savedUp    = 5 * costOfCall
	// Deletions that fail are counted apart, so that they delay no renewal: five at once, then
	// one in three seconds. One that succeeds is not counted: nothing can be deleted twice.
	savedDeletions   = 5
	deletionInterval = 3 * time.Second
	// shareOfFree is how many times the workers that are free one namespace may occupy: three
	// quarters of all if it is alone, and there is always one left for the next. What it occupies
	// for less urgent work does not count.
	shareOfFree = 3
	// Who finds no worker comes back, one object of a namespace after the other: twice as fast as an
	// account takes uploads, so that the workers never run dry, and no faster, because each costs CPU
	// for nothing while the queue is long.
	firstWorkerHint = 50 * time.Millisecond
	workerHints     = 5 * time.Millisecond
	lastWorkerHint  = time.Minute
	// purgeInterval is how often is forgotten what nobody has used lately.
	purgeInterval = time.Minute
)

// turns say which object may call the cloud now. They bound what one object, and one
// namespace, takes of what all share. Objects are told apart by name: one that is deleted and
// made again is the same. All of it may be lost at any time.
type turns struct {
	mu      sync.Mutex
	objects map[types.NamespacedName]*allowance
	purged  time.Time

	busy  ratelimit.Held      // workers, by the namespace that they work for
	total int                 // of all of them
	hints map[queue]time.Time // when the last object of it was told to try again
}

// queue is that of the objects of a namespace which find no worker, for work of one urgency.
type queue struct {
	namespace string
	urgency   ratelimit.Urgency
}

// allowance is what one object may call.
type allowance struct {
	calls     *rate.Limiter                // in seconds, see costOfCall
	deletions *rate.Limiter                // nil until one fails
	notBefore map[alibaba.Action]time.Time // hints of the limits; nil without one
}

// of returns the allowance of an object, and makes one for it. t.mu is held.
func (t *turns) of(key types.NamespacedName, now time.Time) *allowance {
	if now.Sub(t.purged) >= purgeInterval {
		t.purge(now)
	}
	known := t.objects[key]
	if known == nil {
		known = &allowance{calls: rate.NewLimiter(1, savedUp)}
		t.objects[key] = known
	}
	return known
}

// purge forgets what nobody has used lately. t.mu is held.
func (t *turns) purge(now time.Time) {
	if t.objects == nil {
		t.objects = map[types.NamespacedName]*allowance{}
	}
	t.purged = now
	maps.DeleteFunc(t.objects, func(_ types.NamespacedName, a *allowance) bool { return a.isUnused(now) })
	maps.DeleteFunc(t.hints, func(_ queue, at time.Time) bool { return at.Before(now) })
}

func (a *allowance) isUnused(now time.Time) bool {
	maps.DeleteFunc(a.notBefore, func(_ alibaba.Action, at time.Time) bool { return !at.After(now) })
	return len(a.notBefore) == 0 && a.calls.TokensAt(now) >= savedUp &&
		(a.deletions == nil || a.deletions.TokensAt(now) >= savedDeletions)
}

// promised returns how long an object was told to stay away from a limit.
func (t *turns) promised(key types.NamespacedName, action alibaba.Action, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.of(key, now).notBefore[action].Sub(now), 0)
}

// untilCall returns how long an object has to wait for its next call.
func (t *turns) untilCall(key types.NamespacedName, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(key, now).untilCall(now)
}

// untilDeletion returns how long an object has to wait for its next attempt to delete.
func (t *turns) untilDeletion(key types.NamespacedName, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(key, now)
	if a.deletions == nil {
		return 0
	}
	return seconds((1 - a.deletions.TokensAt(now)) * deletionInterval.Seconds())
}

func (a *allowance) untilCall(now time.Time) time.Duration {
	return seconds(costOfCall - a.calls.TokensAt(now))
}

// seconds is a wait of so many seconds, rounded up to a millisecond.
func seconds(s float64) time.Duration {
	return time.Duration(math.Ceil(max(s, 0)*1000)) * time.Millisecond
}

// occupy takes one of all workers for a namespace, or returns how long to wait for one.
func (t *turns) occupy(namespace string, u ratelimit.Urgency, all int, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy == nil {
		t.busy, t.hints = ratelimit.Held{}, map[queue]time.Time{}
	}
	_, works := t.busy[namespace]
	if free := all - t.total; all == 0 || !works || free > 1 && t.busy.AtLeast(namespace, u) < shareOfFree*free {
		t.busy.Add(namespace, u)
		t.total++
		return 0
	}
	waiting := queue{namespace, u}
	at := t.hints[waiting].Add(workerHints)
	if first := now.Add(firstWorkerHint); at.Before(first) {
		at = first
	}
	if last := now.Add(lastWorkerHint); at.After(last) {
		at = last
	}
	t.hints[waiting] = at
	return at.Sub(now)
}

// leave gives a worker back.
func (t *turns) leave(namespace string, u ratelimit.Urgency) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total--
	t.busy.Remove(namespace, u)
}

// spend counts what a reconcile has called. It may be more than the object had left: a
// reconcile that has begun is finished, and the next one waits for longer.
func (t *turns) spend(key types.NamespacedName, cost, failedDeletions int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(key, now)
	charge(a.calls, cost, now)
	if failedDeletions == 0 {
		return
	}
	if a.deletions == nil {
		a.deletions = rate.NewLimiter(rate.Every(deletionInterval), savedDeletions)
	}
	charge(a.deletions, failedDeletions, now)
}

// charge takes from a limiter what was spent, also where it holds less.
func charge(l *rate.Limiter, n int, now time.Time) {
	for ; n > 0; n -= l.Burst() {
		l.ReserveN(now, min(n, l.Burst()))
	}
}

// promise notes a hint of a limit: who was told when to try again does not try earlier, and
// so does not go to the end of a queue, or to its head, by changes of a Secret.
func (t *turns) promise(key types.NamespacedName, action alibaba.Action, at, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(key, now)
	if a.notBefore == nil {
		a.notBefore = map[alibaba.Action]time.Time{}
	}
	a.notBefore[action] = at
}

// hurry ends what an object was told to wait for, at the price of a call. If it has none left,
// it returns how long that takes.
func (t *turns) hurry(key types.NamespacedName, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.of(key, now)
	if wait := a.untilCall(now); wait > 0 {
		return wait
	}
	charge(a.calls, costOfCall, now)
	a.notBefore = nil
	return 0
}
