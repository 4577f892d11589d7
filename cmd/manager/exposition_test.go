// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

func TestMetricsAreServedAsText(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "gathered_total"})
	counter.Add(3)
	registry.MustRegister(counter)
	write := []func(context.Context, io.Writer) error{func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "# TYPE written gauge\nwritten{name=\"web\"} 7\n")
		return err
	}, func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "# TYPE bound gauge\nbound{name=\"web\"} 1\n")
		return err
	}}
	for name, tc := range map[string]struct {
		accept  string
		write   []func(context.Context, io.Writer) error
		gzipped bool
		want    map[string]float64
	}{
		"plainly":                  {accept: "identity", write: write, want: map[string]float64{"gathered_total": 3, "written": 7, "bound": 1}},
		"compressed":               {accept: "br, gzip;q=0.5", write: write, gzipped: true, want: map[string]float64{"gathered_total": 3, "written": 7, "bound": 1}},
		"without those of objects": {accept: "identity", want: map[string]float64{"gathered_total": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.Header.Set("Accept-Encoding", tc.accept)
			request.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
			answer := httptest.NewRecorder()
			(&exposition{gatherer: registry, writeSeries: tc.write}).ServeHTTP(answer, request)
			if got := answer.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
				t.Errorf("the answer is %s", got)
			}
			body := io.Reader(answer.Body)
			if got := answer.Header().Get("Content-Encoding") == "gzip"; got != tc.gzipped {
				t.Fatalf("compressed: %t", got)
			}
			if tc.gzipped {
				var err error
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(body)
			if err != nil || len(families) != len(tc.want) {
				t.Fatalf("%d metrics, %v", len(families), err)
			}
			for name, want := range tc.want {
				m := families[name].GetMetric()[0]
				if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
		})
	}
}

func TestMetricsThatCannotBeGatheredAreAnError(t *testing.T) {
	t.Parallel()
	broken := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("two of a kind") })
	answer := httptest.NewRecorder()
	written := func(context.Context, io.Writer) error { t.Error("series were appended to an error"); return nil }
	(&exposition{gatherer: broken, writeSeries: []func(context.Context, io.Writer) error{written}, log: logr.Discard()}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusInternalServerError || strings.Contains(answer.Body.String(), "two of a kind") {
		t.Errorf("answered %d %q", answer.Code, answer.Body)
	}
}

// runner keeps what it is given to run.
type runner struct {
	manager.Manager
	added []manager.Runnable
}

func (r *runner) Add(runnable manager.Runnable) error {
	r.added = append(r.added, runnable)
	return nil
}

func TestACertificateForTheMetricsIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(host string) {
		t.Helper()
		cert, key, err := certutil.GenerateSelfSignedCertKeyWithFixtures(host, nil, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mgr := &runner{}
	if _, err := metricsCertificates(mgr, dir); err == nil || !strings.Contains(err.Error(), "--metrics-cert-dir") {
		t.Errorf("an empty folder: %v", err)
	}
	write("first.example.com")
	config, err := metricsCertificates(mgr, dir)
	if err != nil || len(mgr.added) != 1 {
		t.Fatalf("%v, and %d runnables", err, len(mgr.added))
	}
	if elected, ok := mgr.added[0].(manager.LeaderElectionRunnable); !ok || elected.NeedLeaderElection() {
		t.Error("a standby would go on with a certificate that has ended")
	}
	name := func() string {
		pair, err := config.GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.DNSNames[0]
	}
	if got := name(); got != "first.example.com" {
		t.Errorf("serving %s", got)
	}
	write("second.example.com")
	if err := mgr.added[0].(interface{ ReadCertificate() error }).ReadCertificate(); err != nil { // as its watch does
		t.Fatal(err)
	}
	if got := name(); got != "second.example.com" {
		t.Errorf("after a renewal still serving %s", got)
	}
}
