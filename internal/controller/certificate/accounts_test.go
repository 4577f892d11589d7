// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// oneSecret is an API server with one Secret of credentials, and its cache.
type oneSecret struct {
	client.Reader
	key     types.NamespacedName
	version int
}

func (s *oneSecret) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if key != s.key {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	into.SetNamespace(key.Namespace)
	into.SetName(key.Name)
	into.SetUID("uid")
	into.SetResourceVersion(fmt.Sprint(s.version))
	if secret, whole := into.(*corev1.Secret); whole {
		secret.Data = map[string][]byte{
			keyAccessKeyID: fmt.Appendf(nil, "LTAImadeup%06d", s.version), keyAccessKeySecret: []byte(strings.Repeat("s", 30)),
		}
	}
	return nil
}

// cloudOfNobody takes the key LTAIgood, and no other.
type cloudOfNobody struct{ asked int }

func (c *cloudOfNobody) RoundTrip(request *http.Request) (*http.Response, error) {
	_ = request.ParseForm()
	if request.PostForm.Get("AccessKeyId") == "LTAIgood" {
		c.asked++
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"AccountId":"1234567890"}`))}, nil
	}
	return &http.Response{StatusCode: 404, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"Code":"InvalidAccessKeyId.NotFound"}`))}, nil
}

func newCloudOfNobody(t *testing.T) (*cas.Cloud, *cloudOfNobody) {
	t.Helper()
	transport := &cloudOfNobody{}
	caller, err := alibaba.New(alibaba.Config{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := cas.New(caller, cas.Config{ParseName: bundle.ParseName})
	if err != nil {
		t.Fatal(err)
	}
	return cloud, transport
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what pools keep takes two
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// use takes an object's credentials as a reconcile does, as far as the first call.
func use(t *testing.T, a *Accounts, object *v1alpha1.CloudCertificate) time.Duration {
	t.Helper()
	began := time.Now()
	cloud, err := a.client(t.Context(), object, cas.RegionChina)
	if err != nil {
		t.Fatal(err)
	}
	slot, _ := cloud.Reserve(t.Context(), cas.ActionUpload)
	slot.Release()
	cloud.Inventory()
	took := time.Since(began)
	_, _ = cloud.Account(t.Context())
	a.hold(object, cloud.KnownAccount() != "")
	return took
}

// One tenant writes 20,000 access keys that are made up, into one Secret or into one after the
// other, while another's are in use. It does not run in parallel: the heap is the process's.
func TestMadeUpCredentialsTakeLittle(t *testing.T) {
	const rewrites, most = 20000, 2 << 20
	for name, secretOf := range map[string]func(int) string{
		"in one Secret":                func(int) string { return "ak" },
		"in Secrets that come and go":  func(i int) string { return fmt.Sprintf("ak-%d", i) },
		"in Secrets that are all used": func(i int) string { return fmt.Sprintf("ak-%d", i%5000) },
	} {
		t.Run(name, func(t *testing.T) {
			cloud, transport := newCloudOfNobody(t)
			own, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "LTAIgood", AccessKeySecret: "s"})
			if err != nil {
				t.Fatal(err)
			}
			api := &oneSecret{}
			accounts := &Accounts{Cloud: cloud, Own: own, Metadata: api, Live: api}
			honest := &v1alpha1.CloudCertificate{}
			tenant := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: "web", UID: "uid", Finalizers: []string{v1alpha1.FinalizerCleanup},
			}}
			use(t, accounts, honest)
			before, slowest := liveHeap(), time.Duration(0)
			for i := range rewrites {
				api.key = types.NamespacedName{Namespace: "shop", Name: secretOf(i)}
				api.version++
				tenant.Spec.CredentialsSecretRef.Name = api.key.Name
				use(t, accounts, tenant)
				slowest = max(slowest, use(t, accounts, honest))
				if strings.HasSuffix(name, "go") {
					accounts.drop(api.key)
				}
			}
			grown := liveHeap() - before
			t.Logf("%d keys take %d KiB; the others waited %s at most", rewrites, grown>>10, slowest)
			if grown > most {
				t.Errorf("%d keys take %d bytes", rewrites, grown)
			}
			if transport.asked != 1 {
				t.Errorf("asked %d times whose the operator's own credentials are", transport.asked)
			}
			runtime.KeepAlive(accounts)
		})
	}
}

