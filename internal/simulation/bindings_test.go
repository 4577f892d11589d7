// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// The bindings of the simulation do what the operator's other controller promises, and nothing
// more: the intent is in the status before anything is placed, and the object is read live after
// that. In between they may stop for any time, or for ever.

// bindingsOfEach is how many bindings each object may have.
const bindingsOfEach = 2

// putBinding makes or changes a binding; nil removes it.
func (a *apiServer) putBinding(key types.NamespacedName, binding *v1alpha1.CloudCertificateBinding) {
	if binding == nil {
		delete(a.bindings, key)
		a.bindingLog.enter(key, nil)
		return
	}
	if binding.UID == "" {
		binding.UID = a.newUID()
	}
	binding.ResourceVersion = a.nextVersion()
	a.bindings[key] = binding
	a.bindingLog.enter(key, binding)
}

// changeBinding is one write to a binding.
func (w *world) changeBinding(key types.NamespacedName, do func(*v1alpha1.CloudCertificateBinding)) {
	binding := w.api.bindings[key].DeepCopy()
	do(binding)
	w.notef("binding %s: %s", key, encode(binding.Status))
	w.api.putBinding(key, binding)
}

// newBinding makes a binding of an object.
func (w *world) newBinding(object types.NamespacedName, n int) types.NamespacedName {
	key := types.NamespacedName{Namespace: object.Namespace, Name: fmt.Sprintf("%s-%d", object.Name, n)}
	if w.api.bindings[key] == nil {
		w.notef("user: binding %s created", key)
		binding := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		binding.Spec.CertificateRef.Name = object.Name
		w.api.putBinding(key, binding)
	}
	return key
}

// endBinding deletes a binding. What it placed stays where it is, and nobody knows of it.
func (w *world) endBinding(key types.NamespacedName) {
	w.notef("user: binding %s deleted", key)
	delete(w.served, key)
	w.api.putBinding(key, nil)
}

// bind lets something happen to a binding.
func (w *world) bind() {
	key := w.newBinding(keys[w.pick(len(keys))], w.pick(bindingsOfEach))
	switch dice := w.pick(10); {
	case dice == 0:
		w.endBinding(key)
	case dice < 4:
		w.intend(key)
	case dice < 7:
		w.placePending(key)
	default:
		w.readBack(key)
	}
}

// certificateOf is the object of a binding, as a cache shows it that may be behind.
func (w *world) certificateOf(binding types.NamespacedName) (types.NamespacedName, *v1alpha1.CloudCertificate) {
	key := types.NamespacedName{Namespace: binding.Namespace, Name: w.api.bindings[binding].Spec.CertificateRef.Name}
	if len(w.operators) == 0 {
		return key, w.api.objects[key]
	}
	return key, w.someOperator().object(key)
}

// intend reads the target and writes that the current version is to be placed.
func (w *world) intend(binding types.NamespacedName) {
	_, object := w.certificateOf(binding)
	if object == nil || object.Status.CertID == 0 {
		return
	}
	w.changeBinding(binding, func(b *v1alpha1.CloudCertificateBinding) {
		if b.Status.FirstReadTime.IsZero() {
			b.Status.FirstReadTime = metav1.Now()
		}
		if b.Status.BoundCertID == object.Status.CertID {
			return
		}
		if old := b.Status.PendingCertID; old != 0 && old != object.Status.CertID && !slices.Contains(b.Status.LeftoverCertIDs, old) {
			b.Status.LeftoverCertIDs = append(b.Status.LeftoverCertIDs, old)
		}
		b.Status.PendingCertID, b.Status.PendingSince = object.Status.CertID, metav1.Now()
	})
}

// placePending places what a binding has written, if the object still names it.
func (w *world) placePending(binding types.NamespacedName) {
	key, _ := w.certificateOf(binding)
	live, pending := w.api.objects[key], w.api.bindings[binding].Status.PendingCertID
	if live == nil || pending == 0 || live.Status.CertID != pending || !live.DeletionTimestamp.IsZero() {
		return
	}
	w.notef("binding %s: certificate %d is placed", binding, pending)
	id := certificateID{placeOf(live), pending}
	if !slices.Contains(w.served[binding], id) {
		w.served[binding] = append(w.served[binding], id)
	}
}

// readBack reads the target, takes out what was replaced, and writes what is there.
func (w *world) readBack(binding types.NamespacedName) {
	served := w.served[binding]
	if len(served) == 0 {
		return
	}
	current := served[len(served)-1]
	if bound := w.api.bindings[binding].Status.BoundCertID; bound == current.certID {
		w.served[binding] = []certificateID{current} // a reconcile after the one that has seen it
		served = w.served[binding]
	}
	w.changeBinding(binding, func(b *v1alpha1.CloudCertificateBinding) {
		if b.Status.BoundCertID != current.certID {
			b.Status.BoundCertID, b.Status.BoundTime = current.certID, metav1.Now()
		}
		if b.Status.PendingCertID == current.certID {
			b.Status.PendingCertID = 0
		}
		b.Status.LeftoverCertIDs = nil
		for _, id := range served[:len(served)-1] {
			b.Status.LeftoverCertIDs = append(b.Status.LeftoverCertIDs, id.certID)
		}
	})
}

