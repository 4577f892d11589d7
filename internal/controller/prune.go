// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// surplus are the shown versions that revisionHistoryLimit does not keep.
func surplus(object *v1alpha1.CloudCertificate) []v1alpha1.CertificateVersion {
	limit := object.Spec.RevisionHistoryLimit
	if limit == nil || int(*limit) >= len(object.Status.History) {
		return nil
	}
	return object.Status.History[*limit:]
}

// untilPrune is the time until superseded versions may be deleted, and whether there
// are any to delete. It is 0 where that is due.
func (r *Reconciler) untilPrune(object *v1alpha1.CloudCertificate) (time.Duration, bool) {
	if len(surplus(object)) == 0 || !meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
		return 0, false
	}
	now := r.Clock.Now()
	due := object.Status.LastUploadTime.Add(r.Options.PruneDelay + time.Second) // a status knows whole seconds, cut off
	left := due.Sub(now)
	return max(left, r.memory.pruneAfter(object).Sub(now), 0), true
}

// prune deletes the superseded versions that are due, and publishes what came of it.
// It never changes Ready, only its message.
func (r *Reconciler) prune(ctx context.Context, object *v1alpha1.CloudCertificate, out outcome) (reconcile.Result, error) {
	cloud, err := r.Accounts.client(ctx, object, r.site(object))
	if err != nil {
		return reconcile.Result{RequeueAfter: out.requeueAfter}, client.IgnoreNotFound(err)
	}
	next := object.DeepCopy()
	err = r.deleteSurplus(ctx, next, cloud)
	r.announcePruned(object, next)
	if errors.Is(err, errStale) {
		return reconcile.Result{RequeueAfter: r.catchUp(next)}, nil
	}
	r.deriveHistory(next, cloud.Inventory()) // there may be more than were shown
	after := r.judgePrune(next, err)
	if err := r.publish(ctx, object, next, r.synced(next)); err != nil {
		return r.retryPublish(object, err)
	}
	if left, more := r.untilPrune(next); more {
		after = max(after, left, time.Second)
	}
	return reconcile.Result{RequeueAfter: soonest(after, out.requeueAfter)}, nil
}

// announcePruned reports what was deleted.
func (r *Reconciler) announcePruned(before, next *v1alpha1.CloudCertificate) {
	var deleted []string
	for _, version := range before.Status.History {
		left := slices.ContainsFunc(next.Status.History, func(h v1alpha1.CertificateVersion) bool { return h.CertID == version.CertID })
		if !left {
			deleted = append(deleted, fmt.Sprintf("%s (%d)", version.Name, version.CertID))
		}
	}
	if len(deleted) > 0 {
		r.Recorder.Eventf(next, nil, corev1.EventTypeNormal, v1alpha1.ReasonPruned, "Prune", "%s",
			truncate("superseded versions deleted from the cloud: "+strings.Join(deleted, ", ")))
	}
}

// deleteSurplus deletes the superseded versions that are not kept, the oldest first.
// One that cannot be deleted does not hold up the others; the error is the first.
func (r *Reconciler) deleteSurplus(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client) error {
	if e := r.sharedWith(next, cloud.Inventory()); e != nil {
		return &sharedError{certID: e.CertID, name: e.Name}
	}
	var first error
	for _, version := range slices.Backward(slices.Clone(surplus(next))) {
		err := r.deleteVersion(ctx, next, cloud, version)
		if err == nil {
			continue
		}
		if _, unproven := errors.AsType[*unprovenError](err); !unproven && !cas.IsDeleteProtected(err) {
			return err
		}
		first = cmp.Or(first, err)
	}
	return first
}

