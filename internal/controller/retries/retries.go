// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package retries says how long an object waits after failures in a row.
package retries

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

const (
	// FirstSoon is the first retry of what may pass by itself. It doubles up to Longest.
	FirstSoon = 2 * time.Second
	// FirstSlowly is the first retry of what somebody has to mend outside of the cluster. It
	// doubles up to Longest.
	FirstSlowly = 5 * time.Minute
	// Longest is how long anything that failed waits at most.
	Longest = time.Hour
	// FirstCatchUp is the time that the cache is given to show a write. It doubles up
	// to LongestCatchUp while the cache shows the same version again: a watch may be
	// stuck, and each reconcile reads from an API server that has enough to do.
	FirstCatchUp = 50 * time.Millisecond
	// LongestCatchUp is how long a cache that is behind is given at most.
	LongestCatchUp = 5 * time.Second
)

// Purpose is what is tried again.
type Purpose int

// What may be tried again for an object.
const (
	Reconcile Purpose = iota
	Prune
	CatchUp
)

// attempt is something that failed for an object.
type attempt struct {
	uid types.UID
	Purpose
}

// Retries say how long something waits that failed: twice as long after each failure in a row. The
// zero value knows of none. They are safe for concurrent use.
type Retries struct {
	once                  sync.Once
	soon, slowly, catchUp workqueue.TypedRateLimiter[attempt]

	mu    sync.Mutex
	known map[types.NamespacedName]types.UID // of which something failed
}

func (r *Retries) init() {
	r.once.Do(func() {
		r.soon = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](FirstSoon, Longest)
		r.slowly = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](FirstSlowly, Longest)
		r.catchUp = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](FirstCatchUp, LongestCatchUp)
		r.known = map[types.NamespacedName]types.UID{}
	})
}

// Next returns how long to wait after one more failure. The pace tells slowly from soon.
func (r *Retries) Next(object client.Object, p Purpose, pace verdict.Pace) time.Duration {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	key, item := client.ObjectKeyFromObject(object), attempt{object.GetUID(), p}
	if before, ok := r.known[key]; ok && before != item.uid {
		r.drop(before, Reconcile, Prune, CatchUp)
	}
	r.known[key] = item.uid
	switch {
	case p == CatchUp:
		return r.catchUp.When(item)
	case pace == verdict.Slowly:
		return r.slowly.When(item)
	}
	return r.soon.When(item)
}

// Succeeded ends the failures of an object for some purposes.
func (r *Retries) Succeeded(object client.Object, purposes ...Purpose) {
	r.init()
	r.drop(object.GetUID(), purposes...)
}

// Forget drops what is known of an object that is gone.
func (r *Retries) Forget(key types.NamespacedName) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(r.known[key], Reconcile, Prune, CatchUp)
	delete(r.known, key)
}

func (r *Retries) drop(uid types.UID, purposes ...Purpose) {
	for _, p := range purposes {
		for _, limiter := range []workqueue.TypedRateLimiter[attempt]{r.soon, r.slowly, r.catchUp} {
			limiter.Forget(attempt{uid, p})
		}
	}
}
