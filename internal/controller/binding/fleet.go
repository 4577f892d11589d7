// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/calls"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// Fleet computes the metrics about bindings when they are read, as that of CloudCertificates does.
type Fleet struct {
	*fleet.Objects[*v1alpha1.CloudCertificateBinding]

	reconciler *Reconciler

	mu sync.Mutex
	// due is since when bindings have had something to place, for those of which this process saw it.
	due map[types.UID]time.Time
	// places are those of which every counter of calls was made.
	places map[callPlace]bool
}

// callPlace is where calls of a product are counted together.
type callPlace struct{ service, account, region string }

// The metrics that are summed up.
var (
	bindingsDesc = prometheus.NewDesc("cloudcert_bindings",
		"CloudCertificateBindings by the reason of their condition Ready; Unknown where there is none yet.", []string{"reason"}, nil)
	deletionsDesc = prometheus.NewDesc("cloudcert_binding_deletions_pending",
		"CloudCertificateBindings that are being deleted and held by the operator's finalizer, by the reason of their condition Ready.", []string{"reason"}, nil)
	deletionsSinceDesc = prometheus.NewDesc("cloudcert_binding_deletions_pending_since_timestamp_seconds",
		"When the deletion was asked for of the one of them that has waited longest, by the reason of their condition Ready; absent where none waits.", []string{"reason"}, nil)
	rateDesc = prometheus.NewDesc("cloudcert_binding_rate_limit",
		"Calls to a product that the operator lets go now, a second; fewer for a while after throttled answers.", []string{"service", "account", "region", "action"}, nil)
)

// reasons are those that Ready may have.
var reasons = []string{
	v1alpha1.ReasonSynced, v1alpha1.ReasonProgressing, v1alpha1.ReasonSuspended, v1alpha1.ReasonCertificateNotReady, v1alpha1.ReasonNotAllowed,
	v1alpha1.ReasonRegionMismatch, v1alpha1.ReasonDomainMismatch, v1alpha1.ReasonOccupied, v1alpha1.ReasonManagedElsewhere, v1alpha1.ReasonTargetNotFound,
	v1alpha1.ReasonAccessDenied, v1alpha1.ReasonQuotaExceeded, v1alpha1.ReasonThrottled, v1alpha1.ReasonBindFailed,
	v1alpha1.ReasonCredentialsUnavailable, v1alpha1.ReasonDeletionBlocked, fleet.ReasonUnknown,
}

// deletionReasons are those of bindings that are being deleted.
var deletionReasons = []string{v1alpha1.ReasonProgressing, v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonCredentialsUnavailable}

// NewFleet makes the metrics of a reconciler's bindings, and keeps them up to date by the manager's
// cache. The reconciler was set up before.
func NewFleet(ctx context.Context, mgr manager.Manager, r *Reconciler) (*Fleet, error) {
	f := newFleet(r)
	if err := f.Follow(ctx, mgr, &v1alpha1.CloudCertificateBinding{}); err != nil {
		return nil, err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.CloudCertificate{})
	if err == nil {
		_, err = informer.AddEventHandler(f.certificates(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("failed to watch CloudCertificates for metrics of bindings: %w", err)
	}
	if err := mgr.Add(manager.RunnableFunc(f.Lead)); err != nil { // only the leader runs it
		return nil, fmt.Errorf("failed to note when this replica leads: %w", err)
	}
	return f, nil
}

func newFleet(r *Reconciler) *Fleet {
	initialise(r.Options.Targets)
	f := &Fleet{reconciler: r, due: map[types.UID]time.Time{}, places: map[callPlace]bool{}}
	f.Objects = fleet.NewObjects(fleet.Listener[*v1alpha1.CloudCertificateBinding]{Added: f.added, Updated: f.updated, Deleted: f.deleted})
	return f
}

// certificates notes when a CloudCertificate names another certificate: its bindings have to follow.
func (f *Fleet) certificates(ctx context.Context) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(before, after any) {
		was, ok := before.(*v1alpha1.CloudCertificate)
		is, ok2 := after.(*v1alpha1.CloudCertificate)
		if !ok || !ok2 || is.Status.CertID == 0 || was.Status.CertID == is.Status.CertID {
			return
		}
		list := &v1alpha1.CloudCertificateBindingList{}
		_ = f.reconciler.List(ctx, list, client.InNamespace(is.Namespace), client.MatchingFields{byCertificate: is.Name},
			client.UnsafeDisableDeepCopy) // a cache that was started has no error
		for i := range list.Items {
			f.isDue(list.Items[i].UID)
		}
	}}
}

// isDue notes that a binding has something to place from now on.
func (f *Fleet) isDue(uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due[uid] = f.reconciler.Clock.Now()
}

func (f *Fleet) added(b *v1alpha1.CloudCertificateBinding, initial bool) {
	f.initialiseCallsOf(b)
	if !initial {
		f.isDue(b.UID)
	}
}