// deleteVersion deletes one superseded version, if it is proven ours: listed since
// the current version was published, in the account and site of the status, under
// this identity and this CertId, and not refuted by its digest.
func (r *Reconciler) deleteVersion(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, version v1alpha1.CertificateVersion) error {
	listed, err := r.prove(ctx, next, cloud, version)
	if err != nil {
		return err
	}
	if err := r.unchanged(ctx, next); err != nil {
		return err
	}
	if err := cloud.Delete(ctx, listed.CertID); err != nil && !cas.IsNotFound(err) {
		return err
	}
	cloud.Inventory().Deleted(listed.CertID, listed.Name)
	dropVersion(&next.Status, listed.CertID)
	return nil
}

// dropVersion takes a superseded version out of a status.
func dropVersion(status *v1alpha1.CloudCertificateStatus, certID int64) {
	before := len(status.History)
	status.History = slices.DeleteFunc(slices.Clone(status.History), func(h v1alpha1.CertificateVersion) bool { return h.CertID == certID })
	status.HistoryTotal -= int32(before - len(status.History)) //nolint:gosec // 0 or 1
}

// prove finds a superseded version in the list as ours.
func (r *Reconciler) prove(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client, version v1alpha1.CertificateVersion) (cas.Entry, error) {
	found, err := cloud.Look(ctx, r.identity(next), version.ResourceID, next.Status.LastUploadTime.Time, func(e cas.Entry) bool {
		return e.CertID == version.CertID
	})
	switch {
	case err != nil:
		return cas.Entry{}, err
	case len(found) == 0:
		return cas.Entry{}, &unprovenError{certID: version.CertID, name: version.Name, problem: "the cloud does not list it"}
	case next.Spec.Type != v1alpha1.CertificateTypeSM && isDigest(found[0].SHA256) && isDigest(version.FingerprintSHA256) && !strings.EqualFold(found[0].SHA256, version.FingerprintSHA256):
		// Which of an SM pair a digest describes is unknown [inf].
		return cas.Entry{}, &unprovenError{certID: version.CertID, name: version.Name, problem: "its digest is another than it was"}
	}
	return found[0], nil
}

// unchanged reads the object live: it is the one that the pass knows, to the letter.
// A cache may be far behind; what is irrevocable is not decided from it alone.
func (r *Reconciler) unchanged(ctx context.Context, object *v1alpha1.CloudCertificate) error {
	live := &v1alpha1.CloudCertificate{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return fmt.Errorf("failed to read the object again: %w", err)
	}
	if live.UID != object.UID || live.ResourceVersion != object.ResourceVersion {
		return errStale
	}
	return nil
}

// judgePrune decides when a prune is tried again, and what Ready says of it meanwhile.
func (r *Reconciler) judgePrune(next *v1alpha1.CloudCertificate, err error) time.Duration {
	if after, ok := cas.RetryAfter(err); ok && cas.IsThrottled(err) {
		return after
	}
	if err == nil {
		r.memory.prunedWell(next)
		return 0
	}
	problem, reason := pruneProblem(err)
	failures, again := r.memory.prunedBadly(next, problem)
	pruneFailures.WithLabelValues(reason).Inc()
	if !again {
		r.Recorder.Eventf(next, nil, corev1.EventTypeWarning, reason, "Prune", "%s", truncate(problem))
	}
	delay := r.Jitter(min(slowRetry<<min(failures, 4), slowRetryMax))
	r.memory.pruneNotBefore(next, r.Clock.Now().Add(delay))
	return delay
}

// pruneProblem says why superseded versions stay, and the reason of the event.
func pruneProblem(err error) (problem, reason string) {
	if shared, ok := errors.AsType[*sharedError](err); ok {
		return shared.Error(), v1alpha1.ReasonIdentityShared
	}
	if refusal, ok := errors.AsType[*cas.Error](err); ok {
		return fmt.Sprintf("superseded versions cannot be deleted: %s: %s", refusal.Action, refusal.Summary()), v1alpha1.ReasonPruneFailed
	}
	return "superseded versions cannot be deleted: " + err.Error(), v1alpha1.ReasonPruneFailed
}

// soonest is the shorter of two delays, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
