// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// Fleet computes the metrics about objects when they are read, so that none outlives its
// object. Only the leader has any: two replicas would count everything twice.
//
// What is summed up it collects for Prometheus' registry. The series of single objects it
// writes itself, in WriteSeries.
type Fleet struct {
	*fleet.Objects[*v1alpha1.CloudCertificate]

	reconciler *Reconciler

	mu sync.Mutex
	// places are those of which every counter was made.
	places map[protocol.Place]bool
}

// The metrics that are summed up.
var (
	certificatesDesc = prometheus.NewDesc("cloudcert_certificates",
		"CloudCertificates by the reason of their condition Ready; Unknown where there is none yet.", []string{"reason"}, nil)
	supersededDesc = prometheus.NewDesc("cloudcert_superseded_certificates",
		"Superseded certificates that are still in the cloud, as statuses count them.", []string{"account", "region"}, nil)
	deletionsDesc = prometheus.NewDesc("cloudcert_deletions_pending",
		"CloudCertificates that are being deleted and held by the operator's finalizer, by the reason of their condition Ready.", []string{"reason"}, nil)
	rateDesc = prometheus.NewDesc("cloudcert_cas_rate_limit",
		"Calls that the operator lets go now, a second; fewer than its settings allow for a while after throttled answers.", []string{"account", "region", "action"}, nil)
)

// NewFleet makes the metrics of a reconciler's objects, and keeps them up to date by the
// manager's cache.
func NewFleet(ctx context.Context, mgr manager.Manager, r *Reconciler) (*Fleet, error) {
	f := newFleet(r)
	if err := f.Follow(ctx, mgr, &v1alpha1.CloudCertificate{}); err != nil {
		return nil, err
	}
	if err := mgr.Add(manager.RunnableFunc(f.lead)); err != nil { // only the leader runs it
		return nil, fmt.Errorf("failed to note when this replica leads: %w", err)
	}
	return f, nil
}

func newFleet(r *Reconciler) *Fleet {
	f := &Fleet{reconciler: r, places: map[protocol.Place]bool{}}
	f.Objects = fleet.NewObjects(fleet.Listener[*v1alpha1.CloudCertificate]{
		Added: f.added, Updated: f.updated, Deleted: func(object *v1alpha1.CloudCertificate) { r.changes.forget(object.UID) },
	})
	return f
}

func (f *Fleet) lead(ctx context.Context) error {
	f.reconciler.began()
	return f.Lead(ctx)
}

func (f *Fleet) added(object *v1alpha1.CloudCertificate, initial bool) {
	f.initialisePlaceOf(object)
	if !initial {
		f.reconciler.changes.changed(object.UID, "", f.reconciler.Clock.Now())
	}
}

func (f *Fleet) updated(before, after *v1alpha1.CloudCertificate) {
	f.initialisePlaceOf(after)
	r := f.reconciler
	now := r.Clock.Now()
	if before.Spec.SecretRef != after.Spec.SecretRef || before.Spec.Keys != after.Spec.Keys || before.Spec.Type != after.Spec.Type {
		r.changes.changed(after.UID, "", now)
	}
	kind, due := r.changes.answered(before, after)
	if !due.IsZero() && f.Leads() {
		syncDuration.WithLabelValues(kind).Observe(now.Sub(due).Seconds())
	}
}

// initialisePlaceOf makes the counters of the place of an object before anything there is counted,
// as far as that is known before.
func (f *Fleet) initialisePlaceOf(object *v1alpha1.CloudCertificate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if place := placeOf(object); object.Status.CertID != 0 && !f.places[place] {
		f.places[place] = true
		initialisePlace(place)
	}
}

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{certificatesDesc, supersededDesc, deletionsDesc, rateDesc} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(metrics chan<- prometheus.Metric) {
	if !f.Leads() {
		return
	}
	s := sumUp(f.List())
	for reason, n := range s.reasons {
		metrics <- prometheus.MustNewConstMetric(certificatesDesc, prometheus.GaugeValue, float64(n), reason)
	}
	for reason, n := range s.deletions {
		metrics <- prometheus.MustNewConstMetric(deletionsDesc, prometheus.GaugeValue, float64(n), reason)
	}
	for place, n := range s.superseded {
		metrics <- prometheus.MustNewConstMetric(supersededDesc, prometheus.GaugeValue, float64(n), place.Account, place.Region)
	}
	for pace, rate := range f.reconciler.Accounts.Cloud.Rates() {
		metrics <- prometheus.MustNewConstMetric(rateDesc, prometheus.GaugeValue, rate, pace.Account, pace.Region, string(pace.Action))
	}
}

