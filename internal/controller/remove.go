// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// plainly is the text of an error that is the same on every try.
func plainly(err error) string {
	if remaining, ok := errors.AsType[*protocol.RemainingError](err); ok {
		return remaining.Error()
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		return fmt.Sprintf("%s: %s", refusal.Action, refusal.Summary())
	}
	return err.Error()
}

// concernsOne reports whether a deletion failed for a reason that need not hold for
// the next one: the cloud answered, and neither to slow down nor that it does not take
// the credentials.
func concernsOne(err error) bool {
	refusal, ok := errors.AsType[*alibaba.Error](err)
	return ok && refusal.HTTPStatus != 0 && refusal.Class != alibaba.Throttled && refusal.Class != alibaba.Unauthenticated
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

// mayPass reports whether a failure may be over soon, as one with an unknown code may:
// it is tried again within seconds first.
func mayPass(err error) bool {
	if remaining, ok := errors.AsType[*protocol.RemainingError](err); ok {
		return slices.ContainsFunc(remaining.Left, func(u protocol.Undeleted) bool { return mayPass(u.Err) })
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		return refusal.Class == alibaba.Transient
	}
	return !isRefusal(err) && !protocol.IsLasting(err)
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
