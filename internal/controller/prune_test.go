// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// counted is what a metric says, over all tests.
func counted(t *testing.T, name string, labels ...string) (n float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			matches := !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(values, l) })
			if family.GetName() == name && matches {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

func TestTheFigureOfMissingCertificatesFallsWithTheRepair(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.cloud.ClearFaults()
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.vanish()
		w.look()
		op := w.operator()
		place := driftPlaceOf(w.api.objects[simKey])
		gone := func() int {
			cloud := op.drift.clientFor(context.Background(), place)
			return len(op.drift.count(context.Background(), place, cloud))
		}
		if _, lost := op.drift.lost.Load(place); gone() != 1 || !lost {
			t.Fatal("nothing is missing")
		}
		w.work(time.Minute)
		op.drift.recount(context.Background())
		if _, lost := op.drift.lost.Load(place); lost || gone() != 0 {
			t.Error("still missing after the repair")
		}
	})
}

func TestADoubtedLookIsNoSuccess(t *testing.T) {
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.givenMany(20)
		w.work(15 * time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHide})
		time.AfterFunc(5*time.Minute, w.cloud.ClearFaults)
		success := counted(t, "cloudcert_drift_sweeps_total", "success")
		doubted := counted(t, "cloudcert_drift_sweeps_total", "implausible")
		w.look()
		if got := counted(t, "cloudcert_drift_sweeps_total", "implausible") - doubted; got != 1 {
			t.Errorf("%v doubted looks", got)
		}
		if got := counted(t, "cloudcert_drift_sweeps_total", "success") - success; got != 1 {
			t.Errorf("%v successes, want the second look alone", got)
		}
	})
}
