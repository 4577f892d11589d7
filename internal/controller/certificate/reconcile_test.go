// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const (
	testAccount = "1000000000000001"
	testRegion  = cas.RegionChina
)

// testScheme has every kind that the operator reads or writes.
var testScheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}()

// harness is a reconciler between a fake API server and an emulator over HTTP. Its
// clock stands still until a test moves it, or a reconcile waits for a limit; the client's own
// does not.
type harness struct {
	*Reconciler
	t      *testing.T
	clock  *testingclock.FakePassiveClock
	cloud  *emulator.Server
	events *events.FakeRecorder
	ca     *testbed.CA
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	kube := fake.NewClientBuilder().WithScheme(testScheme).WithStatusSubresource(&v1alpha1.CloudCertificate{}).Build()
	server := emulator.New(emulator.Options{Accounts: []emulator.Account{{
		ID: testAccount, AccessKeyID: "LTAItest", AccessKeySecret: "test-secret",
	}}})
	endpoint := httptest.NewServer(server.Handler(testRegion))
	t.Cleanup(endpoint.Close)
	t.Cleanup(server.Close)
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: endpoint.URL})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := cas.New(caller, cas.Config{Endpoints: map[string]string{cas.RegionChina: endpoint.URL, cas.RegionInternational: endpoint.URL}, ParseName: bundle.ParseName})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.CloseIdleConnections)
	own, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "LTAItest", AccessKeySecret: "test-secret"})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := testbed.NewCA("Test CA")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{
		t: t, clock: testingclock.NewFakePassiveClock(time.Now()), cloud: server, events: events.NewFakeRecorder(100), ca: ca,
	}
	h.Reconciler = &Reconciler{
		Client: kube, Live: kube, Recorder: h.events, Clock: h.clock,
		Accounts: &Accounts{Cloud: cloud, Own: own, Metadata: kube, Live: kube},
		Options:  Options{ClusterID: "test", Region: testRegion, MaxVersionsPerHour: 30},
		Jitter:   func(d time.Duration) time.Duration { return d },
	}
	return h
}

// given makes the object shop/web and its Secret, and returns the Secret's content.
func (h *harness) given() *bundle.Bundle {
	h.t.Helper()
	pair, err := h.ca.Issue(time.Hour, nil, "www.example.com")
	if err != nil {
		h.t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-tls", UID: "secret"},
		Data:       map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey},
	}
	object := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "object", Generation: 1},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: "web-tls"}},
	}
	for _, o := range []client.Object{secret, object} {
		if err := h.Create(h.t.Context(), o); err != nil {
			h.t.Fatal(err)
		}
	}
	content, err := bundle.Load(secret, bundle.Options{Now: h.clock.Now()})
	if err != nil {
		h.t.Fatal(err)
	}
	return content
}

func (h *harness) object() *v1alpha1.CloudCertificate {
	h.t.Helper()
	object := &v1alpha1.CloudCertificate{}
	if err := h.Get(h.t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, object); err != nil {
		h.t.Fatal(err)
	}
	return object
}

// reconcile reconciles the object until one reconcile is not about the rate limit, which is
// not what these tests are about.
func (h *harness) reconcile() (*v1alpha1.CloudCertificate, reconcile.Result, error) {
	h.t.Helper()
	for range 100 {
		version := h.object().ResourceVersion
		result, err := h.Reconcile(h.t.Context(), h.object())
		if object := h.object(); err != nil || object.ResourceVersion != version || result.RequeueAfter > 2*time.Second || result.RequeueAfter == 0 {
			return object, result, err
		}
		select { // as long as the limiter says
		case <-h.t.Context().Done():
			h.t.Fatal(h.t.Context().Err())
		case <-time.After(result.RequeueAfter):
			h.clock.SetTime(h.clock.Now().Add(result.RequeueAfter))
		}
	}
	h.t.Fatal("the rate limit never ended")
	return nil, reconcile.Result{}, nil
}

