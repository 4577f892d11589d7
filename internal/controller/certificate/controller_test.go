// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// synced is an object at rest, and the metadata of its Secret.
func synced() (*v1alpha1.CloudCertificate, *metav1.PartialObjectMetadata) {
	object := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: "web-tls"}},
		Status: v1alpha1.CloudCertificateStatus{
			ObservedGeneration: 3, CertID: 7, Name: bundle.Name("shop_web", bundle.Identity("c", "shop", "web"), strings.Repeat("0", 13)), Region: "cn-hangzhou", AccountID: "1",
			SecretUID: "uid", SecretResourceVersion: "10",
			Certificate: v1alpha1.CertificateFacts{NotAfter: metav1.NewTime(now.Add(time.Hour))},
			Conditions: []metav1.Condition{{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced,
			}},
		},
	}
	secret := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web-tls", UID: "uid", ResourceVersion: "10",
	}}
	return object, secret
}

func testReconciler() *Reconciler {
	caller, err := alibaba.New(alibaba.Config{})
	if err != nil {
		panic(err)
	}
	cloud, err := cas.New(caller, cas.Config{}) // calls nobody
	if err != nil {
		panic(err)
	}
	return &Reconciler{
		Accounts: &Accounts{Cloud: cloud}, Options: Options{ClusterID: "c", Region: "cn-hangzhou", MaxVersionsPerHour: 3},
		Clock: testingclock.NewFakePassiveClock(now), Recorder: events.NewFakeRecorder(10),
		Jitter: func(d time.Duration) time.Duration { return d },
	}
}

// A cache whose watch is stuck is not asked twenty times a second.
func TestTheCacheIsGivenMoreTimeEachTime(t *testing.T) {
	t.Parallel()
	r := testReconciler()
	object, _ := synced()
	object.ResourceVersion = "10"
	var total time.Duration
	for i := range 20 {
		after := r.objects().catchUp(object)
		if i == 0 && after != retries.FirstCatchUp || after > retries.LongestCatchUp {
			t.Errorf("reconcile %d: after %s", i, after)
		}
		total += after
	}
	if total < time.Minute {
		t.Errorf("20 reconciles within %s", total)
	}
	object.ResourceVersion = "11"
	if after := r.objects().catchUp(object); after != retries.FirstCatchUp {
		t.Errorf("another version is reconciled again after %s", after)
	}
}

// Names that share a bucket of the index are told apart, and both references count.
func TestReferrers(t *testing.T) {
	t.Parallel()
	const name = "web-tls"
	neighbour := ""
	for i := 0; neighbour == ""; i++ {
		if other := fmt.Sprintf("other-%d", i); bucket(other) == bucket(name) {
			neighbour = other
		}
	}
	object := func(namespace, name, secret, credentials string) *v1alpha1.CloudCertificate {
		return &v1alpha1.CloudCertificate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: v1alpha1.CloudCertificateSpec{
				SecretRef: v1alpha1.SecretReference{Name: secret}, CredentialsSecretRef: v1alpha1.SecretReference{Name: credentials},
			},
		}
	}
	r := testReconciler()
	r.Client = fake.NewClientBuilder().WithScheme(testScheme).WithIndex(&v1alpha1.CloudCertificate{}, bySecret, secretBuckets).WithObjects(
		object("shop", "certificate", name, ""), object("shop", "credentials", "x", name), object("shop", "both", name, name),
		object("shop", "neighbour", neighbour, ""), object("blog", "elsewhere", name, ""),
	).Build()
	for secret, want := range map[string][]string{name: {"both", "certificate", "credentials"}, neighbour: {"neighbour"}, "nobody's": nil} {
		var got []string
		for _, request := range r.referrers(t.Context(), &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: secret}}) {
			got = append(got, request.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s is referred to by %q, want %q", secret, got, want)
		}
	}
}