// The last credentials that worked are there for a deletion, whatever the Secret held since.
func TestTheLastCredentialsOfAHeldObjectStay(t *testing.T) {
	t.Parallel()
	cloud, _ := newCloudOfNobody(t)
	api := &oneSecret{key: types.NamespacedName{Namespace: "shop", Name: "ak"}}
	accounts := &Accounts{Cloud: cloud, Metadata: api, Live: api}
	object := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "uid"}}
	object.Spec.CredentialsSecretRef.Name = "ak"
	last := func(object *v1alpha1.CloudCertificate) string {
		if provider := accounts.last[client.ObjectKeyFromObject(object)].provider; provider != nil {
			credentials, _ := provider.Retrieve(t.Context())
			return credentials.AccessKeyID
		}
		return ""
	}
	steps := []struct {
		what string
		do   func()
		want string
	}{
		{"an object that is not held", func() { use(t, accounts, object) }, ""},
		{"a held one", func() {
			object.Finalizers = []string{v1alpha1.FinalizerCleanup}
			use(t, accounts, object)
		}, "LTAImadeup000000"},
		{"a key that the cloud does not take", func() { api.version++; use(t, accounts, object) }, "LTAImadeup000000"},
		{"one that worked", func() { accounts.hold(object, true) }, "LTAImadeup000001"},
		{"a Secret that is gone", func() { api.key.Name = "other"; accounts.drop(credentialsKey(object)) }, "LTAImadeup000001"},
	}
	for _, step := range steps {
		step.do()
		if got := last(object); got != step.want {
			t.Errorf("%s: the last credentials are %q, want %q", step.what, got, step.want)
		}
	}
	if _, err := accounts.lastClient(t.Context(), object, cas.RegionChina); err != nil {
		t.Errorf("a deletion: %v", err)
	}
	namesake := object.DeepCopy()
	namesake.UID = "another"
	if _, err := accounts.lastClient(t.Context(), namesake, cas.RegionChina); err == nil {
		t.Error("another object of the same name gets the credentials")
	}
	accounts.forget(client.ObjectKeyFromObject(object))
	if got := last(object); got != "" {
		t.Errorf("after its end %q is kept", got)
	}
}

// Credentials do not stay in memory when their Secret is gone, also when nobody refers
// to it any more.
func TestCredentialsGoWithTheirSecret(t *testing.T) {
	t.Parallel()
	cloud, _ := newCloudOfNobody(t)
	api := &oneSecret{key: types.NamespacedName{Namespace: "shop", Name: "ak"}}
	r := testReconciler()
	r.Accounts = &Accounts{Cloud: cloud, Metadata: api, Live: api}
	r.Client = fake.NewClientBuilder().WithScheme(testScheme).WithIndex(&v1alpha1.CloudCertificate{}, bySecret, secretBuckets).Build()
	if _, err := r.Accounts.Provider(t.Context(), api.key.Namespace, api.key.Name); err != nil {
		t.Fatal(err)
	}
	if _, known := r.Accounts.known(api.key); !known {
		t.Fatal("the credentials are not in use")
	}
	gone := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: api.key.Namespace, Name: api.key.Name}}
	secretHandler{handler.EnqueueRequestsFromMapFunc(r.referrers), r}.Delete(t.Context(), event.DeleteEvent{Object: gone}, nil)
	if _, known := r.Accounts.known(api.key); known {
		t.Error("the credentials are still in memory")
	}
}
