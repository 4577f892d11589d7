// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command golangci-lint is golangci-lint with kube-api-linter compiled in: its own
// way of adding a plugin would clone and build it anew.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter" // registers kubeapilinter
)

func main() {
	if err := commands.Execute(commands.BuildInfo{GoVersion: "unknown", Version: "2.15.0", Commit: "pinned by hack/tools/go.mod", Date: "unknown"}); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(exitcodes.Failure)
	}
}
