// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package notes keeps what a controller remembers of objects from one reconcile to the next. All
// of it may be lost at any time, with the process at the latest.
package notes

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Notes are notes of one kind on objects; the zero value has none. They are safe for concurrent
// use. Notes on an object that was deleted and made again under the same name are those on the
// new one.
type Notes[T any] struct {
	mu      sync.Mutex
	objects map[types.NamespacedName]*note[T]
}

type note[T any] struct {
	uid   types.UID
	value T
}

// Of returns the note on an object, the zero value where there is none. What it refers to must
// not be changed.
func (n *Notes[T]) Of(object client.Object) (value T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.objects[client.ObjectKeyFromObject(object)]; known != nil && known.uid == object.GetUID() {
		return known.value
	}
	return value
}

// Change changes the note on an object, and makes room for it if there is none.
func (n *Notes[T]) Change(object client.Object, change func(*T)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := client.ObjectKeyFromObject(object)
	known := n.objects[key]
	if known == nil || known.uid != object.GetUID() {
		if n.objects == nil {
			n.objects = map[types.NamespacedName]*note[T]{}
		}
		known = &note[T]{uid: object.GetUID()}
		n.objects[key] = known
	}
	change(&known.value)
}

// Keep changes the note on an object, if there is one, and forgets it where keep says so.
func (n *Notes[T]) Keep(object client.Object, keep func(*T) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := client.ObjectKeyFromObject(object)
	if known := n.objects[key]; known != nil && !keep(&known.value) {
		delete(n.objects, key)
	}
}

// Forget forgets the note on an object.
func (n *Notes[T]) Forget(key types.NamespacedName) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.objects, key)
}
