// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import "syscall"

// DieWithParent has no counterpart here.
func DieWithParent() *syscall.SysProcAttr { return nil }
