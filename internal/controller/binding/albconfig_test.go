// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// albWorld is an AlbConfig whose listener on port 443 names certificates.
type albWorld struct {
	t       *testing.T
	kube    client.Client
	adapter albConfig
}

// newAlbWorld makes one. The default has a star.
func newAlbWorld(t *testing.T, port any, certificates ...string) *albWorld {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(albConfigKind)
	object.SetName("alb-shop")
	var named []any
	for _, c := range certificates {
		id, isDefault := strings.CutSuffix(c, "*")
		named = append(named, map[string]any{"CertificateId": id, "IsDefault": isDefault})
	}
	object.Object["spec"] = map[string]any{"listeners": []any{
		map[string]any{"port": int64(80), "protocol": "HTTP"},
		map[string]any{"port": port, "protocol": "HTTPS", "certificates": named},
	}}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(albConfigKind, &unstructured.Unstructured{})
	w := &albWorld{t: t, kube: fake.NewClientBuilder().WithScheme(scheme).WithObjects(object).Build()}
	w.adapter = albConfig{live: w.kube, writer: w.kube, region: func(context.Context) (string, error) { return "eu-central-1", nil }}
	return w
}

func (w *albWorld) get() *unstructured.Unstructured {
	w.t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(albConfigKind)
	if err := w.kube.Get(w.t.Context(), client.ObjectKey{Name: "alb-shop"}, object); err != nil {
		w.t.Fatal(err)
	}
	return object
}

// named are the certificates of the listener in words.
func (w *albWorld) named() string {
	w.t.Helper()
	listeners, _, err := unstructured.NestedSlice(w.get().Object, "spec", "listeners")
	if err != nil {
		w.t.Fatal(err)
	}
	var words []string
	for _, one := range listeners[1].(map[string]any)["certificates"].([]any) {
		entry := one.(map[string]any)
		word := fmt.Sprint(entry["CertificateId"])
		if entry["IsDefault"] == true {
			word += "*"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func albTarget(slot targets.Slot) targets.Target {
	return targets.Target{Product: targets.ALBConfig, Resource: "alb-shop", Part: "443", Slot: slot}
}

func (w *albWorld) read() targets.State {
	w.t.Helper()
	state, err := w.adapter.Read(w.t.Context(), albTarget(targets.SlotDefault))
	if err != nil {
		w.t.Fatal(err)
	}
	return state
}

func (w *albWorld) place(state targets.State, slot targets.Slot, certID int64) error {
	w.t.Helper()
	return w.adapter.Place(w.t.Context(), albTarget(slot), state, targets.Placement{Certificate: targets.Certificate{CertID: certID, Region: "cn-hangzhou"}})
}

func TestWhatAPlacementMakesOfAnAlbConfig(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		port   any
		before []string
		slot   targets.Slot
		want   string
	}{
		"a default is replaced":                          {int64(443), []string{"1-cn-hangzhou*", "2-cn-hangzhou"}, targets.SlotDefault, "7-cn-hangzhou* 2-cn-hangzhou"},
		"the first one is the default, marked or not":    {int64(443), []string{"1-cn-hangzhou", "2-cn-hangzhou"}, targets.SlotDefault, "7-cn-hangzhou* 2-cn-hangzhou"},
		"a default that is an additional one moves":      {int64(443), []string{"1-cn-hangzhou*", "7-cn-hangzhou", "2-cn-hangzhou"}, targets.SlotDefault, "7-cn-hangzhou* 2-cn-hangzhou"},
		"an additional one is added at the end":          {int64(443), []string{"1-cn-hangzhou*", "2-cn-hangzhou"}, targets.SlotAdditional, "1-cn-hangzhou* 2-cn-hangzhou 7-cn-hangzhou"},
		"a port may be a text":                           {"443", []string{"1-cn-hangzhou*"}, targets.SlotDefault, "7-cn-hangzhou*"},
		"a list that names none gets its first, default": {int64(443), nil, targets.SlotDefault, "7-cn-hangzhou*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAlbWorld(t, tc.port, tc.before...)
			if err := w.place(w.read(), tc.slot, 7); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, w.named()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOnlyAdditionalOnesLeaveAnAlbConfig(t *testing.T) {
	t.Parallel()
	w := newAlbWorld(t, int64(443), "1-cn-hangzhou*", "7-cn-hangzhou", "2-cn-hangzhou", "8-cn-hangzhou")
	state := w.read()
	removal := targets.Removal{}
	for _, e := range state.Entries {
		if e.CertID != 2 {
			removal.Entries = append(removal.Entries, e) // the default as well
		}
	}
	if err := w.adapter.Remove(t.Context(), albTarget(targets.SlotAdditional), state, removal); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("1-cn-hangzhou* 2-cn-hangzhou", w.named()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestAlbConfigThatHasChangedSinceItWasRead keeps what somebody has written in between.
func TestAlbConfigThatHasChangedSinceItWasRead(t *testing.T) {
	t.Parallel()
	w := newAlbWorld(t, int64(443), "1-cn-hangzhou*", "7-cn-hangzhou")
	state := w.read()
	object := w.get()
	object.SetLabels(map[string]string{"team": "shop"})
	if err := w.kube.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"placing": w.place(state, targets.SlotDefault, 9),
		"removing": w.adapter.Remove(t.Context(), albTarget(targets.SlotAdditional), state, targets.Removal{Entries: []targets.Entry{
			{CertIdentifier: "7-cn-hangzhou", Role: targets.RoleAdditional},
		}}),
	} {
		if err == nil {
			t.Errorf("%s over a change is done", name)
		}
	}
	if diff := cmp.Diff("1-cn-hangzhou* 7-cn-hangzhou", w.named()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
