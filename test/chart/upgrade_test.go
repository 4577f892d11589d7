// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// TestOldValuesRender: helm upgrade --reuse-values renders the new templates with the
// values.yaml of the old chart. What is not in there is as it would be by default.
func TestOldValuesRender(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ values, same string }{
		"nothing set":           {"{}", "networkPolicy: {enabled: false}"},
		"some namespaces":       {"watchNamespaces: [shop]", "{watchNamespaces: [shop], networkPolicy: {enabled: false}}"},
		"a network policy":      {"networkPolicy: {enabled: true}", "networkPolicy: {metricsFrom: []}"},
		"no role for editors":   {"rbac: {aggregate: {edit: false}}", "{rbac: {aggregate: {edit: false}}, networkPolicy: {enabled: false}}"},
		"no policy":             {"admissionPolicy: {enabled: false}", "{admissionPolicy: {enabled: false}, networkPolicy: {enabled: false}}"},
		"a ServiceMonitor":      {"metrics: {serviceMonitor: {enabled: true}}", "{metrics: {serviceMonitor: {enabled: true}}, networkPolicy: {enabled: false}}"},
		"no limits of memory":   {"resources: {limits: null}", "{resources: {limits: null}, networkPolicy: {enabled: false}}"},
		"traffic out as before": {"networkPolicy: {enabled: true, egress: true}", "networkPolicy: {metricsFrom: [], egress: true}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := renderChart(oldChart(t), releaseNamespace, parse(t, tc.values))
			if err != nil {
				t.Fatal(err)
			}
			want, err := render(parse(t, tc.same))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-by default +with the old values:\n%s", diff)
			}
		})
	}
}

// oldChart is the chart with the values of its first version: without those that came
// later, and with the defaults that have changed since.
func oldChart(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	delete(loaded.Values, "admissionPolicy")
	delete(loaded.Values, "binding")
	delete(loaded.Values["rbac"].(map[string]any), "aggregate")
	network := loaded.Values["networkPolicy"].(map[string]any)
	delete(network, "egress")
	metrics := loaded.Values["metrics"].(map[string]any)
	for _, later := range []string{"perObject", "tls", "podMonitor", "prometheusRule", "dashboard"} {
		delete(metrics, later)
	}
	monitor := metrics["serviceMonitor"].(map[string]any)
	for _, later := range []string{"jobLabel", "honorLabels", "authorization", "endpointAdditionalProperties"} {
		delete(monitor, later)
	}
	network["enabled"], network["metricsFrom"] = false, []any{}
	return loaded
}

// TestRemovedValuesRender: null takes a default away. That of a choice is then what the
// templates take it for, which is the default too.
func TestRemovedValuesRender(t *testing.T) {
	t.Parallel()
	defaults, err := render(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range []string{
		"admissionPolicy: null",
		"admissionPolicy: {enabled: null}",
		"rbac: {aggregate: null}",
		"rbac: {aggregate: {edit: null}}",
		"networkPolicy: {egress: null}",
		"binding: null",
		"binding: {targets: null, policy: null, targetEndpoints: null}",
		"metrics: {perObject: null, tls: null, podMonitor: null, prometheusRule: null, dashboard: null}",
	} {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			got, err := render(parse(t, values))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(defaults, got); diff != "" {
				t.Errorf("-by default +removed:\n%s", diff)
			}
		})
	}
}

// TestEveryPartOfAKubernetesObjectMayBeRemoved by null, and every list and map of the
// user's own.
func TestEveryPartOfAKubernetesObjectMayBeRemoved(t *testing.T) {
	t.Parallel()
	removable := []string{"resources", "affinity", "endpoints", "admissionPolicy", "networkPolicy", "binding"}
	removed := 0
	for key, node := range properties(readSchema(t)) {
		if key == "enabled" || node["type"] == "object" && !slices.Contains(removable, key) {
			continue // a group of the chart's own values, or a parent chart's
		}
		removed++
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			if _, err := render(map[string]any{key: nil}); err != nil {
				t.Error(err)
			}
		})
	}
	if removed < 30 {
		t.Errorf("only %d values were tried", removed)
	}
}
