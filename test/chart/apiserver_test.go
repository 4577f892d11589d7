// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// monitoring are the kinds of the Prometheus Operator.
var monitoring = map[string]func() any{
	"ServiceMonitor": func() any { return &monitoringv1.ServiceMonitor{} },
	"PodMonitor":     func() any { return &monitoringv1.PodMonitor{} },
	"PrometheusRule": func() any { return &monitoringv1.PrometheusRule{} },
}

const restricted = "pod-security.kubernetes.io/enforce"

// TestAPIServerTakesEveryObject with every field: one that it does not know is an
// error.
func TestAPIServerTakesEveryObject(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{releaseNamespace, "shop", "blog", "monitoring", "grafana"} {
		ensureNamespace(t, namespace)
	}
	renders := map[string][]*unstructured.Unstructured{}
	for name, values := range cases(t) {
		renders[name] = objects(t, values)
	}
	for name, variant := range variants {
		renders["kustomize "+name] = kustomize(t, variant.folders...)
	}
	for name, all := range renders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, o := range all {
				if kind, ok := monitoring[o.GetKind()]; ok { // not a kind of the server
					convert(t, o, kind())
					continue
				}
				if o.GetNamespace() == "" && o.GetKind() == "ConfigMap" {
					o.SetNamespace(releaseNamespace) // as helm does with an extra object
				}
				err := kube.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.DryRunAll, client.ForceOwnership)
				if err != nil {
					t.Errorf("%s: %v", describe(o), err)
				}
			}
		})
	}
}

// TestPodsAreAdmittedWhereRestricted: Pod Security refuses what is not restricted,
// of the chart and of kustomize.
func TestPodsAreAdmittedWhereRestricted(t *testing.T) {
	t.Parallel()
	const namespace = "restricted"
	ensureNamespace(t, namespace, restricted, "restricted")
	deployments := map[string]*unstructured.Unstructured{"kustomize": one(t, kustomize(t, "default"), "Deployment")}
	for name, values := range cases(t) {
		if name != "everything" { // it changes the security contexts
			deployments[name] = one(t, objects(t, values), "Deployment")
		}
	}
	for name, deployment := range deployments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Pod",
				"metadata": map[string]any{"name": "operator", "namespace": namespace},
				"spec":     field[any](t, deployment, "spec", "template", "spec"),
			}}
			if err := kube.Create(t.Context(), pod.DeepCopy(), client.DryRunAll); err != nil {
				t.Error(err)
			}
			delete(field[[]any](t, pod, "spec", "containers")[0].(map[string]any), "securityContext")
			if err := kube.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
				t.Errorf("a pod that is not restricted is not refused: %v", err)
			}
		})
	}
}

// TestOperatorWorksInAllNamespaces has the control plane for itself: this operator
// would answer the objects of other tests too.
func TestOperatorWorksInAllNamespaces(t *testing.T) {
	testOperatorWorks(t, "everywhere", "{}")
}

func TestOperatorWorksInSomeNamespaces(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ namespace, values string }{
		"others":                        {"some", "watchNamespaces: [some-shop, some-blog]"},
		"its own too":                   {"own", "watchNamespaces: [own, own-shop]"},
		"the cluster's id is a value":   {"by-value", "{watchNamespaces: [by-value-shop], clusterId: prod-1, rbac: {readClusterId: false}}"},
		"the metrics' rights are there": {"measured", "{watchNamespaces: [measured-shop], metrics: {rbac: create}}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testOperatorWorks(t, tc.namespace, tc.values)
		})
	}
}

