// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package targets carries certificates of CAS to where they are served: one small adapter for
// each product of Alibaba Cloud that takes a certificate by its id.
//
// No call carries a private key, and none asks for one, but for those of Function Compute, which
// takes no id: see fc. The package knows nothing of
// Kubernetes and decides nothing: its callers say what goes where. What an adapter is, and
// what it promises, stands at Adapter; other packages have adapters of their own for objects
// of the cluster.
//
// Facts about the cloud have a number, such as T9 or F27, and their source in docs/targets.md
// or docs/cas.md.
package targets
