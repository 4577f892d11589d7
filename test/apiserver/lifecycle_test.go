// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// remove deletes a CloudCertificate, as a user does.
func (w *world) remove(name string) {
	w.t.Helper()
	if err := w.kube.Delete(ctx, w.get(name)); err != nil {
		w.t.Fatal(err)
	}
}

// waitGone waits until an object is no more.
func (w *world) waitGone(name string) {
	w.t.Helper()
	w.eventually(func() string {
		cc := &v1alpha1.CloudCertificate{}
		err := w.kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, cc)
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("%s is still there: %v %+v", name, err, cc.Status.Conditions)
	})
}

// waitEvent waits for an event of an object, and returns its note.
func (w *world) waitEvent(name, reason string) (note string) {
	w.t.Helper()
	return w.waitEventThatSays(name, reason, "")
}

// waitEventThatSays is waitEvent for one of several of an object.
func (w *world) waitEventThatSays(name, reason, text string) (note string) {
	w.t.Helper()
	w.eventually(func() string {
		list := &eventsv1.EventList{}
		if err := w.kube.List(ctx, list, client.InNamespace(w.namespace)); err != nil {
			return err.Error()
		}
		for _, e := range list.Items {
			if e.Regarding.Name == name && e.Reason == reason && strings.Contains(e.Note, text) {
				note = e.Note
				return ""
			}
		}
		return fmt.Sprintf("no event %s of %s says %q", reason, name, text)
	})
	return note
}

func TestSupersededVersionsArePruned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--prune-delay=1s")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.RevisionHistoryLimit = new(int32(1)) })
	w.start()
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	for range 2 {
		before := w.get("web").Status.CertID
		w.putSecret("web", w.issue("www.example.com"))
		w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != before })
	}
	pruned := w.wait("web", "pruned", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.HistoryTotal == 1 })
	if ids := w.ids(); len(ids) != 2 || slices.Contains(ids, first.Status.CertID) {
		t.Errorf("certificates %v, want the newest two, without %d", ids, first.Status.CertID)
	}
	if note := w.waitEvent("web", v1alpha1.ReasonPruned); !strings.Contains(note, first.Status.Name) {
		t.Errorf("the event does not name what was deleted: %s", note)
	}
	if ready := readyOf(pruned); ready.Reason != v1alpha1.ReasonSynced {
		t.Errorf("a prune changed Ready: %+v", ready)
	}
}

// ids are those of the certificates in the cloud.
func (w *world) ids() (ids []int64) {
	for _, c := range w.certificates() {
		ids = append(ids, c.CertID)
	}
	return ids
}

func TestDeletedObjectTakesItsCertificatesAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--settle-delay=1s")
	deleting := func(cc *v1alpha1.CloudCertificate) { cc.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }
	for _, name := range []string{"web", "kept"} {
		w.putSecret(name, w.issue(name+".example.com"))
	}
	w.create("web", deleting)
	w.create("kept", nil)
	w.create("idle", deleting) // its Secret never comes
	w.start()
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	kept := w.waitReason("kept", v1alpha1.ReasonSynced)
	w.waitReason("idle", v1alpha1.ReasonSecretNotFound)
	w.putSecret("web", w.issue("web.example.com"))
	w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != first.Status.CertID })

	for name, want := range map[string]int{"web": 1, "kept": 0, "idle": 0} {
		if got := len(w.get(name).Finalizers); got != want {
			t.Errorf("%s has %d finalizers, want %d", name, got, want)
		}
	}
	for _, name := range []string{"web", "kept", "idle"} {
		w.remove(name)
	}
	for _, name := range []string{"web", "kept", "idle"} {
		w.waitGone(name)
	}
	if ids := w.ids(); !slices.Equal(ids, []int64{kept.Status.CertID}) {
		t.Errorf("certificates %v, want that of the object that retains it, %d", ids, kept.Status.CertID)
	}
}

func TestBlockedDeletionSaysWhyAndHasAWayOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--settle-delay=1s")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
	w.start()
	synced := w.waitReason("web", v1alpha1.ReasonSynced)
	w.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: "DeleteUserCertificate"})
	w.remove("web")
	blocked := w.waitReason("web", v1alpha1.ReasonDeletionBlocked)
	if message := readyOf(blocked).Message; !strings.Contains(message, "yundun-cert:DeleteUserCertificate") || !strings.Contains(message, v1alpha1.AnnotationOrphan) {
		t.Errorf("the message names neither the permission nor the way out: %s", message)
	}
	w.change("web", func(cc *v1alpha1.CloudCertificate) {
		cc.Annotations = map[string]string{v1alpha1.AnnotationOrphan: "true"}
	})
	w.waitGone("web")
	if ids := w.ids(); !slices.Equal(ids, []int64{synced.Status.CertID}) {
		t.Errorf("certificates %v, want the one that was left", ids)
	}
	if note := w.waitEvent("web", v1alpha1.ReasonReleased); !strings.Contains(note, synced.Status.Name) {
		t.Errorf("the event does not name what was left: %s", note)
	}
}

func TestWhatIsGoneFromTheCloudComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--drift-interval=10s")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.start()
	synced := w.waitReason("web", v1alpha1.ReasonSynced)
	w.stop() // what an operator uploaded a moment ago, it takes to be there
	w.cloud.DeleteOutOfBand(account, region, synced.Status.CertID)
	w.start()
	back := w.wait("web", "uploaded again", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != synced.Status.CertID })
	if back.Status.Name != synced.Status.Name || back.Status.HistoryTotal != 0 || len(w.ids()) != 1 {
		t.Errorf("it came back as %+v", back.Status)
	}
	w.waitEvent("web", v1alpha1.ReasonRecreated)
}

func TestWatchesThatAreCutGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{})
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.start()
	w.waitReason("web", v1alpha1.ReasonSynced)
	for range 3 {
		before := w.get("web").Status.CertID
		w.proxy.Cut()
		w.putSecret("web", w.issue("www.example.com"))
		w.proxy.Cut()
		w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.CertID != before })
	}
	if made := len(w.certificates()); made != 4 {
		t.Errorf("%d certificates, want 4", made)
	}
}
