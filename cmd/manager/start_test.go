// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"
)

func TestStart(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	waits := func(d time.Duration, err error) manager.RunnableFunc {
		return func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(d)
			return err
		}
	}
	never := func(ctx context.Context) bool { <-ctx.Done(); return false }
	atOnce := func(context.Context) bool { return true }
	for name, tc := range map[string]struct {
		manager manager.RunnableFunc
		synced  func(context.Context) bool
		takes   time.Duration
		want    error
	}{
		"what is under way is finished":           {waits(10*time.Second, nil), atOnce, time.Minute + 10*time.Second, nil},
		"a failure at the end is told":            {waits(time.Second, failed), atOnce, time.Minute + time.Second, failed},
		"a manager without caches is not awaited": {waits(time.Hour, nil), never, time.Minute, nil},
		"one that ends by itself":                 {func(context.Context) error { return failed }, never, 0, failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := start(ctx, tc.manager, tc.synced); !errors.Is(err, tc.want) {
					t.Errorf("error %v, want %v", err, tc.want)
				}
				if took := time.Since(began); took != tc.takes {
					t.Errorf("it took %s, want %s", took, tc.takes)
				}
				cancel()
				time.Sleep(2 * time.Hour) // the bubble ends with everything in it
			})
		})
	}
}
