// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// The metrics are described in docs/metrics.md, and a test compares the two. Those about objects are
// in fleet.go: they are computed when they are read.
var (
	syncDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cloudcert_binding_sync_duration_seconds",
		Help: "Time from when the status of a CloudCertificate names another certificate, or a binding is made or changed, until the binding has seen that certificate served.",
		// From an object of the cluster, which takes one reconcile, to the hour between two slow retries.
		Buckets: []float64{0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600},
	}, []string{"target"})

	placements = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_binding_placements_total",
		Help: "Attempts to place a certificate at a target: accepted, or the class of the error.",
	}, []string{"target", "result"})

	restorations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_binding_restorations_total",
		Help: "Certificates that a target uses again after somebody else had replaced them or taken them out.",
	}, []string{"target"})
)

// resultAccepted is the result of a placement that the target took: whether it serves the certificate
// only a later read shows.
const resultAccepted = "accepted"

func init() { //nolint:gochecknoinits // the registry is controller-runtime's, one for the process
	metrics.Registry.MustRegister(syncDuration, placements, restorations)
}

// initialise makes every series whose labels are known beforehand, so that the first event of a
// kind is an increase.
func initialise(kinds []targets.Product) {
	for _, kind := range kinds {
		syncDuration.WithLabelValues(string(kind))
		restorations.WithLabelValues(string(kind))
		placements.WithLabelValues(string(kind), resultAccepted)
		for _, class := range targets.Classes() {
			placements.WithLabelValues(string(kind), class.String())
		}
	}
}

// countPlacement counts an attempt to place a certificate.
func countPlacement(kind targets.Product, err error) {
	result := resultAccepted
	if err != nil {
		result = targets.ClassOf(err).String()
	}
	placements.WithLabelValues(string(kind), result).Inc()
}
