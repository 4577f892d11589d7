// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// simQueue is a queue from which the simulation takes what is worked on next. It merges
// as controller-runtime's priority queue does, and asks the real rate limiter; the real
// queue has a goroutine that wakes up every ten seconds, for weeks in a schedule.
type simQueue struct {
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	waiting map[reconcile.Request]*simItem
	busy    map[reconcile.Request]chan struct{} // closed when it is done
	work    chan *simItem
	down    chan struct{}
	added   int
}

// simItem is a request that waits.
type simItem struct {
	request  reconcile.Request
	priority int
	due      time.Time
	order    int
}

func newSimQueue(limiter workqueue.TypedRateLimiter[reconcile.Request]) *simQueue {
	return &simQueue{
		limiter: limiter, waiting: map[reconcile.Request]*simItem{}, busy: map[reconcile.Request]chan struct{}{},
		work: make(chan *simItem), down: make(chan struct{}),
	}
}

// AddWithOpts implements priorityqueue.PriorityQueue.
func (q *simQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	for _, request := range requests {
		after := o.After
		if o.RateLimited {
			if limited := q.limiter.When(request); after == 0 || limited < after {
				after = limited
			}
		}
		priority := 0
		if o.Priority != nil {
			priority = *o.Priority
		}
		q.added++
		item := &simItem{request: request, priority: priority, due: time.Now().Add(after), order: q.added}
		if known := q.waiting[request]; known != nil {
			item.due = slices.MinFunc([]time.Time{known.due, item.due}, time.Time.Compare)
			if known.priority >= priority {
				item.priority, item.order = known.priority, known.order
			}
		}
		q.waiting[request] = item
	}
}

// due are the requests whose time has come, in the order of the real queue.
func (q *simQueue) due() []types.NamespacedName {
	now := time.Now()
	var items []*simItem
	for request, item := range q.waiting {
		if q.busy[request] == nil && !item.due.After(now) {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b *simItem) int {
		return cmp.Or(-cmp.Compare(a.priority, b.priority), a.due.Compare(b.due), cmp.Compare(a.order, b.order))
	})
	keys := make([]types.NamespacedName, 0, len(items))
	for _, item := range items {
		keys = append(keys, item.request.NamespacedName)
	}
	return keys
}

// soonest is when the next request is due, at the latest at an end.
func (q *simQueue) soonest(end time.Time) time.Time {
	for _, item := range q.waiting {
		if item.due.Before(end) {
			end = item.due
		}
	}
	return end
}

// hand gives a request to a worker of the controller, unless it was done before, and waits until it
// is done.
func (q *simQueue) hand(request reconcile.Request, before func() (done bool)) {
	item := q.waiting[request]
	if item == nil || q.busy[request] != nil {
		return
	}
	delete(q.waiting, request)
	done := make(chan struct{})
	q.busy[request] = done
	if before() {
		q.Forget(request)
		q.Done(request)
		return
	}
	q.work <- item
	<-done
}

// GetWithPriority implements priorityqueue.PriorityQueue.
func (q *simQueue) GetWithPriority() (request reconcile.Request, priority int, shutdown bool) {
	select {
	case item := <-q.work:
		return item.request, item.priority, false
	case <-q.down:
		return reconcile.Request{}, 0, true
	}
}

// Get implements workqueue.TypedInterface.
func (q *simQueue) Get() (request reconcile.Request, shutdown bool) {
	request, _, shutdown = q.GetWithPriority()
	return request, shutdown
}

// Done implements workqueue.TypedInterface.
func (q *simQueue) Done(request reconcile.Request) {
	done := q.busy[request]
	delete(q.busy, request)
	close(done)
}

func (q *simQueue) Add(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{}, request)
}

func (q *simQueue) AddAfter(request reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, request)
}

func (q *simQueue) AddRateLimited(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, request)
}

func (q *simQueue) Forget(request reconcile.Request) { q.limiter.Forget(request) }

func (q *simQueue) NumRequeues(request reconcile.Request) int { return q.limiter.NumRequeues(request) }

func (q *simQueue) Len() int { return len(q.due()) }

func (q *simQueue) ShutDown() { close(q.down) }

func (q *simQueue) ShutDownWithDrain() { q.ShutDown() }

func (q *simQueue) ShuttingDown() bool {
	select {
	case <-q.down:
		return true
	default:
		return false
	}
}
