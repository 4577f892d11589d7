// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
)

// sample is one line of metrics in Prometheus' text format.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

type samples []sample

// parseMetrics reads the samples of the given names. Label values with escapes or
// braces are not understood; none of those that are asked for have any.
func parseMetrics(text string, names ...string) samples {
	var found samples
	for line := range strings.Lines(text) {
		for _, name := range names {
			rest, ok := strings.CutPrefix(line, name)
			if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
				continue
			}
			s := sample{name: name, labels: map[string]string{}}
			if rest[0] == '{' {
				inside, after, _ := strings.Cut(rest[1:], "}")
				rest = after
				for pair := range strings.SplitSeq(inside, ",") {
					key, value, _ := strings.Cut(pair, "=")
					s.labels[key] = strings.Trim(value, `"`)
				}
			}
			var err error
			if s.value, err = strconv.ParseFloat(strings.TrimSpace(rest), 64); err == nil {
				found = append(found, s)
			}
		}
	}
	return found
}

// sum adds up the samples of a name whose labels have all of the given values:
// "verb=PATCH". Several values of a label are joined by |.
func (all samples) sum(name string, labels ...string) float64 {
	total := 0.0
	for _, s := range all {
		if s.name == name && s.has(labels) {
			total += s.value
		}
	}
	return total
}

func (s sample) has(labels []string) bool {
	for _, label := range labels {
		key, values, _ := strings.Cut(label, "=")
		matches := false
		for value := range strings.SplitSeq(values, "|") {
			matches = matches || s.labels[key] == value
		}
		if !matches {
			return false
		}
	}
	return true
}

// apiRequests is what operators have asked of the API server. Nobody else patches
// CloudCertificates, writes events or gets single Secrets here.
type apiRequests struct{ status, finalizer, events, secretReads float64 }

func (r apiRequests) writes() float64 { return r.status + r.finalizer + r.events }

func (r apiRequests) minus(before apiRequests) apiRequests {
	return apiRequests{
		r.status - before.status, r.finalizer - before.finalizer, r.events - before.events, r.secretReads - before.secretReads,
	}
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
	all := parseMetrics(string(raw), requests)
	return apiRequests{
		status:      all.sum(requests, "resource=cloudcertificates", "subresource=status", "verb=PATCH|PUT|APPLY"),
		finalizer:   all.sum(requests, "resource=cloudcertificates", "subresource=", "verb=PATCH|PUT|APPLY"),
		events:      all.sum(requests, "resource=events", "verb=POST|PATCH|PUT|APPLY"),
		secretReads: all.sum(requests, "resource=secrets", "verb=GET"),
	}, nil
}

// Metrics of the operator.
const (
	passes     = "controller_runtime_reconcile_total"
	depth      = "workqueue_depth"
	requests   = "cloudcert_cas_request_duration_seconds_count"
	roundsDone = "cloudcert_drift_sweeps_total"
	heapBytes  = "go_memstats_heap_alloc_bytes"
	leads      = "leader_election_master_status"
)

// read reads the operator's own metrics.
func (o *operator) read(ctx context.Context) (samples, error) {
	raw, err := get(ctx, http.DefaultClient, "http://"+o.metrics+"/metrics")
	return parseMetrics(string(raw), passes, depth, requests, roundsDone, heapBytes, leads), err
}