func (f *Fleet) updated(before, after *v1alpha1.CloudCertificateBinding) {
	f.initialiseCallsOf(after)
	if before.UID != after.UID || before.Generation != after.Generation {
		f.isDue(after.UID)
	}
	if before.Status.BoundCertIdentifier == after.Status.BoundCertIdentifier {
		return
	}
	if c := f.certificateOf(context.Background(), after); c != nil && follows(after, c) { // from memory
		f.served(after)
	}
}

// served measures how long a binding took until its target used the current certificate.
func (f *Fleet) served(b *v1alpha1.CloudCertificateBinding) {
	f.mu.Lock()
	due, seen := f.due[b.UID]
	delete(f.due, b.UID)
	f.mu.Unlock()
	if seen && f.Leads() {
		syncDuration.WithLabelValues(string(placeOf(b).Product)).Observe(f.reconciler.Clock.Now().Sub(due).Seconds())
	}
}

func (f *Fleet) deleted(b *v1alpha1.CloudCertificateBinding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.due, b.UID)
}

// initialiseCallsOf makes the counters of the calls of a binding's product as soon as it is known in
// which account they are made: of successes, and of what may be denied.
func (f *Fleet) initialiseCallsOf(b *v1alpha1.CloudCertificateBinding) {
	if b.Status.AccountID == "" {
		return
	}
	target := placeOf(b).targetFor(f.certificateOf(context.Background(), b)) // from memory
	region, actions, codes := targets.CallsOf(target)
	place := callPlace{string(target.Product), b.Status.AccountID, region}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places[place] {
		return
	}
	f.places[place] = true
	for _, action := range actions {
		calls.Series{Service: place.service, Account: place.account, Region: place.region, Action: action}.Initialise(codes.Denied())
	}
}

// certificateOf is the CloudCertificate of a binding as the cache has it; nil if there is none. Nobody
// may change what it refers to.
func (f *Fleet) certificateOf(ctx context.Context, b *v1alpha1.CloudCertificateBinding) *v1alpha1.CloudCertificate {
	c := &v1alpha1.CloudCertificate{}
	key := client.ObjectKey{Namespace: b.Namespace, Name: b.Spec.CertificateRef.Name}
	if err := f.reconciler.Get(ctx, key, c, client.UnsafeDisableDeepCopy); err != nil || c.Status.CertID == 0 {
		return nil // it is not there: a cache that was started has no other error
	}
	return c
}

// follows reports whether the target was last seen to use the certificate that a CloudCertificate
// names.
func follows(b *v1alpha1.CloudCertificateBinding, c *v1alpha1.CloudCertificate) bool {
	_, reason := fleet.ReadyOf(b.Status.Conditions)
	return b.Status.BoundCertIdentifier == c.Status.CertIdentifier && b.Status.PendingCertID == 0 && reason != v1alpha1.ReasonOccupied
}

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(descs chan<- *prometheus.Desc) {
	descs <- bindingsDesc
	descs <- deletionsDesc
	descs <- deletionsSinceDesc
	descs <- rateDesc
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(metrics chan<- prometheus.Metric) {
	if !f.Leads() {
		return
	}
	s := sumUp(f.List())
	for reason, n := range s.reasons {
		metrics <- prometheus.MustNewConstMetric(bindingsDesc, prometheus.GaugeValue, float64(n), reason)
	}
	for reason, n := range s.deletions {
		metrics <- prometheus.MustNewConstMetric(deletionsDesc, prometheus.GaugeValue, float64(n), reason)
	}
	for reason, since := range s.deletedSince {
		metrics <- prometheus.MustNewConstMetric(deletionsSinceDesc, prometheus.GaugeValue, float64(since.Unix()), reason)
	}
	for pace, rate := range f.reconciler.Rates() {
		metrics <- prometheus.MustNewConstMetric(rateDesc, prometheus.GaugeValue, rate, string(pace.Product), pace.Account, pace.Region, string(pace.Action))
	}
}

// sums are what is told of all bindings together, by the reason of Ready: how many there are, how many of
// them a finalizer holds that are being deleted, and since when the first of those is.
type sums struct {
	reasons, deletions map[string]int
	deletedSince       map[string]time.Time
}

func sumUp(bindings []*v1alpha1.CloudCertificateBinding) sums {
	s := sums{reasons: map[string]int{}, deletions: map[string]int{}, deletedSince: map[string]time.Time{}}
	for _, reason := range reasons {
		s.reasons[reason] = 0
	}
	for _, reason := range deletionReasons {
		s.deletions[reason] = 0
	}
	for _, b := range bindings {
		_, reason := fleet.ReadyOf(b.Status.Conditions)
		s.reasons[reason]++
		if b.DeletionTimestamp.IsZero() || !slices.Contains(b.Finalizers, v1alpha1.FinalizerUnbind) {
			continue
		}
		s.deletions[reason]++
		if first, known := s.deletedSince[reason]; !known || b.DeletionTimestamp.Time.Before(first) {
			s.deletedSince[reason] = b.DeletionTimestamp.Time
		}
	}
	return s
}
