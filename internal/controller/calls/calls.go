// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package calls counts the calls to the cloud, whichever controller makes them, and logs those that
// failed.
package calls

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// The metrics, which docs/metrics.md describes.
var (
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cloudcert_cas_requests_total",
		Help: "Calls to the cloud, by outcome (success, or the class of the error) and the cloud's error code, as far as it is known.",
	}, []string{"service", "account", "region", "action", "outcome", "code"})

	requestDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "cloudcert_cas_request_duration_seconds",
		Help:    "Duration of calls to the cloud, without the wait for the rate limit.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5},
	}, []string{"service", "account", "region", "action", "outcome"})
)

func init() { //nolint:gochecknoinits // the registry is controller-runtime's, one for the process
	metrics.Registry.MustRegister(requests, requestDuration)
}

// Series are those of one call of a product, whatever comes of it.
type Series struct {
	Service, Account, Region string
	Action                   alibaba.Action
}

// Initialise makes the counters of a call that is expected to be made, so that the first failure
// is an increase: of a success, of failures without an answer or with a code that nobody knows, and
// of some codes.
func (s Series) Initialise(codes alibaba.Codes) {
	count := func(outcome, code string) {
		requests.WithLabelValues(s.Service, s.Account, s.Region, string(s.Action), outcome, code)
	}
	count(alibaba.OutcomeSuccess, "")
	count(alibaba.Transient.String(), "") // no answer came
	count(alibaba.Transient.String(), alibaba.OtherCode)
	count(alibaba.Denied.String(), alibaba.OtherCode)
	for code, class := range codes {
		count(class.String(), code)
	}
}

// Observe counts a call to the cloud, and logs one that failed for the object that the context is
// of; it is meant for alibaba.Config.Observe.
func Observe(ctx context.Context, call alibaba.CallInfo) {
	logCall(log.FromContext(ctx).WithName("cloud"), call)
	requests.WithLabelValues(call.Service, call.Account, call.Region, string(call.Action), call.Outcome, call.KnownCode).Inc()
	requestDuration.WithLabelValues(call.Service, call.Account, call.Region, string(call.Action), call.Outcome).Observe(call.Duration.Seconds())
}

// logCall writes a line for a call that failed, with what the cloud's support asks for.
// Names that are taken and throttled calls are everyday business, and a failure to learn
// the account is the same each minute: these are for whoever asks for more.
func logCall(logger logr.Logger, call alibaba.CallInfo) {
	if call.Outcome == alibaba.OutcomeSuccess {
		return
	}
	everyday := call.Outcome == alibaba.NameTaken.String() || call.Outcome == alibaba.Throttled.String()
	if everyday || call.Repeated {
		logger = logger.V(1)
	}
	logger.Info("Call to the cloud failed", "action", call.Action, "region", call.Region, "outcome", call.Outcome, "problem", call.Problem,
		"code", call.Code, "status", call.HTTPStatus, "requestId", call.RequestID, "duration", call.Duration.String(), "error", call.Summary)
}
