// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/bundle/bundletest"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// inWorld plays a story in a world of its own, in which each violation of a promise fails
// the test.
func inWorld(t *testing.T, o emulator.Options, play func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, o, func(violation string) { t.Error(violation) })
		defer w.close()
		play(t, w)
		if t.Failed() {
			t.Log(strings.Join(w.trace[max(0, len(w.trace)-100):], "\n"))
		}
	})
}

// calls counts the calls of an action so far, and how many of them had an effect.
func (w *world) calls(action alibaba.Action) (all, committed int) {
	for _, call := range w.cloud.Journal() {
		if call.Action != string(action) {
			continue
		}
		all++
		if call.Committed {
			committed++
		}
	}
	return all, committed
}

// said counts the lines of the trace that hold a text.
func (w *world) said(text string) (n int) {
	for _, line := range w.trace {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// ready is the Ready condition of the object of the stories.
func (w *world) ready(t *testing.T) (status, reason, message string) {
	t.Helper()
	object := w.api.objects[theKey]
	if object == nil {
		t.Fatal("the object is gone")
	}
	c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		t.Fatal("no condition yet")
	}
	return string(c.Status), c.Reason, c.Message
}

// givenMany makes n objects with their Secrets.
func (w *world) givenMany(n int) {
	for i := range n {
		key := types.NamespacedName{Namespace: "many", Name: fmt.Sprintf("object-%03d", i)}
		w.putContent(key, i%5)
		object := &v1alpha1.CloudCertificate{}
		object.Namespace, object.Name = key.Namespace, key.Name
		object.Spec.SecretRef.Name = secretOf(key).Name
		object.Spec.Type, object.Spec.DeletionPolicy = v1alpha1.CertificateTypeTLS, v1alpha1.DeletionPolicyRetain
		w.api.create(object)
	}
}

func TestARestoredBackupAdoptsEverything(t *testing.T) {
	t.Parallel()
	const n = 400
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.givenMany(n)
		w.work(time.Minute)
		before := w.certificates()
		if len(before) != n {
			t.Fatalf("%d certificates, want %d", len(before), n)
		}
		w.operators[0].dead = true
		for key := range w.api.objects {
			w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		}
		uploads, _ := w.calls(cas.ActionUpload)
		lists, _ := w.calls(cas.ActionList)
		began := time.Now()
		w.work(2 * time.Minute)
		w.checkRest()
		uploadsAfter, created := w.calls(cas.ActionUpload)
		listsAfter, _ := w.calls(cas.ActionList)
		if created != n || len(w.certificates()) != n {
			t.Errorf("%d certificates were made, want the %d from before", created, n)
		}
		if tries := uploadsAfter - uploads; tries > n*21/20 {
			t.Errorf("%d upload attempts for %d objects, want about one each", tries, n)
		}
		sweep := (n+cas.PageSize-1)/cas.PageSize + 1
		if calls := listsAfter - lists; calls > 3*sweep {
			t.Errorf("%d list calls, want a sweep of %d and a handful of look-ups", calls, sweep)
		}
		t.Logf("%d attempts and %d list calls for %d objects, from %s on", uploadsAfter-uploads, listsAfter-lists, n, began.Format(time.TimeOnly))
	})
}

// A list that misses much is read again after doubtDelay, and what is still missing then comes back
// one in doubtPace (docs/design/2026-11-23-protocol.md).
const (
	doubtDelay = 10 * time.Minute
	doubtPace  = time.Second
)

func TestAnImplausibleListIsDoubted(t *testing.T) {
	t.Parallel()
	const n = 20
	for name, tc := range map[string]struct {
		hidden time.Duration
		least  int // uploads that ask the cloud what the list does not say
		most   int
		made   int
	}{
		"and nothing is done when it was wrong":                {5 * time.Minute, 0, 0, n},
		"and the same upload shows that it is wrong all along": {15 * time.Minute, n, 10 * n, n},
		"but believed when it is wrong for an hour":            {time.Hour, 2 * n, 15 * n, 2 * n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				if report := w.report; tc.made > n {
					w.report = func(violation string) {
						if !strings.Contains(violation, "the same content") { // as the list has it, the first is gone
							report(violation)
						}
					}
				}
				w.givenMany(n)
				w.work(15 * time.Minute)
				uploads, _ := w.calls(cas.ActionUpload)
				w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHide})
				time.AfterFunc(tc.hidden, w.cloud.ClearFaults)
				began := time.Now()
				w.checkDrift()
				if took := time.Since(began); took < doubtDelay {
					t.Errorf("believed after %s", took)
				}
				w.work(2 * time.Hour)
				after, created := w.calls(cas.ActionUpload)
				if tries := after - uploads; tries < tc.least || tries > tc.most || created != tc.made {
					t.Errorf("%d uploads, want %d to %d; %d certificates, want %d", tries, tc.least, tc.most, created, tc.made)
				}
				w.checkDrift()
				w.work(time.Hour)
				w.events += n // a list that says of each that it is not there
				w.checkRest()
			})
		})
	}
}

