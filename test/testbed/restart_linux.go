// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
)

// RestartAPIServer kills the API server and starts it again on what etcd holds. The
// process that it starts ends with stop.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) (stop func(), err error) {
	args, err := c.killAPIServer()
	if err != nil {
		return nil, err
	}
	return c.startAPIServer(ctx, args)
}

// SnapshotEtcd copies what etcd holds, as it is at this moment, into a folder.
func (c *ControlPlane) SnapshotEtcd(ctx context.Context, folder string) error {
	pid, _, err := findProcess("etcd", "--data-dir="+c.data)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // no write is under way while it stands still
		return fmt.Errorf("failed to halt etcd: %w", err)
	}
	return errors.Join(waitHalted(ctx, pid), os.CopyFS(folder, os.DirFS(c.data)), syscall.Kill(pid, syscall.SIGCONT))
}

// waitHalted waits until every thread of a process stands still: the signal reaches each of them when it is
// next scheduled, and one that waits for the disk after it has written.
func waitHalted(ctx context.Context, pid int) error {
	return Eventually(ctx, Patience, time.Millisecond, func() (string, error) {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(files) == 0 {
			return "", fmt.Errorf("process %d has no threads: %w", pid, err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			// The state follows the name, which is in parentheses and may have some itself; T is stopped.
			if _, state, _ := bytes.Cut(raw[bytes.LastIndexByte(raw, ')')+1:], []byte(" ")); !bytes.HasPrefix(state, []byte("T")) {
				return fmt.Sprintf("thread %s is not halted: %s", filepath.Base(filepath.Dir(file)), state), nil
			}
		}
		return "", nil
	})
}

// RestoreEtcd kills the API server, brings etcd back to a snapshot, and starts the API server
// again, as an administrator would after a disaster. The revision is not raised: what is
// written now gets resourceVersions that were given before. The API server ends with stop.
func (c *ControlPlane) RestoreEtcd(ctx context.Context, snapshot string) (stop func(), err error) {
	args, err := c.killAPIServer()
	if err != nil {
		return nil, err
	}
	etcd := c.env.ControlPlane.Etcd
	if err := errors.Join(etcd.Stop(), os.RemoveAll(c.data), os.CopyFS(c.data, os.DirFS(snapshot))); err != nil {
		return nil, fmt.Errorf("failed to replace what etcd holds: %w", err)
	}
	if err := etcd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start etcd on the snapshot: %w", err)
	}
	return c.startAPIServer(ctx, args)
}

// killAPIServer returns with what the API server was started.
func (c *ControlPlane) killAPIServer() (args []string, err error) {
	address, err := url.Parse(c.Config.Host)
	if err != nil {
		return nil, err
	}
	pid, args, err := findProcess("kube-apiserver", "--secure-port="+address.Port())
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("failed to kill the API server: %w", err)
	}
	return args, nil
}

func (c *ControlPlane) startAPIServer(ctx context.Context, args []string) (stop func(), err error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = &said
	if err := c.waitPortFree(ctx); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("failed to start the API server again: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if err := c.waitReady(ctx); err != nil {
		stop() // and then its words are complete
		return nil, fmt.Errorf("%w; it said: %s", err, said.Bytes()[max(0, said.Len()-2000):])
	}
	return stop, nil
}

// waitPortFree waits until nobody listens where the API server did: a process that was
// killed goes thread by thread.
func (c *ControlPlane) waitPortFree(ctx context.Context) error {
	address, err := url.Parse(c.Config.Host)
	if err != nil {
		return err
	}
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address.Host)
		if err == nil {
			return listener.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server's port does not become free: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// findProcess finds a process by its name and an argument that no other one has.
func findProcess(name, argument string) (pid int, args []string, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, nil, err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
		if filepath.Base(args[0]) == name && slices.Contains(args, argument) {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid, args, err
		}
	}
	return 0, nil, fmt.Errorf("no process %s %s was found", name, argument)
}

// waitReady waits until the API server says that it is.
func (c *ControlPlane) waitReady(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	for {
		err := clients.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready again: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
