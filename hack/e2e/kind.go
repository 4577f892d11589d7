// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloudcert-io/cloudcert/hack/e2e/node"
	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// kind makes a cluster in docker.
type kind struct{ binary string }

func (k *kind) install(context.Context) error { return nil }

func (k *kind) assets(ctx context.Context, e *environment) error {
	k.binary = filepath.Join(e.bin, "kind")
	return process.Run(ctx, nil, "go", "-C", "hack/cluster", "build", "-o", k.binary, "sigs.k8s.io/kind")
}

func (k *kind) run(ctx context.Context, e *environment, words []string) (err error) {
	name := fmt.Sprintf("%s%d", node.Prefix, os.Getpid())
	kubeconfig := filepath.Join(e.state, "kubeconfig")
	defer func() { // also when ctx is why we end
		err = errors.Join(err, process.Run(context.WithoutCancel(ctx), nil, k.binary, "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig))
	}()
	fmt.Println("==> make a cluster with kind")
	if err := process.Run(ctx, nil, k.binary, "create", "cluster", "--name", name, "--kubeconfig", kubeconfig, "--wait", "3m"); err != nil {
		return err
	}
	if err := process.Run(ctx, nil, k.binary, "load", "image-archive", e.archive, "--name", name); err != nil {
		return err
	}
	address, err := gateway(ctx)
	if err != nil {
		return err
	}
	fmt.Println("==> " + strings.Join(words, " "))
	env := append(e.variables(), "E2E_PROVIDER=kind", "KUBECONFIG="+kubeconfig, "E2E_CLOUD_IP="+address)
	return process.Command(ctx, env, words[0], words[1:]...).Run()
}

// gateway is this machine's IPv4 address in kind's network.
func gateway(ctx context.Context) (string, error) {
	out, err := process.Output(ctx, "docker", "network", "inspect", "kind", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}")
	if err != nil {
		return "", err
	}
	for text := range strings.FieldsSeq(out) {
		if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
			return text, nil
		}
	}
	return "", fmt.Errorf("docker's network kind has no IPv4 gateway: %s", out)
}
