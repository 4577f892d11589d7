// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// undeleted is a certificate that could not be deleted, and why.
type undeleted struct {
	certID int64
	name   string
	err    error
}

// remainingError says which certificates could not be deleted although all others
// were.
type remainingError struct{ left []undeleted }

// Error names the certificates, those of one reason together.
func (e *remainingError) Error() string {
	var reasons []string
	named := map[string][]string{}
	for _, u := range e.left {
		reason := plainly(u.err)
		if named[reason] == nil {
			reasons = append(reasons, reason)
		}
		named[reason] = append(named[reason], nameAndID(u.name, u.certID))
	}
	var parts []string
	for _, reason := range reasons {
		parts = append(parts, few(named[reason], 0)+": "+reason)
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns why each of them stays.
func (e *remainingError) Unwrap() []error {
	var all []error
	for _, u := range e.left {
		all = append(all, u.err)
	}
	return all
}

// plainly is the text of an error that is the same on every try.
func plainly(err error) string {
	if remaining, ok := errors.AsType[*remainingError](err); ok {
		return remaining.Error()
	}
	if refusal, ok := errors.AsType[*cas.Error](err); ok {
		return fmt.Sprintf("%s: %s", refusal.Action, refusal.Summary())
	}
	return err.Error()
}

// removeAll deletes certificates of an object in their order. One that cannot be
// deleted holds up no other: they are named together by a *remainingError, with those
// that are known to stay. What concerns all calls alike ends the round.
func (r *Reconciler) removeAll(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, entries []cas.Entry, left []undeleted) error {
	for _, e := range entries {
		err := r.remove(ctx, next, cloud, e)
		if err != nil && !concernsOne(err) {
			return err
		}
		if err != nil {
			left = append(left, undeleted{certID: e.CertID, name: e.Name, err: err})
		}
	}
	if len(left) > 0 {
		return &remainingError{left: left}
	}
	return nil
}

// concernsOne reports whether a deletion failed for a reason that need not hold for
// the next one: the cloud answered, and neither to slow down nor that it does not take
// the credentials.
func concernsOne(err error) bool {
	if _, unproven := errors.AsType[*unprovenError](err); unproven {
		return true
	}
	refusal, ok := errors.AsType[*cas.Error](err)
	return ok && refusal.HTTPStatus != 0 && refusal.Class != cas.Throttled && refusal.Class != cas.Unauthenticated
}

// remove deletes a certificate that is listed under the identity of an object, and
// takes it out of the status. Nothing else deletes anything in the cloud.
func (r *Reconciler) remove(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, e cas.Entry) error {
	if hasOtherDigest(next, e, fingerprintOf(&next.Status, e.CertID)) {
		return &unprovenError{problem: "its digest is another than it was"}
	}
	if err := r.unchanged(ctx, next); err != nil {
		return err
	}
	if err := cloud.Delete(ctx, e.CertID); err != nil && !cas.IsNotFound(err) {
		return err
	}
	cloud.Inventory().Deleted(e.CertID, e.Name)
	dropCertificate(&next.Status, e.CertID)
	return nil
}

// dropCertificate takes a certificate out of a status.
func dropCertificate(status *v1alpha1.CloudCertificateStatus, certID int64) {
	before := len(status.History)
	status.History = slices.DeleteFunc(slices.Clone(status.History), func(h v1alpha1.CertificateVersion) bool { return h.CertID == certID })
	status.HistoryTotal -= int32(before - len(status.History)) //nolint:gosec // 0 or 1
	if certID != status.CertID {
		return
	}
	status.CertID, status.ResourceID, status.CertIdentifier, status.Name = 0, "", "", ""
	status.ContentHash, status.LastUploadTime = "", metav1.Time{}
	status.SecretUID, status.SecretResourceVersion = "", ""
	status.Certificate = v1alpha1.CertificateFacts{}
}

// fingerprintOf is the digest that a status has of a certificate; empty if none.
func fingerprintOf(status *v1alpha1.CloudCertificateStatus, certID int64) string {
	if certID == status.CertID {
		return status.Certificate.FingerprintSHA256
	}
	for _, h := range status.History {
		if h.CertID == certID {
			return h.FingerprintSHA256
		}
	}
	return ""
}

// hasOtherDigest reports whether the list shows another digest than a fingerprint.
// Which of an SM pair a digest describes is unknown [inf].
func hasOtherDigest(object *v1alpha1.CloudCertificate, e cas.Entry, fingerprint string) bool {
	return object.Spec.Type != v1alpha1.CertificateTypeSM &&
		isDigest(e.SHA256) && isDigest(fingerprint) && !strings.EqualFold(e.SHA256, fingerprint)
}

// isNotOurs reports whether a certificate holds a name of the object and is another
// one: its digest has refuted it, or is not the one that the status has of a
// certificate which had this very name before.
func isNotOurs(object *v1alpha1.CloudCertificate, e cas.Entry) bool {
	status := &object.Status
	if e.Refuted || e.CertID != status.CertID && strings.EqualFold(e.Name, status.Name) && hasOtherDigest(object, e, status.Certificate.FingerprintSHA256) {
		return true
	}
	return slices.ContainsFunc(status.History, func(h v1alpha1.CertificateVersion) bool {
		return h.CertID != e.CertID && strings.EqualFold(h.Name, e.Name) && hasOtherDigest(object, e, h.FingerprintSHA256)
	})
}

// isNamed reports whether a status names a certificate, by CertID and name.
func isNamed(status *v1alpha1.CloudCertificateStatus, e cas.Entry) bool {
	return e.CertID == status.CertID && strings.EqualFold(e.Name, status.Name) ||
		slices.ContainsFunc(status.History, func(h v1alpha1.CertificateVersion) bool {
			return h.CertID == e.CertID && strings.EqualFold(h.Name, e.Name)
		})
}

// inConflict reports whether the last word on an object was that another certificate
// holds a name of it. A restart forgets which one, so that only what the status names
// is known to be the object's own.
func inConflict(object *v1alpha1.CloudCertificate) bool {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonNameConflict
}

// isRefusal reports whether waiting may never help: the credentials are missing or not
// taken, the cloud refuses, or a certificate cannot be proven to be ours. For several
// certificates it has to be so for each.
func isRefusal(err error) bool {
	if remaining, ok := errors.AsType[*remainingError](err); ok {
		return !slices.ContainsFunc(remaining.left, func(u undeleted) bool { return !isRefusal(u.err) })
	}
	if refusal, ok := errors.AsType[*cas.Error](err); ok {
		answered := refusal.HTTPStatus >= http.StatusBadRequest && refusal.HTTPStatus < http.StatusInternalServerError
		return answered && refusal.Class != cas.Throttled || refusal.Class == cas.Unauthenticated
	}
	_, missing := errors.AsType[*credentialsError](err)
	_, shared := errors.AsType[*sharedError](err)
	_, unproven := errors.AsType[*unprovenError](err)
	_, unlisted := errors.AsType[*currentMissingError](err)
	_, unreadable := errors.AsType[*unreadableError](err)
	return missing || shared || unproven || unlisted || unreadable
}

// mayPass reports whether a failure may be over soon, as one with an unknown code may:
// it is tried again within seconds first.
func mayPass(err error) bool {
	if remaining, ok := errors.AsType[*remainingError](err); ok {
		return slices.ContainsFunc(remaining.left, func(u undeleted) bool { return mayPass(u.err) })
	}
	if refusal, ok := errors.AsType[*cas.Error](err); ok {
		return refusal.Class == cas.Transient
	}
	return !isRefusal(err)
}

// firstRetry is the first delay of what may be over soon.
const firstRetry = 5 * time.Second

// retryDelay doubles with each failure in a row up to an hour: from seconds on for what
// may be over soon, from minutes on for what somebody has to mend.
func (r *Reconciler) retryDelay(err error, failures int) time.Duration {
	delay := slowRetry << min(failures, 4)
	if mayPass(err) {
		delay = firstRetry << min(failures, 10)
	}
	return r.Jitter(min(delay, slowRetryMax))
}
