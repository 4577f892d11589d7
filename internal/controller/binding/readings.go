// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"maps"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// readings are what resources were read to hold, for bindings of the same resource that are due
// for a check at the same time. The zero value has none.
type readings struct {
	mu sync.Mutex
	of map[reader]reading
}

// reader is a resource with the credentials that see it: others may see less of it.
type reader struct{ resource, namespace, secret string }

type reading struct {
	began  time.Time
	writer string
	state  targets.State
}

// readingLife is how long a reading is kept for others. It is far more than they are apart.
const readingLife = time.Minute

// keep keeps a reading that began at a time. The resource is reserved: nothing of ours was written
// to it meanwhile.
func (r *readings) keep(by reader, made reading, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.of, func(_ reader, known reading) bool { return known.began.Before(now.Add(-readingLife)) })
	if r.of == nil {
		r.of = map[reader]reading{}
	}
	r.of[by] = made
}

// since returns a reading that began at a time or later, and reports whether there is one.
func (r *readings) since(by reader, due time.Time) (targets.State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.of[by]
	return known.state, ok && !known.began.Before(due)
}

// drop forgets what a write may have changed.
func (r *readings) drop(writer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.of, func(_ reader, known reading) bool { return known.writer == writer })
}

// borrow takes what another binding has read of the resource since this one has been due for a
// check, and reports whether there is that. It is good enough to find that nothing is to be done.
func (r *reconciliation) borrow() (targets.State, bool) {
	due := r.memory.dueSince(r.next, r.Clock.Now())
	if due.IsZero() || r.ownRead || resyncAsked(r.next) {
		return targets.State{}, false
	}
	return r.readings.since(r.reader(), due)
}

func (r *reconciliation) reader() reader {
	by := reader{resource: r.target().ReadKey(), secret: r.secret()}
	if by.secret != "" {
		by.namespace = r.next.Namespace
	}
	return by
}

// giveBack drops what was borrowed, and reports whether anything was: what is written is decided
// from a read of one's own.
func (r *reconciliation) giveBack() bool {
	if !r.borrowed {
		return false
	}
	r.state, r.borrowed, r.ownRead = nil, false, true
	return true
}
