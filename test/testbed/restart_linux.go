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
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
)

// RestartAPIServer kills the API server and starts it again on what etcd holds. The
// process that it starts ends with stop.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) (stop func(), err error) {
	pid, args, err := c.findAPIServer()
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nil, fmt.Errorf("failed to kill the API server: %w", err)
	}
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

// findAPIServer finds the process of this API server by its port.
func (c *ControlPlane) findAPIServer() (pid int, args []string, err error) {
	address, err := url.Parse(c.Config.Host)
	if err != nil {
		return 0, nil, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, nil, err
	}
	port := []byte("--secure-port=" + address.Port())
	for _, file := range files {
		raw, err := os.ReadFile(file)
		fields := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
		if err != nil || !bytes.HasSuffix(fields[0], []byte("kube-apiserver")) || !bytes.Contains(raw, append(port, 0)) {
			continue
		}
		for _, field := range fields {
			args = append(args, string(field))
		}
		pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
		return pid, args, err
	}
	return 0, nil, errors.New("no process of this API server was found")
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