// What is put on no timer is seen by a resync in time.
func TestResyncsComeBeforeTheLongestTimer(t *testing.T) {
	t.Parallel()
	if latest := resyncPeriod + resyncPeriod/10; latest >= longestTimer {
		t.Errorf("a resync may take %s, longer than the longest timer of %s", latest, longestTimer)
	}
	if got := *CacheOptions(nil).SyncPeriod; got != resyncPeriod {
		t.Errorf("the cache resyncs every %s", got)
	}
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CloudCertificate, *metav1.PartialObjectMetadata)
		want   bool
	}{
		"a synced object is at rest": {func(*v1alpha1.CloudCertificate, *metav1.PartialObjectMetadata) {}, true},
		"a new version of the Secret": {func(_ *v1alpha1.CloudCertificate, s *metav1.PartialObjectMetadata) {
			s.ResourceVersion = "9"
		}, false},
		"the Secret was made again": {func(_ *v1alpha1.CloudCertificate, s *metav1.PartialObjectMetadata) { s.UID = "other" }, false},
		"a new generation":          {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) { o.Generation++ }, false},
		"another region in the spec": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Spec.Region = "ap-southeast-1"
		}, false},
		"another region than that of the operator": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Region = "ap-southeast-1"
		}, true},
		"a region that does not exist": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Region = "cn-nowhere"
		}, false},
		"the status of another identity": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Name = bundle.Name("shop_web", bundle.Identity("another", "shop", "web"), strings.Repeat("0", 13))
		}, false},
		"a name in capitals is the same": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Name = strings.ToUpper(o.Status.Name)
		}, true},
		"synced without a certificate": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.CertID, o.Status.Name = 0, ""
		}, false},
		"a certificate without a name": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Name = ""
		}, false},
		"a resync is asked for": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: "1"}
		}, false},
		"a resync was handled": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: "1"}
			o.Status.LastHandledResync = "1"
		}, true},
		"the removal of the annotation is no request": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.LastHandledResync = "1"
		}, true},
		"the certificate has expired": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Certificate.NotAfter = metav1.NewTime(now.Add(-time.Second))
		}, false},
		"the certificate is valid for ever": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Certificate.NotAfter = metav1.NewTime(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
		}, true},
		"a failure is tried again": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Conditions[0].Reason = v1alpha1.ReasonUploadFailed
		}, false},
		"a wait for the rate limit goes on": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Conditions[0].Reason = v1alpha1.ReasonThrottled
		}, false},
		"our own verdict rests": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Conditions[0].Status, o.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonInvalidCertificate
			o.Status.Conditions = append(o.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue})
		}, true},
		"a refusal by the cloud is tried again": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Conditions[0].Status, o.Status.Conditions[0].Reason = metav1.ConditionFalse, v1alpha1.ReasonInvalidCertificate
		}, false},
		"a status without conditions": {func(o *v1alpha1.CloudCertificate, _ *metav1.PartialObjectMetadata) {
			o.Status.Conditions = nil
		}, false},
		"a status that never saw a Secret": {func(o *v1alpha1.CloudCertificate, s *metav1.PartialObjectMetadata) {
			o.Status.SecretUID, s.UID, o.Status.SecretResourceVersion, s.ResourceVersion = "", "", "", ""
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object, secret := synced()
			tc.change(object, secret)
			if got := rests(testReconciler(), object, secret); got != tc.want {
				t.Errorf("at rest is %t, want %t", got, tc.want)
			}
		})
	}
	object, _ := synced()
	if rests(testReconciler(), object, nil) {
		t.Error("an object without its Secret is at rest")
	}
}

// rests reports whether nothing is to be done for an object, by what the cache shows.
func rests(r *Reconciler, object *v1alpha1.CloudCertificate, secret *metav1.PartialObjectMetadata) bool {
	p := &reconciliation{Reconciler: r, before: object, next: object, seen: secret, elsewhere: r.Accounts.elsewhere(object, r.region(object))}
	_, nothing := protocol.Decide(p.observe()).(protocol.Nothing)
	return nothing
}

