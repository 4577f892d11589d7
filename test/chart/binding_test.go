// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// bindsConfigMaps are the values that come to what config/binding does.
const bindsConfigMaps = "binding: {targets: [configmap]}"

// TestBindingGrantsWhatKustomizeGrants compares the chart with the component config/binding, and with
// each of those that add another kind of object to it.
func TestBindingGrantsWhatKustomizeGrants(t *testing.T) {
	t.Parallel()
	for _, kinds := range [][]string{{"configmap"}, {"configmap", "service"}, {"configmap", "albconfig"}, {"configmap", "service", "albconfig"}} {
		t.Run(strings.Join(kinds, ","), func(t *testing.T) {
			t.Parallel()
			rendered := kustomizeWithBinding(t, kinds[1:]...)
			chart := grants(t, objects(t, parse(t, "binding: {targets: ["+strings.Join(kinds, ", ")+"]}")))
			if diff := cmp.Diff(grants(t, rendered), chart, cmp.AllowUnexported(grant{})); diff != "" {
				t.Errorf("-kustomize +chart:\n%s", diff)
			}
			args := arguments(t, one(t, rendered, "Deployment"))
			for _, kind := range kinds {
				if !slices.Contains(args, "--bind-targets="+kind) {
					t.Errorf("%s is not switched on: %q", kind, args)
				}
			}
		})
	}
}

