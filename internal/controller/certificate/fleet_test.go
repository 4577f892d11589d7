// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// fleetStart is when the process under test begins.
var fleetStart = time.Unix(1_800_000_000, 0)

// cachedSecrets is a cache of the metadata of Secrets.
type cachedSecrets struct {
	client.Client
	versions map[types.NamespacedName]string // resourceVersions; the uid is the name
}

func (c *cachedSecrets) Get(_ context.Context, key client.ObjectKey, out client.Object, _ ...client.GetOption) error {
	version, ok := c.versions[key]
	if !ok {
		return errNotThere
	}
	secret := out.(*metav1.PartialObjectMetadata)
	secret.Namespace, secret.Name, secret.UID, secret.ResourceVersion = key.Namespace, key.Name, types.UID(key.Name), version
	return nil
}

var errNotThere = apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "x")

func newTestFleet(t testing.TB, secrets map[types.NamespacedName]string) (*Fleet, *clocktesting.FakePassiveClock) {
	t.Helper()
	caller, err := alibaba.New(alibaba.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := cas.New(caller, cas.Config{})
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakePassiveClock(fleetStart)
	f := newFleet(&Reconciler{Client: &cachedSecrets{versions: secrets}, Accounts: &Accounts{Cloud: cloud}, Clock: clock})
	f.reconciler.began()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() { _ = f.Lead(ctx) }()
	for !f.Leads() {
		runtime.Gosched()
	}
	return f, clock
}

// inFleet makes an object whose Secret has its name.
func inFleet(name string, ready metav1.ConditionStatus, reason string, change func(*v1alpha1.CloudCertificate)) *v1alpha1.CloudCertificate {
	o := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("object " + name), CreationTimestamp: metav1.NewTime(fleetStart.Add(-time.Hour))},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}},
	}
	if reason != "" {
		o.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, LastTransitionTime: metav1.NewTime(fleetStart.Add(-10 * time.Minute)),
		}}
	}
	if change != nil {
		change(o)
	}
	return o
}

// inCloudAs says that version of the Secret is in the cloud.
func inCloudAs(version string) func(*v1alpha1.CloudCertificate) {
	return func(o *v1alpha1.CloudCertificate) {
		o.Status.CertID, o.Status.ContentHash = 100, "sha256:"+version
		o.Status.AccountID, o.Status.Region = "1", cas.RegionChina
		o.Status.SecretUID, o.Status.SecretResourceVersion = o.Name, version
		o.Status.LastUploadTime = metav1.Unix(1000, 0)
		o.Status.Certificate.NotBefore, o.Status.Certificate.NotAfter = metav1.Unix(500, 0), metav1.Unix(9000, 0)
	}
}

