// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Prometheus returns the path of prometheus or promtool, in the folder that PROMETHEUS_ASSETS
// names; `go run ./hack/assets prometheus` obtains them and prints it.
func Prometheus(name string) (string, error) {
	dir := os.Getenv("PROMETHEUS_ASSETS")
	if dir == "" {
		return "", errors.New("PROMETHEUS_ASSETS is not set: run `make test`, or export PROMETHEUS_ASSETS=$(go run ./hack/assets prometheus)")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("PROMETHEUS_ASSETS: %w", err)
	}
	return path, nil
}
