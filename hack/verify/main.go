// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Command verify checks that what is generated fits its sources: it regenerates
// everything in place and fails if a file differs from what it was before. It
// also vets the code and checks that every module is tidy.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
	fmt.Println("verify: generated files are up to date, modules are tidy, vet is clean")
}

func run() error {
	before, err := digests()
	if err != nil {
		return err
	}
	if err := command(".", "make", "generate"); err != nil {
		return err
	}
	after, err := digests()
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range changed(before, after) {
		errs = append(errs, fmt.Errorf("%s is not what its sources generate: run make generate and commit it", path))
	}
	for _, module := range []string{".", "hack/cluster", "hack/tools", "test/chart"} {
		errs = append(errs, command(module, "go", "mod", "tidy", "-diff"))
	}
	for _, module := range []string{".", "hack/cluster", "test/chart"} {
		errs = append(errs, command(module, "go", "vet", "-tags=e2e", "./..."))
	}
	return errors.Join(errs...)
}

// changed lists the files that appeared, went or differ.
func changed(before, after map[string][32]byte) []string {
	var paths []string
	for path, sum := range after {
		if old, ok := before[path]; !ok || old != sum {
			paths = append(paths, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// digests reads every file of the checkout, built ones and git's own left out.
func digests() (map[string][32]byte, error) {
	sums := map[string][32]byte{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path == ".git" || path == "bin" || path == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		raw, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(raw)
		return err
	})
	return sums, err
}

// command runs a command in a folder and returns what it said if it fails.
func command(dir, name string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s in %s: %w\n%s", name, strings.Join(args, " "), dir, err, out.String())
	}
	return nil
}
