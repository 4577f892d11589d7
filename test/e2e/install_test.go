// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// TestInstallUninstallReinstall installs the chart with its defaults into a
// namespace that enforces Pod Security restricted, and takes it away again: what
// users have made stays, and the next release takes it up where it was.
func TestInstallUninstallReinstall(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	a := newApp(t, "reinstall")
	a.putTLS("web", "reinstall.example.com")
	a.create("web", nil)
	// What a pipeline would do.
	kubectl(t, "wait", "--namespace="+a.namespace, "--for=condition=Ready", "--timeout=60s", "ccert/web")
	first := a.get("web")
	c.checkHeld(t, first)
	// The image was built with the version that it was told.
	if said := kubectl(t, "logs", "--namespace="+releaseNamespace, leader(t).Name); !strings.Contains(said, `"version":"cloudcert v0.0.0-e2e (commit `) {
		t.Errorf("the operator does not say which version it is:\n%s", said)
	}

	helm(t, "uninstall", releaseName, "--wait")
	if left := kubectl(t, "get", "--namespace="+releaseNamespace, "deployment,service,pdb,networkpolicy,role,rolebinding,replicaset", "-o", "name"); left != "" {
		t.Errorf("uninstalling left %s", left)
	}
	if left := kubectl(t, "get", "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding", "-l", "app.kubernetes.io/instance="+releaseName, "-o", "name"); left != "" {
		t.Errorf("uninstalling left %s", left)
	}
	if kept := a.get("web"); kept.Status.CertID != first.Status.CertID || kept.UID != first.UID {
		t.Errorf("uninstalling changed the object: %+v", kept)
	}

	c.install(t, nil)
	// The second object shows that the operator works; the first has nothing new.
	a.putTLS("other", "other.example.com")
	a.create("other", nil)
	a.waitReady("other", 0)
	// And a renewal goes on where the first release ended.
	if now := a.get("web"); now.Status.CertID != first.Status.CertID {
		t.Errorf("the next release made certificate %d of %d", now.Status.CertID, first.Status.CertID)
	}
	if n := c.uploads(); n != 2 {
		t.Errorf("%d uploads for two certificates", n)
	}
	a.putTLS("web", "reinstall.example.com")
	renewed := a.waitReady("web", first.Status.CertID)
	c.checkHeld(t, renewed)
	if len(renewed.Status.History) != 1 || renewed.Status.History[0].CertID != first.Status.CertID {
		t.Errorf("history is %+v, want certificate %d", renewed.Status.History, first.Status.CertID)
	}
}

// TestHelmWaitsForCertificates has helm, which reads kstatus, wait for objects of a
// user's chart: until one is Ready, and no longer once one has Stalled.
func TestHelmWaitsForCertificates(t *testing.T) {
	c := newCloud(t, emulator.Options{LatencyAfter: emulator.Latency{Base: 2 * time.Second}})
	c.install(t, nil)
	a := newApp(t, "kstatus")
	chart := t.TempDir()
	for file, text := range map[string]string{
		"Chart.yaml": "{apiVersion: v2, name: app, version: 1.0.0}",
		"templates/certificate.yaml": `
apiVersion: cloudcert.io/v1alpha1
kind: CloudCertificate
metadata: {name: "{{ .Release.Name }}"}
spec: {secretRef: {name: "{{ .Release.Name }}"}}
`,
	} {
		path := filepath.Join(chart, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := func(name string) error {
		out, err := exec.CommandContext(t.Context(), "helm", "install", name, chart, "--namespace="+a.namespace, "--wait", "--timeout="+patience.String()).CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	a.putTLS("good", "good.example.com")
	if err := install("good"); err != nil {
		t.Errorf("helm did not see that the object is Ready: %v", err)
	}
	if good := a.get("good"); !meta.IsStatusConditionTrue(good.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("helm took %+v for done", good.Status)
	}

	certificate, err := siteCA.Issue(time.Hour, nil, "bad.example.com")
	if err != nil {
		t.Fatal(err)
	}
	other, err := siteCA.Issue(time.Hour, nil, "bad.example.com")
	if err != nil {
		t.Fatal(err)
	}
	a.putSecret("bad", corev1.SecretTypeTLS, map[string][]byte{"tls.crt": certificate.Certificate, "tls.key": other.PrivateKey})
	began := time.Now()
	if err := install("bad"); err == nil || time.Since(began) > patience-time.Second {
		t.Errorf("helm waited %s for an object that has stalled: %v", time.Since(began), err)
	}
	if bad := a.get("bad"); !meta.IsStatusConditionTrue(bad.Status.Conditions, v1alpha1.ConditionStalled) {
		t.Errorf("the object has not stalled: %+v", bad.Status)
	}
}

// TestPodIsConfined reads what the kernel says about the operator's process.
func TestPodIsConfined(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	for _, pod := range operatorPods(t) {
		pid := process(t, pod)
		status := procStatus(t, pid)
		for field, want := range map[string]string{
			"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532",
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
			"CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
			"NoNewPrivs": "1", "Seccomp": "2", // a filter
		} {
			if status[field] != want {
				t.Errorf("%s of the operator's process is %q, want %q", field, status[field], want)
			}
		}
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			fields := strings.Fields(line)
			if fields[1] == "/" && !strings.HasPrefix(fields[3], "ro,") {
				t.Errorf("the root file system is mounted %s", fields[3])
			}
			if fields[1] == "/var/run/secrets/kubernetes.io/serviceaccount" && !strings.HasPrefix(fields[3], "ro,") {
				t.Errorf("the token's volume is mounted %s", fields[3])
			}
		}
	}
}

// process finds a pod's manager among the processes of this machine, where those
// of its containers can be seen.
func process(t *testing.T, pod corev1.Pod) int {
	t.Helper()
	_, container, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range groups {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), container) {
			continue // it has ended, or is another's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		if command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasPrefix(string(command), "/manager\x00") {
			return pid
		}
	}
	if len(groups) > 0 && os.Getenv("E2E_PROVIDER") == "node" {
		t.Fatalf("no process of container %s was found", container)
	}
	t.Skip("the cluster's processes cannot be seen from here: docker runs in a virtual machine")
	return 0
}

// procStatus reads proc_pid_status(5).
func procStatus(t *testing.T, pid int) map[string]string {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	status := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	return status
}
