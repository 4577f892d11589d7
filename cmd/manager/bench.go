// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package main

import (
	"context"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// adjust makes of the operator what test/bench measures beside it, by a variable of
// the environment.
func adjust(options *ctrl.Options) {
	if os.Getenv("CLOUDCERT_BENCH_CACHE_SECRETS") != "" {
		options.NewCache = cacheSecrets
	}
}

// cacheSecrets is the usual way to watch Secrets: a cache that holds them, whole.
func cacheSecrets(config *rest.Config, options cache.Options) (cache.Cache, error) {
	for object, by := range options.ByObject {
		if _, secret := object.(*corev1.Secret); !secret {
			continue
		}
		strip := by.Transform
		by.Transform = func(in any) (any, error) {
			if _, whole := in.(*corev1.Secret); whole {
				return in, nil
			}
			return strip(in)
		}
		options.ByObject[object] = by
	}
	c, err := cache.New(config, options)
	if err != nil {
		return nil, err
	}
	_, err = c.GetInformer(context.Background(), &corev1.Secret{}) // beside the one of metadata
	return c, err
}
