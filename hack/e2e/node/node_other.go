// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package node

import (
	"context"
	"errors"
)

var errLinux = errors.New("a cluster without docker needs Linux: start docker")

// Possible returns an error that says why no node can be made here.
func Possible() error { return errLinux }

// Install installs nothing.
func Install(context.Context) error { return errLinux }

// Run runs nothing.
func Run(context.Context, Config, []string) error { return errLinux }

// RunStage runs nothing.
func RunStage(context.Context, string, []string) error { return errLinux }