func TestThousandsThatAreGoneComeBackOneASecond(t *testing.T) {
	t.Parallel()
	const n = 30
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.givenMany(n)
		w.work(15 * time.Minute)
		w.vanish()
		began := time.Now()
		w.checkDrift()
		if took := time.Since(began); took < doubtDelay+(n-1)*doubtPace {
			t.Errorf("all were sent for repair within %s", took)
		}
		w.work(time.Hour)
		if got := len(w.certificates()); got != n {
			t.Errorf("%d certificates, want %d", got, n)
		}
		if got := w.said("; whatever refers to the old one is broken"); got != n {
			t.Errorf("%d events, want %d", got, n)
		}
		w.checkRest()
	})
}

func TestWhatKeepsVanishingIsNotRecreatedForEver(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		for range 5 {
			w.vanish()
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
				o.Annotations = map[string]string{v1alpha1.AnnotationResync: fmt.Sprint(w.steps)}
			})
			w.work(time.Minute)
		}
		if got := w.said("event Recreated"); got != protocol.MaxRecreations {
			t.Errorf("recreated %d times within an hour, want %d", got, protocol.MaxRecreations)
		}
		status, reason, message := w.ready(t)
		if status != "False" || reason != v1alpha1.ReasonUploadFailed || !strings.Contains(message, "look for what deletes") {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		w.work(2 * time.Hour)
		w.checkRest()
	})
}

func TestAPruneThatIsRefusedChangesOnlyTheMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault emulator.Fault
		says  string
	}{
		"denied":    {emulator.Fault{Kind: emulator.FaultDenied}, "yundun-cert:DeleteUserCertificate"},
		"protected": {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidStatus.DeleteProtection"}, "InvalidStatus.DeleteProtection"},
		"away":      {emulator.Fault{Kind: emulator.FaultFail}, "ServiceUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(0)) })
				w.work(time.Minute)
				w.putContent(theKey, 1)
				w.work(time.Minute)
				tc.fault.Action = string(cas.ActionDelete)
				w.cloud.Inject(tc.fault)
				w.work(30 * time.Hour)
				status, reason, message := w.ready(t)
				if status != "True" || reason != v1alpha1.ReasonSynced || !strings.Contains(message, tc.says) {
					t.Errorf("Ready is %s, %s: %s", status, reason, message)
				}
				if got := w.said("event PruneFailed"); got != 1 {
					t.Errorf("%d events, want 1", got)
				}
				if counted := prunesFailed(t); counted == 0 {
					t.Error("the metric counts nothing")
				}
				if tries, _ := w.calls(cas.ActionDelete); tries < 3 || tries > 20 {
					t.Errorf("%d tries in 6 hours", tries)
				}
				w.cloud.ClearFaults()
				w.work(2 * time.Hour)
				if _, _, message := w.ready(t); strings.Contains(message, "superseded") || w.said("event Pruned") != 1 {
					t.Errorf("after it was granted: %s", message)
				}
				w.checkRest()
			})
		})
	}
}

// prunesFailed is what the metric says, over all tests.
func prunesFailed(t *testing.T) (n float64) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "cloudcert_prune_failures_total" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// intrude puts a certificate of another content under the identity of the object.
func (w *world) intrude(content int) emulator.Certificate {
	name := bundle.Name("intruder", bundle.Identity(clusterID, theKey.Namespace, theKey.Name), w.pool[content].content)
	return w.addForeign(name, content)
}

