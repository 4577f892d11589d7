// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestHowPrometheusReadsTheMetrics(t *testing.T) {
	t.Parallel()
	token := map[string]any{"type": "Bearer", "credentials": map[string]any{"name": "cloudcert-metrics-reader", "key": "token"}}
	unchecked := map[string]any{"insecureSkipVerify": true}
	for name, tc := range map[string]struct {
		values        string
		authorization map[string]any
		tls           map[string]any
		readers       []string // namespaces of the ServiceAccounts that are made
		more          map[string]any
	}{
		"by default":              {values: "{}", authorization: token, tls: unchecked, readers: []string{releaseNamespace}},
		"from another namespace":  {values: "{namespace: monitoring}", authorization: token, tls: unchecked, readers: []string{"monitoring"}},
		"with a token of its own": {values: "{authorization: {credentials: {name: mine, key: token}}}", authorization: map[string]any{"credentials": map[string]any{"name": "mine", "key": "token"}}, tls: unchecked},
		"a platform's own fields": {values: "{endpointAdditionalProperties: {enableHttp2: false, proxyUrl: x}}", authorization: token, tls: unchecked, readers: []string{releaseNamespace}, more: map[string]any{"enableHttp2": false, "proxyUrl": "x"}},
		"a CA of the user's":      {values: "{tlsConfig: {serverName: x}}", authorization: token, tls: map[string]any{"serverName": "x"}, readers: []string{releaseNamespace}},
	} {
		for kind, endpoints := range map[string]string{"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				values := parse(t, tc.values)
				values["enabled"] = true
				all := objects(t, map[string]any{"metrics": map[string]any{strings.ToLower(kind[:1]) + kind[1:]: values}})
				want := map[string]any{
					"port": "metrics", "path": "/metrics", "scheme": "https", "honorLabels": true, "authorization": tc.authorization, "tlsConfig": tc.tls,
				}
				for field, value := range tc.more {
					want[field] = value
				}
				list := field[[]any](t, one(t, all, kind), "spec", endpoints)
				if diff := cmp.Diff(want, list[0]); diff != "" {
					t.Errorf("the endpoint (-want +got):\n%s", diff)
				}
				var readers []string
				for _, o := range ofKind(all, "ServiceAccount") {
					if o.GetName() == "cloudcert-metrics-reader" {
						readers = append(readers, o.GetNamespace())
					}
				}
				if !slices.Equal(readers, tc.readers) {
					t.Errorf("ServiceAccounts in %q, want %q", readers, tc.readers)
				}
				if got := subjects(all, "cloudcert-system:cloudcert-metrics-reader"); !slices.Equal(got, tc.readers) {
					t.Errorf("the role is bound to ServiceAccounts in %q, want %q", got, tc.readers)
				}
			})
		}
	}
}

// subjects are the namespaces of those that a ClusterRole is bound to.
func subjects(all []*unstructured.Unstructured, role string) (namespaces []string) {
	for _, o := range ofKind(all, "ClusterRoleBinding") {
		name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
		bound, _, _ := unstructured.NestedSlice(o.Object, "subjects")
		for _, s := range bound {
			if name == role {
				namespaces = append(namespaces, s.(map[string]any)["namespace"].(string))
			}
		}
	}
	return namespaces
}

func TestACertificateForTheMetricsIsMountedAndChecked(t *testing.T) {
	t.Parallel()
	all := objects(t, parse(t, "metrics: {tls: {existingSecret: own}, serviceMonitor: {enabled: true}}"))
	deployment := one(t, all, "Deployment")
	if args := arguments(t, deployment); !slices.Contains(args, "--metrics-cert-dir=/etc/cloudcert/metrics") {
		t.Errorf("the operator is not told: %q", args)
	}
	mounts, _ := container(t, deployment)["volumeMounts"].([]any)
	volumes := field[[]any](t, deployment, "spec", "template", "spec", "volumes")
	if len(mounts) != 1 || len(volumes) != 1 || mounts[0].(map[string]any)["mountPath"] != "/etc/cloudcert/metrics" {
		t.Errorf("mounts %v of volumes %v", mounts, volumes)
	}
	list := field[[]any](t, one(t, all, "ServiceMonitor"), "spec", "endpoints")
	want := map[string]any{
		"ca": map[string]any{"secret": map[string]any{"name": "own", "key": "ca.crt"}}, "serverName": "cloudcert-metrics.cloudcert-system.svc",
	}
	if diff := cmp.Diff(want, list[0].(map[string]any)["tlsConfig"]); diff != "" {
		t.Errorf("how Prometheus checks it (-want +got):\n%s", diff)
	}
}

func TestAlertsOfSingleObjectsNeedTheirMetrics(t *testing.T) {
	t.Parallel()
	rules := func(values string) (names []string, text string) {
		t.Helper()
		o := one(t, objects(t, parse(t, values)), "PrometheusRule")
		for _, rule := range field[[]any](t, o, "spec", "groups")[0].(map[string]any)["rules"].([]any) {
			names = append(names, rule.(map[string]any)["alert"].(string))
			text += rule.(map[string]any)["expr"].(string) + "\n"
		}
		return names, text
	}
	with, text := rules("metrics: {prometheusRule: {enabled: true}}")
	if !strings.Contains(text, "cloudcert_certificate_ready") || !slices.Contains(with, "CloudcertOutOfSync") {
		t.Errorf("alerts %q", with)
	}
	without, text := rules("metrics: {perObject: false, prometheusRule: {enabled: true, disabled: [CloudcertAbsent]}}")
	if strings.Contains(text, "cloudcert_certificate_") || !slices.Contains(without, "CloudcertNotReady") || slices.Contains(without, "CloudcertAbsent") {
		t.Errorf("without metrics of single objects: %q\n%s", without, text)
	}
}

func TestTheDashboardIsWholeInItsConfigMap(t *testing.T) {
	t.Parallel()
	o := one(t, objects(t, parse(t, "metrics: {dashboard: {enabled: true}}")), "ConfigMap")
	if o.GetLabels()["grafana_dashboard"] != "1" || o.GetAnnotations()["grafana_folder"] != "cloudcert" {
		t.Errorf("labels %v, annotations %v", o.GetLabels(), o.GetAnnotations())
	}
	var dashboard struct {
		UID        string
		Panels     []struct{ Title string }
		Templating struct{ List []struct{ Name, Type string } }
	}
	if err := json.Unmarshal([]byte(field[map[string]any](t, o, "data")["cloudcert.json"].(string)), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID != "cloudcert" || len(dashboard.Panels) < 20 || dashboard.Templating.List[0].Type != "datasource" {
		t.Errorf("the dashboard is not what it was: %+v", dashboard)
	}
}
