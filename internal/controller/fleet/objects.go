// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet is what metrics about objects of one kind have in common: the objects of the cache,
// who may tell of them, and how series of single objects are written.
package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Listener is told of what happens to objects, one after the other. Nobody may change an object: it
// is the cache's.
type Listener[T client.Object] struct {
	// Added is told of a new object; initial reports whether it was there before the start.
	Added func(object T, initial bool)
	// Updated is told of another version of an object, or of one that was made again under its name.
	Updated func(before, after T)
	// Deleted is told of an object that is gone.
	Deleted func(object T)
}

// Objects are the objects of one kind in the cache, for metrics that are computed when they are
// read, so that none outlives its object. Make one with NewObjects.
type Objects[T client.Object] struct {
	listener Listener[T]
	leads    atomic.Bool

	mu sync.Mutex
	// objects are pointers into the cache: a list of it would copy every object.
	objects map[types.UID]T
}

// NewObjects makes objects that tell a listener.
func NewObjects[T client.Object](listener Listener[T]) *Objects[T] {
	return &Objects[T]{listener: listener, objects: map[types.UID]T{}}
}

// Follow keeps the objects up to date by the cache of a manager, for a kind of which an empty object
// is given.
func (o *Objects[T]) Follow(ctx context.Context, mgr manager.Manager, kind T) error {
	informer, err := mgr.GetCache().GetInformer(ctx, kind)
	if err == nil {
		_, err = informer.AddEventHandler(o.Handler())
	}
	if err != nil {
		return fmt.Errorf("failed to watch %T for metrics: %w", kind, err)
	}
	return nil
}

// Lead says that this replica leads until the context ends. Only the leader tells of objects: two
// replicas would count everything twice.
func (o *Objects[T]) Lead(ctx context.Context) error {
	o.leads.Store(true)
	<-ctx.Done()
	o.leads.Store(false)
	return nil
}

// Leads reports whether this replica leads.
func (o *Objects[T]) Leads() bool { return o.leads.Load() }

// Handler is what an informer tells.
func (o *Objects[T]) Handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(in any, initial bool) {
			if object, ok := in.(T); ok {
				o.added(object, initial)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(T)
			is, ok2 := after.(T)
			if ok && ok2 {
				o.updated(was, is)
			}
		},
		DeleteFunc: func(in any) {
			if tombstone, ok := in.(toolscache.DeletedFinalStateUnknown); ok {
				in = tombstone.Obj
			}
			if object, ok := in.(T); ok {
				o.deleted(object)
			}
		},
	}
}

func (o *Objects[T]) added(object T, initial bool) {
	o.set(object)
	o.listener.Added(object, initial)
}

func (o *Objects[T]) updated(before, after T) {
	if before.GetUID() != after.GetUID() {
		o.deleted(before)
	}
	o.set(after)
	o.listener.Updated(before, after)
}

func (o *Objects[T]) deleted(object T) {
	o.mu.Lock()
	delete(o.objects, object.GetUID())
	o.mu.Unlock()
	o.listener.Deleted(object)
}

func (o *Objects[T]) set(object T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[object.GetUID()] = object
}

// List returns the objects, in no order. Nobody may change them.
func (o *Objects[T]) List() []T {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.AppendSeq(make([]T, 0, len(o.objects)), maps.Values(o.objects))
}
