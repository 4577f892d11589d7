// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package retries

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

func object(uid types.UID) client.Object {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: uid}}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	var r Retries
	check := func(what string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	web := object("1")
	check("soon", r.Next(web, Reconcile, verdict.Soon), FirstSoon)
	check("soon again", r.Next(web, Reconcile, verdict.Retry), 2*FirstSoon)
	check("slowly counts for itself", r.Next(web, Reconcile, verdict.Slowly), FirstSlowly)
	check("another purpose counts for itself", r.Next(web, Prune, verdict.Soon), FirstSoon)
	check("catching up", r.Next(web, CatchUp, verdict.Never), FirstCatchUp)
	for range 20 {
		r.Next(web, Reconcile, verdict.Slowly)
		r.Next(web, CatchUp, verdict.Never)
	}
	check("at last slowly", r.Next(web, Reconcile, verdict.Slowly), Longest)
	check("at last catching up", r.Next(web, CatchUp, verdict.Never), LongestCatchUp)
	r.Succeeded(web, Reconcile)
	check("after a success", r.Next(web, Reconcile, verdict.Slowly), FirstSlowly)
	check("what did not succeed", r.Next(web, Prune, verdict.Soon), 2*FirstSoon)
	check("an object that was made again", r.Next(object("2"), Prune, verdict.Soon), FirstSoon)
	r.Forget(client.ObjectKeyFromObject(web))
	check("one that was forgotten", r.Next(object("2"), Prune, verdict.Soon), FirstSoon)
}
