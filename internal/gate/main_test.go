// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
