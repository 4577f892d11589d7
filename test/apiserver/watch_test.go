// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// TestConfigMapThatSomebodyChanges is put right at once, or reported: nothing else looks at it, for
// there is no check for drift here.
func TestConfigMapThatSomebodyChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap", "--drift-interval=0")
	w.putSecret("web", w.issue(host))
	w.create("web", nil)
	w.bind("restored", toConfigMap("restored"), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDrift = v1alpha1.DriftRestore })
	w.bind("reported", toConfigMap("reported"), nil)
	w.start()
	foreign := map[string]string{"certId": "24410517", "certIdentifier": "24410517-cn-hangzhou"}
	for _, name := range []string{"restored", "reported"} {
		w.waitBinding(name, v1alpha1.ReasonSynced, nil)
		object := w.configMap(name)
		object.Data = foreign
		if err := w.kube.Update(ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	occupied := w.waitBinding("reported", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(occupied).Message; !strings.Contains(message, "24410517-cn-hangzhou") {
		t.Errorf("message %q does not name what is there", message)
	}
	isOurs := func() string {
		if object := w.configMap("restored"); object == nil || object.Data["certIdentifier"] != w.get("web").Status.CertIdentifier {
			return "the ConfigMap is not put right"
		}
		return ""
	}
	w.eventually(isOurs)
	w.waitEventThatSays("restored", v1alpha1.ReasonRestored, "somebody else had put certificate 24410517-cn-hangzhou there")
	if err := w.kube.Delete(ctx, w.configMap("restored")); err != nil {
		t.Fatal(err)
	}
	w.eventually(isOurs)
	w.checkConfigMap("restored", nil)
	w.waitEventThatSays("restored", v1alpha1.ReasonRestored, w.get("web").Status.CertIdentifier+" again: it had gone from there")
}

// TestServiceThatSomebodyChanges is read where the annotation changes, and not where anything else
// does.
func TestServiceThatSomebodyChanges(t *testing.T) {
	t.Parallel()
	m := newMarket(t, products.Options{}, "--drift-interval=0")
	m.allow(anyService())
	m.start()
	m.publish()
	m.bind("web", toService(), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDrift = v1alpha1.DriftRestore })
	m.waitBinding("web", v1alpha1.ReasonTargetNotFound, nil)
	m.serve(nil, ofNLB) // is seen
	bound := m.waitBound("web", 0)
	reads := m.readsOf("gateway")
	for i := range manyChanges {
		m.changeService(func(s *corev1.Service) { s.Labels = map[string]string{"hash": strconv.Itoa(i)} })
	}
	m.bind("last", toConfigMap("last"), nil) // is handled after what was there before it
	m.waitBinding("last", v1alpha1.ReasonSynced, nil)
	if again := m.readsOf("gateway") - reads; again > lateReads {
		t.Errorf("%d changes of a label of the Service had it read %d times", manyChanges, again)
	}
	m.changeService(func(s *corev1.Service) { s.Annotations[certAnnotation] = "24410517-cn-hangzhou" })
	m.eventually(func() string {
		if got := m.annotated(); got != identifier(bound) {
			return "the Service still names " + got
		}
		return ""
	})
}

// lateReads are those of an event that comes late: of the operator's own write, where the reconcile that it wakes
// may still have the status of before in its cache, and is made again then; or of what was read live before the
// watch showed it.
const lateReads = 2

// manyChanges are so many that a reading for each of them cannot be taken for the one that follows a
// write of the operator's own.
const manyChanges = 10

// readsOf counts how often the operator has read a Service.
func (w *world) readsOf(name string) (n int) {
	for _, request := range w.proxy.Requests() {
		if request.Method == http.MethodGet && strings.HasSuffix(request.Path, "/services/"+name) {
			n++
		}
	}
	return n
}

// TestChangesOfOtherConfigMapsCostNothing: only those that a binding names are read.
func TestChangesOfOtherConfigMapsCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap", "--drift-interval=0")
	w.putSecret("web", w.issue(host))
	w.create("web", nil)
	w.bind("web", toConfigMap("web-cert"), nil)
	w.start()
	w.waitBinding("web", v1alpha1.ReasonSynced, nil)
	requests := len(w.proxy.Requests())
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "other"}}
	if err := w.kube.Create(ctx, other); err != nil {
		t.Fatal(err)
	}
	for i := range manyChanges {
		patch := fmt.Appendf(nil, `{"data": {"a": "%d"}}`, i)
		if err := w.kube.Patch(ctx, other, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
	}
	w.bind("last", toConfigMap("last"), nil) // is handled after what was there before it
	w.waitBinding("last", v1alpha1.ReasonSynced, nil)
	var asked []string
	for _, request := range w.proxy.Requests()[requests:] {
		if path, _, _ := strings.Cut(request.Path, "?"); strings.Contains(path, "/configmaps/") && !strings.HasSuffix(path, "/last") {
			asked = append(asked, request.Method+" "+path)
		}
	}
	if len(asked) > lateReads {
		t.Errorf("%d changes of ConfigMap other had the operator ask %q", manyChanges, asked)
	}
}
