// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// The Dockerfile is where its base images and what goes into the build stand;
// buildah's way needs the former by name.
func TestDockerfile(t *testing.T) {
	t.Chdir("../..")
	args, err := dockerfileArgs()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GO_IMAGE", "BASE_IMAGE"} {
		if !strings.Contains(args[name], ":") {
			t.Errorf("ARG %s=%s names no image with its tag", name, args[name])
		}
	}
	raw, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "FROM ") && !strings.Contains(line, "${") {
			t.Errorf("a base image that cannot be overridden: %s", line)
		}
	}
}
