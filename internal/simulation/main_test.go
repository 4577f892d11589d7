// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage grow to eight times of what lives, which is little: at Go's default
// every third second goes into looking for it. Where GOGC is set, it decides.
func TestMain(m *testing.M) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	os.Exit(m.Run())
}
