// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/controller/notes"
	"github.com/cloudcert-io/cloudcert/internal/controller/ownwrites"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
)

// memory is what the operator remembers of objects between reconciles. All of it may be lost at
// any time: it decides when something is tried again, or said, and spares calls, never what is
// done. What concerns the cloud is in the inventory of its account and region.
type memory struct {
	waits    notes.Notes[wait]    // how long something has been going on
	pruning  notes.Notes[pruning] // see prune.go
	findings notes.Notes[finding] // see drift.go
	writes   ownwrites.Log        // what was written to the API server a moment ago
	retries  retries.Retries      // how often something failed in a row
}

// wait is for how long, and how often, something has been going on with an object.
type wait struct {
	throttledSince time.Time
	asked          time.Time // since when a look-up is wanted
	mismatch       string    // the version of the Secret whose key and certificate do not match
	mismatchSince  time.Time // since when it is known
	otherwise      time.Time // when a deletion last failed for another reason than a refusal
	end            string    // how its deletion has ended, as far as that was announced
	expedited      string    // the resync request for which nothing waits any more
	lasting
}

// lasting is what outlives a reconcile that found nothing to do.
type lasting struct {
	recreations []time.Time // oldest first, of the last hour
	moves       []time.Time // likewise
	brakedUntil time.Time   // until when it was said that the object has moved too often
	resync      string      // the request that was handled and that the API server did not store
}

// forget drops everything about an object that is gone.
func (m *memory) forget(key types.NamespacedName) {
	m.waits.Forget(key)
	m.pruning.Forget(key)
	m.findings.Forget(key)
	m.writes.Forget(key)
	m.retries.Forget(key)
}

// Forget drops what is remembered of an object and need not be, for the proof that nothing hangs on
// it. What has to have a beginning to have an end stays: what the check for drift has found and
// handed to the next reconcile, since when a key does not match, and since when a list is awaited,
// which would never be young enough. Counts of failures, of moves and of what vanished stay too:
// without them nothing waits.
func (r *Reconciler) Forget(object client.Object) {
	r.memory.writes.Forget(client.ObjectKeyFromObject(object))
	r.memory.pruning.Keep(object, func(p *pruning) bool { *p = pruning{proving: p.proving}; return true })
	r.memory.waits.Keep(object, func(w *wait) bool {
		*w = wait{mismatch: w.mismatch, mismatchSince: w.mismatchSince, asked: w.asked, lasting: w.lasting}
		return true
	})
}

// rest drops everything about an object that is at rest, but for what lasts.
func (m *memory) rest(object client.Object, now time.Time) {
	key := client.ObjectKeyFromObject(object)
	m.writes.Forget(key)
	m.findings.Forget(key)
	m.pruning.Keep(object, func(p *pruning) bool { return p.problem != "" })
	m.retries.Succeeded(object, retries.Reconcile, retries.CatchUp)
	m.waits.Keep(object, func(w *wait) bool {
		last := w.lasting
		last.recreations, last.moves = since(last.recreations, now.Add(-time.Hour)), since(last.moves, now.Add(-time.Hour))
		*w = wait{lasting: last}
		return len(last.recreations) > 0 || len(last.moves) > 0 || last.resync != ""
	})
}

// succeeded ends every wait but what lasts. What was written stays until a reconcile finds it in
// the cache.
func (m *memory) succeeded(object client.Object) {
	m.findings.Forget(client.ObjectKeyFromObject(object))
	m.retries.Succeeded(object, retries.Reconcile, retries.CatchUp)
	m.waits.Keep(object, func(w *wait) bool { *w = wait{lasting: w.lasting}; return true })
}

// throttled returns since when the object has been waiting for a rate limit.
func (m *memory) throttled(object client.Object, now time.Time) (since time.Time) {
	m.waits.Change(object, func(w *wait) {
		if w.throttledSince.IsZero() {
			w.throttledSince = now
		}
		since = w.throttledSince
	})
	return since
}

// moved ends a wait for a rate limit: the object got its turn.
func (m *memory) moved(object client.Object) {
	m.waits.Keep(object, func(w *wait) bool { w.throttledSince = time.Time{}; return true })
}

// mismatched notes that in this version of the Secret key and certificate do not match,
// and returns since when that is known.
func (m *memory) mismatched(object client.Object, version string, now time.Time) (since time.Time) {
	m.waits.Change(object, func(w *wait) {
		if w.mismatch != version {
			w.mismatch, w.mismatchSince = version, now
		}
		since = w.mismatchSince
	})
	return since
}

// asking notes that a look-up is wanted, and returns since when: a list that was read
// later answers it.
func (m *memory) asking(object client.Object, now time.Time) (since time.Time) {
	m.waits.Change(object, func(w *wait) {
		if w.asked.IsZero() {
			w.asked = now
		}
		since = w.asked
	})
	return since
}

// answered ends a look-up.
func (m *memory) answered(object client.Object) {
	m.waits.Keep(object, func(w *wait) bool { w.asked = time.Time{}; return true })
}

// askAgain notes that the list has to be read once more, from now on.
func (m *memory) askAgain(object client.Object, now time.Time) {
	m.waits.Change(object, func(w *wait) { w.asked = now })
}

// recreated counts a current version that had vanished.
func (m *memory) recreated(object client.Object, now time.Time) {
	m.waits.Change(object, func(w *wait) { w.recreations = append(since(w.recreations, now.Add(-time.Hour)), now) })
}

// movedAway counts that an object started anew elsewhere.
func (m *memory) movedAway(object client.Object, now time.Time) {
	m.waits.Change(object, func(w *wait) { w.moves = append(since(w.moves, now.Add(-time.Hour)), now) })
}

// since returns the times after a start, in a slice of its own.
func since(times []time.Time, start time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return !t.After(start) })
}

// brakes notes until when an object does not move, and reports whether that is news.
func (m *memory) brakes(object client.Object, until time.Time) (news bool) {
	m.waits.Change(object, func(w *wait) { news, w.brakedUntil = !w.brakedUntil.Equal(until), until })
	return news
}

// expedite ends every wait of an object for a slow retry, and reports whether this request has not
// done so before.
func (m *memory) expedite(object client.Object, request string) (first bool) {
	m.waits.Change(object, func(w *wait) { first, w.expedited = w.expedited != request, request })
	if first {
		m.pruning.Keep(object, func(p *pruning) bool { p.notBefore = time.Time{}; return true })
		m.retries.Succeeded(object, retries.Reconcile, retries.Prune)
	}
	return first
}

// otherwise notes that a deletion failed for another reason than a refusal.
func (m *memory) otherwise(object client.Object, now time.Time) {
	m.waits.Change(object, func(w *wait) { w.otherwise = now })
}

// tellsEnd notes how the deletion of an object ends, and reports whether that is news.
func (m *memory) tellsEnd(object client.Object, end string) (news bool) {
	m.waits.Change(object, func(w *wait) { news, w.end = w.end != end, end })
	return news
}

// handled notes a resync request that was handled, where the API server does not store that.
func (m *memory) handled(object client.Object, request string) {
	m.waits.Change(object, func(w *wait) { w.resync = request })
}
