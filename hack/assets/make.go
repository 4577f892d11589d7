// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// downloadTimeout bounds the download of some 60 MB; without a network it fails
// at once.
const downloadTimeout = 3 * time.Minute

// progressEvery is how often a long step says that it is still at work.
const progressEvery = 20 * time.Second

// target is a command to build, and the name that it gets.
type target struct{ pkg, name string }

// The modules that pin what is built.
const (
	clusterModule = "hack/cluster"
	toolsModule   = "hack/tools"
)

var (
	// planeTargets are the control plane's commands, by the names that envtest knows.
	planeTargets = []target{
		{"go.etcd.io/etcd/server/v3", "etcd"},
		{"k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"},
		{"k8s.io/kubernetes/cmd/kubectl", "kubectl"},
	}
	// nodeTargets are what a node needs beside the control plane.
	nodeTargets = []target{
		{"k8s.io/kubernetes/cmd/kubelet", "kubelet"},
		{"k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"},
		{"k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"},
		{"k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"},
		{"github.com/containerd/containerd/v2/cmd/containerd", "containerd"},
		{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"},
		{"github.com/containerd/containerd/v2/cmd/ctr", "ctr"},
	}
	certManager = target{"./cert-manager", "cert-manager"}
	linter      = target{"./golangci-lint", "golangci-lint"}
)

// download fetches the prebuilt envtest archive with setup-envtest.
func download(ctx context.Context, log io.Writer, dir string) error {
	version, err := kubernetes(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	stop := report(log, "looking for a prebuilt archive")
	defer stop()
	archive := filepath.Join(dir, "archive")
	from, err := output(ctx, ".", "go", "tool", "-modfile=hack/tools/go.mod", "setup-envtest",
		"use", strings.TrimPrefix(version, "v"), "--bin-dir", archive, "-p", "path")
	if err != nil {
		return errors.Join(err, os.RemoveAll(archive))
	}
	for _, t := range planeTargets {
		if err := os.Rename(filepath.Join(from, t.name), filepath.Join(dir, t.name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(archive)
}

// kubernetes is the version that the cluster's module pins.
func kubernetes(ctx context.Context) (string, error) {
	return output(ctx, clusterModule, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
}

// build compiles commands of a module into dir, one after the other: two links at
// once need too much memory.
func build(ctx context.Context, log io.Writer, module, dir string, targets []target) error {
	var flags []string
	if module == clusterModule {
		version, err := kubernetes(ctx)
		if err != nil {
			return err
		}
		// Without these file systems containerd needs no C headers.
		flags = []string{"-ldflags=" + ldflags(version), "-tags=no_btrfs,no_devmapper,no_zfs"}
	}
	for _, t := range targets {
		if err := buildOne(ctx, log, module, dir, t, flags); err != nil {
			return err
		}
	}
	return nil
}

func buildOne(ctx context.Context, log io.Writer, module, dir string, t target, flags []string) error {
	scratch, err := os.MkdirTemp(dir, "tmp") // the linker's files go with dir when the build dies
	if err != nil {
		return err
	}
	began := time.Now()
	stop := report(log, "building "+t.name)
	args := append([]string{"build", "-trimpath", "-o", filepath.Join(dir, t.name)}, flags...)
	cmd := command(ctx, module, "go", append(args, t.pkg)...)
	cmd.Env = append(os.Environ(), "GOTMPDIR="+scratch, "GOWORK=off")
	out, err := cmd.CombinedOutput()
	stop()
	if err != nil {
		return fmt.Errorf("failed to build %s: %w\n%s", t.pkg, err, out)
	}
	fmt.Fprintf(log, "assets: built %s in %s\n", t.name, time.Since(began).Round(time.Second))
	return os.RemoveAll(scratch)
}

// ldflags give the binaries the version that they are: clients that ask the API
// server for it would refuse v0.0.0.
func ldflags(version string) string {
	const pkg = "k8s.io/component-base/version"
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return "-s -w " + fmt.Sprintf("-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s -X %[1]s.gitTreeState=archive",
		pkg, version, numbers[0], numbers[1])
}

// report says that something is under way, at once and from time to time, until
// it is stopped.
func report(log io.Writer, what string) (stop func()) {
	began := time.Now()
	fmt.Fprintf(log, "assets: %s\n", what)
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				fmt.Fprintf(log, "assets: %s, for %s so far\n", what, time.Since(began).Round(time.Second))
			}
		}
	}()
	return func() { close(done) }
}

// output runs a command and returns its last line of output.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := command(ctx, dir, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s %s: %w", name, args[0], err), lastLine(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// lastLine is the end of what a command said, as an error.
func lastLine(text string) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return errors.New(lines[len(lines)-1])
}

// command is a command that is interrupted with us, and killed if it does not end.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