// sums are what is told of all objects together.
type sums struct {
	reasons    map[string]int
	deletions  map[string]int
	superseded map[protocol.Place]int
}

// reasons are those that Ready may have.
var reasons = []string{
	v1alpha1.ReasonSynced, v1alpha1.ReasonProgressing, v1alpha1.ReasonSuspended, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCertificate,
	v1alpha1.ReasonCredentialsUnavailable, v1alpha1.ReasonAccountNotAllowed, v1alpha1.ReasonAccessDenied, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonThrottled,
	v1alpha1.ReasonUploadFailed, v1alpha1.ReasonNameConflict, v1alpha1.ReasonDeletionBlocked, fleet.ReasonUnknown,
}

// deletionReasons are those of objects that are being deleted.
var deletionReasons = []string{
	v1alpha1.ReasonProgressing, v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonCredentialsUnavailable, v1alpha1.ReasonNameConflict,
}

func sumUp(objects []*v1alpha1.CloudCertificate) sums {
	s := sums{reasons: map[string]int{}, deletions: map[string]int{}, superseded: map[protocol.Place]int{}}
	for _, reason := range reasons {
		s.reasons[reason] = 0
	}
	for _, reason := range deletionReasons {
		s.deletions[reason] = 0
	}
	for _, o := range objects {
		_, reason := readyOf(o)
		s.reasons[reason]++
		if !o.DeletionTimestamp.IsZero() && isHeld(o) {
			s.deletions[reason]++
		}
		if place := placeOf(o); o.Status.CertID != 0 || o.Status.HistoryTotal > 0 {
			s.superseded[place] += int(o.Status.HistoryTotal)
		}
	}
	return s
}

// readyOf returns the condition Ready and its reason, Unknown where there is none.
func readyOf(o *v1alpha1.CloudCertificate) (*metav1.Condition, string) {
	return fleet.ReadyOf(o.Status.Conditions)
}

// secretVersions reads the versions of Secrets from the cache, without a copy of any.
type secretVersions struct {
	reader client.Reader
	secret metav1.PartialObjectMetadata // the last one; whatever it refers to is the cache's
}

// of returns the version of a Secret that is present, empty if it is not there.
func (s *secretVersions) of(ctx context.Context, key types.NamespacedName) string {
	s.secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	if err := s.reader.Get(ctx, key, &s.secret, client.UnsafeDisableDeepCopy); err != nil {
		return "" // it is not there: a cache that was started has no other error
	}
	return versionOfSecret(&s.secret)
}

// isInSync reports whether the certificate in the cloud is that of the Secret which is
// present, also while Ready is kept for another reason. A status that answers no version,
// although its object is Ready, is one of a pair of certificates that is judged again.
func isInSync(o *v1alpha1.CloudCertificate, secret string) bool {
	ready, reason := readyOf(o)
	if o.Status.CertID == 0 || secret == "" || reason == v1alpha1.ReasonInvalidCertificate {
		return false
	}
	named := versionInStatus(o)
	return named == secret || named == "" && ready != nil && ready.Status == metav1.ConditionTrue
}

// outOfSyncSince returns since when an object that is not in sync has not been, as far as
// that is known: a change that this process saw, or what the status says.
func (f *Fleet) outOfSyncSince(o *v1alpha1.CloudCertificate) time.Time {
	ready, _ := readyOf(o)
	seen := f.reconciler.changes.since(o.UID)
	switch {
	case ready == nil:
		return o.CreationTimestamp.Time
	case ready.Status != metav1.ConditionTrue && (seen.IsZero() || ready.LastTransitionTime.Time.Before(seen)):
		return ready.LastTransitionTime.Time
	case !seen.IsZero():
		return seen
	}
	return f.reconciler.began()
}
