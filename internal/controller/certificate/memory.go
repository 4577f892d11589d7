// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// memory is what the operator remembers of objects between passes: how long
// something has been going on, and what it wrote a moment ago. All of it may be
// lost at any time: it decides how soon something is tried again and spares
// calls, never what is done. An object takes some hundred bytes of it from its
// first call on until a pass finds nothing to do.
type memory struct {
	mu       sync.Mutex
	objects  map[types.NamespacedName]*recollection
	lastLost time.Time // when the last upload ended whose outcome is not known
	retries  retries
}

// recollection is what is remembered of one object.
type recollection struct {
	uid            types.UID
	throttledSince time.Time
	takenName      string
	takenSince     time.Time
	asked          time.Time // since when a look-up is wanted
	missing        int64     // the certificate that a sweep did not list
	refresh        bool      // a sweep listed other superseded versions than the status
	lastSent       time.Time // when an upload was last on its way
	lastName       string    // under which name
	writes         [2]ownWrite
	mismatch       string    // the version of the Secret whose key and certificate do not match
	mismatchSince  time.Time // since when it is known
	staleVersion   string    // the resourceVersion that the cache showed although it was behind
	otherwise      time.Time // when a deletion last failed for another reason than a refusal
	expedited      string    // the resync request for which nothing waits any more
	staleSince     time.Time // since when
	lasting
}

// ownWrite is one of our last writes to an object.
type ownWrite struct {
	from   string // the resourceVersion that it replaced
	to     string // the one that it made; empty while its answer is not here
	status uint64 // digest of the status that it left
}

// lasting is what outlives a pass that found nothing to do.
type lasting struct {
	recreations  []time.Time // oldest first, of the last hour
	moves        []time.Time // likewise
	brakedUntil  time.Time   // until when it was said that the object has moved too often
	pruneAfter   time.Time
	pruneProblem string
	proving      time.Time // since when a list is wanted that proves what may be pruned
	silent       []int64   // certificates whose last deletion got no answer
	resync       string    // the request that was handled and that the API server did not store
}

// of returns what is remembered of an object, and makes room for it. The caller
// holds the lock.
func (m *memory) of(object client.Object) *recollection {
	key := client.ObjectKeyFromObject(object)
	if known := m.objects[key]; known != nil && known.uid == object.GetUID() {
		return known
	}
	if m.objects == nil {
		m.objects = map[types.NamespacedName]*recollection{}
	}
	m.drop(key)
	fresh := &recollection{uid: object.GetUID()}
	m.objects[key] = fresh
	return fresh
}

// with changes or reads what is remembered of an object.
func with[T any](m *memory, object client.Object, do func(*recollection) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return do(m.of(object))
}

// peek reads what is remembered of an object, without making room for it.
func peek[T any](m *memory, object client.Object, do func(recollection) T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.objects[client.ObjectKeyFromObject(object)]
	if known == nil || known.uid != object.GetUID() {
		known = &recollection{}
	}
	return do(*known)
}

// forget drops everything about an object that is gone.
func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
}

// drop forgets what is remembered under a name. The caller holds the lock.
func (m *memory) drop(key types.NamespacedName) {
	if known := m.objects[key]; known != nil {
		m.retries.succeeded(known.uid, toReconcile, toPrune, toCatchUp)
		delete(m.objects, key)
	}
}

// rest drops everything about an object that is at rest, but for what lasts.
func (m *memory) rest(object client.Object, now time.Time) {
	key := client.ObjectKeyFromObject(object)
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.objects[key]
	if known == nil {
		return
	}
	known.recreations = since(known.recreations, now.Add(-time.Hour))
	known.moves = since(known.moves, now.Add(-time.Hour))
	if len(known.recreations) == 0 && len(known.moves) == 0 && known.pruneProblem == "" && known.resync == "" {
		m.drop(key)
		return
	}
	m.retries.succeeded(known.uid, toReconcile, toCatchUp)
	*known = recollection{uid: known.uid, lasting: known.lasting}
}

// throttled returns since when the object has been waiting for a rate limit.
func (m *memory) throttled(object client.Object, now time.Time) time.Time {
	return with(m, object, func(known *recollection) time.Time {
		if known.throttledSince.IsZero() {
			known.throttledSince = now
		}
		return known.throttledSince
	})
}

// moved ends a wait for a rate limit: the object got its turn.
func (m *memory) moved(object client.Object) {
	with(m, object, func(known *recollection) any { known.throttledSince = time.Time{}; return nil })
}

// mismatched notes that in this version of the Secret key and certificate do not match,
// and returns since when that is known.
func (m *memory) mismatched(object client.Object, version string, now time.Time) time.Time {
	return with(m, object, func(known *recollection) time.Time {
		if known.mismatch != version {
			known.mismatch, known.mismatchSince = version, now
		}
		return known.mismatchSince
	})
}

