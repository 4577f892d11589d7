// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// bind makes a binding of the CloudCertificate "web".
func (w *world) bind(name string, target v1alpha1.BindingTarget, change func(*v1alpha1.CloudCertificateBinding)) {
	w.t.Helper()
	b := &v1alpha1.CloudCertificateBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.CloudCertificateBindingSpec{CertificateRef: v1alpha1.CertificateReference{Name: "web"}, Target: target},
	}
	if change != nil {
		change(b)
	}
	if err := w.kube.Create(ctx, b); err != nil {
		w.t.Fatal(err)
	}
}

// binding reads a binding.
func (w *world) binding(name string) *v1alpha1.CloudCertificateBinding {
	w.t.Helper()
	b := &v1alpha1.CloudCertificateBinding{}
	if err := w.kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, b); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// changeBinding patches a binding.
func (w *world) changeBinding(name string, f func(*v1alpha1.CloudCertificateBinding)) {
	w.t.Helper()
	b := w.binding(name)
	before := b.DeepCopy()
	f(b)
	if err := w.kube.Patch(ctx, b, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// waitBinding waits until a binding has a reason and satisfies want.
func (w *world) waitBinding(name, reason string, want func(*v1alpha1.CloudCertificateBinding) bool) *v1alpha1.CloudCertificateBinding {
	w.t.Helper()
	var b *v1alpha1.CloudCertificateBinding
	w.eventually(func() string {
		b = w.binding(name)
		ready := bindingReady(b)
		if ready.Reason == reason && b.Status.ObservedGeneration == b.Generation && (want == nil || want(b)) {
			return ""
		}
		return fmt.Sprintf("binding %s did not become %s as wanted; its status: %+v", name, reason, b.Status)
	})
	return b
}

func bindingReady(b *v1alpha1.CloudCertificateBinding) metav1.Condition {
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// configMap reads a ConfigMap; nil if there is none.
func (w *world) configMap(name string) *corev1.ConfigMap {
	w.t.Helper()
	object := &corev1.ConfigMap{}
	err := w.kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return object
}

func toConfigMap(name string) v1alpha1.BindingTarget {
	return v1alpha1.BindingTarget{ConfigMap: &v1alpha1.ConfigMapTarget{Name: name}}
}

// checkConfigMap checks that a ConfigMap names what the CloudCertificate does, and leaves the
// other keys alone.
func (w *world) checkConfigMap(name string, other map[string]string) {
	w.t.Helper()
	cc := w.get("web")
	want := map[string]string{"certId": strconv.FormatInt(cc.Status.CertID, 10), "certIdentifier": cc.Status.CertIdentifier}
	maps.Copy(want, other)
	if got := w.configMap(name).Data; fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("ConfigMap %s holds %v, want %v", name, got, want)
	}
}

func TestConfigMapFollowsRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap", "--prune-delay=1s")
	w.start()
	w.bind("web", toConfigMap("web-cert"), nil)
	w.waitBinding("web", v1alpha1.ReasonCertificateNotReady, nil)
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", func(cc *v1alpha1.CloudCertificate) { cc.Spec.RevisionHistoryLimit = new(int32(0)) })
	first := w.waitBinding("web", v1alpha1.ReasonSynced, nil)
	w.checkConfigMap("web-cert", nil)
	if cc := w.get("web"); first.Status.BoundCertID != cc.Status.CertID || first.Status.BoundCertIdentifier != cc.Status.CertIdentifier ||
		first.Status.PendingCertID != 0 || first.Status.FirstReadTime.IsZero() || first.Status.Target != "configmap/web-cert" {
		t.Errorf("status %+v does not say what is bound, %d", first.Status, cc.Status.CertID)
	}

	w.putSecret("web", w.issue("www.example.com"))
	renewed := w.waitBinding("web", v1alpha1.ReasonSynced, func(b *v1alpha1.CloudCertificateBinding) bool {
		return b.Status.BoundCertID != first.Status.BoundCertID
	})
	w.checkConfigMap("web-cert", nil)
	if ready := bindingReady(renewed); ready.Status != metav1.ConditionTrue || !ready.LastTransitionTime.Equal(&bindingReadyOf(first).LastTransitionTime) {
		t.Errorf("a renewal made Ready something else in between: %+v", ready)
	}
	w.wait("web", "pruned", func(cc *v1alpha1.CloudCertificate) bool { return len(cc.Status.History) == 0 })
	for _, call := range w.cloud.Journal() {
		if call.Action != "UploadUserCertificate" && call.Action != "GetCallerIdentity" && call.Action != "DeleteUserCertificate" && call.Action != "ListUserCertificateOrder" {
			t.Errorf("a ConfigMap called the cloud: %s", call.Action)
		}
	}
}

func bindingReadyOf(b *v1alpha1.CloudCertificateBinding) *metav1.Condition {
	return new(bindingReady(b))
}

func TestConfigMapOfSomebodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap")
	foreign := map[string]string{"certId": "24410517", "certIdentifier": "24410517-cn-hangzhou", "color": "blue"}
	if err := w.kube.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web-cert"}, Data: foreign}); err != nil {
		t.Fatal(err)
	}
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.bind("web", toConfigMap("web-cert"), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = true })
	w.start()
	suspended := w.waitBinding("web", v1alpha1.ReasonSuspended, nil)
	if message := bindingReady(suspended).Message; !strings.Contains(message, "24410517-cn-hangzhou of somebody else") {
		t.Errorf("a suspended binding says %q, want what is in the slot", message)
	}
	w.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Suspend = false })
	occupied := w.waitBinding("web", v1alpha1.ReasonOccupied, nil)
	if len(occupied.Status.Conditions) != 2 {
		t.Errorf("conditions %+v, want Stalled as well", occupied.Status.Conditions)
	}
	if got := w.configMap("web-cert").Data; fmt.Sprint(got) != fmt.Sprint(foreign) {
		t.Errorf("a ConfigMap of somebody else was changed to %v", got)
	}
	w.changeBinding("web", func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = []string{"24410517-cn-hangzhou"} })
	adopted := w.waitBinding("web", v1alpha1.ReasonSynced, nil)
	if adopted.Status.ReplacedCertIdentifier != "24410517-cn-hangzhou" {
		t.Errorf("replacedCertIdentifier is %q: there is no way back", adopted.Status.ReplacedCertIdentifier)
	}
	w.checkConfigMap("web-cert", map[string]string{"color": "blue"})
}

func TestConfigMapIsLeftOrTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.bind("left", toConfigMap("left"), nil)
	w.bind("taken", toConfigMap("taken"), func(b *v1alpha1.CloudCertificateBinding) { b.Spec.OnDelete = v1alpha1.BindingUnbind })
	w.start()
	if left := w.waitBinding("left", v1alpha1.ReasonSynced, nil); len(left.Finalizers) != 0 {
		t.Errorf("Leave put %v on", left.Finalizers)
	}
	if taken := w.waitBinding("taken", v1alpha1.ReasonSynced, nil); len(taken.Finalizers) != 1 {
		t.Errorf("Unbind put %v on, want a finalizer", taken.Finalizers)
	}
	for _, name := range []string{"left", "taken"} {
		if err := w.kube.Delete(ctx, w.binding(name)); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually(func() string {
		list := &v1alpha1.CloudCertificateBindingList{}
		if err := w.kube.List(ctx, list, inNamespace(w.namespace)); err != nil {
			return err.Error()
		}
		if len(list.Items) > 0 {
			return fmt.Sprintf("%d bindings are still there: %+v", len(list.Items), list.Items[0].Status)
		}
		return ""
	})
	w.checkConfigMap("left", nil)
	if data := w.configMap("taken").Data; len(data) != 0 {
		t.Errorf("Unbind left %v", data)
	}
}

func TestTwoBindingsOfOneConfigMap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.start()
	w.bind("first", toConfigMap("web-cert"), nil)
	w.waitBinding("first", v1alpha1.ReasonSynced, nil)
	other := toConfigMap("web-cert")
	other.ConfigMap.Keys = v1alpha1.ConfigMapKeys{CertID: "id", CertIdentifier: "identifier"}
	w.bind("beside", other, nil)
	w.waitBinding("beside", v1alpha1.ReasonSynced, nil)
	cc := w.get("web")
	w.checkConfigMap("web-cert", map[string]string{"id": strconv.FormatInt(cc.Status.CertID, 10), "identifier": cc.Status.CertIdentifier})

	time.Sleep(time.Second) // times of creation are whole seconds
	w.bind("second", toConfigMap("web-cert"), nil)
	rival := w.waitBinding("second", v1alpha1.ReasonOccupied, nil)
	if message := bindingReady(rival).Message; !strings.Contains(message, `"first"`) {
		t.Errorf("message %q does not name the older binding", message)
	}
	if err := w.kube.Delete(ctx, w.binding("first")); err != nil {
		t.Fatal(err)
	}
	w.waitBinding("second", v1alpha1.ReasonSynced, nil)
}

func TestTargetThatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	w.start()
	w.bind("alb", v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{RegionID: "cn-shanghai", ListenerID: "lsn-x", Slot: v1alpha1.SlotAdditional}}, nil)
	got := w.waitBinding("alb", v1alpha1.ReasonNotAllowed, nil)
	if message := bindingReady(got).Message; !strings.Contains(message, "--bind-targets") {
		t.Errorf("message %q does not name the flag", message)
	}
}

// TestBindingsAtRestCostNothing: a restart with nothing to do reads no target, and writes
// nothing.
func TestBindingsAtRestCostNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, emulator.Options{}, "--bind-targets=configmap")
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	for i := range 5 {
		w.bind(fmt.Sprintf("web-%d", i), toConfigMap(fmt.Sprintf("cert-%d", i)), nil)
	}
	w.start()
	for i := range 5 {
		w.waitBinding(fmt.Sprintf("web-%d", i), v1alpha1.ReasonSynced, nil)
	}
	w.stop()
	requests := len(w.proxy.Requests())
	w.start()
	w.bind("last", toConfigMap("last"), nil) // is handled after what was there before it
	w.waitBinding("last", v1alpha1.ReasonSynced, nil)
	for _, request := range w.proxy.Requests()[requests:] {
		about := strings.Contains(request.Path, "/configmaps/") || request.Method == http.MethodPatch && strings.Contains(request.Path, "/cloudcertificatebindings/")
		if about && !strings.Contains(request.Path, "/last") {
			t.Errorf("the restart made the request %s %s", request.Method, request.Path)
		}
	}
}