// TestWhoBindsNothingGrantsNothingNew, and ConfigMaps are written for targets of that kind alone.
func TestWhoBindsNothingGrantsNothingNew(t *testing.T) {
	t.Parallel()
	const (
		kinds      = "cloudcert.io/cloudcertificatebindings *"
		status     = "cloudcert.io/cloudcertificatebindings/status *"
		policies   = "cloudcert.io/certificatetargetpolicies *"
		configMaps = "/configmaps *"
		services   = "/services *"
		namespaces = "/namespaces *"
		nodes      = "/nodes *"
		albConfigs = "alibabacloud.com/albconfigs *"
	)
	in := func(place string, rights ...string) []string {
		for i, right := range rights {
			rights[i] = place + ": " + right
		}
		return rights
	}
	for name, tc := range map[string]struct {
		values string
		want   []string
	}{
		"no bindings":             {"{}", nil},
		"no bindings, in some":    {"watchNamespaces: [shop]", nil},
		"an endpoint is no grant": {"binding: {targetEndpoints: {alb: https://alb.example.com}}", nil},
		"roles from elsewhere":    {"{rbac: {create: false, aggregate: {view: false, edit: false, admin: false}}, binding: {targets: [all]}}", nil},
		"listeners":               {"binding: {targets: [alb, cdn]}", in(cluster, kinds, status, policies, namespaces)},
		"ConfigMaps":              {bindsConfigMaps, in(cluster, kinds, status, policies, namespaces, configMaps)},
		"Services":                {"binding: {targets: [service]}", in(cluster, kinds, status, policies, namespaces, services, nodes)},
		"AlbConfigs":              {"binding: {targets: [albconfig]}", in(cluster, kinds, status, policies, namespaces, nodes, albConfigs)},
		"all":                     {"binding: {targets: [all]}", in(cluster, kinds, status, policies, namespaces, configMaps, services, nodes, albConfigs)},
		"in some namespaces": {
			"{watchNamespaces: [shop], binding: {targets: [all]}}",
			slices.Concat(in("shop", kinds, status, configMaps, services), in(cluster, policies, namespaces, nodes, albConfigs)),
		},
		"listeners, in some namespaces": {
			"{watchNamespaces: [shop], binding: {targets: [nlb]}}",
			slices.Concat(in("shop", kinds, status), in(cluster, policies, namespaces)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := placesOf(grants(t, objects(t, parse(t, tc.values))), kinds, status, policies, configMaps, services, namespaces, nodes, albConfigs)
			slices.Sort(tc.want)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// placesOf says where the operator may do anything with some resources.
func placesOf(all []grant, resources ...string) []string {
	var found []string
	for _, g := range all {
		_, resource, _ := strings.Cut(g.right, " ")
		if g.subject == operator && slices.Contains(resources, resource) {
			found = append(found, g.place+": "+resource)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestUsersOfBindingsGetThemByAggregation: whoever may write CloudCertificates may write
// bindings, and read which policies there are.
func TestUsersOfBindingsGetThemByAggregation(t *testing.T) {
	t.Parallel()
	read, write := []string{"get", "list", "watch"}, []string{"create", "delete", "deletecollection", "patch", "update"}
	want := map[string][]string{"cloudcertificatebindings": slices.Sorted(slices.Values(slices.Concat(read, write))), "certificatetargetpolicies": read}
	for name, all := range map[string][]*unstructured.Unstructured{
		"chart": objects(t, parse(t, bindsConfigMaps)), "kustomize": kustomizeWithBinding(t),
	} {
		got := map[string][]string{}
		for _, o := range ofKind(all, "ClusterRole") {
			if o.GetLabels()["rbac.authorization.k8s.io/aggregate-to-edit"] != "true" {
				continue
			}
			for _, g := range grants(t, []*unstructured.Unstructured{o}) {
				verb, what, _ := strings.Cut(g.right, " cloudcert.io/")
				if kind := strings.TrimSuffix(what, " *"); want[kind] != nil {
					got[kind] = append(got[kind], verb)
					slices.Sort(got[kind])
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// TestBindingIsRendered as the manager's flags, and not at all where nothing is bound.
func TestBindingIsRendered(t *testing.T) {
	t.Parallel()
	for values, want := range map[string][]string{
		"{}": nil,
		"binding: {policy: SingleTenant, targetEndpoints: {alb: https://alb.example.com}}": nil,
		"binding: {targets: [alb, configmap]}":                                             {"--bind-targets=alb,configmap", "--binding-policy=Require"},
		"binding: {targets: [all], policy: SingleTenant}":                                  {"--bind-targets=all", "--binding-policy=SingleTenant"},
		"binding: {targets: [cdn], policy: null, targetEndpoints: {cdn: https://a.example.com, alb/cn-beijing: https://b.example.com}}": {
			"--bind-targets=cdn", "--binding-policy=Require", "--target-endpoint=alb/cn-beijing=https://b.example.com", "--target-endpoint=cdn=https://a.example.com",
		},
	} {
		var got []string
		for _, arg := range arguments(t, one(t, objects(t, parse(t, values)), "Deployment")) {
			if strings.HasPrefix(arg, "--bind") || strings.HasPrefix(arg, "--target") {
				got = append(got, arg)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", values, diff)
		}
	}
}

// TestSchemaKnowsTheKindsOfTarget that the manager serves, and no other.
func TestSchemaKnowsTheKindsOfTarget(t *testing.T) {
	t.Parallel()
	help, err := exec.CommandContext(t.Context(), manager, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`separated by commas, or all: ([a-z, ]+) \(default: none\)`).FindSubmatch(help)
	if match == nil {
		t.Fatalf("no kinds of target in:\n%s", help)
	}
	want := append(strings.Split(string(match[1]), ", "), "all")
	var got []string
	for _, kind := range properties(properties(readSchema(t))["binding"])["targets"]["items"].(map[string]any)["enum"].([]any) {
		got = append(got, kind.(string))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-manager +schema:\n%s", diff)
	}
}

// TestOperatorServesBindings in all namespaces has the control plane for itself.
func TestOperatorServesBindings(t *testing.T) {
	testOperatorServesBindings(t, "binding", bindsConfigMaps)
}

func TestOperatorServesBindingsInSomeNamespaces(t *testing.T) {
	t.Parallel()
	testOperatorServesBindings(t, "some-bound", "{watchNamespaces: [some-bound-shop], binding: {targets: [configmap]}}")
}

// testOperatorServesBindings runs the operator with the chart's arguments and rights: a binding is
// observed, its slot is read, and nothing is refused.
func testOperatorServesBindings(t *testing.T, namespace, values string) {
	t.Helper()
	shop := namespace + "-shop"
	for _, name := range []string{namespace, shop} {
		ensureNamespace(t, name)
	}
	config, args := install(t, namespace, parse(t, values))
	inSlot := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "web-cert"}, Data: map[string]string{"certId": "7", "certIdentifier": "7-cn-hangzhou"},
	}
	binding := bindingOf(shop)
	for _, object := range []client.Object{inSlot, cloudCertificate(shop), binding} {
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	process := start(t, config, args, "--leader-election-namespace="+namespace, "--metrics-bind-address=0")
	eventually(t, process, "the binding is observed", func() bool {
		err := kube.Get(t.Context(), client.ObjectKeyFromObject(binding), binding)
		conditions, _, _ := unstructured.NestedSlice(binding.Object, "status", "conditions")
		return err == nil && len(conditions) > 0
	})
	if strings.Contains(strings.ToLower(process.Output()), "forbidden") {
		t.Errorf("the operator was refused something:\n%s", process.Output())
	}
	bound, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := bound.Get(t.Context(), client.ObjectKeyFromObject(inSlot), &corev1.ConfigMap{}); err != nil {
		t.Errorf("it cannot read a ConfigMap: %v", err)
	}
	for _, name := range []string{"web-cert", "new-cert"} {
		if err := bound.Apply(t.Context(), configMapOf(shop, name), client.DryRunAll, client.FieldOwner("x"), client.ForceOwnership); err != nil {
			t.Errorf("it cannot write a ConfigMap: %v", err)
		}
	}
	elsewhere := bound.Apply(t.Context(), configMapOf(namespace, "web-cert"), client.DryRunAll, client.FieldOwner("x"))
	if confined := strings.Contains(values, "watchNamespaces"); apierrors.IsForbidden(elsewhere) != confined {
		t.Errorf("writing a ConfigMap elsewhere is answered: %v", elsewhere)
	}
	if err := bound.List(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(shop)); err != nil {
		t.Errorf("it cannot list ConfigMaps, which its watch does: %v", err)
	}
	for _, other := range []client.ObjectList{&corev1.ServiceList{}, &corev1.NodeList{}} {
		if err := bound.List(t.Context(), other, client.InNamespace(shop)); !apierrors.IsForbidden(err) {
			t.Errorf("it can list %T: %v", other, err)
		}
	}
}

// bindingOf is a suspended binding of the CloudCertificate web to a ConfigMap.
func bindingOf(namespace string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cloudcert.io/v1alpha1", "kind": "CloudCertificateBinding",
		"spec": map[string]any{
			"certificateRef": map[string]any{"name": "web"}, "suspend": true,
			"target": map[string]any{"configMap": map[string]any{"name": "web-cert"}},
		},
	}}
	object.SetNamespace(namespace)
	object.SetName("web")
	return object
}

// configMapOf is what the operator applies.
func configMapOf(namespace, name string) runtime.ApplyConfiguration {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"certId": "8"}}}
	object.SetNamespace(namespace)
	object.SetName(name)
	return client.ApplyConfigurationFromUnstructured(object)
}

// kustomizeWithBinding renders config/default with the component config/binding, as a user's
// kustomization does, and with those of more kinds of object.
func kustomizeWithBinding(t *testing.T, more ...string) []*unstructured.Unstructured {
	t.Helper()
	folder := t.TempDir()
	config, err := filepath.Abs(root + "/config")
	if err != nil {
		t.Fatal(err)
	}
	if config, err = filepath.Rel(folder, config); err != nil {
		t.Fatal(err)
	}
	components := []string{config + "/binding"}
	for _, kind := range more {
		components = append(components, config+"/binding-"+kind)
	}
	text := "resources: [" + config + "/default]\ncomponents: [" + strings.Join(components, ", ") + "]\n"
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := rendered.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return split(t, "config/binding", string(yaml))
}
