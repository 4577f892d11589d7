// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"

	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// families are metrics by name.
type families map[string]*dto.MetricFamily

// parseMetrics reads Prometheus' text format.
func parseMetrics(text []byte) (families, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

// sum adds up the values of a name, of histograms how many they have, whose labels
// have all of the given values: "verb=PATCH". Several values of a label are joined by |.
func (all families) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, m := range all[name].GetMetric() {
		if has(m.GetLabel(), labels) { // of these values, a metric has one
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return total
}

// has reports whether a metric's labels have all of the given values; a label that is
// not there is empty.
func has(pairs []*dto.LabelPair, labels []string) bool {
	values := map[string]string{}
	for _, pair := range pairs {
		values[pair.GetName()] = pair.GetValue()
	}
	for _, label := range labels {
		key, wanted, _ := strings.Cut(label, "=")
		if !slices.Contains(strings.Split(wanted, "|"), values[key]) {
			return false
		}
	}
	return true
}

// apiRequests is what operators have asked of the API server. Nobody else patches
// CloudCertificates or their bindings, writes events or gets single Secrets here.
type apiRequests struct{ status, finalizer, bindings, events, secretReads float64 }

func (r apiRequests) writes() float64 { return r.status + r.finalizer + r.bindings + r.events }

func (r apiRequests) minus(before apiRequests) apiRequests {
	return apiRequests{
		r.status - before.status, r.finalizer - before.finalizer, r.bindings - before.bindings, r.events - before.events, r.secretReads - before.secretReads,
	}
}

// counting is from where on it is counted what the cloud and the API server are asked.
type counting struct {
	of       *world
	mark     int64
	requests apiRequests
}

// startCounting counts what the cloud and the API server are asked from now on.
func (w *world) startCounting(ctx context.Context) (*counting, error) {
	requests, err := w.apiRequests(ctx)
	if err != nil {
		return nil, err
	}
	mark, err := w.cloud.mark(ctx)
	return &counting{of: w, mark: mark, requests: requests}, err
}

// asked returns what both were asked since.
func (c *counting) asked(ctx context.Context) ([]emulator.Call, apiRequests, error) {
	after, err := c.of.apiRequests(ctx)
	if err != nil {
		return nil, apiRequests{}, err
	}
	calls, err := c.of.cloud.calls(ctx, c.mark)
	return calls, after.minus(c.requests), err
}

// apiRequests asks the API server what it was asked.
func (w *world) apiRequests(ctx context.Context) (apiRequests, error) {
	web, err := rest.HTTPClientFor(w.plane.Config)
	if err != nil {
		return apiRequests{}, err
	}
	raw, err := get(ctx, web, strings.TrimSuffix(w.plane.Config.Host, "/")+"/metrics")
	if err != nil {
		return apiRequests{}, fmt.Errorf("failed to read the API server's metrics: %w", err)
	}
	const requests = "apiserver_request_total"
	all, err := parseMetrics(raw)
	if err != nil {
		return apiRequests{}, fmt.Errorf("failed to read the API server's metrics: %w", err)
	}
	return apiRequests{
		status:      all.sum(requests, "resource=cloudcertificates", "subresource=status", "verb=PATCH|PUT|APPLY"),
		finalizer:   all.sum(requests, "resource=cloudcertificates", "subresource=", "verb=PATCH|PUT|APPLY"),
		bindings:    all.sum(requests, "resource=cloudcertificatebindings", "verb=PATCH|PUT|APPLY"),
		events:      all.sum(requests, "resource=events", "verb=POST|PATCH|PUT|APPLY"),
		secretReads: all.sum(requests, "resource=secrets", "verb=GET"),
	}, nil
}

// Metrics of the operator.
const (
	passes     = "controller_runtime_reconcile_total"
	depth      = "workqueue_depth"
	requests   = "cloudcert_cas_request_duration_seconds"
	roundsDone = "cloudcert_drift_sweeps_total"
	heapBytes  = "go_memstats_heap_alloc_bytes"
	leads      = "leader_election_master_status"
)

// read reads the operator's own metrics.
func (o *operator) read(ctx context.Context) (families, error) {
	raw, err := get(ctx, http.DefaultClient, "http://"+o.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	return parseMetrics(raw)
}
