// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// The account of the emulator.
const (
	account         = "1234567890123456"
	accessKeyID     = "LTAIend2endAccessKey"
	accessKeySecret = "end-to-end-access-key-secret"
)

// leaseName is that of the lease which the operators of a release share.
const leaseName = "cloudcert.cloudcert.io"

// patience bounds every wait: far longer than anything takes.
const patience = testbed.Patience

// cloud is an emulated cloud that pods reach over TLS.
type cloud struct {
	*emulator.Server
	url string
}

func newCloud(t *testing.T, options emulator.Options) *cloud {
	t.Helper()
	options.Accounts = append(options.Accounts, emulator.Account{ID: account, AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	c := &cloud{Server: emulator.New(options)}
	t.Cleanup(c.Close)
	c.url = serve(t, c.Handler(emulator.RegionChina))
	return c
}

// serve serves a part of the cloud at an address that pods reach, and returns its URL.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	ip := os.Getenv("E2E_CLOUD_IP")
	pair, err := cloudCA.Issue(24*time.Hour, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(ip)} })
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(ip, "0"), &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return "https://" + listener.Addr().String()
}

// certificates are those that the cloud holds for a common name.
func (c *cloud) certificates(commonName string) []emulator.Certificate {
	return slices.DeleteFunc(c.Certificates(account, emulator.RegionChina), func(c emulator.Certificate) bool { return c.CommonName != commonName })
}

// uploads is the number of uploads that the cloud got, whatever came of them.
func (c *cloud) uploads() int {
	n := 0
	for _, call := range c.Journal() {
		if call.Action == "UploadUserCertificate" {
			n++
		}
	}
	return n
}

// values are those of a release that uses a cloud.
func (c *cloud) values(more map[string]any) map[string]any {
	repository, tag, _ := strings.Cut(os.Getenv("E2E_IMAGE"), ":")
	values := map[string]any{
		"image": map[string]any{"repository": repository, "tag": tag, "pullPolicy": "Never"},
		// Both regions, so that nothing can reach the real cloud.
		"endpoints":   map[string]any{emulator.RegionChina: c.url, emulator.RegionInternational: c.url},
		"stsEndpoint": c.url,
		"caConfigMap": map[string]any{"name": cloudCAConfigMap},
		"credentials": map[string]any{"existingSecret": credentials},
	}
	maps.Copy(values, more)
	return values
}

// install installs the chart as its README says, and waits until it is ready.
func (c *cloud) install(t *testing.T, more map[string]any) {
	t.Helper()
	t.Cleanup(func() {
		saveLogs(t)
		helm(t, "uninstall", releaseName, "--wait", "--ignore-not-found")
		dropLease(t)
	})
	helm(t, "install", releaseName, chart(), "--wait", "--timeout=3m", "--values="+valuesFile(t, c.values(more)))
}

// dropLease deletes the lease of a release that is gone. A leader that is uninstalled cannot give
// it back, for its role may go before it does: the next test would wait until it has run out. That
// an operator does so is what TestInstallUninstallReinstall shows.
func dropLease(t *testing.T) {
	t.Helper()
	selector := "--selector=app.kubernetes.io/name=cloudcert"
	kubectl(t, "wait", "--namespace="+releaseNamespace, "--for=delete", "--timeout="+patience.String(), "pod", selector)
	kubectl(t, "delete", "--namespace="+releaseNamespace, "--ignore-not-found", "lease", leaseName)
}

func chart() string { return filepath.Join(testbed.Root(), "charts", "cloudcert") }

// valuesFile writes values for helm; YAML takes JSON.
func valuesFile(t *testing.T, values map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "", "helm", append(args, "--namespace="+releaseNamespace)...)
}

func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "", "kubectl", args...)
}

// waitServedKinds waits until kubectl finds kinds whose CRDs were just applied. `kubectl wait
// --for=condition=Established` does not do: it fails at once where it sees a CRD before the API server has
// given it a condition (kubernetes/kubernetes#66439), and it returns before the kinds are discovered.
func waitServedKinds(t *testing.T, resources ...string) {
	t.Helper()
	eventually(t, "the API server serves "+strings.Join(resources, ", "), func() (bool, string) {
		out, err := exec.Command("kubectl", "get", "--all-namespaces", strings.Join(resources, ",")).CombinedOutput()
		return err == nil, string(out)
	})
}

// apply applies a manifest.
func apply(t *testing.T, manifest string) {
	t.Helper()
	run(t, manifest, "kubectl", "apply", "-f", "-")
}

