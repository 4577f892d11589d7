// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package alerts tests the alerts with promtool: for each there are cases that fire and
// cases that do not.
package alerts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// rule is an alert of config/prometheus.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// group is a group of rules, as Prometheus reads it.
type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

// rules reads the alerts of config/prometheus.
func rules(t *testing.T) group {
	t.Helper()
	object := struct {
		Spec struct{ Groups []group }
	}{}
	read(t, filepath.Join(testbed.Root(), "config", "prometheus", "prometheus_rule.yaml"), &object)
	if len(object.Spec.Groups) != 1 || len(object.Spec.Groups[0].Rules) < 12 {
		t.Fatalf("the alerts cannot be read: %+v", object)
	}
	return object.Spec.Groups[0]
}

// fleetRules are the alerts for an operator without metrics of single objects.
func fleetRules(t *testing.T) group {
	t.Helper()
	var alerts []struct {
		rule

		PerObject *bool  `json:"perObject"`
		Severity  string `json:"severity"`
		Summary   string `json:"summary"`
	}
	read(t, filepath.Join(testbed.Root(), "charts", "cloudcert", "files", "alerts.yaml"), &alerts)
	found := group{Name: "fleet"}
	for _, a := range alerts {
		if a.PerObject != nil && !*a.PerObject {
			a.Labels, a.Annotations = map[string]string{"severity": a.Severity}, map[string]string{"summary": a.Summary}
			found.Rules = append(found.Rules, a.rule)
		}
	}
	return found
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestAlerts runs the cases of testdata with promtool.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool, err := testbed.Prometheus("promtool")
	if err != nil {
		t.Fatal(err)
	}
	for file, rules := range map[string]group{"alerts.yaml": rules(t), "fleet.yaml": fleetRules(t)} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cases, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			summaries := group{Name: rules.Name} // the cases need not repeat the rest
			for _, r := range rules.Rules {
				r.Annotations = map[string]string{"summary": r.Annotations["summary"]}
				summaries.Rules = append(summaries.Rules, r)
			}
			for name, content := range map[string][]byte{"all.yaml": marshal(t, rules), "rules.yaml": marshal(t, summaries), "cases.yaml": cases} {
				if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "all.yaml"}, {"test", "rules", "cases.yaml"}} {
				cmd := exec.CommandContext(t.Context(), promtool, args...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
		})
	}
}

// marshal writes a file of rules.
func marshal(t *testing.T, rules group) []byte {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{"groups": []group{rules}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestEveryAlertHasCases that fire, and some that do not, for each of its severities.
func TestEveryAlertHasCases(t *testing.T) {
	t.Parallel()
	for file, rules := range map[string]group{"alerts.yaml": rules(t), "fleet.yaml": fleetRules(t)} {
		var cases struct {
			Tests []struct {
				Alerts []struct {
					Alert string           `json:"alertname"`
					Want  []map[string]any `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			}
		}
		read(t, filepath.Join("testdata", file), &cases)
		var fires, silent []string
		for _, test := range cases.Tests {
			for _, alert := range test.Alerts {
				if len(alert.Want) == 0 {
					silent = append(silent, alert.Alert)
				}
				for _, want := range alert.Want {
					labels, _ := want["exp_labels"].(map[string]any)
					fires = append(fires, fmt.Sprint(alert.Alert, " ", labels["severity"]))
				}
			}
		}
		for _, rule := range rules.Rules {
			if !slices.Contains(fires, rule.Alert+" "+rule.Labels["severity"]) || !slices.Contains(silent, rule.Alert) {
				t.Errorf("%s: %s (%s) has no case that fires, or none that does not", file, rule.Alert, rule.Labels["severity"])
			}
		}
	}
}

// TestEveryAlertHasItsRunbook and no runbook is of an alert that is no more.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testbed.Root(), "docs", "runbooks")
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{"README.md"}
	for _, rule := range rules(t).Rules {
		page := rule.Alert + ".md"
		wanted = append(wanted, page)
		if !strings.HasSuffix(rule.Annotations["runbook_url"], "/docs/runbooks/"+page) || !strings.Contains(string(index), "]("+page+")") {
			t.Errorf("%s leads to %q, and the index to its page: %t", rule.Alert, rule.Annotations["runbook_url"], strings.Contains(string(index), page))
		}
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !strings.Contains(string(text), "## What to do") {
			t.Errorf("%s does not say what to do: %v", page, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(wanted, entry.Name()) {
			t.Errorf("docs/runbooks/%s is of no alert", entry.Name())
		}
	}
}
