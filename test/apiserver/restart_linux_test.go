// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

func TestAPIServerRestartsInABacklog(t *testing.T) {
	t.Parallel()
	own, err := testbed.StartControlPlane() // the others go on with theirs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop() }) // its API server is gone already
	admin, err := client.New(own.Config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, admin, own.Config, emulator.Options{LatencyBefore: emulator.Latency{Base: 100 * time.Millisecond}})
	const n = 60
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		w.putSecret(name, w.issue(name+".example.com"))
		w.create(name, nil)
	}
	w.start()
	w.eventually(func() string {
		if made := len(w.certificates()); made < n/3 {
			return fmt.Sprintf("%d certificates, want the backlog to be under way", made)
		}
		return ""
	})
	within, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	stop, err := own.RestartAPIServer(within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w.proxy.Cut() // what was under way when it went
	for i := range n {
		w.waitReason(fmt.Sprintf("web-%d", i), v1alpha1.ReasonSynced)
	}
	if made := len(w.certificates()); made != n {
		t.Errorf("%d certificates for %d objects", made, n)
	}
	renewed := w.issue("web-0.example.com")
	w.putSecret("web-0", renewed)
	w.checkCurrent(w.wait("web-0", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.HistoryTotal == 1 }), renewed)
}
