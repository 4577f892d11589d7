// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// The account of the emulator that tests use, and the region.
const (
	account     = "1234567890123456"
	accessKeyID = "LTAItestAccessKey"
	accessKey   = "test-access-key-secret-0123456789"
	region      = "cn-hangzhou"
)

// deadline bounds every wait.
const deadline = testbed.Patience

var (
	ctx    = context.Background()
	codecs = serializer.NewCodecFactory(scheme()).WithoutConversion()
)

var namespaces atomic.Int64

// newNamespace makes a namespace that only this test uses.
func newNamespace(t *testing.T) string {
	t.Helper()
	return newNamespaceOn(t, kube)
}

func newNamespaceOn(t *testing.T, server client.Client) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("test-%d", namespaces.Add(1))}}
	if err := server.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// world is one operator between the API server and a cloud of its own, watching
// one namespace.
type world struct {
	t         *testing.T
	kube      client.Client
	namespace string
	cloud     *emulator.Server
	proxy     *testbed.Proxy
	manager   *testbed.Process
	args, env []string
	ca        *testbed.CA
	outputs   []string // of operators that ended
}

// newWorld makes a cloud and a namespace; start begins the operator.
func newWorld(t *testing.T, options emulator.Options, args ...string) *world {
	t.Helper()
	return newWorldOn(t, kube, operator, options, args...)
}

// newWorldOn is newWorld on an API server of one's own, which the operator reaches
// with config.
func newWorldOn(t *testing.T, server client.Client, config *rest.Config, options emulator.Options, args ...string) *world {
	t.Helper()
	if options.Accounts == nil {
		options.Accounts = []emulator.Account{testAccount()}
	}
	w := &world{t: t, kube: server, namespace: newNamespaceOn(t, server), cloud: emulator.New(options)}
	// Every region leads to the emulator: no test can reach the real cloud.
	home, other := httptest.NewServer(w.cloud.Handler(region)), httptest.NewServer(w.cloud.Handler(international))
	t.Cleanup(home.Close)
	t.Cleanup(other.Close)
	var err error
	if w.proxy, err = testbed.NewProxy(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Close)
	kubeconfig, err := w.proxy.WriteKubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, err = testbed.NewCA("Test CA"); err != nil {
		t.Fatal(err)
	}
	w.args = append([]string{
		"--kubeconfig=" + kubeconfig, "--watch-namespaces=" + w.namespace,
		"--cas-endpoint=" + home.URL, "--cas-endpoint=" + international + "=" + other.URL, "--sts-endpoint=" + home.URL,
		"--metrics-bind-address=0", "--zap-devel=false",
	}, args...)
	w.env = []string{"ALIBABA_CLOUD_ACCESS_KEY_ID=" + accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + accessKey}
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("the end of the operator's log:\n%s", tail(w.output(), 8000))
		}
	})
	return w
}

// start begins the operator and waits until it watches.
func (w *world) start() {
	w.t.Helper()
	address, err := testbed.FreeAddress()
	if err != nil {
		w.t.Fatal(err)
	}
	w.manager, err = testbed.Start(ctx, managerPath, w.env, append(w.args, "--health-probe-bind-address="+address)...)
	if err != nil {
		w.t.Fatal(err)
	}
	ready, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := w.manager.WaitReady(ready, "http://"+address+"/readyz"); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the operator as Kubernetes would; a data race in it fails the test.
func (w *world) stop() {
	if w.manager == nil {
		return
	}
	if err := w.manager.Stop(deadline); err != nil {
		w.t.Errorf("the operator ended with %v\n%s", err, w.manager.Output())
	}
	w.outputs = append(w.outputs, w.manager.Output())
	w.manager = nil
}

// kill ends the operator without warning.
func (w *world) kill() {
	w.manager.Kill()
	w.outputs = append(w.outputs, w.manager.Output())
	w.manager = nil
}

// output is what the operator has printed, over all its starts.
func (w *world) output() string {
	out := strings.Join(w.outputs, "")
	if w.manager != nil {
		out += w.manager.Output()
	}
	return out
}

// tail is the end of a text.
func tail(text string, length int) string { return text[max(0, len(text)-length):] }

// issue makes a certificate.
func (w *world) issue(names ...string) testbed.Pair {
	w.t.Helper()
	pair, err := w.ca.Issue(90*24*time.Hour, nil, names...)
	if err != nil {
		w.t.Fatal(err)
	}
	return pair
}

// putSecret makes a TLS Secret, or changes it.
func (w *world) putSecret(name string, pair testbed.Pair) {
	w.t.Helper()
	w.putData(name, corev1.SecretTypeTLS, map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey})
}

func (w *world) putData(name string, kind corev1.SecretType, data map[string][]byte) {
	w.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Type: kind, Data: data}
	err := w.kube.Create(ctx, secret)
	if client.IgnoreAlreadyExists(err) == nil && err != nil {
		err = w.kube.Update(ctx, secret)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// create makes a CloudCertificate of the same name as its Secret.
func (w *world) create(name string, change func(*v1alpha1.CloudCertificate)) {
	w.t.Helper()
	cc := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}},
	}
	if change != nil {
		change(cc)
	}
	if err := w.kube.Create(ctx, cc); err != nil {
		w.t.Fatal(err)
	}
}

// get reads a CloudCertificate.
func (w *world) get(name string) *v1alpha1.CloudCertificate {
	w.t.Helper()
	cc := &v1alpha1.CloudCertificate{}
	if err := w.kube.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, cc); err != nil {
		w.t.Fatal(err)
	}
	return cc
}

// change patches a CloudCertificate.
func (w *world) change(name string, f func(*v1alpha1.CloudCertificate)) {
	w.t.Helper()
	cc := w.get(name)
	before := cc.DeepCopy()
	f(cc)
	if err := w.kube.Patch(ctx, cc, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// wait waits until an object satisfies want, and says what it was last if it never does.
func (w *world) wait(name, what string, want func(*v1alpha1.CloudCertificate) bool) *v1alpha1.CloudCertificate {
	w.t.Helper()
	var cc *v1alpha1.CloudCertificate
	w.eventually(func() string {
		if cc = w.get(name); want(cc) {
			return ""
		}
		return fmt.Sprintf("%s did not become %s; its status: %+v", name, what, cc.Status)
	})
	return cc
}

// waitReason waits for the reason of Ready.
func (w *world) waitReason(name, reason string) *v1alpha1.CloudCertificate {
	w.t.Helper()
	return w.wait(name, reason, func(cc *v1alpha1.CloudCertificate) bool {
		return readyOf(cc).Reason == reason && cc.Status.ObservedGeneration == cc.Generation
	})
}

// readyOf is the condition Ready, empty if there is none.
func readyOf(cc *v1alpha1.CloudCertificate) metav1.Condition {
	if c := meta.FindStatusCondition(cc.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// eventually waits until f says nothing is missing any more.
func (w *world) eventually(f func() (missing string)) {
	w.t.Helper()
	if err := testbed.Eventually(context.WithoutCancel(w.t.Context()), deadline, 50*time.Millisecond, func() (string, error) { return f(), nil }); err != nil {
		w.t.Fatal(err)
	}
}
