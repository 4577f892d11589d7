// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// gate refuses the lists of some access keys, and counts the lists of each.
type gate struct {
	next  http.RoundTripper
	codes map[string]string // by access key
	lists map[string]int
}

func (g *gate) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if form.Get("Action") == string(cas.ActionList) {
		key := form.Get("AccessKeyId")
		g.lists[key]++
		if code := g.codes[key]; code != "" {
			answer := fmt.Sprintf(`{"Code":%q,"Message":"no","RequestId":"r"}`, code)
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}
	}
	request.Body = io.NopCloser(strings.NewReader(string(body)))
	return g.next.RoundTrip(request)
}

// credentialsOf is a Secret with an access key.
func credentialsOf(namespace, name, key string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{keyAccessKeyID: []byte(key), keyAccessKeySecret: []byte("secret")},
	}
}

// claimOf is an object whose status names a certificate that the cloud does not have.
func claimOf(namespace, credentials string) *v1alpha1.CloudCertificate {
	object, _ := synced()
	object.Namespace, object.UID = namespace, "object"
	object.Spec.CredentialsSecretRef.Name = credentials
	object.Status.AccountID = testAccount
	object.Status.Name = bundle.Name("p", bundle.Identity("c", namespace, object.Name), strings.Repeat("0", 13))
	return object
}

// newDrift makes a check for drift between a fake API server and an emulator in which the
// access keys own, first and second are of one account.
func newDrift(t *testing.T, g *gate, objects ...client.Object) *Drift {
	t.Helper()
	var accounts []emulator.Account
	for _, key := range []string{"own", "first", "second"} {
		accounts = append(accounts, emulator.Account{ID: testAccount, AccessKeyID: key, AccessKeySecret: "secret"})
	}
	server := emulator.New(emulator.Options{Accounts: append(accounts, emulator.Account{ID: "2", AccessKeyID: "other", AccessKeySecret: "secret"})})
	t.Cleanup(server.Close)
	g.next, g.lists = server.Transport(testRegion), map[string]int{}
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: "http://127.0.0.1:1", Transport: g})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := cas.New(caller, cas.Config{Endpoints: map[string]string{testRegion: "http://127.0.0.1:1"}, ParseName: bundle.ParseName})
	if err != nil {
		t.Fatal(err)
	}
	own, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "own", AccessKeySecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	kube := fake.NewClientBuilder().WithScheme(testScheme).WithObjects(objects...).Build()
	return &Drift{
		Reconciler: &Reconciler{
			Client: kube, Live: kube, Recorder: events.NewFakeRecorder(10), Clock: clock.RealClock{},
			Accounts: &Accounts{Cloud: cloud, Own: own, Metadata: kube, Live: kube},
			Options:  Options{ClusterID: "c", Region: testRegion},
			Jitter:   func(d time.Duration) time.Duration { return d },
		},
		enqueue: func(context.Context, client.ObjectKey) {},
	}
}

// Who may upload but not list must not end the check for drift of all others in the account.
func TestTheLookForDriftTriesEachCredential(t *testing.T) {
	t.Parallel()
	const denied, unknown = "NoPermission", "InvalidAccessKeyId.NotFound"
	for name, tc := range map[string]struct {
		objects []client.Object
		codes   map[string]string
		gone    int
		lists   map[string]int // by access key; a sweep of nothing is two calls
	}{
		"the operator's own come first": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("shop", "")},
			map[string]string{"first": denied}, 2, map[string]int{"own": 2},
		},
		"they may not list": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("shop", "")},
			map[string]string{"own": denied}, 2, map[string]int{"own": 1, "first": 2},
		},
		"they are not taken": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("shop", "")},
			map[string]string{"own": unknown}, 2, map[string]int{"own": 1, "first": 2},
		},
		"only the last one may list": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("b", "creds"), credentialsOf("b", "creds", "second"), claimOf("shop", "")},
			map[string]string{"own": denied, "first": denied}, 3, map[string]int{"own": 1, "first": 1, "second": 2},
		},
		"a credential that many hold is tried once": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("b", "creds"), credentialsOf("b", "creds", "first"), claimOf("c", "creds"), credentialsOf("c", "creds", "second")},
			map[string]string{"first": denied}, 3, map[string]int{"first": 1, "second": 2},
		},
		"a Secret that is missing": {
			[]client.Object{claimOf("a", "creds"), claimOf("b", "creds"), credentialsOf("b", "creds", "second")},
			nil, 2, map[string]int{"second": 2},
		},
		"one of another account": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "other"), claimOf("b", "creds"), credentialsOf("b", "creds", "second")},
			nil, 2, map[string]int{"second": 2},
		},
		"nobody may list": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("shop", "")},
			map[string]string{"own": denied, "first": denied}, 0, map[string]int{"own": 1, "first": 1},
		},
		"a failure that all would share": {
			[]client.Object{claimOf("a", "creds"), credentialsOf("a", "creds", "first"), claimOf("shop", "")},
			map[string]string{"own": "InternalError"}, 0, map[string]int{"own": 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gate{codes: tc.codes}
				d := newDrift(t, g, tc.objects...)
				places := d.Places(t.Context())
				if len(places) != 1 {
					t.Fatalf("%d places", len(places))
				}
				cloud, gone := d.sweep(t.Context(), places[0])
				if (cloud != nil) != (tc.gone > 0) || len(gone) != tc.gone {
					t.Errorf("%d certificates are gone, want %d", len(gone), tc.gone)
				}
				if diff := cmp.Diff(tc.lists, g.lists); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
