// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
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

// expedite ends every wait for a slow retry when a new resync is asked for, also that
// for a list which could not be read.
func (r *Reconciler) expedite(ctx context.Context, object *v1alpha1.CloudCertificate) {
	if !resyncAsked(object) || object.Spec.Suspend || !r.memory.expedite(object, object.Annotations[v1alpha1.AnnotationResync]) {
		return
	}
	if cloud, err := r.Accounts.lastClient(ctx, object, r.site(object)); err == nil { // else the pass says what is wrong
		cloud.Inventory().Retry()
	}
}

// noteConflict notes a certificate that holds a name of ours and is another one: it is
// never deleted.
func (r *Reconciler) noteConflict(cloud *cas.Client, err error) {
	if conflict, ok := errors.AsType[*nameConflictError](err); ok {
		cloud.Inventory().Refute(conflict.certID)
	}
}

// untilPrune is the time until superseded versions may be deleted, and whether there
// are any to delete. It is 0 where that is due.
func (r *Reconciler) untilPrune(object *v1alpha1.CloudCertificate) (time.Duration, bool) {
	if len(surplus(object)) == 0 || object.Status.LastUploadTime.IsZero() || // its users may have had no time yet
		!meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
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
	after := r.judgePrune(ctx, next, err)
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

// deleteSurplus deletes the superseded versions that are not kept, the oldest first,
// if the list shows that nobody is left without a certificate.
func (r *Reconciler) deleteSurplus(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client) error {
	if shared := r.sharedWith(next, cloud.Inventory()); shared != nil {
		return shared
	}
	listed, err := r.listTogether(ctx, next, cloud)
	if err != nil {
		return err
	}
	if !showsCurrent(next, listed) {
		return &currentMissingError{certID: next.Status.CertID, name: next.Status.Name}
	}
	var proven []cas.Entry
	var left []undeleted
	for _, version := range slices.Backward(surplus(next)) {
		e, ok := listed[version.CertID]
		if !ok {
			unlisted := &unprovenError{problem: "the cloud does not list it"}
			left = append(left, undeleted{certID: version.CertID, name: version.Name, err: unlisted})
			continue
		}
		proven = append(proven, e)
	}
	return r.removeAll(ctx, next, cloud, proven, left)
}

// listTogether returns what one reading of the list shows of an object: all pages under
// a name of the certificate, read now, if they show the current version and every one to
// delete; else a complete sweep, which many objects share.
func (r *Reconciler) listTogether(ctx context.Context, next *v1alpha1.CloudCertificate, cloud *cas.Client) (map[int64]cas.Entry, error) {
	v, now := cloud.Inventory(), r.Clock.Now()
	since := r.memory.proving(next, now).Add(-listedAge)
	listed := map[int64]cas.Entry{}
	if word := searchable(&next.Status.Certificate); word != "" && !v.Crowded() {
		_, err := cloud.Look(ctx, r.identity(next), word, now, func(e cas.Entry) bool {
			listed[e.CertID] = e
			return showsAll(next, listed)
		})
		if err != nil || showsAll(next, listed) {
			return listed, err
		}
	}
	if err := cloud.SweptSince(since); err != nil {
		return nil, err
	}
	clear(listed)
	began := v.Swept()
	for _, e := range v.Entries(r.identity(next)) {
		if !e.Seen.Before(began) { // our own upload is an entry before any list shows it
			listed[e.CertID] = e
		}
	}
	return listed, nil
}

// searchable is a word under which the list finds a certificate and, most likely, those
// before it: a name of it without the wildcard, of which it is unknown whether the list
// can be searched by it.
func searchable(certificate *v1alpha1.CertificateFacts) string {
	name := certificate.CommonName
	if len(certificate.DNSNames) > 0 {
		name = certificate.DNSNames[0]
	}
	return strings.TrimPrefix(name, "*.")
}

// showsCurrent reports whether a list shows the current version of an object.
func showsCurrent(object *v1alpha1.CloudCertificate, listed map[int64]cas.Entry) bool {
	status := &object.Status
	e, ok := listed[status.CertID]
	return ok && !e.Refuted && sameVersion(e.Name, status.Name) && !hasOtherDigest(object, e, status.Certificate.FingerprintSHA256)
}

// showsAll reports whether a list shows the current version of an object and all that
// are to be deleted.
func showsAll(object *v1alpha1.CloudCertificate, listed map[int64]cas.Entry) bool {
	return showsCurrent(object, listed) && !slices.ContainsFunc(surplus(object), func(h v1alpha1.CertificateVersion) bool {
		_, ok := listed[h.CertID]
		return !ok
	})
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
func (r *Reconciler) judgePrune(ctx context.Context, next *v1alpha1.CloudCertificate, err error) time.Duration {
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
		log.FromContext(ctx).Info("Superseded versions stay in the cloud", "reason", reason, "problem", problem)
		r.Recorder.Eventf(next, nil, corev1.EventTypeWarning, reason, "Prune", "%s", truncate(problem))
	}
	delay := r.retryDelay(err, failures)
	r.memory.pruneNotBefore(next, r.Clock.Now().Add(delay))
	return delay
}

// pruneProblem says why superseded versions stay, and the reason of the event.
func pruneProblem(err error) (problem, reason string) {
	if shared, ok := errors.AsType[*sharedError](err); ok && shared.appeared {
		return shared.Error(), v1alpha1.ReasonIdentityShared
	}
	return "superseded versions cannot be deleted: " + plainly(err), v1alpha1.ReasonPruneFailed
}

// soonest is the shorter of two delays, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
