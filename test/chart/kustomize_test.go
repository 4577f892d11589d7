// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// variants are the folders of config/ that users apply, and the chart's values that
// come to the same.
var variants = map[string]struct {
	folders []string
	values  string
}{
	"default":    {[]string{"default"}, "{}"},
	"namespaced": {[]string{"namespaced"}, "{watchNamespaces: [blog, shop], admissionPolicy: {enabled: true}}"},
	"prometheus": {[]string{"default", "prometheus"}, `
metrics:
  serviceMonitor: {enabled: true}
  prometheusRule: {enabled: true}
`},
}

// differences are all that is meant to differ: each takes from the chart's object
// what kustomize does not have, or adds what it has.
var differences = []struct {
	why   string
	apply func(t *testing.T, o *unstructured.Unstructured)
}{
	{"helm, chart and version are of no interest to who has neither", func(_ *testing.T, o *unstructured.Unstructured) {
		labels := o.GetLabels()
		delete(labels, "app.kubernetes.io/managed-by")
		delete(labels, "app.kubernetes.io/version")
		delete(labels, "helm.sh/chart")
		o.SetLabels(labels)
	}},
	{"helm would delete the CRD with the release; kubectl deletes what it is told to", func(_ *testing.T, o *unstructured.Unstructured) {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "helm.sh/resource-policy")
	}},
	{"a cluster may have several releases, whose names must differ outside of their namespaces", func(t *testing.T, o *unstructured.Unstructured) {
		o.SetName(kustomizeName(o.GetKind(), o.GetNamespace(), o.GetName()))
		switch kind := o.GetKind(); {
		case kind == "ValidatingAdmissionPolicyBinding":
			spec := field[map[string]any](t, o, "spec")
			spec["policyName"] = kustomizeName(kind, "", spec["policyName"].(string))
		case strings.HasSuffix(kind, "Binding"):
			role := field[map[string]any](t, o, "roleRef")
			role["name"] = kustomizeName(role["kind"].(string), o.GetNamespace(), role["name"].(string))
		}
	}},
	{"the chart writes the manager's defaults out, which TestDefaultsAreTheManagers compares", func(t *testing.T, o *unstructured.Unstructured) {
		if o.GetKind() != "Deployment" {
			return
		}
		defaults := arguments(t, one(t, objects(t, nil), "Deployment"))
		args := slices.DeleteFunc(arguments(t, o), func(arg string) bool {
			return slices.Contains(defaults, arg) && arg != "--leader-elect" && arg != "--region=cn-hangzhou"
		})
		slices.Sort(args)
		container(t, o)["args"] = args
	}},
	{"kustomize has no values: a Secret of this name is used if it is there", func(t *testing.T, o *unstructured.Unstructured) {
		if o.GetKind() != "Deployment" {
			return
		}
		values := parse(t, "credentials: {existingSecret: cloudcert-credentials}")
		env := environment(t, one(t, objects(t, values), "Deployment"))
		for _, variable := range env {
			reference := &unstructured.Unstructured{Object: variable.(map[string]any)}
			if _, secret, _ := unstructured.NestedMap(reference.Object, "valueFrom", "secretKeyRef"); !secret {
				continue
			}
			field[map[string]any](t, reference, "valueFrom", "secretKeyRef")["optional"] = true
		}
		container(t, o)["env"] = env
	}},
}

// kustomizeName is the name in config/ of what the chart names otherwise.
func kustomizeName(kind, namespace, name string) string {
	bare, outside := strings.CutPrefix(name, "cloudcert-system:")
	switch {
	case strings.HasPrefix(kind, "ValidatingAdmissionPolicy"): // whose name takes no colon
		return strings.TrimPrefix(name, "cloudcert-system.")
	case outside && strings.HasPrefix(kind, "Role") && namespace != "kube-system":
		return bare + "-watched"
	default:
		return strings.TrimSuffix(bare, "-cluster-id")
	}
}

// TestKustomizeInstallsWhatTheChartDoes but for the differences.
func TestKustomizeInstallsWhatTheChartDoes(t *testing.T) {
	t.Parallel()
	for name, variant := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := map[string]any{}, map[string]any{}
			for _, o := range objects(t, parse(t, variant.values)) {
				for _, difference := range differences {
					difference.apply(t, o)
				}
				ours[describe(o)] = o.Object
			}
			for _, o := range kustomize(t, variant.folders...) {
				switch o.GetKind() {
				case "Namespace": // the chart is installed into one that is there
					continue
				case "Deployment":
					args := arguments(t, o)
					slices.Sort(args) // their order means nothing
					container(t, o)["args"] = args
				}
				theirs[describe(o)] = o.Object
			}
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("-kustomize +chart:\n%s", diff)
			}
		})
	}
}

// kustomize renders folders of config/.
func kustomize(t *testing.T, folders ...string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, folder := range folders {
		rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), root+"/config/"+folder)
		if err != nil {
			t.Fatal(err)
		}
		text, err := rendered.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, split(t, "config/"+folder, string(text))...)
	}
	return all
}
