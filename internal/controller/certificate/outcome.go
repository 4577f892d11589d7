// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

const (
	// patience is how long an object waits for a rate limit before its status says so.
	patience = time.Minute
	// slowRetry and slowRetryMax bound the retries of what only a change outside the
	// cluster can mend.
	slowRetry    = 5 * time.Minute
	slowRetryMax = time.Hour
	// quickRetry is the first retry of a failure that is of no known kind.
	quickRetry = 2 * time.Second
	// partnerTime is how long a key and a certificate that do not match may be half of a
	// change: some tools write the two one after the other.
	partnerTime = 10 * time.Second
)

// outcome is what a pass came to: what the conditions say, and when the object is
// looked at again although nothing changed.
type outcome struct {
	ready        metav1.ConditionStatus // "" keeps the status that Ready has
	reason       string
	message      string
	stalled      bool
	quiet        bool // nothing to say yet: the status stays as it is
	requeueAfter time.Duration
	err          error // retried with backoff
}

// judge turns the error of a pass into its outcome: the one place that decides
// what a person is told and how it goes on.
func (r *Reconciler) judge(next *v1alpha1.CloudCertificate, err error) outcome {
	if !alibaba.IsThrottled(err) {
		r.memory.moved(next)
	}
	if err == nil {
		r.memory.succeeded(next)
		return r.synced(next)
	}
	if suspended, ok := errors.AsType[*protocol.SuspendedError](err); ok {
		return outcome{reason: v1alpha1.ReasonSuspended, message: suspended.Error()}
	}
	if verdict, ok := errors.AsType[*bundle.Error](err); ok {
		return r.judgeContent(verdict)
	}
	if refusal, ok := errors.AsType[*alibaba.Error](err); ok {
		return r.judgeCloud(next, refusal)
	}
	if missing, ok := errors.AsType[*credentialsError](err); ok {
		// A watch sees the Secret; the slow retry is for what no watch can see.
		return r.slow(next, v1alpha1.ReasonCredentialsUnavailable, missing.Error())
	}
	if taken, ok := errors.AsType[*protocol.NameTakenError](err); ok {
		return r.judgeNameTaken(taken)
	}
	if conflict, ok := errors.AsType[*protocol.NameConflictError](err); ok {
		return nameConflict(conflict.Error())
	}
	if rate, ok := errors.AsType[*protocol.VersionRateError](err); ok {
		return outcome{
			ready: throttledReady(next), reason: v1alpha1.ReasonThrottled, message: rate.Error(),
			requeueAfter: rate.Until.Sub(r.Clock.Now()) + time.Second,
		}
	}
	if vanishing, ok := errors.AsType[*protocol.RecreationError](err); ok {
		return outcome{
			ready: metav1.ConditionFalse, reason: v1alpha1.ReasonUploadFailed, message: vanishing.Error(),
			requeueAfter: vanishing.Until.Sub(r.Clock.Now()) + time.Second,
		}
	}
	return outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonUploadFailed, message: err.Error(), err: err}
}

// synced is the outcome of a pass that found or put the content in the cloud. It
// comes back when the certificate expires.
func (r *Reconciler) synced(next *v1alpha1.CloudCertificate) outcome {
	message := fmt.Sprintf("Secret %q is in the cloud as certificate %d", next.Spec.SecretRef.Name, next.Status.CertID)
	if problem := r.memory.pruneProblem(next); problem != "" {
		message += "; " + problem
	}
	return outcome{
		ready: metav1.ConditionTrue, reason: v1alpha1.ReasonSynced,
		message:      message,
		requeueAfter: max(r.until(next.Status.Certificate.NotAfter.Time), time.Second),
	}
}

// judgeContent is the outcome of our own validation. A watch of the Secret wakes
// the object, and time alone where the verdict names a deadline.
func (r *Reconciler) judgeContent(e *bundle.Error) outcome {
	switch e.Kind {
	case bundle.KindMissing:
		return outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonSecretNotFound, message: e.Error()}
	case bundle.KindPending:
		return outcome{ready: progressing, reason: v1alpha1.ReasonProgressing, message: e.Error()}
	case bundle.KindMismatch:
		return outcome{
			ready: progressing, reason: v1alpha1.ReasonProgressing, message: e.Error(),
			requeueAfter: max(e.Deadline.Sub(r.Clock.Now()), 0) + 10*time.Millisecond,
		}
	}
	out := outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonInvalidCertificate, message: e.Error(), stalled: true}
	if !e.Deadline.IsZero() {
		out.requeueAfter = min(max(e.Deadline.Sub(r.Clock.Now()), 0), longestNap) + time.Second
	}
	return out
}

// awaitPartner makes a mismatch of key and certificate a verdict of our own once this
// version of the Secret has been known for partnerTime. Until then the error names the
// end of that time: a change of the Secret is an event, so it is not read meanwhile.
func (r *Reconciler) awaitPartner(next *v1alpha1.CloudCertificate, secret metav1.Object, err error) error {
	mismatch, ok := errors.AsType[*bundle.Error](err)
	if !ok || mismatch.Kind != bundle.KindMismatch {
		return err
	}
	now := r.Clock.Now()
	verdict := *mismatch
	verdict.Deadline = r.memory.mismatched(next, string(secret.GetUID())+"/"+secret.GetResourceVersion(), now).Add(partnerTime)
	if !now.Before(verdict.Deadline) {
		verdict.Kind, verdict.Deadline = bundle.KindInvalid, time.Time{}
	}
	return &verdict
}

