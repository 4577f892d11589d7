// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"context"
	"errors"
	"syscall"
)

const stageFlag = "-stage"

var errLinux = errors.New("a cluster without docker needs Linux: start docker")

func newNode() (provider, error) { return nil, errLinux }

func runStage(context.Context, string, []string) error { return errLinux }

// dieWithParent has no counterpart here.
func dieWithParent() *syscall.SysProcAttr { return nil }
