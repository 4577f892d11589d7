// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// namesVersion says that the status reached a verdict on just this version of the
// Secret. Versions are compared for equality only: they have no order.
func namesVersion(status *v1alpha1.CloudCertificateStatus, secret metav1.Object) bool {
	return status.SecretUID != "" && status.SecretUID == string(secret.GetUID()) &&
		status.SecretResourceVersion == secret.GetResourceVersion()
}

// recordVersion notes the version of the Secret that reached a verdict.
func recordVersion(object *v1alpha1.CloudCertificate, secret metav1.Object) {
	object.Status.SecretUID = string(secret.GetUID())
	object.Status.SecretResourceVersion = secret.GetResourceVersion()
}

// forgetVersion notes that no version of the Secret has a verdict that lasts.
func forgetVersion(object *v1alpha1.CloudCertificate) {
	object.Status.SecretUID, object.Status.SecretResourceVersion = "", ""
}

// resyncAsked reports whether the resync annotation has a value that was not handled yet.
// Its removal is no request.
func (r *Reconciler) resyncAsked(object *v1alpha1.CloudCertificate) bool {
	value := object.Annotations[v1alpha1.AnnotationResync]
	return value != "" && value != object.Status.LastHandledResync && value != r.memory.handledResync(object)
}

// until is the time until a certificate has expired: at least a second while that lies
// ahead, because notAfter itself is still valid; 0 when it does not.
func (r *Reconciler) until(notAfter time.Time) time.Duration {
	left := notAfter.Sub(r.Clock.Now())
	if left < 0 {
		return 0
	}
	return min(left, longestNap) + time.Second
}

// longestNap bounds how far ahead an object is put off. A certificate may be valid
// until the year 9999, further than a time.Duration reaches; a look costs nothing.
const longestNap = 365 * 24 * time.Hour