func TestWhoSharesAnIdentityIsLeftAlone(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(o *v1alpha1.CloudCertificate) {
			deleting(o)
			o.Spec.RevisionHistoryLimit = new(int32(0))
		})
		w.work(time.Minute)
		w.putContent(theKey, 1)
		w.work(time.Minute)
		w.checkDrift() // only what appears later is somebody's who is at work
		w.intrude(2)
		w.checkDrift()
		w.work(30 * time.Hour)
		if _, tries := w.calls(cas.ActionDelete); tries != 0 || w.said("event IdentityShared") != 1 {
			t.Errorf("%d deletions, %d events", tries, w.said("event IdentityShared"))
		}
		if status, _, message := w.ready(t); status != "True" || !strings.Contains(message, "--cluster-id") {
			t.Errorf("Ready is %s: %s", status, message)
		}
		w.api.remove(theKey)
		w.work(time.Hour)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonDeletionBlocked || !strings.Contains(message, v1alpha1.AnnotationOrphan) {
			t.Errorf("the deletion: %s: %s", reason, message)
		}
		w.work(25 * time.Hour)
		if w.api.objects[theKey] != nil || w.said("event Released") != 1 || len(w.certificates()) != 3 {
			t.Errorf("not released with all that it has: %d certificates", len(w.certificates()))
		}
	})
}

func TestADeletionThatIsBlockedHasAWayOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		reason string
		says   string
	}{
		"lists are denied":       {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionList)}, v1alpha1.ReasonDeletionBlocked, "yundun-cert:ListUserCertificateOrder"},
		"deletions are denied":   {emulator.Fault{Kind: emulator.FaultDenied, Action: string(cas.ActionDelete)}, v1alpha1.ReasonDeletionBlocked, "yundun-cert:DeleteUserCertificate"},
		"it is protected":        {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidStatus.DeleteProtection", Action: string(cas.ActionDelete)}, v1alpha1.ReasonDeletionBlocked, "DeleteProtection"},
		"the key is not taken":   {emulator.Fault{Kind: emulator.FaultFail, Code: "InvalidAccessKeyId.Inactive", Action: string(cas.ActionList)}, v1alpha1.ReasonCredentialsUnavailable, "InvalidAccessKeyId.Inactive"},
		"the cloud is not there": {emulator.Fault{Kind: emulator.FaultReset}, v1alpha1.ReasonDeletionBlocked, "ended before its answer was complete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				w.given(deleting)
				w.work(time.Minute)
				w.cloud.Inject(tc.fault)
				w.api.remove(theKey)
				w.work(23 * time.Hour)
				_, reason, message := w.ready(t)
				if reason != tc.reason || !strings.Contains(message, tc.says) || !strings.Contains(message, v1alpha1.AnnotationOrphan) {
					t.Errorf("%s: %s", reason, message)
				}
				w.work(2 * time.Hour)
				if tc.fault.Kind != emulator.FaultReset { // a day is enough for a key that does not come back, and for a refusal
					if w.api.objects[theKey] != nil || len(w.certificates()) != 1 || w.said("event Released") != 1 {
						t.Error("the object was not released with its certificate")
					}
					return
				}
				w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
					o.Annotations = map[string]string{v1alpha1.AnnotationOrphan: "true"}
				})
				w.work(time.Minute)
				if w.api.objects[theKey] != nil || len(w.certificates()) != 1 || w.said("event Released") != 1 {
					t.Error("the annotation did not let the object go, and its certificate stay")
				}
			})
		})
	}
}

// What an object takes over without an upload goes with it, too.
func TestWhatWasAdoptedIsDeleted(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		prefixed := func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "shop" } // looked for before it is uploaded
		w.given(prefixed)
		w.work(time.Minute)
		w.api.remove(theKey)
		w.work(time.Minute)
		w.given(func(o *v1alpha1.CloudCertificate) { prefixed(o); deleting(o) })
		w.work(time.Minute)
		if tries, _ := w.calls(cas.ActionUpload); tries != 1 {
			t.Fatalf("%d uploads: it was not adopted from the list", tries)
		}
		w.api.remove(theKey)
		w.work(time.Hour)
		if left := w.certificates(); len(left) != 0 || w.api.objects[theKey] != nil {
			t.Errorf("%d certificates are left", len(left))
		}
	})
}

// A name that is taken by nothing that the list shows is given up, and every name that
// could stand in for it, in turn; then it is waited.
func TestNamesThatAreTakenInvisiblyAreGivenUp(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultNameTaken})
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(30 * time.Second)
		status, reason, message := w.ready(t)
		if status != "Unknown" || reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "not listed yet") {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		w.work(protocol.LagLimit - time.Minute)
		if _, reason, message = w.ready(t); reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "under another prefix") {
			t.Errorf("%s: %s", reason, message)
		}
		if tries, _ := w.calls(cas.ActionUpload); tries > 12 {
			t.Errorf("%d uploads in ten minutes", tries)
		}
		if lists, _ := w.calls(cas.ActionList); lists > 60 {
			t.Errorf("%d list calls in ten minutes", lists)
		}
		w.work(12 * time.Hour)
		status, reason, message = w.ready(t)
		if status != "Unknown" || reason != v1alpha1.ReasonProgressing || !strings.Contains(message, "resource group") {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		tries, _ := w.calls(cas.ActionUpload)
		w.work(12 * time.Hour)
		if now, _ := w.calls(cas.ActionUpload); now-tries > 13 {
			t.Errorf("%d uploads in half a day of waiting", now-tries)
		}
		w.cloud.ClearFaults()
		w.work(2 * time.Hour)
		w.events += 2 * protocol.MaxNames // each name that is taken
		w.checkRest()
	})
}

