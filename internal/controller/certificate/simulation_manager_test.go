// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// simManager is what SetupWithManager needs of a manager. The controller, its watches
// with their predicates and handlers, and its rate limiter are the real ones; the
// informers and the queue wait for the simulation.
type simManager struct {
	manager.Manager
	op         *simOperator
	controller manager.Runnable
}

// Add implements manager.Manager.
func (m *simManager) Add(runnable manager.Runnable) error {
	switch runnable := runnable.(type) {
	case *drift: // the simulation says when it checks
		m.op.drift = runnable
	case manager.RunnableFunc:
		return runnable(context.Background())
	default:
		if m.controller != nil {
			return fmt.Errorf("the simulation does not know what to do with a %T", runnable)
		}
		m.controller = runnable
	}
	return nil
}

func (m *simManager) GetScheme() *runtime.Scheme { return testScheme }
func (m *simManager) GetLogger() logr.Logger     { return logr.New(simLog{op: m.op}) }
func (m *simManager) GetCache() cache.Cache      { return simCache{op: m.op} }

// GetControllerOptions implements manager.Manager. A panic is one of the simulation.
func (m *simManager) GetControllerOptions() config.Controller {
	return config.Controller{SkipNameValidation: new(true), RecoverPanic: new(false)}
}

func (m *simManager) GetFieldIndexer() client.FieldIndexer { return m }

// IndexField implements client.FieldIndexer.
func (m *simManager) IndexField(_ context.Context, _ client.Object, field string, index client.IndexerFunc) error {
	m.op.indexes[field] = index
	return nil
}

// simCache has the informers of an operator.
type simCache struct {
	cache.Cache
	op *simOperator
}

// GetInformer implements cache.Informers.
func (c simCache) GetInformer(_ context.Context, object client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	switch object.(type) {
	case *v1alpha1.CloudCertificate:
		return c.op.objects, nil
	case *v1alpha1.CloudCertificateBinding:
		return c.op.bindings, nil
	}
	return c.op.secrets, nil
}

// WaitForCacheSync implements cache.Informers.
func (simCache) WaitForCacheSync(context.Context) bool { return true }

// simInformer is one watch and what it has shown, in the form that the real cache keeps.
// Nothing comes by itself: the simulation says when it is delivered.
type simInformer struct {
	cache.Informer
	source    *simLogbook
	transform toolscache.TransformFunc
	handler   toolscache.ResourceEventHandler
	seen      map[types.NamespacedName]client.Object
	cursor    int
	resync    time.Time
	stuck     bool // it shows nothing more
}

func newSimInformer(source *simLogbook, kind client.Object) *simInformer {
	i := &simInformer{source: source, seen: map[types.NamespacedName]client.Object{}}
	for object, options := range CacheOptions(nil).ByObject {
		if fmt.Sprintf("%T", object) == fmt.Sprintf("%T", kind) {
			i.transform = options.Transform
		}
	}
	return i
}

// AddEventHandlerWithOptions implements cache.Informer.
func (i *simInformer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, _ toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	i.handler = handler
	return simRegistration{}, nil
}

type simRegistration struct {
	toolscache.ResourceEventHandlerRegistration
}

func (simRegistration) HasSynced() bool { return true }

// list takes over the state of the API server: when a process starts, and when a watch
// was interrupted. As in client-go, what is there comes first, also where it did not
// change, and what has vanished meanwhile comes as it was last seen.
func (i *simInformer) list(initial bool) {
	if initial {
		i.resync = time.Now().Add(*CacheOptions(nil).SyncPeriod)
	}
	i.cursor = len(i.source.events)
	for _, key := range sortedKeys(i.source.present) {
		i.show(key, i.source.present[key], initial)
	}
	for _, key := range sortedKeys(i.seen) {
		if _, there := i.source.present[key]; !there {
			last := i.seen[key]
			delete(i.seen, key)
			i.handler.OnDelete(toolscache.DeletedFinalStateUnknown{Key: key.String(), Obj: last})
		}
	}
}

// next shows the next event, if there is one.
func (i *simInformer) next() bool {
	if i.stuck {
		return false
	}
	if i.cursor < i.source.restored { // older than what the API server still knows
		i.list(false)
		return true
	}
	if i.cursor == len(i.source.events) {
		return false
	}
	e := i.source.events[i.cursor]
	i.cursor++
	if e.object != nil {
		i.show(e.key, e.object, false)
		return true
	}
	if last := i.seen[e.key]; last != nil {
		delete(i.seen, e.key)
		i.handler.OnDelete(last)
	}
	return true
}

// show adds or updates an object.
func (i *simInformer) show(key types.NamespacedName, object client.Object, initial bool) {
	transformed, err := i.transform(object.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	now := transformed.(client.Object)
	before := i.seen[key]
	i.seen[key] = now
	if before == nil {
		i.handler.OnAdd(now, initial)
		return
	}
	i.handler.OnUpdate(before, now)
}

// resyncDue shows everything once more when its time has come.
func (i *simInformer) resyncDue() {
	if time.Now().Before(i.resync) {
		return
	}
	i.resync = time.Now().Add(*CacheOptions(nil).SyncPeriod)
	for _, key := range sortedKeys(i.seen) {
		i.handler.OnUpdate(i.seen[key], i.seen[key])
	}
}

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

// hand gives a request to a worker of the controller, and waits until it is done.
func (q *simQueue) hand(request reconcile.Request) {
	item := q.waiting[request]
	if item == nil || q.busy[request] != nil {
		return
	}
	delete(q.waiting, request)
	done := make(chan struct{})
	q.busy[request] = done
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

func (q *simQueue) Forget(request reconcile.Request)          { q.limiter.Forget(request) }
func (q *simQueue) NumRequeues(request reconcile.Request) int { return q.limiter.NumRequeues(request) }
func (q *simQueue) Len() int                                  { return len(q.due()) }
func (q *simQueue) ShutDown()                                 { close(q.down) }
func (q *simQueue) ShutDownWithDrain()                        { q.ShutDown() }

func (q *simQueue) ShuttingDown() bool {
	select {
	case <-q.down:
		return true
	default:
		return false
	}
}