// name is the one that content gets in the cloud.
func (h *harness) name(content *bundle.Bundle) string {
	return bundle.Name("shop_web", bundle.Identity("test", "shop", "web"), content.Hash.Content())
}

func (h *harness) check(object *v1alpha1.CloudCertificate, reason string, status metav1.ConditionStatus, stalled bool, says string) {
	h.t.Helper()
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		h.t.Fatal("there is no condition Ready")
	}
	if ready.Reason != reason || ready.Status != status || !strings.Contains(ready.Message, says) {
		h.t.Errorf("Ready is %s/%s: %s; want %s/%s with %q", ready.Status, ready.Reason, ready.Message, status, reason, says)
	}
	if got := meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionStalled); got != stalled {
		h.t.Errorf("Stalled is %t, want %t", got, stalled)
	}
}

func TestNameTakenByTheSameCertificateIsAdopted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*harness, *emulator.Foreign){
		"with its digest":          func(*harness, *emulator.Foreign) {},
		"without a digest":         func(h *harness, _ *emulator.Foreign) { h.cloud.Inject(emulator.Fault{Kind: emulator.FaultNoDigests}) },
		"under a name in capitals": func(_ *harness, f *emulator.Foreign) { f.Name = strings.ToUpper(f.Name) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			content := h.given()
			foreign := emulator.Foreign{Name: h.name(content), PEM: content.Material.Certificate}
			change(h, &foreign)
			there, err := h.cloud.AddForeign(testAccount, testRegion, foreign)
			if err != nil {
				t.Fatal(err)
			}
			object, _, err := h.reconcile()
			if err != nil {
				t.Fatal(err)
			}
			h.check(object, v1alpha1.ReasonSynced, metav1.ConditionTrue, false, "")
			if object.Status.CertID != there.CertID || object.Status.Name != there.Name || object.Status.ResourceID != there.ResourceID {
				t.Errorf("status %+v, want certificate %d", object.Status, there.CertID)
			}
		})
	}
}

func TestNameTakenByAnotherCertificateIsAConflict(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	content := h.given()
	other, err := h.ca.Issue(time.Hour, nil, "www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.cloud.AddForeign(testAccount, testRegion, emulator.Foreign{Name: h.name(content), PEM: string(other.Certificate)}); err != nil {
		t.Fatal(err)
	}
	object, result, err := h.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	h.check(object, v1alpha1.ReasonNameConflict, metav1.ConditionFalse, true, h.name(content))
	if result.RequeueAfter != time.Hour {
		t.Errorf("looked at again after %s, want hourly", result.RequeueAfter)
	}
	if object.Status.CertID != 0 {
		t.Errorf("status names certificate %d, which is not ours", object.Status.CertID)
	}
}

func TestAnswersOfTheCloudHaveTheirReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  emulator.Fault
		reason string
		says   string
	}{
		"a key of a form that is not taken": {emulator.Fault{Code: "PrivateKeyFormatException", Status: 400}, v1alpha1.ReasonInvalidCertificate, "PrivateKeyFormatException"},
		"a parameter that is not taken":     {emulator.Fault{Code: "InvalidParameter.Cert", Status: 400}, v1alpha1.ReasonInvalidCertificate, "InvalidParameter.Cert"},
		"a token that is missing":           {emulator.Fault{Code: "MissingSecurityToken", Status: 400}, v1alpha1.ReasonCredentialsUnavailable, "securityToken"},
		"a token of another key":            {emulator.Fault{Code: "InvalidSecurityToken.MismatchWithAccessKey", Status: 400}, v1alpha1.ReasonCredentialsUnavailable, "MismatchWithAccessKey"},
		"a policy that nobody has heard of": {emulator.Fault{Code: "Forbidden.MadeUpPolicy", Status: 403}, v1alpha1.ReasonAccessDenied, `of account "` + testAccount + `" needs the permission yundun-cert:UploadUserCertificate`},
		"an account that is full":           {emulator.Fault{Code: "InsufficientQuota", Status: 400}, v1alpha1.ReasonQuotaExceeded, `account "` + testAccount + `", region ` + testRegion + " may not hold more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.given()
			tc.fault.Kind, tc.fault.Action = emulator.FaultFail, string(cas.ActionUpload)
			h.cloud.Inject(tc.fault)
			object, result, err := h.reconcile()
			if err != nil || result.RequeueAfter != retries.FirstSlowly {
				t.Errorf("tried again after %s, %v; want %s", result.RequeueAfter, err, retries.FirstSlowly)
			}
			h.check(object, tc.reason, metav1.ConditionFalse, false, tc.says)
		})
	}
}