// nameTaken notes that this name is taken, and returns since when it has been.
func (m *memory) nameTaken(object client.Object, name string, now time.Time) time.Time {
	return with(m, object, func(known *recollection) time.Time {
		if known.takenName != name {
			known.takenName, known.takenSince = name, now
		}
		return known.takenSince
	})
}

// takenFor returns for how long a name has been known to be taken that was not found.
func (m *memory) takenFor(object client.Object, now time.Time) time.Duration {
	return peek(m, object, func(known recollection) time.Duration {
		if known.takenName == "" {
			return 0
		}
		return now.Sub(known.takenSince)
	})
}

// asking notes that a look-up is wanted, and returns since when: a list that was read
// later answers it.
func (m *memory) asking(object client.Object, now time.Time) time.Time {
	return with(m, object, func(known *recollection) time.Time {
		if known.asked.IsZero() {
			known.asked = now
		}
		return known.asked
	})
}

// answered ends a look-up.
func (m *memory) answered(object client.Object) {
	with(m, object, func(known *recollection) any { known.asked = time.Time{}; return nil })
}

// askAgain notes that the list has to be read once more, from now on.
func (m *memory) askAgain(object client.Object, now time.Time) {
	with(m, object, func(known *recollection) any { known.asked = now; return nil })
}

// miss notes that a sweep did not list the current version.
func (m *memory) miss(object *v1alpha1.CloudCertificate) {
	with(m, object, func(known *recollection) any { known.missing = object.Status.CertID; return nil })
}

// outdate notes that a sweep listed other superseded versions than the status does.
func (m *memory) outdate(object client.Object) {
	with(m, object, func(known *recollection) any { known.refresh = true; return nil })
}

// missing says that a sweep did not list the current version.
func (m *memory) missing(object *v1alpha1.CloudCertificate) bool {
	return peek(m, object, func(known recollection) bool {
		return known.missing != 0 && known.missing == object.Status.CertID
	})
}

// recall returns what is remembered of an object, and makes no room for it.
func (m *memory) recall(object client.Object) recollection {
	return peek(m, object, func(known recollection) recollection {
		known.recreations, known.moves, known.silent = slices.Clone(known.recreations), slices.Clone(known.moves), slices.Clone(known.silent)
		return known
	})
}

// sending notes that an upload is on its way.
func (m *memory) sending(object client.Object, name string, now time.Time) {
	with(m, object, func(known *recollection) any { known.lastName, known.lastSent = name, now; return nil })
}

// adopted notes the name under which a certificate was found.
func (m *memory) adopted(object client.Object, name string) {
	with(m, object, func(known *recollection) any { known.lastName = name; return nil })
}

// lost notes that an upload ended whose outcome is not known.
func (m *memory) lost(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastLost = now
}

// lostSince returns when an upload whose outcome is not known may last have ended: any
// before the start may have been one.
func (m *memory) lostSince(start time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastLost.After(start) {
		return m.lastLost
	}
	return start
}

// recreated counts a current version that had vanished.
func (m *memory) recreated(object client.Object, now time.Time) {
	with(m, object, func(known *recollection) any { known.recreations = append(known.recreations, now); return nil })
}

// movedAway counts that an object started anew elsewhere.
func (m *memory) movedAway(object client.Object, now time.Time) {
	with(m, object, func(known *recollection) any {
		known.moves = append(since(known.moves, now.Add(-time.Hour)), now)
		return nil
	})
}

// brakes notes until when an object does not move, and reports whether that is news.
func (m *memory) brakes(object client.Object, until time.Time) bool {
	return with(m, object, func(known *recollection) bool {
		news := !known.brakedUntil.Equal(until)
		known.brakedUntil = until
		return news
	})
}

// since keeps the times after a start.
func since(times []time.Time, start time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return !t.After(start) })
}

// writing notes our own write before it is sent: which version of the object it is about
// to replace, and with which status. Its event may be faster than its answer.
func (m *memory) writing(object *v1alpha1.CloudCertificate, from string) {
	write := ownWrite{from: from, status: digestOf(&object.Status)}
	with(m, object, func(known *recollection) any {
		known.writes = [2]ownWrite{known.writes[1], write}
		return nil
	})
}

// written notes what our own write made of the object.
func (m *memory) written(object *v1alpha1.CloudCertificate, from string) {
	digest := digestOf(&object.Status)
	with(m, object, func(known *recollection) any {
		for i := range known.writes {
			if known.writes[i].from == from {
				known.writes[i].to, known.writes[i].status = object.ResourceVersion, digest
			}
		}
		return nil
	})
}

// notWritten takes back that a version was replaced.
func (m *memory) notWritten(object client.Object, from string) {
	with(m, object, func(known *recollection) any {
		for i := range known.writes {
			if known.writes[i].from == from {
				known.writes[i] = ownWrite{}
			}
		}
		return nil
	})
}

