// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"path/filepath"
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

// etcd goes back to a snapshot while the operator runs, as after a disaster: what was renewed
// since then goes up once, within seconds, and is adopted where it is there already.
func TestEtcdIsRestoredUnderTheOperator(t *testing.T) {
	t.Parallel()
	own, err := testbed.StartControlPlane()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop() }) // its API server is gone already
	admin, err := client.New(own.Config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, admin, own.Config, emulator.Options{})
	first := w.issue("web.example.com")
	for _, name := range []string{"renewed", "untouched"} {
		w.putSecret(name, first)
		w.create(name, nil)
	}
	w.start()
	for _, name := range []string{"renewed", "untouched"} {
		w.waitReason(name, v1alpha1.ReasonSynced)
	}
	snapshot := filepath.Join(t.TempDir(), "snapshot")
	if err := own.SnapshotEtcd(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	since := w.issue("web.example.com")
	w.putSecret("renewed", since)
	w.wait("renewed", "renewed", func(cc *v1alpha1.CloudCertificate) bool { return cc.Status.HistoryTotal == 1 })
	within, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	stop, err := own.RestoreEtcd(within, snapshot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w.proxy.Cut() // what was under way when the API server went
	after := w.issue("web.example.com")
	for name, superseded := range map[string]int32{"renewed": 2, "untouched": 1} {
		w.putSecret(name, after)
		w.checkCurrent(w.wait(name, "renewed after the restore", func(cc *v1alpha1.CloudCertificate) bool {
			return cc.Status.HistoryTotal == superseded
		}), after)
	}
	if made := len(w.certificates()); made != 5 {
		t.Errorf("%d certificates, want five: two, one that was renewed before the restore, and two after it", made)
	}
}
