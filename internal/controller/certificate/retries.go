// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

const (
	// firstSoon is the first retry of what may pass by itself, firstSlowly that of what somebody
	// has to mend outside of the cluster. Both double up to longestRetry.
	firstSoon    = 2 * time.Second
	firstSlowly  = 5 * time.Minute
	longestRetry = time.Hour
	// firstCatchUp is the time that the cache is given to show a write. It doubles up
	// to longestCatchUp while the cache shows the same version again: a watch may be
	// stuck, and each reconcile reads from an API server that has enough to do.
	firstCatchUp   = 50 * time.Millisecond
	longestCatchUp = 5 * time.Second
)

// purpose is what is tried again.
type purpose int

const (
	toReconcile purpose = iota
	toPrune
	toCatchUp
)

// attempt is something that failed for an object.
type attempt struct {
	uid types.UID
	purpose
}

// retries say how long something waits that failed: twice as long after each failure in a row.
type retries struct {
	once                  sync.Once
	soon, slowly, catchUp workqueue.TypedRateLimiter[attempt]

	mu    sync.Mutex
	known map[types.NamespacedName]types.UID // of which something failed
}

func (r *retries) init() {
	r.once.Do(func() {
		r.soon = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](firstSoon, longestRetry)
		r.slowly = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](firstSlowly, longestRetry)
		r.catchUp = workqueue.NewTypedItemExponentialFailureRateLimiter[attempt](firstCatchUp, longestCatchUp)
		r.known = map[types.NamespacedName]types.UID{}
	})
}

// next returns how long to wait after one more failure.
func (r *retries) next(object client.Object, p purpose, pace verdict.Pace) time.Duration {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	key, item := client.ObjectKeyFromObject(object), attempt{object.GetUID(), p}
	if before, ok := r.known[key]; ok && before != item.uid {
		r.drop(before, toReconcile, toPrune, toCatchUp)
	}
	r.known[key] = item.uid
	switch {
	case p == toCatchUp:
		return r.catchUp.When(item)
	case pace == verdict.Slowly:
		return r.slowly.When(item)
	}
	return r.soon.When(item)
}

// succeeded ends the failures of an object for some purposes.
func (r *retries) succeeded(object client.Object, purposes ...purpose) {
	r.init()
	r.drop(object.GetUID(), purposes...)
}

// forget drops what is known of an object that is gone.
func (r *retries) forget(key types.NamespacedName) {
	r.init()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(r.known[key], toReconcile, toPrune, toCatchUp)
	delete(r.known, key)
}

func (r *retries) drop(uid types.UID, purposes ...purpose) {
	for _, p := range purposes {
		for _, limiter := range []workqueue.TypedRateLimiter[attempt]{r.soon, r.slowly, r.catchUp} {
			limiter.Forget(attempt{uid, p})
		}
	}
}
