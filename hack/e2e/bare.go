// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"

	"github.com/cloudcert-io/cloudcert/hack/e2e/node"
	"github.com/cloudcert-io/cloudcert/hack/e2e/process"
)

// bare makes a cluster of one node without docker.
type bare struct{}

func (bare) install(ctx context.Context) error { return node.Install(ctx) }

func (bare) assets(ctx context.Context, e *environment) error {
	dir, err := e.assets(ctx, "node")
	if err != nil {
		return err
	}
	if err := link(dir, e.bin); err != nil {
		return err
	}
	return process.Run(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(e.bin, "pause"), "./hack/e2e/node/pause")
}

func (bare) run(ctx context.Context, e *environment, words []string) error {
	return node.Run(ctx, node.Config{Dir: e.state, Logs: e.logs, Bin: e.bin, Archive: e.archive, Env: e.variables()}, words)
}
