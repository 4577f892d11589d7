// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package retries

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Options are those of a controller: how many objects it reconciles at a time, and how soon one
// that failed is tried again. Who plays time adjusts them: it brings a queue that waits for it.
func Options(workers int, adjust []func(*controller.Options)) controller.Options {
	options := controller.Options{
		MaxConcurrentReconciles: workers,
		EnableWarmup:            new(true),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Second, 5*time.Minute),
	}
	for _, change := range adjust {
		change(&options)
	}
	return options
}
