// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import "syscall"

// dieWithParent has the kernel kill a child whose parent has ended, so that an
// interrupted test leaves no process behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
