// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version says which build of cloudcert this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker in released builds.
var (
	version = "dev"
	commit  = ""
)

// Version is the released version, or dev.
func Version() string { return version }

// Commit is the commit that the build was made from, or unknown.
func Commit() string {
	if commit != "" {
		return commit
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// String is the version, the commit it was built from and the Go release, on one line.
func String() string {
	return fmt.Sprintf("cloudcert %s (commit %s, %s)", version, Commit(), runtime.Version())
}
