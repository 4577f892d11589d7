// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// fleetStart is when the process under test begins.
var fleetStart = time.Unix(1_800_000_000, 0)

// testScheme knows our kinds.
func testScheme(t *testing.T) *kruntime.Scheme {
	t.Helper()
	scheme := kruntime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// newTestFleet is one that leads, and whose cache has some objects.
func newTestFleet(t *testing.T, objects ...client.Object) (*Fleet, *clocktesting.FakePassiveClock) {
	t.Helper()
	cached := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(objects...).
		WithIndex(&v1alpha1.CloudCertificateBinding{}, byCertificate, certificateOf).Build()
	clock := clocktesting.NewFakePassiveClock(fleetStart)
	f := newFleet(&Reconciler{Client: cached, Clock: clock, Rates: func() map[targets.Pace]float64 { return nil }, Options: Options{Targets: Built()}})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = f.Lead(ctx) }()
	for !f.Leads() {
		runtime.Gosched()
	}
	return f, clock
}

// certificate is the CloudCertificate web, whose certificate was uploaded some time before the start.
func certificate(certID int64, uploaded time.Duration) *v1alpha1.CloudCertificate {
	c := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "certificate"}}
	if certID != 0 {
		c.Status.CertID, c.Status.CertIdentifier = certID, fmt.Sprintf("%d-cn-hangzhou", certID)
		c.Status.LastUploadTime = metav1.NewTime(fleetStart.Add(-uploaded))
	}
	return c
}

// inFleet is a binding of it that was made two hours before the start. Ready has been what it is
// for ten minutes.
func inFleet(ready metav1.ConditionStatus, reason string, bound int64, change func(*v1alpha1.CloudCertificateBinding)) *v1alpha1.CloudCertificateBinding {
	b := &v1alpha1.CloudCertificateBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cdn", UID: "binding", CreationTimestamp: metav1.NewTime(fleetStart.Add(-2 * time.Hour))},
		Spec: v1alpha1.CloudCertificateBindingSpec{
			CertificateRef: v1alpha1.CertificateReference{Name: "web"}, Target: v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: "www.example.com"}},
		},
	}
	if reason != "" {
		b.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, LastTransitionTime: metav1.NewTime(fleetStart.Add(-10 * time.Minute)),
		}}
	}
	if bound != 0 {
		b.Status.BoundCertID, b.Status.BoundCertIdentifier, b.Status.BoundTime = bound, fmt.Sprintf("%d-cn-hangzhou", bound), metav1.Unix(1000, 0)
	}
	if change != nil {
		change(b)
	}
	return b
}