func TestWhatTheSeriesOfAnObjectSay(t *testing.T) {
	t.Parallel()
	at := func(before time.Duration) string { return fmt.Sprint(fleetStart.Add(-before).Unix()) }
	current := " ready=%s synced=1 not_before=500 not_after=9000 uploaded=1000"
	behind := " ready=%s synced=0 out_of_sync_since=%s not_before=500 not_after=9000 uploaded=1000"
	for name, tc := range map[string]struct {
		secret string // the version that is present
		object *v1alpha1.CloudCertificate
		want   string
	}{
		"synced":                 {"7", inFleet("web", "True", "Synced", inCloudAs("7")), fmt.Sprintf("Synced"+current, "1")},
		"new":                    {"7", inFleet("web", "", "", nil), "Unknown ready=0 synced=0 out_of_sync_since=" + at(time.Hour)},
		"progressing":            {"7", inFleet("web", "Unknown", "Progressing", nil), "Progressing ready=0 synced=0 out_of_sync_since=" + at(10*time.Minute)},
		"denied":                 {"8", inFleet("web", "False", "AccessDenied", inCloudAs("7")), fmt.Sprintf("AccessDenied"+behind, "0", at(10*time.Minute))},
		"denied, nothing to do":  {"7", inFleet("web", "False", "AccessDenied", inCloudAs("7")), fmt.Sprintf("AccessDenied"+current, "0")},
		"throttled":              {"8", inFleet("web", "True", "Throttled", inCloudAs("7")), fmt.Sprintf("Throttled"+behind, "1", at(0))},
		"suspended, moved on":    {"8", inFleet("web", "True", "Suspended", inCloudAs("7")), fmt.Sprintf("Suspended"+behind, "1", at(0))},
		"suspended":              {"7", inFleet("web", "True", "Suspended", inCloudAs("7")), fmt.Sprintf("Suspended"+current, "1")},
		"its Secret is gone":     {"", inFleet("web", "False", "SecretNotFound", inCloudAs("7")), fmt.Sprintf("SecretNotFound"+behind, "0", at(10*time.Minute))},
		"its Secret is no good":  {"7", inFleet("web", "False", "InvalidCertificate", inCloudAs("7")), fmt.Sprintf("InvalidCertificate"+behind, "0", at(10*time.Minute))},
		"a pair to judge anew":   {"7", inFleet("web", "True", "Synced", func(o *v1alpha1.CloudCertificate) { inCloudAs("7")(o); forgetVersion(o) }), fmt.Sprintf("Synced"+current, "1")},
		"a Secret of that name":  {"7", inFleet("web", "True", "Synced", func(o *v1alpha1.CloudCertificate) { inCloudAs("7")(o); o.Status.SecretUID = "another" }), fmt.Sprintf("Synced"+behind, "1", at(0))},
		"a conflict about names": {"7", inFleet("web", "False", "NameConflict", nil), "NameConflict ready=0 synced=0 out_of_sync_since=" + at(10*time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := map[types.NamespacedName]string{}
			if tc.secret != "" {
				secrets[types.NamespacedName{Namespace: "shop", Name: "web"}] = tc.secret
			}
			f, _ := newTestFleet(t, secrets)
			f.Handler().OnAdd(tc.object, true)
			if got := seriesOf(t, f)["web"]; got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// seriesOf reads the series of single objects: of each the reason and the values.
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
	found, err := testbed.SeriesByObject(&text, "shop", "cloudcert_certificate_", metrics)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNoSeriesOutlivesItsObject(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t, nil)
	web, api := inFleet("web", "True", "Synced", inCloudAs("7")), inFleet("api", "False", "AccessDenied", nil)
	handler := f.Handler()
	handler.OnAdd(web, true)
	handler.OnAdd(api, false)
	again := web.DeepCopy()
	again.UID = "made again"
	handler.OnUpdate(web, again)
	handler.OnDelete(api)
	if got := seriesOf(t, f); len(got) != 1 || got["web"] == "" {
		t.Errorf("series %v, want those of web alone", got)
	}
	if n := len(f.List()); n != 1 || len(f.reconciler.changes.open) != 0 {
		t.Errorf("%d objects and %v are kept", n, f.reconciler.changes.open)
	}
	deposed, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Lead(deposed); err != nil {
		t.Fatal(err)
	}
	if got := seriesOf(t, f); len(got) != 0 {
		t.Errorf("a replica that does not lead serves %v", got)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	if got, err := registry.Gather(); err != nil || len(got) != 0 {
		t.Errorf("a replica that does not lead serves %v, %v", got, err)
	}
}

func TestTheFleetIsSummedUp(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t, nil)
	deleted := func(o *v1alpha1.CloudCertificate) {
		o.DeletionTimestamp = new(metav1.NewTime(fleetStart))
		o.Finalizers = []string{v1alpha1.FinalizerCleanup}
	}
	for i, o := range []*v1alpha1.CloudCertificate{
		inFleet("a", "True", "Synced", inCloudAs("7")), inFleet("b", "True", "Synced", inCloudAs("7")),
		inFleet("c", "False", "AccessDenied", nil), inFleet("d", "False", "DeletionBlocked", deleted), inFleet("e", "", "", nil),
	} {
		o.Status.HistoryTotal = int32(min(i, 1))
		f.Handler().OnAdd(o, true)
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
			text := fmt.Sprintf("%s %.0f", strings.TrimPrefix(family.GetName(), "cloudcert_"), m.GetGauge().GetValue())
			for _, l := range m.GetLabel() {
				text += " " + l.GetValue()
			}
			got = append(got, text)
		}
	}
	slices.Sort(got)
	want := []string{
		"certificates 1 AccessDenied", "certificates 1 DeletionBlocked", "certificates 1 Unknown", "certificates 2 Synced",
		"deletions_pending 1 DeletionBlocked", "superseded_certificates 1 1 cn-hangzhou", "superseded_certificates 3  ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
	if want := len(reasons) - 4 + len(deletionReasons) - 1; zeros != want {
		t.Errorf("%d known labels stand at zero, want %d", zeros, want)
	}
}

func TestHowLongAnObjectTookToFollow(t *testing.T) {
	t.Parallel()
	const uid = types.UID("x")
	status := func(cert int64, hash, version string) *v1alpha1.CloudCertificate {
		o := inFleet("x", "True", "Synced", nil)
		o.UID, o.Status.CertID, o.Status.ContentHash = uid, cert, hash
		if version != "" {
			o.Status.SecretUID, o.Status.SecretResourceVersion = "s", version
		}
		return o
	}
	at := func(seconds int) time.Time { return fleetStart.Add(time.Duration(seconds) * time.Second) }
	for name, tc := range map[string]struct {
		happened      func(*changes)
		before, after *v1alpha1.CloudCertificate
		kind          string
		due           time.Time
		since         time.Time // of what is still open
	}{
		"a new object": {
			happened: func(c *changes) { c.changed(uid, "", at(1)) },
			before:   status(0, "", ""), after: status(1, "a", "7"), kind: kindNew, due: at(1),
		},
		"a new object whose Secret came later": {
			happened: func(c *changes) { c.changed(uid, "", at(1)); c.changed(uid, "s/7", at(5)) },
			before:   status(0, "", ""), after: status(1, "a", "7"), kind: kindNew, due: at(5),
		},
		"a renewal": {
			happened: func(c *changes) { c.changed(uid, "s/8", at(1)) },
			before:   status(1, "a", "7"), after: status(2, "b", "8"), kind: kindRenewal, due: at(1),
		},
		"a renewal that was renewed meanwhile": {
			happened: func(c *changes) { c.changed(uid, "s/8", at(1)); c.changed(uid, "s/9", at(2)) },
			before:   status(1, "a", "7"), after: status(2, "b", "8"), kind: kindRenewal, since: at(1),
		},
		"another encoding of the same certificate": {
			happened: func(c *changes) { c.changed(uid, "s/8", at(1)) },
			before:   status(1, "a", "7"), after: status(1, "a", "8"),
		},
		"a renewal of a pair that answers no version": {
			happened: func(c *changes) { c.changed(uid, "s/8", at(1)) },
			before:   status(1, "a", ""), after: status(2, "b", ""), kind: kindRenewal, due: at(1),
		},
		"a renewal from before the start": {
			happened: func(*changes) {},
			before:   status(1, "a", "7"), after: status(2, "b", "8"), kind: kindRenewal,
		},
		"a repair": {
			happened: func(c *changes) { c.missed(status(1, "a", "7"), at(3)) },
			before:   status(1, "a", "7"), after: status(2, "a", "7"), kind: kindRepair, due: at(3),
		},
		"a repair of another loss": {
			happened: func(c *changes) { c.missed(status(9, "a", "7"), at(3)) },
			before:   status(1, "a", "7"), after: status(2, "a", "7"), kind: kindRepair,
		},
		"a failure": {
			happened: func(c *changes) { c.changed(uid, "s/8", at(1)) },
			before:   status(1, "a", "7"), after: status(1, "a", "7"), since: at(1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &changes{}
			tc.happened(c)
			kind, due := c.answered(tc.before, tc.after)
			if kind != tc.kind || !due.Equal(tc.due) {
				t.Errorf("got %q due %v, want %q due %v", kind, due, tc.kind, tc.due)
			}
			if got := c.since(uid); !got.Equal(tc.since) {
				t.Errorf("open since %v, want %v", got, tc.since)
			}
		})
	}
}

func TestAnObjectIsOutOfSyncSinceItsFirstChange(t *testing.T) {
	t.Parallel()
	f, clock := newTestFleet(t, map[types.NamespacedName]string{{Namespace: "shop", Name: "web"}: "9"})
	web := inFleet("web", "True", "Suspended", inCloudAs("7"))
	f.Handler().OnAdd(web, true)
	for _, version := range []string{"web/8", "web/9"} {
		clock.SetTime(clock.Now().Add(time.Minute))
		f.reconciler.changes.changed(web.UID, version, clock.Now())
	}
	want := fmt.Sprintf("out_of_sync_since=%d", fleetStart.Add(time.Minute).Unix())
	if got := seriesOf(t, f)["web"]; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAWriterThatFailsEndsTheSeries(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t, nil)
	for i := range 1000 {
		f.Handler().OnAdd(inFleet(fmt.Sprintf("web-%d", i), "True", "Synced", inCloudAs("7")), true)
	}
	gone := errors.New("the reader is gone")
	reader, writer := io.Pipe()
	_ = reader.CloseWithError(gone)
	if err := f.WriteSeries(t.Context(), writer); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

// TestEveryReasonIsCounted compares what stands at zero with the constants of the API.
func TestEveryReasonIsCounted(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "api", "v1alpha1", "conditions.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{fleet.ReasonUnknown}
	for _, declaration := range file.Decls {
		block, ok := declaration.(*ast.GenDecl)
		if !ok || !strings.HasPrefix(block.Doc.Text(), "Reasons of the condition Ready") {
			continue
		}
		for _, spec := range block.Specs {
			value := spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value
			want = append(want, strings.Trim(value, `"`))
		}
	}
	got := slices.Sorted(slices.Values(reasons))
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the reasons that stand at zero until they are needed (-API +fleet.go):\n%s", diff)
	}
}

func TestScrapesWhileObjectsChange(t *testing.T) {
	t.Parallel()
	f, _ := newTestFleet(t, nil)
	handler := f.Handler()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				before := inFleet(fmt.Sprintf("web-%d-%d", i, n%5), "True", "Synced", inCloudAs("7"))
				after := before.DeepCopy()
				after.Status.CertID++
				handler.OnAdd(before, false)
				handler.OnUpdate(before, after)
				f.reconciler.changes.missed(after, fleetStart)
				if n%2 == 0 {
					handler.OnDelete(after)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				if err := f.WriteSeries(t.Context(), io.Discard); err != nil {
					t.Error(err)
				}
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(f.List()); got != 4*3 { // an odd round is the last of three names
		t.Errorf("%d objects are left", got)
	}
}

// BenchmarkScrape writes the series of a fleet of thirty thousand.
func BenchmarkScrape(b *testing.B) {
	secrets := map[types.NamespacedName]string{}
	f, _ := newTestFleet(b, secrets)
	for i := range 30_000 {
		o := inFleet(fmt.Sprintf("web-%d", i), "True", "Synced", inCloudAs("7"))
		secrets[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = "7"
		f.Handler().OnAdd(o, true)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := f.WriteSeries(b.Context(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
