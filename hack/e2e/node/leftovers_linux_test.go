// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node

import (
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// patience bounds the waits for an end: far longer than one takes, also on a machine that is busy.
const patience = 5 * time.Minute

// inTheCluster runs a pod, so that there are containers, their mounts and interfaces,
// leaves a file, says that it is ready, and waits to be ended.
const inTheCluster = `
kubectl run left --image=` + pauseName + ` --image-pull-policy=Never >&2
kubectl wait --for=condition=Ready --timeout=2m pod/left >&2
echo left > "$TMPDIR/left"
sleep 600 &
echo ready > "$0"
wait
`

// A cluster leaves nothing on the machine, however it ends. What is killed itself cannot
// remove its folders: the next run does.
func TestAClusterLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	program, temp := filepath.Join(dir, "e2e"), filepath.Join(dir, "tmp")
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGTERM} {
		t.Run(end.String(), func(t *testing.T) {
			before := look(t, temp)
			ready := filepath.Join(t.TempDir(), "ready")
			cmd := exec.Command(program, "-provider=node", "sh", "-euc", inTheCluster, ready)
			cmd.Dir = filepath.Join("..", "..", "..")
			cmd.Env = append(os.Environ(), "TMPDIR="+temp)
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			// An end by signal of the test itself must not leave it either.
			cmd.SysProcAttr = process.DieWithParent()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			await(t, ended, ready)

			during := look(t, temp)
			if len(during.namespaces) == len(before.namespaces) || len(during.groups) == 0 || len(during.files) == 0 {
				t.Fatalf("nothing is to be seen of the cluster: this test does not test: %+v", during)
			}
			if err := cmd.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("an interrupted run ended well")
				}
			case <-time.After(patience):
				_ = cmd.Process.Kill()
				t.Fatal("the run did not end")
			}
			if end == syscall.SIGKILL {
				before.groups, before.files = nil, nil // for the next run
			}
			gone(t, temp, before, end == syscall.SIGKILL)
		})
	}
}

// await waits until the command in the cluster says that it is ready.
func await(t *testing.T, ended <-chan error, ready string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("the run ended early: %v", err)
		default:
		}
		if _, err := os.Stat(ready); err == nil {
			return
		}
	}
	t.Fatal("the cluster was not ready in time")
}

// traces is what a cluster could leave on a machine.
type traces struct {
	namespaces []string // of processes
	mounts     []string
	interfaces []string
	groups     []string
	files      []string
}

// gone waits until there is nothing that was not there before: the kernel takes a
// moment.
func gone(t *testing.T, temp string, before traces, killed bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now := look(t, temp)
		left := slices.Concat(
			fresh(before.namespaces, now.namespaces), fresh(before.mounts, now.mounts), fresh(before.interfaces, now.interfaces))
		if !killed {
			left = slices.Concat(left, now.groups, now.files)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
		}
	}
}

func fresh(before, now []string) []string {
	return slices.DeleteFunc(now, func(s string) bool { return slices.Contains(before, s) })
}

func look(t *testing.T, temp string) (found traces) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if ns, err := os.Readlink(p); err == nil && !slices.Contains(found.namespaces, ns) { // else it has ended
			found.namespaces = append(found.namespaces, ns)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	found.mounts = strings.Split(strings.TrimSpace(string(mounts)), "\n")
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		found.interfaces = append(found.interfaces, i.Name)
	}
	// What ends meanwhile cannot be read.
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), Prefix) {
			found.groups = append(found.groups, path)
		}
		return nil
	})
	if found.files, err = filepath.Glob(filepath.Join(temp, "*")); err != nil {
		t.Fatal(err)
	}
	return found
}
