// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Patience bounds every wait of tests: far longer than anything takes, also on a machine that is ten times
// slower, so that only what never happens fails a test.
const Patience = 3 * time.Minute

// Eventually asks again after each pause until nothing is missing. An error of ask ends it at once;
// after patience, or when ctx ends, its error says what was missing last.
func Eventually(ctx context.Context, patience, pause time.Duration, ask func() (missing string, err error)) error {
	missing := ""
	err := wait.PollUntilContextTimeout(ctx, pause, patience, true, func(context.Context) (bool, error) {
		var err error
		missing, err = ask()
		return missing == "", err
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("not within %s: %s", patience, missing)
	}
	return err
}
