// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// nodeTargets are what a node needs beside the control plane, and what runs on it
// in tests. Those of Kubernetes say which version they are, as the control plane
// does.
var nodeTargets = []target{
	{"k8s.io/kubernetes/cmd/kubelet", "kubelet"},
	{"k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"},
	{"k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"},
	{"k8s.io/kubernetes/cmd/kube-proxy", "kube-proxy"},
	{"github.com/containerd/containerd/v2/cmd/containerd", "containerd"},
	{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"},
	{"github.com/containerd/containerd/v2/cmd/ctr", "ctr"},
}

// certManagerTargets are cert-manager's controllers, which a cluster of any
// provider needs.
var certManagerTargets = []target{{"./cert-manager", "cert-manager"}}

// node obtains the folder of a node's binaries.
func node(ctx context.Context) (string, error) { return fromNodeModule(ctx, "node", nodeTargets) }

// certManager obtains cert-manager's controllers.
func certManager(ctx context.Context) (string, error) {
	dir, err := fromNodeModule(ctx, "cert-manager", certManagerTargets)
	return filepath.Join(dir, certManagerTargets[0].name), err
}

func fromNodeModule(ctx context.Context, kind string, targets []target) (string, error) {
	module := filepath.Join("hack", "node")
	var needed []string
	for _, t := range targets {
		needed = append(needed, t.name)
	}
	s, err := newStore(kind, module, needed, filepath.Join("hack", "assets", "node.go"))
	if err != nil {
		return "", err
	}
	return s.obtain(ctx, func(ctx context.Context, dir string) error {
		version, err := command(ctx, module, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
		if err != nil {
			return fmt.Errorf("failed to read which Kubernetes %s pins: %w", module, err)
		}
		for _, t := range targets {
			// Without these file systems containerd needs no C headers.
			err := build(ctx, s.log, module, dir, t, "-ldflags="+ldflags(strings.TrimSpace(string(version))), "-tags=no_btrfs,no_devmapper,no_zfs")
			if err != nil {
				return err
			}
		}
		return nil
	})
}
