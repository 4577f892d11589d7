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

// queue is a queue from which the simulation takes what is worked on next. It merges
// as controller-runtime's priority queue does, and asks the real rate limiter; the real
// queue has a goroutine that wakes up every ten seconds, for weeks in a schedule.
type queue struct {
	limiter workqueue.TypedRateLimiter[reconcile.Request]
	waiting map[reconcile.Request]*waitingRequest
	busy    map[reconcile.Request]chan struct{} // closed when it is done
	work    chan *waitingRequest
	down    chan struct{}
	added   int
	// byName takes the place of the order in which requests came, where several watches of one
	// controller show the same event in no order.
	byName bool
}

// waitingRequest is a request that waits.
type waitingRequest struct {
	request  reconcile.Request
	priority int
	due      time.Time
	order    int
}

func newQueue(limiter workqueue.TypedRateLimiter[reconcile.Request], byName bool) *queue {
	return &queue{
		limiter: limiter, byName: byName, waiting: map[reconcile.Request]*waitingRequest{}, busy: map[reconcile.Request]chan struct{}{},
		work: make(chan *waitingRequest), down: make(chan struct{}),
	}
}

// AddWithOpts implements priorityqueue.PriorityQueue.
func (q *queue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
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
		item := &waitingRequest{request: request, priority: priority, due: time.Now().Add(after), order: q.added}
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
func (q *queue) due() []types.NamespacedName {
	now := time.Now()
	var items []*waitingRequest
	for request, item := range q.waiting {
		if q.busy[request] == nil && !item.due.After(now) {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b *waitingRequest) int {
		order := cmp.Compare(a.order, b.order)
		if q.byName {
			order = cmp.Compare(a.request.String(), b.request.String())
		}
		return cmp.Or(-cmp.Compare(a.priority, b.priority), a.due.Compare(b.due), order)
	})
	keys := make([]types.NamespacedName, 0, len(items))
	for _, item := range items {
		keys = append(keys, item.request.NamespacedName)
	}
	return keys
}

// soonest is when the next request is due, at the latest at an end.
func (q *queue) soonest(end time.Time) time.Time {
	for _, item := range q.waiting {
		if item.due.Before(end) {
			end = item.due
		}
	}
	return end
}

// hand gives a request to a worker of the controller, unless it was done before, and waits until it
// is done.
func (q *queue) hand(request reconcile.Request, before func() (done bool)) {
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
func (q *queue) GetWithPriority() (request reconcile.Request, priority int, shutdown bool) {
	select {
	case item := <-q.work:
		return item.request, item.priority, false
	case <-q.down:
		return reconcile.Request{}, 0, true
	}
}

// Get implements workqueue.TypedInterface.
func (q *queue) Get() (request reconcile.Request, shutdown bool) {
	request, _, shutdown = q.GetWithPriority()
	return request, shutdown
}

// Done implements workqueue.TypedInterface.
func (q *queue) Done(request reconcile.Request) {
	done := q.busy[request]
	delete(q.busy, request)
	close(done)
}

func (q *queue) Add(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{}, request)
}

func (q *queue) AddAfter(request reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, request)
}

func (q *queue) AddRateLimited(request reconcile.Request) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, request)
}

func (q *queue) Forget(request reconcile.Request) { q.limiter.Forget(request) }

func (q *queue) NumRequeues(request reconcile.Request) int { return q.limiter.NumRequeues(request) }

func (q *queue) Len() int { return len(q.due()) }

func (q *queue) ShutDown() { close(q.down) }

func (q *queue) ShutDownWithDrain() { q.ShutDown() }

func (q *queue) ShuttingDown() bool {
	select {
	case <-q.down:
		return true
	default:
		return false
	}
}
