// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
)

// informer is one watch and what it has shown, in the form that the real cache keeps.
// Nothing comes by itself: the simulation says when it is delivered.
type informer struct {
	cache.Informer
	source    *logbook
	transform toolscache.TransformFunc
	mu        sync.Mutex // the sources of a controller add their handlers at the same time
	handlers  []toolscache.ResourceEventHandler
	seen      map[types.NamespacedName]client.Object
	cursor    int
	resync    time.Time
	stuck     bool // it shows nothing more
}

func newInformer(source *logbook, kind client.Object) *informer {
	return &informer{source: source, seen: map[types.NamespacedName]client.Object{}, transform: transformOf(kind)}
}

// transformOf is what the operator's cache does to objects of a kind.
func transformOf(kind client.Object) toolscache.TransformFunc {
	kept := certificate.CacheOptions(nil)
	binding.KeepSmall(&kept)
	for object, options := range kept.ByObject {
		if fmt.Sprintf("%T", object) == fmt.Sprintf("%T", kind) {
			return options.Transform
		}
	}
	return nil
}

// AddEventHandlerWithOptions implements cache.Informer.
func (i *informer) AddEventHandlerWithOptions(handler toolscache.ResourceEventHandler, _ toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handlers = append(i.handlers, handler)
	return registration{}, nil
}

type registration struct {
	toolscache.ResourceEventHandlerRegistration
}

func (registration) HasSynced() bool { return true }

// list takes over the state of the API server: when a process starts, and when a watch
// was interrupted. As in client-go, what is there comes first, also where it did not
// change, and what has vanished meanwhile comes as it was last seen.
func (i *informer) list(initial bool) {
	if initial {
		i.resync = time.Now().Add(*certificate.CacheOptions(nil).SyncPeriod)
	}
	i.cursor = len(i.source.events)
	for _, key := range sortedKeys(i.source.present) {
		i.show(key, i.source.present[key], initial)
	}
	for _, key := range sortedKeys(i.seen) {
		if _, there := i.source.present[key]; !there {
			last := i.seen[key]
			delete(i.seen, key)
			i.tell(func(h toolscache.ResourceEventHandler) {
				h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: key.String(), Obj: last})
			})
		}
	}
}

// next shows the next event, if there is one.
func (i *informer) next() bool {
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
		i.tell(func(h toolscache.ResourceEventHandler) { h.OnDelete(last) })
	}
	return true
}

// show adds or updates an object.
func (i *informer) show(key types.NamespacedName, object client.Object, initial bool) {
	transformed, err := i.transform(object.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	now := transformed.(client.Object)
	before := i.seen[key]
	i.seen[key] = now
	if before == nil {
		i.tell(func(h toolscache.ResourceEventHandler) { h.OnAdd(now, initial) })
		return
	}
	i.tell(func(h toolscache.ResourceEventHandler) { h.OnUpdate(before, now) })
}

// tell lets every controller that watches know of an event.
func (i *informer) tell(event func(toolscache.ResourceEventHandler)) {
	for _, handler := range i.handlers {
		event(handler)
	}
}

// resyncDue shows everything once more when its time has come.
func (i *informer) resyncDue() {
	if time.Now().Before(i.resync) {
		return
	}
	i.resync = time.Now().Add(*certificate.CacheOptions(nil).SyncPeriod)
	for _, key := range sortedKeys(i.seen) {
		i.tell(func(h toolscache.ResourceEventHandler) { h.OnUpdate(i.seen[key], i.seen[key]) })
	}
}
