// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import "syscall"

// DieWithParent has the kernel kill a child whose parent has ended.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
