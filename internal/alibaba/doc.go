// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package alibaba calls Alibaba Cloud: it signs, sends, classifies errors, obtains
// credentials and learns which account they belong to. It knows no product: endpoints,
// parameters, codes and permissions come with each Call.
//
// Facts about the cloud have a number, such as F1, and their source in docs/cas.md.
//
// The vendor's SDK is used for its signer alone. Its Client is not safe for concurrent
// use, knows no context, and its own CAS requests carry the private key in the URL
// (F53, F54).
package alibaba