// testOperatorWorks installs the chart and runs the operator as its ServiceAccount,
// with its arguments: it leads, answers an object, and is never refused anything.
func testOperatorWorks(t *testing.T, namespace, values string) {
	t.Helper()
	shop := namespace + "-shop"
	for _, name := range []string{namespace, shop, namespace + "-blog"} {
		ensureNamespace(t, name)
	}
	config, args := install(t, namespace, parse(t, values))
	process := start(t, config, args, "--leader-election-namespace="+namespace, "--metrics-bind-address=0")

	object := cloudCertificate(shop)
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	eventually(t, process, "the lease is held", func() bool {
		leases := &coordinationv1.LeaseList{}
		err := kube.List(t.Context(), leases, client.InNamespace(namespace))
		return err == nil && len(leases.Items) == 1
	})
	eventually(t, process, "status is written", func() bool {
		err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		return err == nil && len(conditions) > 0
	})
	eventually(t, process, "an event is made", func() bool {
		events := &eventsv1.EventList{}
		err := kube.List(t.Context(), events, client.InNamespace(shop))
		return err == nil && len(events.Items) > 0
	})
	if strings.Contains(strings.ToLower(process.Output()), "forbidden") {
		t.Errorf("the operator was refused something:\n%s", process.Output())
	}
}

// TestMetricsAreForReaders: the chart's roles let the operator check who asks, and
// let those in that metrics.readers names.
func TestMetricsAreForReaders(t *testing.T) {
	const namespace = "metrics"
	ensureNamespace(t, namespace)
	for _, name := range []string{"prometheus", "stranger"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
		if err := kube.Create(t.Context(), account); err != nil {
			t.Fatal(err)
		}
	}
	config, args := install(t, namespace, parse(t, "metrics: {readers: [{name: prometheus, namespace: metrics}]}"))
	address, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	process := start(t, config, args, "--leader-elect=false", "--metrics-bind-address=:"+port) // loopback alone would need no token
	visitor := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for name, want := range map[string]int{"": http.StatusUnauthorized, "stranger": http.StatusForbidden, "prometheus": http.StatusOK} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if name != "" {
			request.Header.Set("Authorization", "Bearer "+tokenOf(t, namespace, name))
		}
		var response *http.Response
		eventually(t, process, "the metrics are served", func() bool { // shortly after it is ready
			response, err = visitor.Do(request)
			return err == nil
		})
		if response.Body.Close(); response.StatusCode != want {
			t.Errorf("%q is answered %s, want %d\n%s", name, response.Status, want, process.Output())
		}
	}
}

// TestOperatorCannotReadElsewhere tries what watchNamespaces takes from it.
func TestOperatorCannotReadElsewhere(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"confined", "confined-shop", "confined-elsewhere"} {
		ensureNamespace(t, namespace)
		if err := kube.Create(t.Context(), secretIn(namespace)); err != nil {
			t.Fatal(err)
		}
	}
	config, _ := install(t, "confined", parse(t, "watchNamespaces: [confined-shop]"))
	operator, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	get := func(object client.Object, namespace, name string) error {
		return operator.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	}
	listSecrets := func(options ...client.ListOption) error {
		return operator.List(t.Context(), &corev1.SecretList{}, options...)
	}
	for what, err := range map[string]error{
		"read a Secret where it watches": get(&corev1.Secret{}, "confined-shop", "web-tls"),
		"list Secrets where it watches":  listSecrets(client.InNamespace("confined-shop")),
		"read the namespace kube-system": get(&corev1.Namespace{}, "", "kube-system"),
	} {
		if err != nil {
			t.Errorf("it cannot %s: %v", what, err)
		}
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "x"}}
	for what, err := range map[string]error{
		"read a Secret of its own namespace":   get(&corev1.Secret{}, "confined", "web-tls"),
		"read a Secret elsewhere":              get(&corev1.Secret{}, "confined-elsewhere", "web-tls"),
		"list Secrets elsewhere":               listSecrets(client.InNamespace("confined-elsewhere")),
		"list Secrets of kube-system":          listSecrets(client.InNamespace("kube-system")),
		"list Secrets of the cluster":          listSecrets(),
		"delete a Secret where it watches":     operator.Delete(t.Context(), secretIn("confined-shop")),
		"read a CloudCertificate elsewhere":    get(cloudCertificate(""), "confined-elsewhere", "web"),
		"read a namespace besides kube-system": get(&corev1.Namespace{}, "", "confined-shop"),
		"review a token":                       operator.Create(t.Context(), review),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("it can %s: %v", what, err)
		}
	}
}

