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
		return linter(ctx)
	case "node":
		return node(ctx)
	case "cert-manager":
		return certManager(ctx)
	default:
		return "", fmt.Errorf("nothing is known of %q: linter, node or cert-manager", args[0])
	}
}

// controlPlane obtains the folder of the control plane's binaries.
func controlPlane(ctx context.Context) (string, error) {
	needed := []string{"etcd", "kube-apiserver"} // kubectl is welcome, and not needed
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if err := complete(dir, needed); err != nil {
			return "", fmt.Errorf("KUBEBUILDER_ASSETS: %w; unset it, or correct it", err)
		}
		return dir, nil
	}
	module := filepath.Join("hack", "controlplane")
	s, err := newStore("controlplane", module, needed)
	if err != nil {
		return "", err
	}
	return s.obtain(ctx, func(ctx context.Context, dir string) error {
		err := download(ctx, s.log, dir)
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		fmt.Fprintf(s.log, "assets: no prebuilt archive (%v); building from Go modules, some minutes once\n", err)
		return buildControlPlane(ctx, s.log, module, dir)
	})
}

// linter obtains the linter's binary.
func linter(ctx context.Context) (string, error) {
	const name = "golangci-lint"
	module := filepath.Join("hack", "tools")
	s, err := newStore("linter", module, []string{name})
	if err != nil {
		return "", err
	}
	dir, err := s.obtain(ctx, func(ctx context.Context, dir string) error {
		return build(ctx, s.log, module, dir, target{pkg: "./golangci-lint", name: name})
	})
	return filepath.Join(dir, name), err
}
