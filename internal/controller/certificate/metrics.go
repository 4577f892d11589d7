// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/calls"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// Every metric of the operator is described in docs/metrics.md, and a test compares the two.
// Those about objects are in fleet.go: they are computed when they are read.
var (
	buildInfo = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_build_info",
		Help: "Always 1; the labels say which build of the operator this is.",
	}, []string{"version", "commit"})

	info = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_info",
		Help: "Always 1; the label is the id of the cluster in the names of its certificates.",
	}, []string{"cluster_id"})

	syncDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cloudcert_sync_duration_seconds",
		Help: "Time from a change of a Secret, or of the object itself, until the status names its certificate in the cloud; for a repair, from when the certificate was missed.",
		// From a second, which a renewal takes at most, to the hour between two slow retries.
		Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600},
	}, []string{"kind"})

	uploads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_uploads_total",
		Help: "Certificates that became the current version of an object: created by an upload, adopted because they were in the cloud, or recreated because they had vanished from it.",
	}, []string{"account", "region", "result"})

	pruned = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_pruned_total",
		Help: "Superseded certificates that were deleted from the cloud.",
	}, []string{"account", "region"})

	pruneFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_prune_failures_total",
		Help: "Attempts to delete superseded certificates that failed, by the reason of the event.",
	}, []string{"reason"})

	leftCertificates = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_left_certificates_total",
		Help: "Certificates that no object looks after any more, by the reason of the event: LeftBehind where account, region or identity of an object changed, " +
			"Released where a deleted object was let go with what it had; one where it is unknown how many.",
	}, []string{"reason"})

	limitWait = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "cloudcert_cas_rate_limit_wait_seconds",
		Help:    "Time that a caller has to wait for its turn in the rate limit: in line, or until it may ask again.",
		Buckets: []float64{0.01, 0.1, 0.5, 1, 5, 15, 60},
	}, []string{"account", "region", "action"})

	sweeps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_drift_sweeps_total",
		Help: "Checks of the whole list of an account and region, by outcome: success, failed, or implausible where too many certificates were missing.",
	}, []string{"region", "outcome"})

	driftInterval = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cloudcert_drift_interval_seconds",
		Help: "The setting --drift-interval; 0 is never.",
	})

	lastSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_drift_last_success_timestamp_seconds",
		Help: "When the whole list of an account and region was last checked; until that succeeds, when the leader took the place up.",
	}, []string{"account", "region"})

	missing = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_drift_missing_certificates",
		Help: "Certificates that statuses name and the last check of the list did not show; 0 again when they are repaired.",
	}, []string{"account", "region"})

	credentialsExpiration = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_credentials_expiration_timestamp_seconds",
		Help: "When the operator's own temporary credentials end. They are renewed when they are used, so that an operator with nothing to do may hold ones that have ended.",
	}, []string{"source"})

	refreshFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_credentials_refresh_failures_total",
		Help: "Attempts to renew the operator's own temporary credentials that failed.",
	}, []string{"source"})
)

// Outcomes of a check for drift.
const (
	sweepSucceeded   = "success"
	sweepFailed      = "failed"
	sweepImplausible = "implausible"
)

// Results of cloudcert_uploads_total.
const (
	resultCreated   = "created"
	resultAdopted   = "adopted"
	resultRecreated = "recreated"
)

func init() { //nolint:gochecknoinits // the registry is controller-runtime's, one for the process
	metrics.Registry.MustRegister(buildInfo, info, syncDuration, uploads, pruned, pruneFailures, leftCertificates, limitWait,
		sweeps, driftInterval, lastSuccess, missing, credentialsExpiration, refreshFailures)
	initialise()
}

// initialise makes every series whose labels are known beforehand, so that the first event
// of a kind is an increase.
func initialise() {
	for _, kind := range []string{kindNew, kindRenewal, kindRepair} {
		syncDuration.WithLabelValues(kind)
	}
	for _, reason := range []string{v1alpha1.ReasonPruneFailed, v1alpha1.ReasonIdentityShared} {
		pruneFailures.WithLabelValues(reason)
	}
	for _, reason := range []string{v1alpha1.ReasonLeftBehind, v1alpha1.ReasonReleased} {
		leftCertificates.WithLabelValues(reason)
	}
	for _, outcome := range []string{sweepSucceeded, sweepFailed, sweepImplausible} {
		for _, region := range cas.Regions() {
			sweeps.WithLabelValues(region, outcome)
		}
	}
	refreshFailures.WithLabelValues(alibaba.SourceRRSA)
}

// initialisePlace does the same for what is counted of an account and region.
func initialisePlace(p protocol.Place) {
	for _, result := range []string{resultCreated, resultAdopted, resultRecreated} {
		uploads.WithLabelValues(p.Account, p.Region, result)
	}
	pruned.WithLabelValues(p.Account, p.Region)
	for _, action := range cas.Actions() {
		series := calls.Series{Service: cas.Service, Account: p.Account, Region: p.Region, Action: action}
		series.Initialise(cas.Codes())
	}
}

// SetInfo publishes which operator this is.
func SetInfo(version, commit, clusterID string) {
	buildInfo.WithLabelValues(version, commit).Set(1)
	info.WithLabelValues(clusterID).Set(1)
}

// ObserveRefresh publishes what an attempt to renew credentials came to; it is meant for
// alibaba.Config.ObserveRefresh.
func ObserveRefresh(refresh alibaba.RefreshInfo) {
	if refresh.Failed {
		refreshFailures.WithLabelValues(refresh.Source).Inc()
		return
	}
	credentialsExpiration.WithLabelValues(refresh.Source).Set(float64(refresh.Expires.Unix()))
}

// ObserveWait measures a wait for the rate limit; it is meant for cas.Config.ObserveWait.
func ObserveWait(pace cas.Pace, wait time.Duration) {
	limitWait.WithLabelValues(pace.Account, pace.Region, string(pace.Action)).Observe(wait.Seconds())
}
