// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command assets obtains what tests and checks need beside Go, once per version,
// into a cache outside the checkout, and prints where it is: nothing else goes to
// standard output.
//
//	assets                the folder of etcd, kube-apiserver and kubectl
//	assets linter         the linter's binary
//	assets node           the folder of what else a node needs: kubelet, containerd, …
//	assets cert-manager   the binary of cert-manager's controllers
//	assets prometheus     the folder of prometheus and promtool
//
// For the first, KUBEBUILDER_ASSETS wins; else the prebuilt envtest archive is
// downloaded where it can be reached, and else they are built from Go modules,
// which takes some minutes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, err := obtain(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

// obtain obtains what the argument names.
func obtain(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return controlPlane(ctx)
	}
	switch args[0] {
	case "linter":
		return only(ctx, "linter", toolsModule, linter)
	case "node":
		return built(ctx, "node", clusterModule, nodeTargets...)
	case "cert-manager":
		return only(ctx, "cert-manager", clusterModule, certManager)
	case "prometheus":
		return prometheus(ctx)
	default:
		return "", fmt.Errorf("nothing is known of %q: linter, node, cert-manager or prometheus", args[0])
	}
}

// controlPlane obtains the folder of the control plane's binaries.
func controlPlane(ctx context.Context) (string, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		needed := []target{{name: "etcd"}, {name: "kube-apiserver"}} // kubectl is welcome
		if err := complete(dir, needed); err != nil {
			return "", fmt.Errorf("KUBEBUILDER_ASSETS: %w; unset it, or correct it", err)
		}
		return dir, nil
	}
	s, err := newStore("controlplane", clusterModule, planeTargets)
	if err != nil {
		return "", err
	}
	return s.obtain(ctx, func(ctx context.Context, dir string) error {
		err := download(ctx, s.log, dir)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		fmt.Fprintf(s.log, "assets: no prebuilt archive (%v); building from Go modules, some minutes once\n", err)
		return build(ctx, s.log, clusterModule, dir, planeTargets)
	})
}

// built obtains the folder of commands that are built from a module.
func built(ctx context.Context, kind, module string, targets ...target) (string, error) {
	s, err := newStore(kind, module, targets)
	if err != nil {
		return "", err
	}
	return s.obtain(ctx, func(ctx context.Context, dir string) error {
		return build(ctx, s.log, module, dir, targets)
	})
}

// only obtains the one command that is built of a kind.
func only(ctx context.Context, kind, module string, t target) (string, error) {
	dir, err := built(ctx, kind, module, t)
	return filepath.Join(dir, t.name), err
}
