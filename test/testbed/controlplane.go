// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testbed starts the real parts that tests and the demo run on: a control
// plane, the operator's binary, and a proxy that sees what the operator asks of
// the API server. Everything listens on loopback.
package testbed

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// ControlPlane is a running etcd and kube-apiserver with the CRDs of cloudcert.
type ControlPlane struct {
	// Config reaches the API server as an administrator.
	Config *rest.Config
	// Kubeconfig is the same for files.
	Kubeconfig []byte

	env  *envtest.Environment
	data string // the folder of etcd
}

// StartControlPlane starts etcd and kube-apiserver from the folder that
// KUBEBUILDER_ASSETS names; `make -s assets-dir` obtains them and prints it.
func StartControlPlane() (*ControlPlane, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("KUBEBUILDER_ASSETS is not set: run `make test`, or export KUBEBUILDER_ASSETS=$(make -s assets-dir)")
	}
	data, err := os.MkdirTemp("", "cloudcert-etcd-")
	if err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,

		// Twenty seconds, and ten for the CRDs, would be what a loaded machine takes.
		ControlPlaneStartTimeout: Patience, ControlPlaneStopTimeout: Patience,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: Patience},
	}
	env.ControlPlane.Etcd = &envtest.Etcd{DataDir: data}
	config, err := startOnOwnPorts(env)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to start the control plane: %w", err), env.Stop(), os.RemoveAll(data))
	}
	config.QPS = -1
	return &ControlPlane{Config: config, Kubeconfig: env.KubeConfig, env: env, data: data}, nil
}

// startOnOwnPorts starts an environment on ports of FreeAddress: envtest would take some of the kernel's, which
// others may be given before it listens, or while it is restarted.
func startOnOwnPorts(env *envtest.Environment) (*rest.Config, error) {
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = FreeAddress(); err != nil {
			return nil, err
		}
	}
	etcd := env.ControlPlane.Etcd
	etcd.URL = &url.URL{Scheme: "http", Host: addresses[0]}
	etcd.Configure().Set("listen-peer-urls", "http://"+addresses[1])
	server := env.ControlPlane.GetAPIServer()
	var err error
	if server.Address, server.Port, err = net.SplitHostPort(addresses[2]); err != nil {
		return nil, err
	}
	return env.Start()
}

// Stop ends the control plane and removes its data.
func (c *ControlPlane) Stop() error { return errors.Join(c.env.Stop(), os.RemoveAll(c.data)) }

// Root is the folder of the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