func TestHistoryFollowsRenewalAndRollback(t *testing.T) {
	t.Parallel()
	r := testReconciler()
	object, _ := synced()
	content := &bundle.Bundle{}
	known := testInventory()
	step := func(id int64, name string) {
		setCurrent(object, testAccount, inventory.Entry{CertID: id, ResourceID: "r", Name: name}, content, r.Clock.Now())
		deriveHistory(object, known, r.identity(object), r.Clock.Now())
	}
	check := func(when string, total int32, want ...int64) {
		t.Helper()
		var ids []int64
		for _, v := range object.Status.History {
			ids = append(ids, v.CertID)
		}
		if diff := cmp.Diff(want, ids); diff != "" || object.Status.HistoryTotal != total {
			t.Errorf("%s: total %d, want %d: %s", when, object.Status.HistoryTotal, total, diff)
		}
	}
	step(8, "n8")
	step(12, "n12")
	check("after two renewals", 2, 8, 7)
	uploaded := object.Status.LastUploadTime
	r.Clock = testingclock.NewFakePassiveClock(now.Add(time.Hour))
	step(8, "n8")
	check("after a rollback", 2, 12, 7)
	if got := object.Status.LastUploadTime.Time; !got.Equal(now.Add(time.Hour)) {
		t.Errorf("a version that came back is current since %s, want now", got)
	}
	if got := object.Status.History[0].UploadTime; !got.Equal(&uploaded) {
		t.Errorf("the version before was uploaded at %s, want %s", got, uploaded)
	}
	step(8, "n8")
	check("the same version again", 2, 12, 7)
	step(13, "N8") // names are unique, ignoring case: the one before was gone
	check("after a repair", 2, 12, 7)
	for id := int64(100); id < 160; id++ {
		step(id, fmt.Sprintf("n%d", id))
	}
	if len(object.Status.History) != 50 || object.Status.HistoryTotal != 62 || object.Status.History[0].CertID != 158 {
		t.Errorf("after many renewals: %d shown, total %d, newest %d; want 50, 62, 158",
			len(object.Status.History), object.Status.HistoryTotal, object.Status.History[0].CertID)
	}
}

// testInventory is an inventory that only ever knows what it is told.
func testInventory() *inventory.Inventory {
	return inventory.New(inventory.Config{ParseName: bundle.ParseName, Clock: clock.RealClock{}})
}

func TestAnotherPlaceStartsAnew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		to   protocol.Place
		anew bool
	}{
		"the same account and region":                 {protocol.Place{Account: "1", Region: "cn-hangzhou"}, false},
		"an account that could not be learned":        {protocol.Place{Account: "", Region: "cn-hangzhou"}, false},
		"another account":                             {protocol.Place{Account: "2", Region: "cn-hangzhou"}, true},
		"another region":                              {protocol.Place{Account: "1", Region: "ap-southeast-1"}, true},
		"another region, the account was not learned": {protocol.Place{Account: "", Region: "ap-southeast-1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testReconciler()
			object, _ := synced()
			object.Status.History = []v1alpha1.CertificateVersion{{CertID: 5, Name: "old_one"}}
			before := object.DeepCopy()
			settleIn(object, tc.to)
			if why := departure(r.speaksFor(before), before, object); why != "" {
				(announcer{r.Recorder}).left(t.Context(), object, &before.Status, why)
			}
			recorded := r.Recorder.(*events.FakeRecorder).Events
			if !tc.anew {
				if object.Status.CertID != 7 || len(object.Status.History) != 1 || len(recorded) != 0 {
					t.Errorf("status %+v was touched", object.Status)
				}
				return
			}
			if object.Status.CertID != 0 || len(object.Status.History) != 0 || object.Status.SecretUID != "" || object.Status.Region != tc.to.Region {
				t.Errorf("status %+v still speaks of the old place", object.Status)
			}
			if said := <-recorded; !strings.Contains(said, "LeftBehind") || !strings.Contains(said, "old_one (5)") || !strings.Contains(said, before.Status.Name+" (7)") {
				t.Errorf("the event does not name what is left behind: %s", said)
			}
		})
	}
}

// What is refused for a rate waits for it, and does not touch Ready.
func TestTooManyVersionsWait(t *testing.T) {
	t.Parallel()
	r := testReconciler()
	object, _ := synced()
	v := (&reconciliation{Reconciler: r, before: object, next: object}).judge(t.Context(), &protocol.VersionRateError{Limit: 3, Until: now.Add(10 * time.Minute)})
	if v.Again.After != 10*time.Minute+time.Second || v.Ready != verdict.Unchanged || v.Reason != v1alpha1.ReasonThrottled || v.Quiet {
		t.Errorf("verdict %+v", v)
	}
}

