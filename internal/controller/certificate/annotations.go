// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"crypto/sha256"
	"encoding/hex"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// ownAnnotations are the annotations that the operator reads, with values that are bounded.
func ownAnnotations(object client.Object) map[string]string {
	var own map[string]string
	keep := func(key, value string) {
		if own == nil {
			own = map[string]string{}
		}
		own[key] = value
	}
	if request := resyncRequest(object); request != "" {
		keep(v1alpha1.AnnotationResync, request)
	}
	if value := object.GetAnnotations()[v1alpha1.AnnotationOrphan]; value == "true" { // no other says anything
		keep(v1alpha1.AnnotationOrphan, value)
	}
	return own
}

// ownFinalizers are the finalizers that the operator reads.
func ownFinalizers(object client.Object) []string {
	if controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerCleanup) {
		return []string{v1alpha1.FinalizerCleanup}
	}
	return nil
}

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