// isLastingVerdict says that only a change of the Secret or of the spec can
// overturn what was found, not the passing of time.
func isLastingVerdict(err error) bool {
	verdict, ok := errors.AsType[*bundle.Error](err)
	return ok && verdict.Kind == bundle.KindInvalid && verdict.Deadline.IsZero()
}

// judgeCloud is the outcome of a call that the cloud did not grant. None of it is
// final: a renewal is never lost to a code that we did not know.
func (r *Reconciler) judgeCloud(next *v1alpha1.CloudCertificate, e *alibaba.Error) outcome {
	switch e.Class {
	case alibaba.Throttled:
		return r.throttled(next, e)
	case alibaba.Refused:
		return r.slow(next, v1alpha1.ReasonInvalidCertificate, refusalMessage(next, e))
	case alibaba.Denied:
		return r.slow(next, v1alpha1.ReasonAccessDenied, deniedMessage(e))
	case alibaba.Quota:
		return r.slow(next, v1alpha1.ReasonQuotaExceeded, e.Summary()+"; delete certificates that are not needed, or have the quota raised")
	case alibaba.Unauthenticated:
		return r.slow(next, v1alpha1.ReasonCredentialsUnavailable, credentialsMessage(next, e))
	}
	out := outcome{ready: metav1.ConditionFalse, reason: v1alpha1.ReasonUploadFailed, message: failureMessage(e)}
	if e.UnknownCode && e.HTTPStatus < 500 {
		// Nothing is known of the code: it may pass in seconds, or never.
		out.requeueAfter = r.backoff(next, quickRetry)
		return out
	}
	out.err = e
	return out
}

// throttled waits for the limit's own hint, silently for the first minute.
func (r *Reconciler) throttled(next *v1alpha1.CloudCertificate, e *alibaba.Error) outcome {
	now := r.Clock.Now()
	since := r.memory.throttled(next, now)
	return outcome{
		ready: throttledReady(next), reason: v1alpha1.ReasonThrottled,
		message:      fmt.Sprintf("waiting for the account's rate limit of %s since %s", e.Action, since.UTC().Format(time.RFC3339)),
		quiet:        now.Sub(since) < patience,
		requeueAfter: max(e.RetryAfter, 10*time.Millisecond),
	}
}

// throttledReady keeps what Ready says of a certificate in the cloud, and is
// False where there is none yet.
func throttledReady(next *v1alpha1.CloudCertificate) metav1.ConditionStatus {
	if next.Status.CertID == 0 {
		return metav1.ConditionFalse
	}
	return ""
}

// slow is an outcome that only a change outside the cluster can mend.
func (r *Reconciler) slow(next *v1alpha1.CloudCertificate, reason, message string) outcome {
	return outcome{ready: metav1.ConditionFalse, reason: reason, message: message, requeueAfter: r.slowDelay(next)}
}

// slowDelay doubles from 5 minutes to an hour, with jitter.
func (r *Reconciler) slowDelay(next *v1alpha1.CloudCertificate) time.Duration {
	return r.backoff(next, slowRetry)
}

// backoff doubles from first to an hour, with jitter.
func (r *Reconciler) backoff(next *v1alpha1.CloudCertificate, first time.Duration) time.Duration {
	const doublings = 12 // more would reach an hour from any first delay, and might overflow
	return r.Jitter(min(first<<min(r.memory.failed(next), doublings), slowRetryMax))
}

// judgeNameTaken waits for a taken name to be listed or to become free: as long again as
// was waited before, but not past the moment at which the name is given up, and up to an
// hour after that. The list lags, and nothing tells us.
func (r *Reconciler) judgeNameTaken(e *protocol.NameTakenError) outcome {
	waited, longest := r.Clock.Since(e.Since), slowRetryMax
	if waited < protocol.LagLimit {
		longest = protocol.LagLimit - waited
	}
	return outcome{
		ready: progressing, reason: v1alpha1.ReasonProgressing, message: e.Error(),
		requeueAfter: max(r.Jitter(min(waited, longest)), quickRetry),
	}
}

// nameConflict is the outcome of a name that another certificate holds. It is
// looked at hourly, because nothing tells us when that one goes.
func nameConflict(message string) outcome {
	return outcome{
		ready: metav1.ConditionFalse, reason: v1alpha1.ReasonNameConflict, message: message,
		stalled: true, requeueAfter: time.Hour,
	}
}

// progressing stands for False, and for Unknown while an object is new.
const progressing metav1.ConditionStatus = "Progressing"

// apply writes an outcome into the conditions of an object.
func (o outcome) apply(next *v1alpha1.CloudCertificate) {
	status := &next.Status
	status.ObservedGeneration = next.Generation
	current := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	ready := o.ready
	switch {
	case ready == progressing && (current == nil || current.Status == metav1.ConditionUnknown):
		ready = metav1.ConditionUnknown
	case ready == progressing:
		ready = metav1.ConditionFalse
	case ready == "" && current == nil:
		ready = metav1.ConditionUnknown
	case ready == "":
		ready = current.Status
	}
	message := truncate(o.message)
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: ready, Reason: o.reason, Message: message,
		ObservedGeneration: next.Generation,
	})
	if !o.stalled {
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
		return
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: o.reason, Message: message,
		ObservedGeneration: next.Generation,
	})
}

// maxMessage is the size of an event's note (1 kB).
const maxMessage = 1000

// truncate keeps a message readable and within the size of an event's note.
func truncate(message string) string { return truncateTo(maxMessage, message) }

// truncateTo cuts a message to a number of bytes, between characters.
func truncateTo(limit int, message string) string {
	if len(message) <= limit {
		return message
	}
	cut := limit - len("…")
	for cut > 0 && message[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return message[:cut] + "…"
}
