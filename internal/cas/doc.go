// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cas is the client of Alibaba Cloud Certificate Management Service
// (product cas, API version 2020-04-07) and of the two STS calls around it. It
// signs, sends, classifies errors, keeps to the limits of the account, obtains
// credentials and learns which account they belong to. It knows nothing of
// Kubernetes.
//
// Facts about the cloud have a number, such as F1, and their source in docs/cas.md.
//
// The vendor's SDK is used for its signer and request types alone. Its Client
// is not safe for concurrent use, knows no context, and its own CAS requests
// carry the private key in the URL (F53, F54).
package cas
