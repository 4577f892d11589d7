// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// leader is the pod that holds the lease.
func leader(t *testing.T) corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	eventually(t, "a pod leads", func() (bool, string) {
		lease := &coordinationv1.Lease{}
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: releaseNamespace, Name: leaseName}, lease); err != nil {
			return false, err.Error()
		}
		if lease.Spec.HolderIdentity == nil {
			return false, "nobody holds the lease"
		}
		for _, pod := range operatorPods(t) { // the identity is the host's name and a random part
			if strings.HasPrefix(*lease.Spec.HolderIdentity, pod.Name+"_") {
				found = &pod
			}
		}
		return found != nil, "held by " + *lease.Spec.HolderIdentity
	})
	return *found
}

// TestPodKilledInMidUpload kills the leader without warning between the effect of
// an upload and its answer: its successor finds the certificate.
func TestPodKilledInMidUpload(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	killed := leader(t)
	pid := process(t, killed)
	c.Inject(emulator.Fault{Kind: emulator.FaultHang, Action: "UploadUserCertificate", AfterCommit: true, Count: 1})
	a := newApp(t, "killed")
	a.putTLS("web", "killed.example.com")
	a.create("web", nil)
	eventually(t, "the upload has taken effect", func() (bool, string) { return len(c.certificates("killed.example.com")) == 1, "no certificate" })
	// The kubelet would warn it first, even where no grace is given.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "delete", "pod", "--namespace="+releaseNamespace, "--grace-period=0", "--force", killed.Name)
	if cc := a.get("web"); cc.Status.CertID != 0 {
		t.Errorf("status has certificate %d: the pod was killed too late for this test to prove anything", cc.Status.CertID)
	}

	c.checkHeld(t, a.waitReady("web", 0))
	if held := c.certificates("killed.example.com"); len(held) != 1 {
		t.Errorf("the cloud holds %d certificates, want 1: %+v", len(held), held)
	}
	if now := leader(t); now.Name == killed.Name {
		t.Errorf("%s leads although it was killed", now.Name)
	}
}

// TestLeaderPausedPastItsLease stops the leader's process until another leads, and
// lets it go on: it must notice, and do nothing twice.
func TestLeaderPausedPastItsLease(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, map[string]any{"livenessProbe": nil}) // the kubelet would kill what does not answer
	paused := leader(t)
	pid := process(t, paused)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	a := newApp(t, "paused")
	a.putTLS("web", "paused.example.com")
	a.create("web", nil)
	first := a.waitReady("web", 0)
	if now := leader(t); now.Name == paused.Name {
		t.Fatalf("%s leads although its process is stopped", now.Name)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deposed leader ends", func() (bool, string) {
		err := syscall.Kill(pid, 0)
		return err != nil, "it still runs"
	})
	kubectl(t, "rollout", "status", "--namespace="+releaseNamespace, "--timeout=2m", "deployment/"+releaseName)
	a.putTLS("web", "paused.example.com")
	a.waitReady("web", first.Status.CertID)
	if n := c.uploads(); n != 2 {
		t.Errorf("%d uploads of two versions", n)
	}
}

// TestRollingUpgradeUnderLoad upgrades the release and rolls it back while there
// is a backlog: nothing is lost, nothing is there twice.
func TestRollingUpgradeUnderLoad(t *testing.T) {
	const objects = 60
	c := newCloud(t, emulator.Options{LatencyAfter: emulator.Latency{Base: 500 * time.Millisecond}})
	slow := map[string]any{"limits": map[string]any{"uploadQPS": 3}} // the backlog outlasts the roll-out
	c.install(t, slow)
	a := newApp(t, "upgrade")
	name := func(i int) string { return fmt.Sprintf("web-%d", i) }
	for i := range objects {
		a.putTLS(name(i), name(i)+".example.com")
		a.create(name(i), nil)
	}
	slow["podLabels"] = map[string]any{"changed": "yes"}
	helm(t, "upgrade", releaseName, chart(), "--wait", "--timeout=3m", "--values="+valuesFile(t, c.values(slow)))
	if done := c.uploads(); done >= objects {
		t.Errorf("all %d uploads were done before the upgrade was: this test proves nothing of it", done)
	}
	helm(t, "rollback", releaseName, "1", "--wait", "--timeout=3m")
	for i := range objects {
		c.checkHeld(t, a.waitReady(name(i), 0))
		if held := c.certificates(name(i) + ".example.com"); len(held) != 1 {
			t.Errorf("the cloud holds %d certificates of %s, want 1", len(held), name(i))
		}
	}
}

// TestNodeDrained drains the only node: the disruption budget keeps the last pod
// until there is room for another, and the operator works again afterwards.
func TestNodeDrained(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	node := operatorPods(t)[0].Spec.NodeName
	// cert-manager's and the cluster's own pods are none of this test's business.
	drain := exec.CommandContext(t.Context(), "kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=20s",
		"--pod-selector=app.kubernetes.io/name=cloudcert")
	t.Cleanup(func() { kubectl(t, "uncordon", node) })
	out, err := drain.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "disruption budget") {
		t.Errorf("both pods were evicted at once: %v\n%s", err, out)
	}
	a := newApp(t, "drained")
	a.putTLS("web", "drained.example.com")
	a.create("web", nil)
	first := a.waitReady("web", 0) // by the pod that is left
	kubectl(t, "uncordon", node)
	kubectl(t, "rollout", "status", "--namespace="+releaseNamespace, "--timeout=2m", "deployment/"+releaseName)
	a.putTLS("web", "drained.example.com")
	c.checkHeld(t, a.waitReady("web", first.Status.CertID))
}

// TestCredentialsRotated gives the operator another access key, as the chart's
// README says.
func TestCredentialsRotated(t *testing.T) {
	const id, secret = "LTAIrotatedAccessKey", "rotated-access-key-secret"
	c := newCloud(t, emulator.Options{Accounts: []emulator.Account{{ID: account, AccessKeyID: id, AccessKeySecret: secret}}})
	c.install(t, nil)
	a := newApp(t, "rotated")
	a.putTLS("web", "rotated.example.com")
	a.create("web", nil)
	first := a.waitReady("web", 0)

	put := func(id, key string) {
		if err := kube.Update(context.WithoutCancel(t.Context()), credentialsSecret(id, key)); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { put(accessKeyID, accessKeySecret) })
	put(id, secret)
	kubectl(t, "rollout", "restart", "--namespace="+releaseNamespace, "deployment/"+releaseName)
	kubectl(t, "rollout", "status", "--namespace="+releaseNamespace, "--timeout=2m", "deployment/"+releaseName)
	if n := c.uploads(); n != 1 {
		t.Errorf("%d uploads after the rotation, want the first alone", n)
	}
	a.putTLS("web", "rotated.example.com")
	c.checkHeld(t, a.waitReady("web", first.Status.CertID))
}
