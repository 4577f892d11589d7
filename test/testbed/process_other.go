// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package testbed

import "syscall"

// dieWithParent has no counterpart here: an interrupted test may leave processes behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