// run runs a command that must succeed, and returns what it prints. Cleanups
// use it too, when the test's context has ended.
func run(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// saveLogs keeps what the operator said, where a failed run can be looked into.
func saveLogs(t *testing.T) {
	t.Helper()
	for _, pod := range operatorPods(t) {
		for _, previous := range []bool{false, true} {
			out, err := exec.Command("kubectl", "logs", "-n", releaseNamespace, pod.Name, fmt.Sprintf("--previous=%t", previous)).CombinedOutput()
			if err != nil {
				continue // it was never restarted, or has not started
			}
			keepLog(t, fmt.Sprintf("%s-previous-%t", pod.Name, previous), out)
		}
	}
	if t.Failed() {
		out, _ := exec.Command("kubectl", "get", "pods,ccert,ccb", "-A").CombinedOutput()
		t.Logf("%s", out)
		events, _ := exec.Command("kubectl", "get", "events", "-A", "-o", "wide").CombinedOutput() // too many for the test's output
		keepLog(t, "events", events)
	}
}

// keepLog writes a file of a test's own beside the logs of the cluster.
func keepLog(t *testing.T, what string, content []byte) {
	t.Helper()
	file := fmt.Sprintf("%s-%s.log", strings.ReplaceAll(t.Name(), "/", "-"), what)
	if err := os.WriteFile(filepath.Join(os.Getenv("E2E_LOG"), file), content, 0o600); err != nil {
		t.Error(err)
	}
}

// operatorPods are the operator's pods that are not being deleted.
func operatorPods(t *testing.T) []corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	err := kube.List(context.WithoutCancel(t.Context()), pods, client.InNamespace(releaseNamespace), client.MatchingLabels{"app.kubernetes.io/name": "cloudcert"})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// app is a namespace of a test with what it keeps there.
type app struct {
	t         *testing.T
	namespace string
}

func newApp(t *testing.T, name string) *app {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := kube.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, namespace: name}
	t.Cleanup(func() { // before the operator is uninstalled, so that the next one has nothing to do
		ctx := context.WithoutCancel(t.Context())
		if err := client.IgnoreNotFound(kube.Delete(ctx, ns)); err != nil {
			t.Error(err)
		}
	})
	return a
}

// putTLS gives a Secret a new certificate for a name.
func (a *app) putTLS(name, commonName string) {
	a.t.Helper()
	pair, err := siteCA.Issue(90*24*time.Hour, nil, commonName)
	if err != nil {
		a.t.Fatal(err)
	}
	a.putSecret(name, corev1.SecretTypeTLS, map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.PrivateKey})
}

func (a *app) putSecret(name string, kind corev1.SecretType, data map[string][]byte) {
	a.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name}, Type: kind, Data: data}
	err := kube.Create(a.t.Context(), secret)
	if client.IgnoreAlreadyExists(err) == nil && err != nil {
		err = kube.Update(a.t.Context(), secret)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// create makes a CloudCertificate for the Secret of the same name.
func (a *app) create(name string, change func(*v1alpha1.CloudCertificateSpec)) {
	a.t.Helper()
	cc := &v1alpha1.CloudCertificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name},
		Spec:       v1alpha1.CloudCertificateSpec{SecretRef: v1alpha1.SecretReference{Name: name}},
	}
	if change != nil {
		change(&cc.Spec)
	}
	if err := kube.Create(a.t.Context(), cc); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) get(name string) *v1alpha1.CloudCertificate {
	a.t.Helper()
	cc := &v1alpha1.CloudCertificate{}
	if err := kube.Get(a.t.Context(), client.ObjectKey{Namespace: a.namespace, Name: name}, cc); err != nil {
		a.t.Fatal(err)
	}
	return cc
}

// waitReady waits until an object is Ready with another certificate than old.
func (a *app) waitReady(name string, old int64) *v1alpha1.CloudCertificate {
	a.t.Helper()
	var cc *v1alpha1.CloudCertificate
	eventually(a.t, fmt.Sprintf("%s is Ready with another certificate than %d", name, old), func() (bool, string) {
		cc = a.get(name)
		return meta.IsStatusConditionTrue(cc.Status.Conditions, v1alpha1.ConditionReady) && cc.Status.CertID != old, fmt.Sprintf("%+v", cc.Status)
	})
	return cc
}

// checkHeld checks that the cloud holds what an object's status says.
func (c *cloud) checkHeld(t *testing.T, cc *v1alpha1.CloudCertificate) {
	t.Helper()
	for _, held := range c.Certificates(account, emulator.RegionChina) {
		if held.CertID == cc.Status.CertID {
			if held.Name != cc.Status.Name || !strings.EqualFold(held.SHA256, cc.Status.Certificate.FingerprintSHA256) {
				t.Errorf("the cloud holds %+v, status says %+v", held, cc.Status)
			}
			return
		}
	}
	t.Errorf("the cloud does not hold certificate %d of %s", cc.Status.CertID, cc.Name)
}

// eventually asks until the answer is yes; what it saw last goes into the failure.
func eventually(t *testing.T, what string, ask func() (bool, string)) {
	t.Helper()
	if err := testbed.Eventually(context.WithoutCancel(t.Context()), patience, 100*time.Millisecond, func() (string, error) {
		done, saw := ask()
		if done {
			return "", nil
		}
		return cmp.Or(saw, "it did not happen"), nil
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