func TestWhatTheSeriesOfABindingSay(t *testing.T) {
	t.Parallel()
	since := func(before time.Duration) string {
		return fmt.Sprintf(" out_of_sync_since=%d", fleetStart.Add(-before).Unix())
	}
	pending := func(certID int64) func(*v1alpha1.CloudCertificateBinding) {
		return func(b *v1alpha1.CloudCertificateBinding) {
			b.Status.PendingCertID, b.Status.PendingSince = certID, metav1.NewTime(fleetStart.Add(-time.Minute))
		}
	}
	for name, tc := range map[string]struct {
		certificate *v1alpha1.CloudCertificate
		binding     *v1alpha1.CloudCertificateBinding
		want        string
	}{
		"synced":                          {certificate(7, time.Hour), inFleet("True", "Synced", 7, nil), "Synced ready=1 synced=1 bound=1000"},
		"new":                             {certificate(7, 3*time.Hour), inFleet("", "", 0, nil), "Unknown ready=0 synced=0" + since(2*time.Hour)},
		"new, of a certificate to come":   {certificate(0, 0), inFleet("False", "CertificateNotReady", 0, nil), "CertificateNotReady ready=0 synced=0"},
		"of no CloudCertificate":          {nil, inFleet("True", "CertificateNotReady", 7, nil), "CertificateNotReady ready=1 synced=0 bound=1000"},
		"a renewal on its way":            {certificate(8, time.Hour), inFleet("True", "Progressing", 7, pending(8)), "Progressing ready=1 synced=0" + since(time.Hour) + " bound=1000"},
		"a renewal that is denied":        {certificate(8, time.Hour), inFleet("False", "AccessDenied", 7, nil), "AccessDenied ready=0 synced=0" + since(time.Hour) + " bound=1000"},
		"a renewal while it is suspended": {certificate(8, time.Hour), inFleet("True", "Suspended", 7, nil), "Suspended ready=1 synced=0" + since(time.Hour) + " bound=1000"},
		"somebody else's where ours was":  {certificate(7, time.Hour), inFleet("False", "Occupied", 7, nil), "Occupied ready=0 synced=0" + since(10*time.Minute) + " bound=1000"},
		"ours that is put back":           {certificate(7, time.Hour), inFleet("True", "Progressing", 7, pending(7)), "Progressing ready=1 synced=0" + since(time.Minute) + " bound=1000"},
		"no policy, and nothing to do":    {certificate(7, time.Hour), inFleet("False", "NotAllowed", 7, nil), "NotAllowed ready=0 synced=1 bound=1000"},
		"the other region, the same number": {certificate(7, time.Hour), inFleet("True", "Synced", 7, func(b *v1alpha1.CloudCertificateBinding) {
			b.Status.BoundCertIdentifier = "7-ap-southeast-1"
		}), "Synced ready=1 synced=0" + since(time.Hour) + " bound=1000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cached []client.Object
			if tc.certificate != nil {
				cached = append(cached, tc.certificate)
			}
			f, _ := newTestFleet(t, cached...)
			f.Handler().OnAdd(tc.binding, true)
			if got := seriesOf(t, f)["cdn"]; got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// seriesOf reads the series of single bindings: of each the reason and the values.
func seriesOf(t *testing.T, f *Fleet) map[string]string {
	t.Helper()
	var text bytes.Buffer
	if err := f.WriteSeries(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	var metrics []string
	for _, family := range families {
		metrics = append(metrics, family.Name)
	}
	found, err := testbed.SeriesByObject(&text, "shop", "cloudcert_binding_", metrics)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNoSeriesOutlivesItsBinding(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t)
	cdn, api := inFleet("True", "Synced", 7, nil), inFleet("False", "AccessDenied", 0, nil)
	api.Name, api.UID = "api", "another"
	handler := f.Handler()
	handler.OnAdd(cdn, true)
	handler.OnAdd(api, false)
	handler.OnDelete(api)
	if got := seriesOf(t, f); len(got) != 1 || got["cdn"] == "" || len(f.due) != 0 {
		t.Errorf("series %v and %v due, want those of cdn alone", got, f.due)
	}
	deposed, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Lead(deposed); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	summed, err := registry.Gather()
	if got := seriesOf(t, f); len(got) != 0 || len(summed) != 0 || err != nil {
		t.Errorf("a replica that does not lead serves %v, %v, %v", got, summed, err)
	}
}

func TestBindingsAreSummedUp(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t)
	f.reconciler.Rates = func() map[targets.Pace]float64 {
		return map[targets.Pace]float64{{Product: targets.ALB, Account: "1", Region: "cn-shanghai", Action: "Read"}: 3}
	}
	deletedFor := func(minutes int) func(b *v1alpha1.CloudCertificateBinding) {
		at := metav1.NewTime(time.Unix(3600-60*int64(minutes), 0))
		return func(b *v1alpha1.CloudCertificateBinding) {
			b.DeletionTimestamp, b.Finalizers = &at, []string{v1alpha1.FinalizerUnbind}
		}
	}
	for i, b := range []*v1alpha1.CloudCertificateBinding{
		inFleet("True", "Synced", 7, nil), inFleet("True", "Synced", 7, nil), inFleet("False", "Occupied", 0, nil),
		inFleet("False", "DeletionBlocked", 7, deletedFor(10)), inFleet("", "", 0, nil),
		inFleet("False", "Progressing", 7, deletedFor(20)), inFleet("False", "Progressing", 7, deletedFor(30)),
	} {
		b.UID = types.UID(fmt.Sprint(i))
		f.Handler().OnAdd(b, true)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	zeros := 0
	for _, family := range gathered {
		for _, m := range family.GetMetric() {
			if m.GetGauge().GetValue() == 0 {
				zeros++
				continue
			}
			line := fmt.Sprintf("%s %.0f", family.GetName(), m.GetGauge().GetValue())
			for _, label := range m.GetLabel() {
				line += " " + label.GetValue()
			}
			got = append(got, line)
		}
	}
	want := []string{
		"cloudcert_binding_deletions_pending 1 DeletionBlocked", "cloudcert_binding_deletions_pending 2 Progressing",
		"cloudcert_binding_deletions_pending_since_timestamp_seconds 3000 DeletionBlocked", "cloudcert_binding_deletions_pending_since_timestamp_seconds 1800 Progressing",
		"cloudcert_binding_rate_limit 3 1 Read cn-shanghai alb",
		"cloudcert_bindings 1 DeletionBlocked", "cloudcert_bindings 1 Occupied", "cloudcert_bindings 2 Progressing", "cloudcert_bindings 2 Synced", "cloudcert_bindings 1 Unknown",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	if want := len(reasons) - 5 + len(deletionReasons) - 2; zeros != want {
		t.Errorf("%d known reasons stand at zero, want %d", zeros, want)
	}
}

// TestEveryReasonIsCounted compares what stands at zero with the page of the kind.
func TestEveryReasonIsCounted(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "spec", "cloudcertificatebinding.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Reasons")
	section, _, _ = strings.Cut(section, "\n## ")
	want := []string{fleet.ReasonUnknown}
	for _, match := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\|").FindAllStringSubmatch(section, -1) {
		want = append(want, match[1])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(reasons))); diff != "" {
		t.Errorf("the reasons that stand at zero until they are needed (-page +fleet.go):\n%s", diff)
	}
}

// TestHowLongABindingTookToFollow has the histogram, which is the process', for itself: it is not parallel.
func TestHowLongABindingTookToFollow(t *testing.T) {
	served := func(b *v1alpha1.CloudCertificateBinding, certID int64) *v1alpha1.CloudCertificateBinding {
		after := b.DeepCopy()
		after.Status.BoundCertID, after.Status.BoundCertIdentifier = certID, fmt.Sprintf("%d-cn-hangzhou", certID)
		return after
	}
	changed := func(b *v1alpha1.CloudCertificateBinding) *v1alpha1.CloudCertificateBinding {
		after := b.DeepCopy()
		after.Generation++
		return after
	}
	video := func(b *v1alpha1.CloudCertificateBinding) {
		b.Spec.Target = v1alpha1.BindingTarget{VOD: &v1alpha1.RegionalDomainTarget{RegionID: "cn-shanghai", Domain: "www.example.com"}}
	}
	for name, tc := range map[string]struct {
		happens func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(seconds int))
		want    []float64 // the durations
	}{
		"a new binding": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(int)) {
			f.Handler().OnAdd(b, false)
			pass(3)
			f.Handler().OnUpdate(b, served(b, 7))
		}, []float64{3}},
		"a renewal": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(int)) {
			f.Handler().OnAdd(b, true)
			f.certificates(context.Background()).OnUpdate(certificate(6, 0), certificate(7, 0))
			pass(5)
			f.Handler().OnUpdate(b, served(b, 7))
		}, []float64{5}},
		"a binding that was made long before its certificate": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(int)) {
			f.Handler().OnAdd(b, false)
			pass(3600)
			f.certificates(context.Background()).OnUpdate(certificate(0, 0), certificate(7, 0))
			pass(2)
			f.Handler().OnUpdate(b, served(b, 7))
		}, []float64{2}},
		"a binding whose spec was corrected": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(int)) {
			f.Handler().OnAdd(b, true)
			f.Handler().OnUpdate(b, changed(b))
			pass(4)
			f.Handler().OnUpdate(changed(b), served(changed(b), 7))
		}, []float64{4}},
		"a renewal that another has overtaken": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, pass func(int)) {
			f.Handler().OnAdd(b, true)
			f.certificates(context.Background()).OnUpdate(certificate(5, 0), certificate(6, 0))
			pass(1)
			f.Handler().OnUpdate(b, served(b, 6))
		}, nil},
		"a renewal from before the start": {func(f *Fleet, b *v1alpha1.CloudCertificateBinding, _ func(int)) {
			f.Handler().OnAdd(b, true)
			f.Handler().OnUpdate(b, served(b, 7))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			syncDuration.Reset()
			b := inFleet("True", "Progressing", 0, video)
			f, clock := newTestFleet(t, certificate(7, time.Hour), b.DeepCopy())
			tc.happens(f, b, func(seconds int) { clock.SetTime(clock.Now().Add(time.Duration(seconds) * time.Second)) })
			var m dto.Metric
			if err := syncDuration.WithLabelValues(string(targets.VOD)).(prometheus.Metric).Write(&m); err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, seconds := range tc.want {
				sum += seconds
			}
			if got := m.GetHistogram(); got.GetSampleCount() != uint64(len(tc.want)) || got.GetSampleSum() != sum {
				t.Errorf("measured %v, want %v", got, tc.want)
			}
		})
	}
}

// TestCallsOfABindingStandAtZero as soon as it is known where they are made, so that the first that is
// denied is an increase.
func TestCallsOfABindingStandAtZero(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t, certificate(7, time.Hour))
	const account = "account-of-this-test"
	f.Handler().OnAdd(inFleet("True", "Synced", 7, func(b *v1alpha1.CloudCertificateBinding) { b.Status.AccountID = account }), true)
	gathered, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range gathered {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			found[family.GetName()+" "+strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	for _, want := range []string{ // account, action, code, outcome, region, service
		account + " DescribeDomainCertificateInfo  success cn-hangzhou cdn",
		account + " SetCdnDomainSSLCertificate NoPermission denied cn-hangzhou cdn",
	} {
		if value, ok := found["cloudcert_cas_requests_total "+want]; !ok || value != 0 {
			t.Errorf("there is no series %q at zero", want)
		}
	}
}
