// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// subject is what verdicts have to know of the object.
func (r *reconciliation) subject() verdict.Subject { return subjectOf(r.next, r.Clock.Now()) }

// subjectOf is what verdicts have to know of an object.
func subjectOf(object *v1alpha1.CloudCertificate, now time.Time) verdict.Subject {
	s := verdict.Subject{
		Now: now, Secret: object.Spec.SecretRef.Name, CredentialsSecret: object.Spec.CredentialsSecretRef.Name,
		Served: object.Status.CertID != 0, Refused: v1alpha1.ReasonInvalidCertificate, Failed: v1alpha1.ReasonUploadFailed,
	}
	if object.Spec.ResourceGroupID != "" {
		s.Extras = append(s.Extras, "spec.resourceGroupId")
	}
	if len(object.Spec.Tags) > 0 {
		s.Extras = append(s.Extras, "spec.tags")
	}
	return s
}

// judge is the verdict on the object, which cannot go on.
func (r *reconciliation) judge(ctx context.Context, err error) verdict.Verdict {
	s := r.subject()
	if alibaba.ClassOf(err) == alibaba.Quota {
		s.Superseded = r.superseded.in(ctx, r.Reconciler, placeOf(r.next), s.Now)
	}
	if !alibaba.IsThrottled(err) {
		r.memory.moved(r.next)
		return verdict.Of(err, s)
	}
	s.ThrottledSince = r.memory.throttled(r.next, s.Now)
	return verdict.Of(err, s)
}

// synced is the verdict on the object when its content is in the cloud. It is checked again when
// the certificate expires. The version that the present one replaces is named as long as it is in
// the cloud.
func (r *reconciliation) synced() verdict.Verdict {
	next, status := r.next, &r.next.Status
	message := fmt.Sprintf("Secret %q is in the cloud as certificate %s", next.Spec.SecretRef.Name, cas.CertIdentifier(status.CertID, status.Region))
	if before := replaced(status); before != 0 {
		message += ", which replaces " + cas.CertIdentifier(before, status.Region)
	}
	if problem := r.memory.pruning.Of(next).problem; problem != "" {
		message += "; " + problem
	}
	return verdict.Verdict{Ready: verdict.True, Reason: v1alpha1.ReasonSynced, Message: message}
}

// unchecked is the verdict on an object whose certificate was to be looked for, and the cloud could
// not be asked: what was so before is not known to be otherwise. Its retries are remembered here: the
// queue would begin anew each time that it is not the object's turn.
func (r *reconciliation) unchecked(err error) verdict.Verdict {
	v := r.synced()
	v.Again = verdict.Again{Pace: verdict.Soon}
	v.Message += "; the check that " + v1alpha1.AnnotationResync + " asks for has failed: " + verdict.Text(err) + "; it is tried again " + v.Again.Pace.String()
	return v
}

// replaced is the version that was the current one before, as long as it is in the cloud; else 0.
// One of which it is unknown when it became current may be newer, and another cluster's.
func replaced(status *v1alpha1.CloudCertificateStatus) int64 {
	if len(status.History) == 0 {
		return 0
	}
	before := &status.History[0]
	if before.UploadTime.IsZero() || before.UploadTime.After(status.LastUploadTime.Time) {
		return 0
	}
	return before.CertID
}

// judgeDeletion is the verdict on a deletion that cannot go on. A conflict about a name stays
// the reason: it is all that a restart knows of certificates which are not ours.
func (r *reconciliation) judgeDeletion(err error) verdict.Verdict {
	v := verdict.Of(err, r.subject())
	switch v.Reason {
	case v1alpha1.ReasonProgressing:
	case v1alpha1.ReasonThrottled:
		v = r.awaitTurn(v)
	default:
		v = r.blocked(err, v)
	}
	if r.observe().InConflict() {
		v.Reason, v.Stalled = v1alpha1.ReasonNameConflict, true
	}
	return v
}

// awaitTurn is the verdict on a deletion that waits for the list, or for its turn.
func (r *reconciliation) awaitTurn(v verdict.Verdict) verdict.Verdict {
	said := meta.FindStatusCondition(r.next.Status.Conditions, v1alpha1.ConditionReady)
	blocked := []string{v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonCredentialsUnavailable, v1alpha1.ReasonNameConflict}
	waiting := verdict.Verdict{
		Reason: v1alpha1.ReasonProgressing, Message: "being deleted; waiting for the list of what is in the account",
		Quiet: said != nil && slices.Contains(blocked, said.Reason),
		Again: v.Again,
	}
	if r.soFar.Delete != nil {
		waiting.Message = "being deleted; waiting for the account's rate limit"
	}
	return waiting
}

// blocked is the verdict on a deletion that somebody has to help, and says how to let the object
// go all the same.
func (r *reconciliation) blocked(err error, v verdict.Verdict) verdict.Verdict {
	v.Ready, v.Stalled = verdict.False, false
	if v.Reason != v1alpha1.ReasonCredentialsUnavailable {
		v.Reason = v1alpha1.ReasonDeletionBlocked
	}
	_, byCloud := errors.AsType[*alibaba.Error](err)
	if (v.Refusal || byCloud) && v.Again.Pace == verdict.Retry {
		v.Again.Pace = verdict.Soon // the queue would begin anew each time that it is not the object's turn
	}
	end := ""
	if pace := v.Again.Pace.String(); pace != "" {
		end = "; it is tried again " + pace
		if keptByBinding(err) {
			end += ", and at once when a binding lets go of it: when its target uses another certificate, or when it is deleted"
		}
	}
	end += `; to let the object go without touching the cloud, set the annotation ` + v1alpha1.AnnotationOrphan + `: "true"`
	if at, limited := r.observe().OrphanAt(); limited && v.Refusal {
		end += "; it is released with what it has in the cloud at " + at.UTC().Format(time.RFC3339)
		v.Again.AtMost = max(at.Sub(r.Clock.Now()), 0) + time.Second
	}
	v.Message = conditions.TruncateTo(conditions.MaxMessage-len(end), deletionProblem(r.next, err)) + end
	return v
}

// requeue says when the object is reconciled again.
func (r *reconciliation) requeue(err error, again verdict.Again) (reconcile.Result, error) {
	var after time.Duration
	switch again.Pace {
	case verdict.Never:
		return reconcile.Result{}, nil
	case verdict.Retry:
		return reconcile.Result{}, err
	case verdict.In:
		after = again.After
	case verdict.About:
		after = r.Jitter(again.After)
	case verdict.Soon, verdict.Slowly:
		after = r.Jitter(r.memory.retries.Next(r.next, retries.Reconcile, again.Pace))
	}
	if again.AtMost > 0 {
		after = min(after, again.AtMost)
	}
	return reconcile.Result{RequeueAfter: after}, nil
}
