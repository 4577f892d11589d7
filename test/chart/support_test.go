// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart: what it renders, what it refuses, and that
// it grants what config/ grants.
package chart

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	root     = "../.."
	chartDir = root + "/charts/cloudcert"

	// A release as the chart's README installs it.
	releaseName      = "cloudcert"
	releaseNamespace = "cloudcert-system"

	// Offline, helm would render for the Kubernetes that it was made with.
	kubeVersion = "v1.37.2"
)

// cases are the files of values in testdata, by their name.
func cases(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of values: %v", err)
	}
	all := map[string]map[string]any{}
	for _, file := range files {
		all[strings.TrimSuffix(filepath.Base(file), ".yaml")] = readYAML(t, file)
	}
	return all
}

func readYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]any{}
	if err := yaml.Unmarshal(raw, &content); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return content
}

// parse reads values as they are given on a command line or in a file.
func parse(t *testing.T, values string) map[string]any {
	t.Helper()
	parsed := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// render returns what the chart makes of values, by the template's name.
func render(values map[string]any) (map[string]string, error) {
	return renderIn(releaseNamespace, values)
}

// renderIn is render for a release in another namespace.
func renderIn(namespace string, values map[string]any) (map[string]string, error) {
	loaded, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	return renderChart(loaded, namespace, values)
}

// renderChart is renderIn of a chart that a test may have changed.
func renderChart(loaded *chart.Chart, namespace string, values map[string]any) (map[string]string, error) {
	version, err := common.ParseKubeVersion(kubeVersion)
	if err != nil {
		return nil, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	release := common.ReleaseOptions{Name: releaseName, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(loaded, values, release, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(loaded, all)
	if err != nil {
		return nil, err
	}
	return byName(files), nil
}

// byName leaves folders and empty files out.
func byName(files map[string]string) map[string]string {
	named := map[string]string{}
	for file, text := range files {
		if strings.TrimSpace(text) != "" {
			named[path.Base(file)] = text
		}
	}
	return named
}

// objects returns what the chart makes of values, as objects.
func objects(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	return objectsIn(t, releaseNamespace, values)
}

// objectsIn is objects for a release in another namespace.
func objectsIn(t *testing.T, namespace string, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	files, err := renderIn(namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(file, ".yaml") {
			all = append(all, split(t, file, files[file])...)
		}
	}
	return all
}

// split reads the objects of a file.
func split(t *testing.T, file, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+text, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &object.Object); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, document)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
	return all
}

// one returns the only object of a kind.
func one(t *testing.T, all []*unstructured.Unstructured, kind string) *unstructured.Unstructured {
	t.Helper()
	found := ofKind(all, kind)
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want 1", len(found), kind)
	}
	return found[0]
}

func ofKind(all []*unstructured.Unstructured, kinds ...string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(all), func(o *unstructured.Unstructured) bool {
		return !slices.Contains(kinds, o.GetKind())
	})
}

func describe(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
}
