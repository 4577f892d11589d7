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
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// withBinding is a world with an object that keeps no superseded versions, and a binding that
// has carried its first one to a listener.
func withBinding(t *testing.T, play func(w *world, binding types.NamespacedName)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, emulator.Options{}, func(v string) { t.Error(v) })
		defer w.close()
		w.openPlaces(products.Options{Configuring: 3 * time.Second}, places...)
		w.admitAll()
		w.start()
		w.given(keepNone)
		binding := w.newBinding(theKey, places[0], func(*v1alpha1.CloudCertificateBinding) {})
		w.work(time.Minute)
		if bound := w.api.bindings[binding].Status.BoundCertID; bound == 0 || bound != w.api.objects[theKey].Status.CertID {
			t.Fatalf("binding %s is %s", binding, encode(w.api.bindings[binding].Status))
		}
		play(w, binding)
		if t.Failed() {
			t.Log(strings.Join(w.trace[max(0, len(w.trace)-100):], "\n"))
		}
	})
}

// suspend has a binding keep what it has placed, and nothing more.
func (w *world) suspend(binding types.NamespacedName, suspended bool) {
	w.changeBinding(binding, func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = suspended })
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
		w.suspend(binding, true)
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
		w.suspend(binding, false)
		w.work(pruneDelay - time.Minute)
		if !w.isThere(old) {
			t.Errorf("certificate %d was deleted before %s had passed since the binding followed", old, pruneDelay)
		}
		w.work(2 * time.Hour)
		if w.isThere(old) || len(w.history()) > 0 {
			t.Errorf("certificate %d is still there although the binding has followed: %v", old, w.history())
		}
		w.checkRest()
	})
}

func TestBindingThatWasNotReadHoldsEveryVersion(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, _ types.NamespacedName) {
		old := w.api.objects[theKey].Status.CertID
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Product: "cdn"})
		unread := w.newBinding(theKey, places[3], func(*v1alpha1.CloudCertificateBinding) {})
		w.putContent(theKey, 1)
		w.work(pruneDelay + 2*time.Hour)
		if !w.isThere(old) {
			t.Fatalf("certificate %d was deleted while a binding was not read", old)
		}
		w.api.removeBinding(unread)
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
		w.report = func(string) {} // the listener goes without, as the design page says of bindings that are deleted first
		w.api.removeBinding(binding)
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
		w.api.removeBinding(binding)
		w.putContent(theKey, 1)
		w.work(pruneDelay - time.Minute)
		op := w.operator()
		op.bindings.stuck = true // its watch shows nothing from here on
		again := w.newBinding(theKey, places[0], func(*v1alpha1.CloudCertificateBinding) {})
		w.api.changeBinding(again, func(b *v1alpha1.CloudCertificateBinding) { // by another operator
			b.Status.FirstReadTime, b.Status.BoundCertID = metav1.Now(), old
		})
		w.work(2 * time.Hour)
		if !w.isThere(old) {
			t.Errorf("certificate %d was deleted by what a cache does not show", old)
		}
	})
}

// TestWhatAnotherBindingServesStays where a binding that had it before refers to another object.
func TestWhatAnotherBindingServesStays(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		w.givenOther(keys[0])
		waits := w.newBinding(keys[0], places[0], func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CertificateRef.Name = theKey.Name })
		w.work(time.Minute)
		first := w.api.bindings[binding].Status.BoundCertIdentifier
		w.changeBinding(binding, func(b *v1alpha1.CloudCertificateBinding) { b.Spec.CertificateRef.Name = keys[0].Name })
		w.work(10 * time.Minute)
		heir, other := w.api.bindings[waits].Status, w.api.bindings[binding].Status
		if heir.BoundCertIdentifier != first || !w.isIn(places[0], first) || other.BoundCertIdentifier == first || len(other.LeftoverCertIDs) > 0 {
			t.Errorf("the listener holds %v; %s\n%s", w.holds(places[0]), encode(heir), encode(other))
		}
		w.checkRest()
	})
}

// TestChangeIsNotForgottenThoughTheCacheIsBehind: a reconcile that has read an object and could not write
// what it found, because it began with an old binding, has not seen the change.
func TestChangeIsNotForgottenThoughTheCacheIsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, emulator.Options{}, func(v string) { t.Error(v) })
		defer w.close()
		binding := w.givenBindings(configMapPlaces[:1], asIs)[0]
		w.work(time.Minute)
		op := w.operator()
		op.bindings.stuck = true
		w.api.changeBinding(binding, func(b *v1alpha1.CloudCertificateBinding) { b.Labels = map[string]string{"color": "blue"} })
		w.interfere()
		w.work(10 * time.Second)
		op.bindings.stuck = false
		w.work(time.Minute)
		if ready := w.api.bindings[binding].Status.Conditions[0]; ready.Reason != v1alpha1.ReasonOccupied {
			t.Errorf("Ready is %s: %s; want Occupied", ready.Reason, ready.Message)
		}
		w.checkRest()
	})
}

// TestDomainThatShowsLateIsGivenACertificateOnce: what was accepted is not sent again before it must have
// shown.
func TestDomainThatShowsLateIsGivenACertificateOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, emulator.Options{}, func(v string) { t.Error(v) })
		defer w.close()
		w.openPlaces(products.Options{DomainLag: 40 * time.Second}, places[3])
		w.admitAll()
		w.given(func(*v1alpha1.CloudCertificate) {})
		binding := w.bindTo(places[3], adoptAll)
		w.renew(1, 2*time.Minute)
		if w.writes != 2 {
			t.Errorf("%d calls changed the domain, want one for each of two versions", w.writes)
		}
		if ready := w.api.bindings[binding].Status.Conditions[0]; ready.Reason != v1alpha1.ReasonSynced {
			t.Errorf("Ready is %s: %s; want Synced", ready.Reason, ready.Message)
		}
		w.checkRest()
	})
}

// TestUnbindTakesOutWhatWasThereBefore: a binding that is made again, as by a move or a restore, has
// nothing to place, and is answerable for what it found all the same.
func TestUnbindTakesOutWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	withBinding(t, func(w *world, binding types.NamespacedName) {
		identifier := w.api.bindings[binding].Status.BoundCertIdentifier
		w.api.removeBinding(binding)
		w.work(time.Minute)
		w.newBinding(theKey, places[0], unbinding)
		w.work(time.Minute)
		if !w.isIn(places[0], identifier) {
			t.Fatalf("certificate %s is not in %s any more", identifier, places[0].name)
		}
		w.api.removeBinding(binding)
		w.work(10 * time.Minute)
		if w.isIn(places[0], identifier) || w.api.bindings[binding] != nil {
			t.Errorf("certificate %s is still in %s", identifier, places[0].name)
		}
		w.checkRest()
	})
}