// carry lets a binding do all that it can.
func (w *world) carry(binding types.NamespacedName) {
	w.intend(binding)
	w.placePending(binding)
	w.readBack(binding)
	w.readBack(binding)
}

// follow lets every binding do all that it can.
func (w *world) follow() {
	for _, binding := range sortedKeys(w.api.bindings) {
		w.carry(binding)
	}
}

// withBinding is a world with an object that keeps no superseded versions, and a binding that
// follows it.
func withBinding(t *testing.T, play func(w *world, binding types.NamespacedName)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, emulator.Options{}, func(v string) { t.Error(v) })
		defer w.close()
		w.start()
		w.given(keepNone)
		w.work(time.Minute)
		binding := w.newBinding(theKey, 0)
		w.carry(binding)
		play(w, binding)
	})
}

func (w *world) history() (ids []int64) {
	for _, h := range w.api.objects[theKey].Status.History {
		ids = append(ids, h.CertID)
	}
	return ids
}

func TestVersionsGoWhenBindingsHaveFollowed(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		old := w.api.objects[theKey].Status.CertID
		w.putContent(theKey, 1)
		w.work(pruneDelay + 2*time.Hour)
		if !w.isThere(old) {
			t.Fatalf("certificate %d was deleted while a binding is behind", old)
		}
		said := slices.IndexFunc(w.trace, func(line string) bool {
			return strings.Contains(line, "event PruneHeld: superseded versions are kept: ") && strings.Contains(line, fmt.Sprintf("%q", binding.Name))
		})
		if said < 0 {
			t.Errorf("no event PruneHeld names binding %s", binding.Name)
		}
		if ready := w.api.objects[theKey].Status.Conditions[0]; ready.Status != metav1.ConditionTrue || !strings.Contains(ready.Message, binding.Name) {
			t.Errorf("Ready is %s: %s; want True with the name of the binding", ready.Status, ready.Message)
		}
		w.carry(binding)
		w.work(pruneDelay - time.Minute)
		if !w.isThere(old) {
			t.Errorf("certificate %d was deleted before %s had passed since the binding followed", old, pruneDelay)
		}
		w.work(2 * time.Hour)
		if w.isThere(old) || len(w.history()) > 0 {
			t.Errorf("certificate %d is still there although the binding has followed: %v", old, w.history())
		}
	})
}

func TestBindingThatWasNotReadHoldsEveryVersion(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		old := w.api.objects[theKey].Status.CertID
		unread := w.newBinding(theKey, 1)
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.carry(binding)
		w.work(pruneDelay + 2*time.Hour)
		if !w.isThere(old) {
			t.Fatalf("certificate %d was deleted while a binding was not read", old)
		}
		w.endBinding(unread)
		w.work(2 * time.Hour)
		if w.isThere(old) {
			t.Errorf("certificate %d is still there although nobody holds it", old)
		}
	})
}

func TestDeletionWaitsForBindings(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		w.api.change(theKey, deleting)
		w.work(time.Minute)
		current := w.api.objects[theKey].Status.CertID
		w.api.remove(theKey)
		w.work(time.Hour)
		object := w.api.objects[theKey]
		if object == nil || !w.isThere(current) {
			t.Fatalf("certificate %d was deleted while a binding uses it", current)
		}
		ready := object.Status.Conditions[0]
		if ready.Reason != v1alpha1.ReasonDeletionBlocked || !strings.Contains(ready.Message, fmt.Sprintf("%q", binding.Name)) {
			t.Errorf("Ready is %s: %s; want DeletionBlocked with the name of the binding", ready.Reason, ready.Message)
		}
		w.endBinding(binding)
		w.work(time.Minute)
		if w.api.objects[theKey] != nil || w.isThere(current) {
			t.Errorf("the end of the binding did not wake the deletion: %s", encode(w.api.objects[theKey]))
		}
	})
}

// TestBindingIsSeenThoughTheCacheIsBehind: what cannot be undone is not decided from a cache.
func TestBindingIsSeenThoughTheCacheIsBehind(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		old := w.api.objects[theKey].Status.CertID
		w.endBinding(binding)
		w.putContent(theKey, 1)
		w.work(pruneDelay - time.Minute)
		op := w.operator()
		op.bindings.stuck = true // its watch shows nothing from here on
		w.changeBinding(w.newBinding(theKey, 0), func(b *v1alpha1.CloudCertificateBinding) {
			b.Status.FirstReadTime, b.Status.BoundCertID = metav1.Now(), old
		})
		w.work(2 * time.Hour)
		if !w.isThere(old) {
			t.Errorf("certificate %d was deleted by what a cache does not show", old)
		}
	})
}
