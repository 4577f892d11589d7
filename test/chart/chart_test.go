// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestLintIsStrict is helm lint --strict for every file of values.
func TestLintIsStrict(t *testing.T) {
	t.Parallel()
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := lint.RunAll(chartDir, values, releaseNamespace, lint.WithKubeVersion(version))
			for _, message := range result.Messages {
				if message.Severity >= support.WarningSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestKubernetesIsChecked by helm before anything is installed.
func TestKubernetesIsChecked(t *testing.T) {
	t.Parallel()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]bool{
		"v1.31.9":          false, // its CEL has no library "format", which the CRD's rules use
		"v1.32.0":          true,
		"v1.32.1-aliyun.1": true,
		"v1.37.2":          true,
	} {
		if got := chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, version); got != want {
			t.Errorf("%s is taken: %v, want %v", version, got, want)
		}
	}
}

func TestCRDsAreThoseOfConfig(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crds := ofKind(objects(t, nil), "CustomResourceDefinition")
	if len(sources) == 0 || len(crds) != len(sources) {
		t.Fatalf("the chart has %d CRDs, config has %d", len(crds), len(sources))
	}
	for _, source := range sources {
		want := &unstructured.Unstructured{Object: readYAML(t, source)}
		i := slices.IndexFunc(crds, func(o *unstructured.Unstructured) bool { return o.GetName() == want.GetName() })
		if i < 0 {
			t.Errorf("the chart lacks %s", want.GetName())
			continue
		}
		got := crds[i]
		if diff := cmp.Diff(want.Object["spec"], got.Object["spec"]); diff != "" {
			t.Errorf("%s: -config/crd +chart:\n%s", want.GetName(), diff)
		}
		for key, value := range want.GetAnnotations() {
			if got.GetAnnotations()[key] != value {
				t.Errorf("%s: annotation %s is %q, want %q", want.GetName(), key, got.GetAnnotations()[key], value)
			}
		}
	}
}

func TestCRDsAreKeptUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{"{}": "keep", "crds: {keep: false}": ""} {
		for _, crd := range ofKind(objects(t, parse(t, values)), "CustomResourceDefinition") {
			if got := crd.GetAnnotations()["helm.sh/resource-policy"]; got != want {
				t.Errorf("%s: policy of %s is %q, want %q", values, crd.GetName(), got, want)
			}
		}
	}
	if crds := ofKind(objects(t, parse(t, "crds: {enabled: false}")), "CustomResourceDefinition"); len(crds) > 0 {
		t.Error("CRDs are installed with crds.enabled=false")
	}
}

// TestEveryObjectIsLabelledAndAnnotated with what the user gives to all of them,
// pods included; none of it can take the place of what selects the pods.
func TestEveryObjectIsLabelledAndAnnotated(t *testing.T) {
	t.Parallel()
	const common = `
commonLabels: {example.com/owner: platform, app.kubernetes.io/name: taken}
commonAnnotations: {example.com/contact: platform}
`
	for name, values := range cases(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delete(values, "extraObjects") // they are the user's own
			for key, value := range parse(t, common) {
				values[key] = value
			}
			all := objects(t, values)
			pod := &unstructured.Unstructured{Object: field[map[string]any](t, one(t, all, "Deployment"), "spec", "template")}
			selector := field[map[string]any](t, one(t, all, "Deployment"), "spec", "selector", "matchLabels")
			for _, o := range append(all, pod) {
				labels := o.GetLabels()
				if labels["example.com/owner"] != "platform" || o.GetAnnotations()["example.com/contact"] != "platform" {
					t.Errorf("%s lacks what all should have: %v %v", describe(o), labels, o.GetAnnotations())
				}
				for key, value := range selector {
					if labels[key] != value {
						t.Errorf("%s: label %s is %q, want %q", describe(o), key, labels[key], value)
					}
				}
			}
		})
	}
}

// TestEveryNamespacedObjectNamesItsNamespace: who applies the output of helm
// template gets what helm install makes.
func TestEveryNamespacedObjectNamesItsNamespace(t *testing.T) {
	t.Parallel()
	for name, values := range cases(t) {
		delete(values, "extraObjects")
		for _, o := range objects(t, values) {
			clusterWide := strings.HasPrefix(o.GetKind(), "Cluster") || strings.HasPrefix(o.GetKind(), "ValidatingAdmissionPolicy") ||
				o.GetKind() == "CustomResourceDefinition"
			if clusterWide != (o.GetNamespace() == "") {
				t.Errorf("%s: %s", name, describe(o))
			}
		}
	}
}

func TestNotesNameWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ values, want string }{
		"no credentials":          {"{}", "NO CREDENTIALS"},
		"an access key":           {"credentials: {existingSecret: alibaba}", "cloudcert-system/alibaba"},
		"a role":                  {"rrsa: {enabled: true, roleName: certs}", "RAM role certs"},
		"CRDs that go":            {"crds: {keep: false}", "WARNING"},
		"CRDs from elsewhere":     {"crds: {enabled: false}", "see that they are installed"},
		"metrics on loopback":     {"watchNamespaces: [shop]", "port-forward"},
		"no admission policy":     {"watchNamespaces: [shop]", "admissionPolicy.enabled"},
		"one replica":             {"replicaCount: 1", "one replica"},
		"the API server's port":   {"networkPolicy: {egress: true}", "networkPolicy.apiServerPort"},
		"an object to begin with": {"watchNamespaces: [shop]", "namespace: shop"},
		"bindings":                {"binding: {targets: [alb, service]}", "until a CertificateTargetPolicy admits it"},
		"bindings of anybody":     {"binding: {targets: [alb], policy: SingleTenant}", "WARNING: binding.policy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := render(parse(t, tc.values))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(files["NOTES.txt"], tc.want) {
				t.Errorf("the notes do not say %q:\n%s", tc.want, files["NOTES.txt"])
			}
		})
	}
}

// TestPackageHoldsWhatUsersNeed and nothing that makes it.
func TestPackageHoldsWhatUsersNeed(t *testing.T) {
	t.Parallel()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, file := range chart.Raw {
		if !strings.HasPrefix(file.Name, "templates/") {
			files = append(files, filepath.ToSlash(file.Name))
		}
	}
	want := []string{".helmignore", "Chart.yaml", "README.md", "files/alerts.yaml", "files/dashboard.json", "values.schema.json", "values.yaml"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// field returns a field of an object.
func field[T any](t *testing.T, o *unstructured.Unstructured, path ...string) T {
	t.Helper()
	value, ok, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	if err != nil || !ok {
		t.Fatalf("%s has no %s: %v", describe(o), strings.Join(path, "."), err)
	}
	return value.(T)
}

// container returns the first container of a Deployment.
func container(t *testing.T, deployment *unstructured.Unstructured) map[string]any {
	t.Helper()
	return field[[]any](t, deployment, "spec", "template", "spec", "containers")[0].(map[string]any)
}