func TestNameTakenThatCannotBeLookedUpNamesThePermission(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.given()
	h.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset, AfterCommit: true, Count: 1, Action: "UploadUserCertificate"})
	h.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: "ListUserCertificateOrder"})
	object, _, err := h.reconcile()
	if err == nil {
		t.Fatal("a lost answer is no error: it would not be tried again")
	}
	h.check(object, v1alpha1.ReasonUploadFailed, metav1.ConditionFalse, false, "UploadUserCertificate")
	object, result, err := h.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	h.check(object, v1alpha1.ReasonAccessDenied, metav1.ConditionFalse, false, "yundun-cert:ListUserCertificateOrder")
	if result.RequeueAfter != retries.FirstSlowly {
		t.Errorf("tried again after %s, want %s", result.RequeueAfter, retries.FirstSlowly)
	}
	h.cloud.ClearFaults()
	object, _, err = h.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	h.check(object, v1alpha1.ReasonSynced, metav1.ConditionTrue, false, "")
	if n := len(h.cloud.Certificates(testAccount, testRegion)); n != 1 {
		t.Errorf("%d certificates in the cloud, want 1", n)
	}
}

func TestNameOfOurOwnStatusNeedsNoList(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.FaultKind{
		"the list shows nothing":   emulator.FaultHide,
		"the list may not be read": emulator.FaultDenied,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.given()
			first, _, err := h.reconcile()
			if err != nil {
				t.Fatal(err)
			}
			h.cloud.Inject(emulator.Fault{Kind: fault, Action: "ListUserCertificateOrder"})
			first.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
			if err := h.Update(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			object, _, err := h.reconcile()
			if err != nil {
				t.Fatal(err)
			}
			h.check(object, v1alpha1.ReasonSynced, metav1.ConditionTrue, false, "")
			if object.Status.CertID != first.Status.CertID || object.Status.LastHandledResync != "now" {
				t.Errorf("status %+v, want certificate %d and the resync handled", object.Status, first.Status.CertID)
			}
		})
	}
}

func TestSlowRetriesGrowAndStartAnew(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.given()
	h.cloud.Inject(emulator.Fault{Kind: emulator.FaultDenied, Action: "UploadUserCertificate"})
	var delays []time.Duration
	for range 6 {
		_, result, err := h.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		delays = append(delays, result.RequeueAfter)
		h.clock.SetTime(h.clock.Now().Add(time.Minute))
	}
	want := []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour}
	if diff := cmp.Diff(want, delays); diff != "" {
		t.Errorf("delays: %s", diff)
	}
	if kinds := len(h.events.Events); kinds != 1 {
		t.Errorf("%d events for one transition", kinds)
	}
}

// TestThrottlingIsSilentForAMinute shows that a wait for the rate limit writes no
// status until it is long, and that it keeps what Ready says of what is there.
func TestThrottlingIsSilentForAMinute(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.given()
	h.cloud.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: "UploadUserCertificate"})
	before := h.object().ResourceVersion
	for range 5 {
		if _, err := h.Reconcile(context.Background(), h.object()); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.object(); got.ResourceVersion != before {
		t.Errorf("a short wait wrote the status: %+v", got.Status)
	}
	h.clock.SetTime(h.clock.Now().Add(alibaba.Patience))
	if _, err := h.Reconcile(context.Background(), h.object()); err != nil {
		t.Fatal(err)
	}
	h.check(h.object(), v1alpha1.ReasonThrottled, metav1.ConditionFalse, false, "rate limit")
}
