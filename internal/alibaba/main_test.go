// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package alibaba

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a test leaves a goroutine behind: a refresh, a connection.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
