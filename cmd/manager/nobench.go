// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !bench

package main

import ctrl "sigs.k8s.io/controller-runtime"

// adjust is for test/bench alone, which builds with the tag bench.
func adjust(*ctrl.Options) {}
