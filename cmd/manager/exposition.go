// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// exposition serves what a registry gathers, and after it what is written apart, in
// Prometheus' text format: every Prometheus reads it, and series can be appended to it.
type exposition struct {
	gatherer prometheus.Gatherer
	// writeSeries write more metrics, of which none is in the registry.
	writeSeries []func(context.Context, io.Writer) error
	log         logr.Logger
}

// ServeHTTP implements http.Handler.
func (e *exposition) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	gathered, err := e.gatherer.Gather()
	if err != nil {
		e.log.Error(err, "Failed to gather the metrics")
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	body := io.Writer(w)
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		compressed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // which is a level
		defer func() { _ = compressed.Close() }()               // it fails as the writes before it
		body = compressed
	}
	encoder := expfmt.NewEncoder(body, format)
	for _, family := range gathered {
		if err := encoder.Encode(family); err != nil {
			return // whoever asked is gone
		}
	}
	for _, write := range e.writeSeries {
		if write(r.Context(), body) != nil {
			return // likewise
		}
	}
}

// takesGzip reports whether an answer may be compressed.
func takesGzip(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, _, _ := strings.Cut(accepted, ";")
		if strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}