// The status of an upload could not be written, and the list lags behind: our own
// word for the upload is enough.
func TestAnUploadWhoseStatusWasNotWrittenIsNotRepeated(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{ListLag: 30 * time.Minute}, func(t *testing.T, w *world) {
		w.disturbance, w.disturbAt = disturbance{only: "kube status", lives: true}, 2
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		if w.said("call fails") != 1 {
			t.Fatal("no write of the status failed")
		}
		if status, reason, message := w.ready(t); status != "True" {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		if tries, _ := w.calls(cas.ActionUpload); tries != 1 {
			t.Errorf("%d uploads", tries)
		}
	})
}

func TestADeletionThatIsSuspendedTouchesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(deleting)
		w.work(time.Minute)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.Suspend = true })
		w.work(time.Minute)
		before := len(w.cloud.Journal())
		w.api.remove(theKey)
		w.work(time.Hour)
		if w.api.objects[theKey] != nil || len(w.certificates()) != 1 || len(w.cloud.Journal()) != before {
			t.Error("a suspended object was not released, or not without a call")
		}
	})
}

func TestWhatNeverUploadedIsReleasedAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(deleting)
		w.api.putSecret(secretOf(theKey), nil)
		w.work(time.Minute)
		w.api.remove(theKey)
		if w.api.objects[theKey] != nil {
			t.Error("an object that never uploaded is held")
		}
	})
}

// TestAnotherChainIsAnotherVersion: the leaf and its digest are the same, the content
// is not.
func TestAnotherChainIsAnotherVersion(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		h := bundletest.Clock(time.Now()).Hierarchy(t, bundletest.P256(t))
		key := bundletest.SEC1PEM(t, h.Leaf.Key)
		short := bundletest.TLSData(bundletest.CertPEM(h.Leaf), key)
		long := bundletest.TLSData(bundletest.CertPEM(h.Leaf, h.Inter), key)
		put := func(data bundletest.Data) *v1alpha1.CloudCertificateStatus {
			w.api.putSecret(secretOf(theKey), data)
			w.work(time.Minute)
			return &w.api.objects[theKey].Status
		}
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Second)
		first := put(short)
		second := put(long)
		if first.CertID == second.CertID || first.Certificate.FingerprintSHA256 != second.Certificate.FingerprintSHA256 {
			t.Errorf("certificates %d and %d, want two of the same leaf", first.CertID, second.CertID)
		}
		w.operator().dead = true
		if back := put(short); back.CertID != first.CertID {
			t.Errorf("rolled back to certificate %d, want %d: a digest does not tell them apart", back.CertID, first.CertID)
		}
	})
}

func TestALongHistoryIsKnownAndPruned(t *testing.T) {
	t.Parallel()
	const versions = 60
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		identity := bundle.Identity(clusterID, theKey.Namespace, theKey.Name)
		clock, key := bundletest.Clock(time.Now()), bundletest.P256(t)
		for i := range versions {
			name := bundle.Name("old", identity, fmt.Sprintf("%013d", i))
			old := string(bundletest.CertPEM(clock.Hierarchy(t, key).Leaf))
			if _, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{Name: name, PEM: old}); err != nil {
				t.Fatal(err)
			}
		}
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(11 * time.Minute)
		w.checkDrift()
		w.work(time.Minute)
		status := w.api.objects[theKey].Status
		newest := slices.IsSortedFunc(status.History, func(a, b v1alpha1.CertificateVersion) int { return int(b.CertID - a.CertID) })
		if len(status.History) != protocol.MaxHistory || status.HistoryTotal != versions || !newest {
			t.Errorf("%d shown of %d, newest first: %t", len(status.History), status.HistoryTotal, newest)
		}
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Spec.RevisionHistoryLimit = new(int32(1)) })
		w.work(30 * time.Hour)
		status = w.api.objects[theKey].Status
		if len(w.certificates()) != 2 || status.HistoryTotal != 1 || len(status.History) != 1 {
			t.Errorf("%d certificates, %d in history; want 2 and 1", len(w.certificates()), status.HistoryTotal)
		}
	})
}

