// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

const (
	// shareFor is how long a reading is good for bindings that want to know what is there now: no
	// longer than a reading of one's own may have to wait for its second call.
	shareFor = 3 * time.Second
	// readingWait is when somebody who waits for another's reading asks by himself, if nobody has
	// woken him.
	readingWait = 5 * time.Second
	// settling is when a resource that was changed is worth another reading: the first hint of what
	// is under way.
	settling = 2 * time.Second
	// forgetAfter is how long a round is kept that nobody has used.
	forgetAfter = time.Minute
)

// rounds let the bindings of a resource share what it costs. A round begins when one of them reads
// the resource; the others that want to know wait for that, and are woken. They decide by the
// reading each for itself, and what they write together ends the round: the next decision, of
// anybody, needs another reading. The zero value has none, and wakes nobody.
type rounds struct {
	mu     sync.Mutex
	of     map[reader]*round
	writes map[string]bool // the resources, by their WriterKey, that are being written to
	purged time.Time
	// short are the bindings that were refused because a quota was full; refusals counts those.
	short    map[types.NamespacedName]shortage
	refusals int
	// spare is the room of quotas that nobody waited for when it was shown; shown counts how often
	// there was some.
	spare map[string]spare
	shown int
	// wake has a binding reconciled at once; nil where there is no queue.
	wake func(types.NamespacedName)
}

// reader is a resource with the credentials that see it: others may see less of it.
type reader struct{ resource, namespace, secret string }

// reading is what a resource was read to hold, or why it could not be read.
type reading struct {
	began, ended time.Time
	state        targets.State
	failure      *rules.Failure
	// owner is who else manages the resource; nil where nobody has asked.
	owner *string
}

// round is what the bindings of a resource do by one reading.
type round struct {
	writer string
	// instant reports whether a reading shows at once what was written.
	instant bool
	used    time.Time
	// reads reports whether one of them reads, and waiting who is woken then. sees reports whether they
	// could read it before.
	reads, sees bool
	waiting     map[types.NamespacedName]bool
	// notBefore is when the next reading is worth it: as the limit said, or after a change. Checks
	// for drift have a limit of their own.
	notBefore, noCheckBefore time.Time
	known                    *reading
	// number counts the readings and the changes of the resource: who decided before one is too late.
	number int
	// active are the reconciles that take part, and deciding those of them that have not handed in
	// a write; expected are those that were woken and have not come yet.
	active, deciding int
	expected         map[types.NamespacedName]bool
	batch            *batch
	// most is how many the resource is given at a time; 0 for as many as a call takes.
	most int
	// freed is the room that removals make which no reading has shown to be over.
	freed room
}

// want is what a binding wants to know of a resource.
type want struct {
	who     types.NamespacedName
	writer  string
	instant bool
	// after is the last reading that it has decided by, and due since when it is due for a check;
	// a check alone has time. since is set where only a reading that begins later will do.
	after, due, since time.Time
	check             bool
}

// ticket is a reconcile's part in a round.
type ticket struct {
	*round
	who    types.NamespacedName
	number int
	// reads reports whether this one has to read, and tell.
	reads bool
	// writes reports whether it has something to write, and decided whether it counts no more
	// among those that are waited for.
	writes, decided bool
}

// enter takes part in the round of a resource: by what is known, or by reading it. Where somebody
// else reads it, or it is not worth it yet, it returns how long to wait.
func (r *rounds) enter(by reader, w want, now time.Time) (t *ticket, known *reading, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.round(by, w, now)
	delete(in.expected, w.who)
	delete(in.waiting, w.who)
	delete(r.short, w.who)
	defer func() {
		if t == nil {
			in.waiting[w.who] = true
			in.batch.complete(in)
		}
	}()
	notBefore := in.notBefore
	if w.check {
		notBefore = later(notBefore, in.noCheckBefore)
	}
	switch {
	case in.known.isGoodFor(w, now) && in.batch.takesMore():
		return in.ticket(w.who, false), in.known, 0
	case in.reads, in.batch != nil, r.writes[w.writer]:
		return nil, nil, readingWait
	case now.Before(notBefore):
		return nil, nil, notBefore.Sub(now)
	}
	in.anew()
	in.reads = true
	return in.ticket(w.who, true), nil, 0
}

