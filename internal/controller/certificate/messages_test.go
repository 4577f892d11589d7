// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

func TestWhatAVersionReplacesIsSaidOnlyIfItIsKnown(t *testing.T) {
	t.Parallel()
	at := metav1.NewTime(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC))
	for name, tc := range map[string]struct {
		history []v1alpha1.CertificateVersion
		want    int64
	}{
		"none":                        {nil, 0},
		"the one before":              {[]v1alpha1.CertificateVersion{{CertID: 7, UploadTime: metav1.NewTime(at.Add(-time.Hour))}, {CertID: 5}}, 7},
		"one within the same second":  {[]v1alpha1.CertificateVersion{{CertID: 7, UploadTime: at}}, 7},
		"one of an unknown time":      {[]v1alpha1.CertificateVersion{{CertID: 7}}, 0},
		"one that is newer than ours": {[]v1alpha1.CertificateVersion{{CertID: 7, UploadTime: metav1.NewTime(at.Add(time.Second))}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := replaced(&v1alpha1.CloudCertificateStatus{CertID: 6, LastUploadTime: at, History: tc.history}); got != tc.want {
				t.Errorf("replaces %d, want %d", got, tc.want)
			}
		})
	}
}

func TestASecretThatTheOperatorMayNotReadNamesTheRole(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.given()
	h.Live = interceptor.NewClient(h.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, secret := object.(*corev1.Secret); secret {
				return apierrors.NewForbidden(corev1.Resource("secrets"), key.Name, fmt.Errorf("User %q cannot get it", "system:serviceaccount:ops:cloudcert"))
			}
			return c.Get(ctx, key, object, options...)
		},
	})
	object, _, err := h.reconcile()
	if !apierrors.IsForbidden(err) {
		t.Errorf("the queue is told %v", err)
	}
	for _, says := range []string{`Secret "web-tls" in namespace "shop"`, "bind a Role that allows get, list and watch of secrets", "system:serviceaccount:ops:cloudcert"} {
		h.check(object, v1alpha1.ReasonUploadFailed, metav1.ConditionFalse, false, says)
	}
}

func TestAPruneThatFailsNamesWhatStays(t *testing.T) {
	t.Parallel()
	object := &v1alpha1.CloudCertificate{}
	object.Spec.RevisionHistoryLimit = new(int32(1))
	object.Status.History = []v1alpha1.CertificateVersion{{CertID: 9, Name: "a_b_e"}, {CertID: 8, Name: "a_b_d"}, {CertID: 7, Name: "a_b_c"}}
	object.Status.HistoryTotal = 4
	denied := fmt.Errorf("denied: %w", context.Canceled)
	named := &protocol.RemainingError{Left: []protocol.Undeleted{{CertID: 7, Name: "a_b_c", Err: denied}}}
	p := &reconciliation{Reconciler: testReconciler(), before: object, next: object}
	for want, err := range map[string]error{"a_b_d (8), a_b_c (7), and 1 more ": denied, "": named} {
		if got := p.surplus(err); got != want {
			t.Errorf("%s: named are %q, want %q", verdict.Text(err), got, want)
		}
	}
}
