// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// TestManyBindingsWakeTheirObjectOnce: a thousand that follow a renewal, or are deleted at once, would have the
// object of all reconciled, and written while it is being deleted, for each of them.
func TestManyBindingsWakeTheirObjectOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer q.ShutDown()
		binding := func(name, certificate string) *v1alpha1.CloudCertificateBinding {
			b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
			b.Spec.CertificateRef.Name = certificate
			return b
		}
		woken := boundTo()
		for i := range 1000 {
			name := fmt.Sprint(i)
			woken.Update(t.Context(), event.UpdateEvent{ObjectOld: binding(name, "web"), ObjectNew: binding(name, "web")}, q)
			woken.Delete(t.Context(), event.DeleteEvent{Object: binding(name, "web")}, q)
		}
		woken.Update(t.Context(), event.UpdateEvent{ObjectOld: binding("moved", "old"), ObjectNew: binding("moved", "new")}, q)
		time.Sleep(gathering)
		synctest.Wait()
		got := map[types.NamespacedName]int{}
		for range q.Len() {
			request, _ := q.Get()
			got[request.NamespacedName]++
			q.Done(request)
		}
		for _, name := range []string{"web", "old", "new"} {
			if n := got[types.NamespacedName{Namespace: "shop", Name: name}]; n != 1 {
				t.Errorf("%q is reconciled %d times, want once", name, n)
			}
		}
		if len(got) != 3 {
			t.Errorf("woken are %v, want three", got)
		}
	})
}