func TestOnlyRelevantUpdatesWake(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CloudCertificate)
		want   bool
	}{
		"somebody else's status":     {func(o *v1alpha1.CloudCertificate) { o.Status.CertID = 8 }, true},
		"a label":                    {func(o *v1alpha1.CloudCertificate) { o.Labels = map[string]string{"a": "b"} }, false},
		"somebody else's annotation": {func(o *v1alpha1.CloudCertificate) { o.Annotations = map[string]string{"a/b": "c"} }, false},
		"our annotation": {func(o *v1alpha1.CloudCertificate) {
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: "c"}
		}, true},
		"the spec":            {func(o *v1alpha1.CloudCertificate) { o.Generation++ }, true},
		"a wiped status":      {func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} }, true},
		"another of its name": {func(o *v1alpha1.CloudCertificate) { o.UID = "another" }, true},
		"the start of an end": {func(o *v1alpha1.CloudCertificate) { o.DeletionTimestamp = new(metav1.Now()) }, true},
	} {
		before, _ := synced()
		before.ResourceVersion = "10"
		after := before.DeepCopy()
		after.ResourceVersion = "11"
		tc.change(after)
		if got := testReconciler().relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != tc.want {
			t.Errorf("%s: let through is %t, want %t", name, got, tc.want)
		}
	}
	r := testReconciler()
	before, _ := synced()
	before.ResourceVersion = "10"
	if !r.relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: before}) {
		t.Error("a resync is not let through")
	}
	after := before.DeepCopy()
	after.ResourceVersion, after.Status.CertID = "11", 8
	r.memory.writes.Begin(after, "10", &after.Status)
	if r.relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) {
		t.Error("our own status write is let through")
	}
	r.memory.writes.Undo(before, "10")
	if !r.relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) {
		t.Error("a write that replaced the version we failed to replace is not let through")
	}
}

func TestCacheKeepsIdentityAndVersionOfSecretsOnly(t *testing.T) {
	t.Parallel()
	secret := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "a", Namespace: "b", UID: "c", ResourceVersion: "d", DeletionTimestamp: new(metav1.Now()),
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "everything"},
		Labels:        map[string]string{"a": "b"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
	got, err := stripSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	want := &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", Namespace: "b", UID: "c", ResourceVersion: "d", DeletionTimestamp: secret.DeletionTimestamp,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// One event may show our own write and somebody else's on top of it.
func TestAForeignStatusOnTopOfOurOwnWakes(t *testing.T) {
	t.Parallel()
	before, _ := synced()
	before.ResourceVersion = "10"
	version := func(version string, certID int64) *v1alpha1.CloudCertificate {
		after := before.DeepCopy()
		after.ResourceVersion, after.Status.CertID = version, certID
		return after
	}
	for name, tc := range map[string]struct {
		after *v1alpha1.CloudCertificate
		want  bool
	}{
		"our own write alone":            {version("11", 8), false},
		"two of our own":                 {version("12", 9), false},
		"wiped after our own":            {version("13", 0), true},
		"set back to what it was before": {version("13", before.Status.CertID), true},
		"set back to what we wrote once": {version("13", 8), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testReconciler()
			for _, write := range []*v1alpha1.CloudCertificate{version("11", 8), version("12", 9)} {
				from := map[string]string{"11": "10", "12": "11"}[write.ResourceVersion]
				r.memory.writes.Begin(write, from, &write.Status)
				r.memory.writes.End(write, from, &write.Status)
			}
			if got := r.relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("let through is %t, want %t", got, tc.want)
			}
		})
	}
}

func TestTheRegionOfTheStatusOutweighsTheOperators(t *testing.T) {
	t.Parallel()
	own, _ := synced()
	for name, tc := range map[string]struct {
		change func(*v1alpha1.CloudCertificate)
		want   string
	}{
		"no status":           {func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} }, cas.RegionChina},
		"a status elsewhere":  {func(o *v1alpha1.CloudCertificate) { o.Status.Region = cas.RegionInternational }, cas.RegionInternational},
		"an unknown region":   {func(o *v1alpha1.CloudCertificate) { o.Status.Region = "cn-nowhere" }, cas.RegionChina},
		"of another identity": {func(o *v1alpha1.CloudCertificate) { o.Status.Region, o.Status.Name = cas.RegionInternational, "x" }, cas.RegionChina},
		"the spec has one too": {func(o *v1alpha1.CloudCertificate) {
			o.Spec.Region, o.Status.Region = cas.RegionChina, cas.RegionInternational
		}, cas.RegionChina},
	} {
		object := own.DeepCopy()
		tc.change(object)
		if got := testReconciler().region(object); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestAKeywordHoldsNoWildcard(t *testing.T) {
	t.Parallel()
	for want, facts := range map[string]bundle.Facts{
		"www.example.com": {CommonName: "www.example.com", DNSNames: []string{"a.example.com"}},
		"example.com":     {CommonName: "*.example.com"},
		"a.example.com":   {DNSNames: []string{"*.a.example.com", "b"}},
		"":                {},
	} {
		if got := keyword(&bundle.Bundle{Facts: facts}); got != want {
			t.Errorf("keyword %q, want %q", got, want)
		}
	}
}
