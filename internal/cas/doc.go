// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cas is the client of Alibaba Cloud Certificate Management Service
// (product cas, API version 2020-04-07): its actions, and what is kept for them per
// account and region, which are the limits and an inventory. It knows nothing of
// Kubernetes.
package cas
