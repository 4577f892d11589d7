// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// Superseded versions are counted by account and region, and not again for each object that
// meets a full account.
func TestSupersededVersionsAreCountedOnceForAll(t *testing.T) {
	t.Parallel()
	object := func(name, account string, superseded int32) *v1alpha1.CloudCertificate {
		o := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		o.Status.CertID, o.Status.AccountID, o.Status.Region, o.Status.HistoryTotal = 1, account, testRegion, superseded
		return o
	}
	reader := fake.NewClientBuilder().WithScheme(testScheme).WithObjects(object("a", "1", 2), object("b", "1", 3), object("c", "2", 7)).Build()
	here := protocol.Place{Account: "1", Region: testRegion}
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var s superseded
	if got := s.in(t.Context(), reader, here, now); got != 5 {
		t.Errorf("%d superseded versions, want 5", got)
	}
	if err := reader.Create(t.Context(), object("d", "1", 4)); err != nil {
		t.Fatal(err)
	}
	if got := s.in(t.Context(), reader, here, now.Add(supersededFor-time.Second)); got != 5 {
		t.Errorf("%d superseded versions after a short time: counted again", got)
	}
	if got := s.in(t.Context(), reader, here, now.Add(supersededFor)); got != 9 {
		t.Errorf("%d superseded versions at last, want 9", got)
	}
}
