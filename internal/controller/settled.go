// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// settled says that there is nothing to do for an object: its status answers
// this generation of the spec, this version of the Secret and every annotation,
// with a verdict that only a change can overturn. It is decided from the cache
// alone, so that a restart with nothing to do costs neither a read nor a call.
func (r *Reconciler) settled(object *v1alpha1.CloudCertificate, secret *metav1.PartialObjectMetadata) bool {
	status := &object.Status
	switch {
	case secret == nil, !namesVersion(status, secret):
		return false
	case status.ObservedGeneration != object.Generation, resyncAsked(object):
		return false
	case !r.speaksFor(object):
		return false
	case status.CertID != 0 && status.Region != r.site(object):
		return false
	case r.Accounts.elsewhere(object, r.site(object)):
		return false
	case r.memory.missing(object), r.memory.outdated(object):
		return false
	case controllerutil.ContainsFinalizer(object, v1alpha1.FinalizerCleanup) != wantsFinalizer(object):
		return false
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return false
	case ready.Reason == v1alpha1.ReasonSynced:
		left, prunes := r.untilPrune(object)
		return ready.Status == metav1.ConditionTrue && status.CertID != 0 && r.untilExpiry(object) > 0 && (!prunes || left > 0)
	case ready.Reason == v1alpha1.ReasonInvalidCertificate:
		return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled)
	}
	return false
}

// nextLook is when an object that is settled must be looked at again: when its
// certificate expires, or when superseded versions may be deleted.
func (r *Reconciler) nextLook(object *v1alpha1.CloudCertificate) time.Duration {
	if left, prunes := r.untilPrune(object); prunes {
		return soonest(r.untilExpiry(object), left+time.Second)
	}
	return r.untilExpiry(object)
}

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

// resyncAsked says that the resync annotation has a value that was not handled
// yet. Its removal is no request.
func resyncAsked(object *v1alpha1.CloudCertificate) bool {
	value := object.Annotations[v1alpha1.AnnotationResync]
	return value != "" && value != object.Status.LastHandledResync
}

// untilExpiry is the time until a synced certificate must be judged again because
// it expires: at least a second while that lies ahead, 0 when it does not.
func (r *Reconciler) untilExpiry(object *v1alpha1.CloudCertificate) time.Duration {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonSynced {
		return 0
	}
	return r.until(object.Status.Certificate.NotAfter.Time)
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
