// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// start runs a manager until ctx ends. controller-runtime (v0.25) does not come back from a start
// that still waits for its caches when ctx ends, and turns a processor meanwhile: caches that
// the API server withholds would keep the process until it is killed. While they are not synced
// nothing was reconciled yet, and there is nothing to finish.
func start(ctx context.Context, mgr manager.Runnable, synced func(context.Context) bool) error {
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- mgr.Start(ctx) }()
	go func() {
		if synced(ctx) {
			close(ready)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case <-ready:
		return <-ended
	default:
		return nil
	}
}
