// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// gcPercent is how much garbage may gather, in percent of what is alive, before
	// it is collected. Go's default of 100 suits programs that are short of CPU, which
	// the operator is not, even while it works off a backlog.
	gcPercent = 25
	// returnInterval is how often free memory goes back to the machine. Go by itself
	// keeps about as much as the garbage that it lets gather.
	returnInterval = time.Minute
)

// saveMemory trades CPU for memory until ctx ends. Where GOGC is set, it decides when
// garbage is collected.
func saveMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	go wait.UntilWithContext(ctx, func(context.Context) { debug.FreeOSMemory() }, returnInterval)
}
