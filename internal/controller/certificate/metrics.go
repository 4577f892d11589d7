// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

var (
	info = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_info",
		Help: "Always 1; the labels say which operator this is and which cluster id is in its names.",
	}, []string{"version", "cluster_id"})

	requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "cloudcert_cas_request_duration_seconds",
		Help:    "Calls to the cloud, by action, region and outcome (success, or the class of the error), without the wait for the rate limit.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5},
	}, []string{"action", "region", "outcome"})

	pruneFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_prune_failures_total",
		Help: "Attempts to delete superseded certificates that failed, by the reason of the event.",
	}, []string{"reason"})

	leftCertificates = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_left_certificates_total",
		Help: "Certificates that no object looks after any more, by the reason of the event: LeftBehind where account, region or identity of an object changed, " +
			"Released where a deleted object was let go with what it had; one where it is unknown how many.",
	}, []string{"reason"})

	sweeps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_drift_sweeps_total",
		Help: "Looks at the whole list of an account and region, by outcome: success, failed, or implausible where too many certificates were missing.",
	}, []string{"region", "outcome"})

	missing = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cloudcert_drift_missing_certificates",
		Help: "Certificates that statuses name and the last look at the list did not show.",
	}, []string{"account", "region"})
)

func init() { //nolint:gochecknoinits // the registry is controller-runtime's, one for the process
	metrics.Registry.MustRegister(info, requests, pruneFailures, leftCertificates, sweeps, missing)
}

// SetInfo publishes which operator this is.
func SetInfo(version, clusterID string) {
	info.WithLabelValues(version, clusterID).Set(1)
}

// ObserveCall counts a call to the cloud, and logs one that failed; it is meant for
// alibaba.Config.Observe.
func ObserveCall(call alibaba.CallInfo) {
	logCall(ctrl.Log.WithName("cloud"), call)
	requests.WithLabelValues(string(call.Action), call.Region, call.Outcome).Observe(call.Duration.Seconds())
}

// logCall writes a line for a call that failed, with what the cloud's support asks for.
// Names that are taken and throttled calls are everyday business, and a failure to learn
// the account is the same each minute: these are for whoever asks for more.
func logCall(log logr.Logger, call alibaba.CallInfo) {
	if call.Outcome == "success" {
		return
	}
	everyday := call.Outcome == alibaba.NameTaken.String() || call.Outcome == alibaba.Throttled.String()
	if everyday || call.Repeated {
		log = log.V(1)
	}
	log.Info("Call to the cloud failed", "action", call.Action, "region", call.Region, "outcome", call.Outcome, "problem", call.Problem,
		"code", call.Code, "status", call.HTTPStatus, "requestId", call.RequestID, "duration", call.Duration.String(), "error", call.Summary)
}