// behind reports whether an object is a version that our own last writes replaced:
// whatever was decided from it would be a conflict. After a restore of etcd it may be
// the present one again; see Reconciler.isBehind.
func (m *memory) behind(object client.Object) bool {
	version := object.GetResourceVersion()
	return peek(m, object, func(known recollection) bool {
		return version != "" && slices.ContainsFunc(known.writes[:], func(w ownWrite) bool { return w.from == version })
	})
}

// wrote reports whether the status of an object is one that our own last writes left. One
// event may show several writes, the last of them somebody else's.
func (m *memory) wrote(after *v1alpha1.CloudCertificate) bool {
	digest := digestOf(&after.Status)
	return peek(m, after, func(known recollection) bool {
		return slices.ContainsFunc(known.writes[:], func(w ownWrite) bool {
			return w.from != "" && w.status == digest && (w.to == "" || w.to == after.ResourceVersion)
		})
	})
}

// digestOf stands for a status as the API server stores it.
func digestOf(status *v1alpha1.CloudCertificateStatus) uint64 {
	text, err := json.Marshal(status)
	if err != nil {
		return 0 // a status holds nothing that cannot be written
	}
	hash := fnv.New64a()
	_, _ = hash.Write(text)
	return hash.Sum64()
}

// stillBehind notes that the cache shows a version which is behind.
func (m *memory) stillBehind(object client.Object, now time.Time) {
	with(m, object, func(known *recollection) any {
		if known.staleVersion != object.GetResourceVersion() {
			known.staleVersion, known.staleSince = object.GetResourceVersion(), now
			m.retries.succeeded(object.GetUID(), toCatchUp)
		}
		return nil
	})
}

// staleFor returns for how long the cache has shown this version although it is behind.
func (m *memory) staleFor(object client.Object, now time.Time) time.Duration {
	return peek(m, object, func(known recollection) time.Duration {
		if known.staleVersion != object.GetResourceVersion() {
			return 0
		}
		return now.Sub(known.staleSince)
	})
}

// succeeded ends every count but those that last. What was sent stays until a pass
// finds its status written.
func (m *memory) succeeded(object client.Object) {
	with(m, object, func(known *recollection) any {
		*known = recollection{uid: known.uid, lastSent: known.lastSent, lastName: known.lastName, writes: known.writes, lasting: known.lasting}
		return nil
	})
	m.retries.succeeded(object.GetUID(), toReconcile, toCatchUp)
}

// pruneProblem returns why the last prune failed, if it did.
func (m *memory) pruneProblem(object client.Object) string {
	return peek(m, object, func(known recollection) string { return known.pruneProblem })
}

// prunedWell ends what is remembered of prunes that failed.
func (m *memory) prunedWell(object client.Object) {
	with(m, object, func(known *recollection) any {
		known.pruneAfter, known.pruneProblem, known.proving, known.silent = time.Time{}, "", time.Time{}, nil
		return nil
	})
	m.retries.succeeded(object.GetUID(), toPrune)
}

// prunedBadly notes why a prune failed, and reports whether the last one failed for the same
// reason.
func (m *memory) prunedBadly(object client.Object, problem string) (again bool) {
	return with(m, object, func(known *recollection) bool {
		again := known.pruneProblem == problem
		known.pruneProblem, known.proving = problem, time.Time{}
		return again
	})
}

// noAnswer notes that the deletion of a certificate got no answer.
func (m *memory) noAnswer(object client.Object, certID int64) {
	with(m, object, func(known *recollection) any {
		if !slices.Contains(known.silent, certID) {
			known.silent = append(known.silent, certID)
		}
		return nil
	})
}

// pruneNotBefore puts the next prune off.
func (m *memory) pruneNotBefore(object client.Object, at time.Time) {
	with(m, object, func(known *recollection) any { known.pruneAfter = at; return nil })
}

// proving notes that a list is wanted that proves what may be pruned, and returns since
// when: one that was read later answers it.
func (m *memory) proving(object client.Object, now time.Time) time.Time {
	return with(m, object, func(known *recollection) time.Time {
		if known.proving.IsZero() {
			known.proving = now
		}
		return known.proving
	})
}

// expedite ends every wait of an object for a slow retry, once for each request.
func (m *memory) expedite(object client.Object, request string) (first bool) {
	return with(m, object, func(known *recollection) bool {
		if known.expedited == request {
			return false
		}
		known.expedited, known.pruneAfter = request, time.Time{}
		m.retries.succeeded(object.GetUID(), toReconcile, toPrune)
		return true
	})
}

// otherwise notes that a deletion failed for another reason than a refusal.
func (m *memory) otherwise(object client.Object, now time.Time) {
	with(m, object, func(known *recollection) any { known.otherwise = now; return nil })
}

// handled notes a resync request that was handled, where the API server does not store that.
func (m *memory) handled(object client.Object, request string) {
	with(m, object, func(known *recollection) any { known.resync = request; return nil })
}

// handledResync returns the resync request that was handled, if the API server did not store
// that.
func (m *memory) handledResync(object client.Object) string {
	return peek(m, object, func(known recollection) string { return known.resync })
}
