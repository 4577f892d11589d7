// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/sha256"
	"encoding/hex"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// maxRequest is how long the value of the resync annotation may be, in bytes, to be kept as
// it is: as long as a digest in hex, so that what stands for a long value stays as it is.
const maxRequest = 2 * sha256.Size

// resyncRequest is the value of the resync annotation, and its SHA-256 in place of a long
// one: the status keeps it, and the API server lets annotations have 256 KiB.
func resyncRequest(object client.Object) string {
	value := object.GetAnnotations()[v1alpha1.AnnotationResync]
	if len(value) <= maxRequest {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}
