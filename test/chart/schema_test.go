// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ values, want string }{
		"a misspelled value":                {"replicas: 3", "replicas"},
		"a misspelled value in a group":     {"image: {tags: v1}", "tags"},
		"a misspelled value deep inside":    {"metrics: {serviceMonitor: {enable: true}}", "enable"},
		"a misspelled kind of affinity":     {"affinity: {podAntiaffinity: {}}", "podAntiaffinity"},
		"a number as text":                  {`replicaCount: "2"`, "replicaCount"},
		"text for a list":                   {"watchNamespaces: shop", "watchNamespaces"},
		"a namespace twice":                 {"watchNamespaces: [shop, shop]", "watchNamespaces"},
		"a namespace that cannot be":        {"watchNamespaces: [Shop]", "watchNamespaces"},
		"an unknown region":                 {"region: eu-central-1", "region"},
		"an endpoint of an unknown region":  {"endpoints: {eu-central-1: https://cas.example.com}", "eu-central-1"},
		"an endpoint in clear":              {"endpoints: {cn-hangzhou: 'http://cas.example.com'}", "endpoints"},
		"an endpoint with a path":           {"endpoints: {cn-hangzhou: https://cas.example.com/api}", "endpoints"},
		"an endpoint with a user":           {"stsEndpoint: https://me:secret@sts.example.com", "stsEndpoint"},
		"a tag for a digest":                {"image: {digest: v1.2.3}", "digest"},
		"an account as a number":            {"allowedAccountIds: [1234567890123456]", "allowedAccountIds"},
		"an account that is a name":         {"allowedAccountIds: [ops]", "allowedAccountIds"},
		"a cluster id with a slash":         {"clusterId: a/b", "clusterId"},
		"no cluster id and no way to it":    {"rbac: {readClusterId: false}", "clusterId"},
		"a role without its name":           {"rrsa: {enabled: true}", "roleName"},
		"a role beside an access key":       {"{rrsa: {enabled: true, roleName: x}, credentials: {existingSecret: y}}", "existingSecret"},
		"no ServiceAccount and no name":     {"serviceAccount: {create: false}", "serviceAccount"},
		"an argument that is no flag":       {"extraArgs: [region=x]", "extraArgs"},
		"no uploads at all":                 {"limits: {uploadQPS: 0}", "uploadQPS"},
		"a duration without a unit":         {`timing: {driftInterval: "6"}`, "driftInterval"},
		"a label that is no text":           {"podLabels: {on: true}", "podLabels"},
		"a port out of range":               {"networkPolicy: {apiServerPort: 70000}", "apiServerPort"},
		"a reader without its namespace":    {"metrics: {readers: [{name: prometheus}]}", "readers"},
		"an alert that does not exist":      {"metrics: {prometheusRule: {disabled: [CloudcertNotRead]}}", "disabled"},
		"runbooks without a place":          {"metrics: {prometheusRule: {runbookUrl: wiki}}", "runbookUrl"},
		"a token in a file":                 {"metrics: {serviceMonitor: {bearerTokenFile: /token}}", "bearerTokenFile"},
		"an unknown way to grant metrics":   {"metrics: {rbac: never}", "rbac"},
		"a list in place of pull secrets":   {"imagePullSecrets: [registry]", "imagePullSecrets"},
		"a budget that is neither count":    {"podDisruptionBudget: {maxUnavailable: half}", "maxUnavailable"},
		"a misspelled part of resources":    {"resources: {limit: {cpu: 1}}", "limit"},
		"a policy that may be":              {"admissionPolicy: {enabled: perhaps}", "admissionPolicy"},
		"a kind of target that is unknown":  {"binding: {targets: [live]}", "targets"},
		"all kinds of target and one more":  {"binding: {targets: [all, alb]}", "targets"},
		"all, one of which is named too":    {"binding: {targets: [all, fc, alb]}", "targets"},
		"a kind of target twice":            {"binding: {targets: [alb, alb]}", "targets"},
		"a misspelled policy of bindings":   {"binding: {policy: require}", "policy"},
		"an endpoint of an unknown product": {"binding: {targetEndpoints: {configmap: https://alb.example.com}}", "targetEndpoints"},
		"a product's endpoint in clear":     {"binding: {targetEndpoints: {alb/cn-shanghai: 'http://alb.example.com'}}", "targetEndpoints"},
		"a level of logging that is absent": {"log: {level: trace}", "level"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := render(parse(t, tc.values))
			if err == nil {
				t.Fatal("the values were taken")
			}
			if !strings.Contains(err.Error(), "schema") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error does not name %s: %v", tc.want, err)
			}
		})
	}
}