func TestAVerdictThatWaitsForATimeDoesNotRestOnAnOlderOne(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		later := bundletest.Clock(time.Now()).Hierarchy(t, bundletest.P256(t), func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
		data := maps.Clone(w.pool[0].data)
		data["next.crt"], data["next.key"] = bundletest.CertPEM(later.Leaf, later.Inter), bundletest.SEC1PEM(t, later.Leaf.Key)
		w.api.putSecret(secretOf(theKey), data)
		w.work(time.Minute)
		w.api.change(theKey, func(o *v1alpha1.CloudCertificate) {
			o.Spec.Keys = v1alpha1.SecretKeys{Certificate: "next.crt", PrivateKey: "next.key"}
		})
		w.work(time.Minute)
		if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonInvalidCertificate {
			t.Errorf("a certificate of the next hour: %s", reason)
		}
		w.operator().relist()
		w.work(time.Hour)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced || len(w.certificates()) != 2 {
			t.Errorf("when its time has come: %s: %s", reason, message)
		}
	})
}

func TestThrottlingThatLastsIsSaid(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: string(cas.ActionUpload)})
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(3 * time.Minute)
		if status, reason, message := w.ready(t); status != "False" || reason != v1alpha1.ReasonThrottled {
			t.Errorf("Ready is %s, %s: %s", status, reason, message)
		}
		w.cloud.ClearFaults()
		w.work(5 * time.Minute)
		if _, reason, _ := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("after the storm: %s", reason)
		}
	})
}

func TestWhatTheCloudGetsOverIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"InternalError", "SignatureNonceUsed", "OperationDenied.SystemUpgrading"} {
		inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
			w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Code: code, Status: 400, Count: 1, Action: string(cas.ActionUpload)})
			w.given(func(*v1alpha1.CloudCertificate) {})
			w.work(30 * time.Second)
			if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
				t.Errorf("%s: %s: %s", code, reason, message)
			}
		})
	}
}

func TestARollbackMeetsWhatIsThereNotWhatWas(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(5 * time.Second)
		for _, content := range []int{1, 0} {
			w.putContent(theKey, content)
			w.work(5 * time.Second)
		}
		w.cloud.DeleteOutOfBand(ownAccount, cas.RegionChina, w.api.objects[theKey].Status.History[0].CertID)
		w.putContent(theKey, 1)
		w.work(5 * time.Second)
		status := w.api.objects[theKey].Status
		if _, there := w.certificates()[status.CertID]; !there || status.HistoryTotal != 1 {
			t.Errorf("certificate %d is there: %t; history %v", status.CertID, there, status.History)
		}
	})
}

func TestCredentialsOfAnotherAccountAreNoticedAfterARestart(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"changed": false, "made again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
				creds := types.NamespacedName{Namespace: theKey.Namespace, Name: "creds"}
				w.putCredentials(theKey.Namespace)
				w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = creds.Name })
				w.work(time.Minute)
				w.operators[0].dead = true
				before := len(w.cloud.Journal())
				w.work(time.Minute)
				if len(w.cloud.Journal()) != before {
					t.Error("a restart with nothing to do made a call")
				}
				if again {
					w.api.putSecret(creds, nil)
					w.work(time.Minute)
				}
				w.api.putSecret(creds, map[string][]byte{"accessKeyId": []byte("LTAIown"), "accessKeySecret": []byte("own-secret")})
				w.work(time.Minute)
				if got := w.api.objects[theKey].Status.AccountID; got != ownAccount || w.said("event LeftBehind") != 1 {
					t.Errorf("account %s, want %s", got, ownAccount)
				}
				w.checkRest()
			})
		})
	}
}

func TestAPairExpiresWithItsFirstHalf(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *world) {
		soon := time.Now().Add(time.Hour)
		pair := bundletest.Clock(time.Now()).Pair(t, func(c *x509.Certificate) {
			if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
				c.NotAfter = soon
			}
		})
		w.api.putSecret(secretOf(theKey), pair.Data(t))
		w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.Type = v1alpha1.CertificateTypeSM })
		w.work(time.Minute)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Fatalf("%s: %s", reason, message)
		}
		w.operators[0].dead = true // a restart forgets what the status does not know
		w.work(2 * time.Hour)
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonInvalidCertificate || !strings.Contains(message, "enc.crt") {
			t.Errorf("after the certificate to encrypt expired: %s: %s", reason, message)
		}
	})
}