func secretIn(namespace string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "web-tls", Namespace: namespace}}
}

// install creates what the chart renders for a release in a namespace, waits until its
// policy works, and deletes everything at the end, so that no other test meets the policy.
// It returns a config with a token of the operator's ServiceAccount, and its arguments.
func install(t *testing.T, namespace string, values map[string]any) (*rest.Config, []string) {
	t.Helper()
	var args []string
	account := &corev1.ServiceAccount{}
	release := objectsIn(t, namespace, values)
	policyWorks := func() {}
	for _, policy := range ofKind(release, "ValidatingAdmissionPolicy") {
		watched := namespace
		if some, _, _ := unstructured.NestedStringSlice(values, "watchNamespaces"); len(some) > 0 {
			watched = some[0]
		}
		policyWorks = awaitPolicy(t, policy.GetName(), watched)
	}
	for _, o := range release {
		switch o.GetKind() {
		case "CustomResourceDefinition":
			continue // the control plane has it
		case "Deployment":
			args = arguments(t, o)
		case "ServiceAccount":
			account.Namespace, account.Name = o.GetNamespace(), o.GetName()
		}
		if err := kube.Create(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", describe(o), err)
		}
		t.Cleanup(func() {
			if err := kube.Delete(context.WithoutCancel(t.Context()), o); client.IgnoreNotFound(err) != nil {
				t.Errorf("%s: %v", describe(o), err)
			}
		})
	}
	policyWorks()
	config := rest.AnonymousClientConfig(plane.Config)
	config.BearerToken = tokenOf(t, account.Namespace, account.Name)
	return config, args
}

// tokenOf asks for a token of a ServiceAccount.
func tokenOf(t *testing.T, namespace, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	token := &authenticationv1.TokenRequest{}
	if err := kube.SubResource("token").Create(t.Context(), account, token); err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

// start runs the operator until the test ends, and waits until it is ready.
func start(t *testing.T, config *rest.Config, args []string, more ...string) *testbed.Process {
	t.Helper()
	health, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	more = append(more, "--kubeconfig="+kubeconfig(t, config), "--health-probe-bind-address="+health)
	process, err := testbed.Start(t.Context(), manager, nil, slices.Concat(args, more)...) // the last of a flag counts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(testbed.Patience); err != nil {
			t.Errorf("%v\n%s", err, process.Output())
		}
	})
	if err := process.WaitReady(t.Context(), "http://"+health+"/readyz"); err != nil {
		t.Fatal(err)
	}
	return process
}

// kubeconfig writes a config into a file.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	file := t.TempDir() + "/kubeconfig"
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"operator": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "operator"}},
		CurrentContext: "test",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// cloudCertificate is one whose Secret does not exist.
func cloudCertificate(namespace string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cloudcert.io/v1alpha1", "kind": "CloudCertificate",
		"spec": map[string]any{"secretRef": map[string]any{"name": "missing"}},
	}}
	object.SetNamespace(namespace)
	object.SetName("web")
	return object
}

// ensureNamespace makes a namespace with labels, given as keys and values.
func ensureNamespace(t *testing.T, name string, labels ...string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for pair := range slices.Chunk(labels, 2) {
		namespace.Labels[pair[0]] = pair[1]
	}
	if err := kube.Create(t.Context(), namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// eventually waits for what the operator does.
func eventually(t *testing.T, process *testbed.Process, what string, done func() bool) {
	t.Helper()
	err := testbed.Eventually(context.WithoutCancel(t.Context()), testbed.Patience, 50*time.Millisecond, func() (string, error) {
		switch {
		case done():
			return "", nil
		case process.Exited():
			return "", errors.New("the operator has ended")
		}
		return what, nil
	})
	if err != nil {
		t.Fatalf("%v; the operator said:\n%s", err, process.Output())
	}
}