func TestSchemaTakes(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"what a parent chart passes":        "{global: {region: x}, enabled: true}",
		"a removed default":                 "{podSecurityContext: {runAsUser: null}, resources: {limits: null}}",
		"a budget in percent":               "podDisruptionBudget: {maxUnavailable: 50%}",
		"a budget of none":                  "podDisruptionBudget: {minAvailable: 0}",
		"no replicas for maintenance":       "replicaCount: 0",
		"an id that takes the Role's place": "{clusterId: prod-1, rbac: {readClusterId: false}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := render(parse(t, values)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestImpossibleCombinationsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ values, want string }{
		"a ServiceMonitor of metrics that are off":         {"metrics: {enabled: false, serviceMonitor: {enabled: true}}", "metrics.enabled"},
		"readers of metrics that are on loopback":          {"{watchNamespaces: [shop], metrics: {readers: [{name: prometheus, namespace: monitoring}]}}", "metrics.rbac"},
		"admins with less than editors":                    {"rbac: {aggregate: {admin: false}}", "rbac.aggregate.edit"},
		"a PodMonitor of metrics that are on loopback":     {"{watchNamespaces: [shop], metrics: {podMonitor: {enabled: true}}}", "metrics.rbac"},
		"a ServiceMonitor without roles":                   {"{rbac: {create: false}, metrics: {serviceMonitor: {enabled: true}}}", "authorization"},
		"a CA in another namespace than the monitor":       {"metrics: {tls: {existingSecret: x}, serviceMonitor: {enabled: true, namespace: monitoring}}", "tlsConfig"},
		"alerts about metrics that are off":                {"metrics: {enabled: false, prometheusRule: {enabled: true}}", "metrics.enabled"},
		"a dashboard of metrics that are off":              {"metrics: {enabled: false, dashboard: {enabled: true}}", "metrics.enabled"},
		"readers without roles":                            {"{rbac: {create: false}, metrics: {readers: [{name: prometheus, namespace: monitoring}]}}", "rbac.create"},
		"a ServiceMonitor of metrics that are on loopback": {"{watchNamespaces: [shop], metrics: {serviceMonitor: {enabled: true}}}", "metrics.rbac"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := render(parse(t, tc.values)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that names %s", err, tc.want)
			}
		})
	}
}

// freeForm are the definitions whose keys are the user's.
var freeForm = []string{"strings", "map"}

// TestSchemaIsClosed finds objects in the schema that would let a typo through.
func TestSchemaIsClosed(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	var walk func(path string, node map[string]any)
	walk = func(path string, node map[string]any) {
		if node["type"] == "object" && node["additionalProperties"] != false && path != ".global" {
			t.Errorf("%s takes any key", path)
		}
		for key, child := range properties(node) {
			walk(path+"."+key, child)
		}
		if items, ok := node["items"].(map[string]any); ok {
			walk(path+"[]", items)
		}
	}
	walk("", schema)
	for name, definition := range schema["definitions"].(map[string]any) {
		if !slices.Contains(freeForm, name) {
			walk("definitions."+name, definition.(map[string]any))
		}
	}
}

// TestEverythingTheSchemaTakesIsDocumented in values.yaml, from which the README is
// made. The reverse holds by itself: the schema would refuse values.yaml.
func TestEverythingTheSchemaTakesIsDocumented(t *testing.T) {
	t.Parallel()
	// A parent chart's, and maps of Kubernetes and of regions.
	exempt := []string{".global", ".enabled", ".resources.claims", ".affinity", ".endpoints"}
	var walk func(path string, node map[string]any, value any)
	walk = func(path string, node map[string]any, value any) {
		for key, child := range properties(node) {
			path := path + "." + key
			if slices.ContainsFunc(exempt, func(e string) bool { return path == e || strings.HasPrefix(path, e+".") }) {
				continue
			}
			values, _ := value.(map[string]any)
			if _, ok := values[key]; !ok {
				t.Errorf("%s is not in values.yaml", path)
			}
			walk(path, child, values[key])
		}
	}
	walk("", readSchema(t), readYAML(t, chartDir+"/values.yaml"))
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(chartDir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := map[string]any{}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func properties(node map[string]any) map[string]map[string]any {
	all := map[string]map[string]any{}
	found, _ := node["properties"].(map[string]any)
	for key, child := range found {
		all[key] = child.(map[string]any)
	}
	return all
}
