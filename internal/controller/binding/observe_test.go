// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

// TestTheProblemOfACertificateIsNamed: who waits for a CloudCertificate is told why it is not ready.
func TestTheProblemOfACertificateIsNamed(t *testing.T) {
	t.Parallel()
	r := &Reconciler{Options: Options{ClusterID: "c1"}}
	ready := func(status metav1.ConditionStatus, reason string) func(*v1alpha1.CloudCertificate) {
		return func(c *v1alpha1.CloudCertificate) {
			c.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "the 3rd try has failed"}}
		}
	}
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CloudCertificate)
		want   string
	}{
		"in order":             {func(*v1alpha1.CloudCertificate) {}, ""},
		"refused":              {ready(metav1.ConditionFalse, v1alpha1.ReasonInvalidCertificate), `CloudCertificate "web" is not Synced: InvalidCertificate; see its status`},
		"suspended, but ready": {ready(metav1.ConditionTrue, v1alpha1.ReasonSuspended), `CloudCertificate "web" is not Synced: Suspended; see its status`},
		"not ready any more":   {ready(metav1.ConditionFalse, v1alpha1.ReasonSynced), `CloudCertificate "web" is not Synced: its Ready is False; see its status`},
		"another spec":         {func(c *v1alpha1.CloudCertificate) { c.Generation++ }, `CloudCertificate "web" is not Synced: its spec has changed; see its status`},
		"nothing uploaded": {func(c *v1alpha1.CloudCertificate) {
			ready(metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound)(c)
			c.Status.CertID = 0
		}, `CloudCertificate "web" has no certificate in the cloud yet: SecretNotFound; see its status`},
		"new": {func(c *v1alpha1.CloudCertificate) { c.Status = v1alpha1.CloudCertificateStatus{} },
			`CloudCertificate "web" has no certificate in the cloud yet: it was not handled yet; see its status`},
		"of another object": {func(c *v1alpha1.CloudCertificate) { c.Status.Name = "k8s-0123456789ab-0123456789ab" },
			`the status of CloudCertificate "web" names a certificate of another object; it is corrected by the operator`},
		"going": {func(c *v1alpha1.CloudCertificate) { c.DeletionTimestamp = &metav1.Time{Time: time.Now()} },
			`CloudCertificate "web" is being deleted; what is placed stays`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &v1alpha1.CloudCertificate{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 1},
				Status:     v1alpha1.CloudCertificateStatus{ObservedGeneration: 1, CertID: 12345},
			}
			c.Status.Name = bundle.Name("", r.identity(c), "0123456789abc")
			ready(metav1.ConditionTrue, v1alpha1.ReasonSynced)(c)
			tc.change(c)
			if got := (&reconciliation{Reconciler: r, certificate: c}).certificateProblem(); got != tc.want {
				t.Errorf("the problem is %q, want %q", got, tc.want)
			}
		})
	}
}
