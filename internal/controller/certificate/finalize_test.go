// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// misfortune is what becomes of a write of the finalizer, and of the reading after it.
type misfortune struct {
	written, read bool
}

// TestAReleaseIsAnnouncedOnce, however often the API server fails, and not before the finalizer may be
// off: what is announced has happened, and what has happened is announced.
func TestAReleaseIsAnnouncedOnce(t *testing.T) { // alone: it reads a counter of the process
	for name, tc := range map[string]struct {
		fails []misfortune
		early int // how many are announced before the last try
	}{
		"at once":                               {nil, 0},
		"after two writes that came to nothing": {[]misfortune{{read: true}, {read: true}}, 0},
		"where the answer is lost":              {[]misfortune{{written: true, read: true}}, 1},
		"where the API server goes away":        {[]misfortune{{}, {}}, 1},
		"where it goes away with the answer":    {[]misfortune{{written: true}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.released()
			announced := func() (n int) {
				for len(h.events.Events) > 0 {
					if strings.Contains(<-h.events.Events, v1alpha1.ReasonReleased) {
						n++
					}
				}
				return n
			}
			before, early := countReleased(t), 0
			kube := h.Client
			for _, m := range tc.fails {
				h.suffer(kube, m)
				object := &v1alpha1.CloudCertificate{}
				if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, object); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Reconcile(t.Context(), object); err == nil {
					t.Error("a write that failed is no error")
				}
				early += announced()
			}
			h.Client, h.Live = kube, kube
			if _, err := h.reconcileRequest(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "web"}}); err != nil {
				t.Fatal(err)
			}
			if all := early + announced(); early != tc.early || all != 1 {
				t.Errorf("%d are announced, %d of them before the last try; want one, %d", all, early, tc.early)
			}
			if n := countReleased(t) - before; n != 2 {
				t.Errorf("%g certificates are counted, want the 2 that the status names", n)
			}
			if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, &v1alpha1.CloudCertificate{}); !apierrors.IsNotFound(err) {
				t.Errorf("the object is still there: %v", err)
			}
		})
	}
}

// released makes an object that is being deleted, has two certificates in the cloud, and leaves them there.
func (h *harness) released() {
	h.t.Helper()
	h.given()
	object := h.object()
	object.Finalizers, object.Annotations = []string{v1alpha1.FinalizerCleanup}, map[string]string{v1alpha1.AnnotationOrphan: "true"}
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	steps := []func() error{
		func() error { return h.Update(h.t.Context(), object) },
		func() error {
			object.Status.CertID, object.Status.Name, object.Status.HistoryTotal = 7, "shop_web", 1
			object.Status.History = []v1alpha1.CertificateVersion{{CertID: 6, Name: "shop_web"}}
			return h.Status().Update(h.t.Context(), object)
		},
		func() error { return h.Delete(h.t.Context(), object) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			h.t.Fatal(err)
		}
	}
}

// suffer has the next write of the finalizer go wrong.
func (h *harness) suffer(kube client.Client, m misfortune) {
	away := errors.New("the API server does not answer")
	tried := false
	unlucky := interceptor.NewClient(kube.(client.WithWatch), interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			tried = true
			if m.written {
				if err := c.Patch(ctx, object, patch, options...); err != nil {
					return err
				}
			}
			return away
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if tried && !m.read {
				return away
			}
			return c.Get(ctx, key, object, options...)
		},
	})
	h.Client, h.Live = unlucky, unlucky
}

func countReleased(t *testing.T) float64 {
	t.Helper()
	metric := &dto.Metric{}
	if err := leftCertificates.WithLabelValues(v1alpha1.ReasonReleased).Write(metric); err != nil {
		t.Fatal(err)
	}
	return metric.GetCounter().GetValue()
}