func (in *round) ticket(who types.NamespacedName, reads bool) *ticket {
	in.active++
	in.deciding++
	return &ticket{round: in, who: who, number: in.number, reads: reads}
}

// isGoodFor reports whether a reading tells a binding what it wants to know. No binding decides
// twice by the same one. One that began at the very moment may have missed what the binding wants to know.
func (k *reading) isGoodFor(w want, now time.Time) bool {
	if k == nil || !k.began.After(w.after) || !k.began.After(w.since) {
		return false
	}
	return now.Sub(k.ended) <= shareFor || !w.due.IsZero() && !k.began.Before(w.due)
}

// round returns the round of a resource, and makes one if there is none. r.mu is held.
func (r *rounds) round(by reader, w want, now time.Time) *round {
	if now.Sub(r.purged) >= forgetAfter {
		r.purged = now
		clear(r.spare) // calls take less
		maps.DeleteFunc(r.of, func(_ reader, old *round) bool {
			return old.active == 0 && now.Sub(old.used) >= forgetAfter && !now.Before(old.notBefore) && !now.Before(old.noCheckBefore)
		})
	}
	in := r.of[by]
	if in == nil {
		if r.of == nil {
			r.of, r.writes, r.short = map[reader]*round{}, map[string]bool{}, map[types.NamespacedName]shortage{}
			r.spare = map[string]spare{}
		}
		in = &round{writer: w.writer, instant: w.instant, waiting: map[types.NamespacedName]bool{}, expected: map[types.NamespacedName]bool{}}
		r.of[by] = in
	}
	in.used = now
	return in
}

// tell tells those who wait what the ticket's reconcile has read, unless something was written
// meanwhile.
func (r *rounds) tell(t *ticket, what reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.round.reads, t.reads = false, false
	if t.number == t.round.number {
		t.known = &what
	}
	for _, other := range r.of {
		if what.state.Busy && other.writer == t.writer && other != t.round {
			other.anew() // what others saw of it before is no longer so
		}
	}
	t.sees = what.failure == nil
	if t.sees && !what.state.Busy {
		r.offer(t.round)
	}
	r.wakeAll(t.round)
}

// isRead reports whether somebody reads a resource, with any credentials that see it. Those that never saw it
// hold up nobody: whoever makes up credentials could name a neighbour's resource. r.mu is held.
func (r *rounds) isRead(writer string) bool {
	for _, in := range r.of {
		if in.writer == writer && in.reads && in.sees {
			return true
		}
	}
	return false
}

// wakeAll wakes those who wait, and expects them. r.mu is held.
func (r *rounds) wakeAll(in *round) {
	if r.wake == nil {
		return
	}
	for who := range in.waiting {
		in.expected[who] = true
		r.wake(who)
	}
	clear(in.waiting)
}

// putOff says when the next reading is worth it, after one that had no turn. Nobody is told.
func (r *rounds) putOff(t *ticket, until time.Time, check bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.round.reads, t.reads = false, false
	if check {
		t.noCheckBefore = later(t.noCheckBefore, until)
		return
	}
	t.notBefore = later(t.notBefore, until)
}

// leave ends a reconcile's part in a round. Who has written is woken by the next reading.
func (r *rounds) leave(t *ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.active--
	if !t.decided {
		t.deciding--
	}
	if t.reads { // it has not told anybody
		t.round.reads = false
		r.wakeAll(t.round)
	}
	if t.writes {
		t.waiting[t.who] = true
	}
	t.batch.complete(t.round)
}

// forget forgets a binding that is gone: nobody wakes it, and no call waits for it.
func (r *rounds) forget(who types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.short, who)
	for _, in := range r.of {
		delete(in.waiting, who)
		delete(in.expected, who)
		in.batch.complete(in)
	}
}

// drop forgets all readings of a resource, because it is being changed. r.mu is held.
func (r *rounds) drop(writer string) {
	for _, in := range r.of {
		if in.writer == writer {
			in.anew()
		}
	}
}

// anew makes every decision by what was read too late. r.mu is held.
func (in *round) anew() {
	in.known = nil
	in.number++
	clear(in.expected)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
