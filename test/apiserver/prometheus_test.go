// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// prometheus is a real one that scrapes an operator every two seconds.
type prometheus struct {
	t       *testing.T
	address string
}

// startPrometheus starts one that scrapes an address as the chart's monitors have it scraped.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	binary, err := testbed.Prometheus("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	address, err := testbed.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 2s, scrape_timeout: 2s}
scrape_configs:
- job_name: cloudcert-metrics
  honor_labels: true
  static_configs:
  - targets: [%q]
    labels: {namespace: cloudcert-system, pod: cloudcert-0}
`, target)
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := testbed.Start(ctx, binary, nil, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn", "--query.lookback-delta=20s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", tail(process.Output(), 4000))
		}
	})
	if err := process.WaitReady(t.Context(), "http://"+address+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	return &prometheus{t: t, address: address}
}

// ask asks for what a path of the API answers, as data of a T.
func ask[T any](p *prometheus, path string, query url.Values) (data T, problem string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.address+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := struct {
		Status, Error string
		Data          T
	}{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return data, fmt.Sprintf("%s: %v", response.Status, err)
	}
	if answer.Status != "success" {
		return data, answer.Error
	}
	return answer.Data, ""
}

// sample is one series, at one time or at several.
type sample struct {
	Metric map[string]string
	Value  point
	Values []point
}

// point is a time, in seconds since 1970, and a value as text.
type point [2]any

// value is NaN where it is no number.
func (p point) value() float64 {
	text, _ := p[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// count evaluates an expression now, and returns how many series have a number.
func (p *prometheus) count(expr string) (n int, problem string) {
	p.t.Helper()
	data, problem := ask[struct{ Result json.RawMessage }](p, "query", url.Values{"query": {expr}})
	if problem != "" {
		return 0, problem
	}
	var samples []sample
	if err := json.Unmarshal(data.Result, &samples); err != nil {
		return 1, "" // a scalar
	}
	for _, s := range samples {
		if !math.IsNaN(s.Value.value()) {
			n++
		}
	}
	return n, ""
}

// waitFor waits until every expression has a result. What is empty at last, or an error, is
// a failure.
func (p *prometheus) waitFor(expressions map[string]string) {
	p.t.Helper()
	open := maps.Clone(expressions)
	err := testbed.Eventually(context.WithoutCancel(p.t.Context()), deadline, 200*time.Millisecond, func() (string, error) {
		var missing []string
		for _, name := range slices.Sorted(maps.Keys(open)) {
			n, problem := p.count(open[name])
			if problem != "" {
				p.t.Errorf("%s: %s\n%s", name, problem, open[name])
			}
			if problem != "" || n > 0 {
				delete(open, name)
				continue
			}
			missing = append(missing, name+"\n  "+open[name])
		}
		return strings.Join(missing, "\n"), nil
	})
	if err != nil {
		p.t.Fatalf("empty: %v", err)
	}
}

// selectors are the parts of an expression that select series, by Prometheus' own parser.
func (p *prometheus) selectors(expr string) (found []string) {
	p.t.Helper()
	tree, problem := ask[any](p, "parse_query", url.Values{"query": {expr}})
	if problem != "" {
		p.t.Fatalf("%s\n%s", problem, expr)
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if name, ok := node["name"].(string); ok && (node["type"] == "vectorSelector" || node["type"] == "matrixSelector") {
				found = append(found, name)
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(tree)
	return found
}

// dashboard is the chart's, as far as it is looked at here.
type dashboard struct {
	Panels     []panel
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
}

// panel is one of its panels.
type panel struct {
	Type, Title string
	GridPos     struct{ X, Y, W, H float64 }
	Datasource  struct{ UID string }
	Targets     []struct {
		Expr, RefID, LegendFormat string
		Datasource                struct{ UID string }
	}
	FieldConfig     struct{ Defaults struct{ Unit string } }
	Transformations []struct {
		Options struct{ RenameByName map[string]string }
	}
}

// readDashboard reads it, with its variables as Grafana would fill them in.
func readDashboard(t *testing.T, namespace string) dashboard {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testbed.Root(), "charts", "cloudcert", "files", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$namespace", namespace, "$reason", ".*", "$__rate_interval", "5m", "$__range", "15m")
	for _, panel := range d.Panels {
		for i := range panel.Targets {
			panel.Targets[i].Expr = variables.Replace(panel.Targets[i].Expr)
		}
	}
	for i, variable := range d.Templating.List {
		if query, ok := variable.Query.(map[string]any); ok {
			d.Templating.List[i].Query = variables.Replace(query["query"].(string))
		}
	}
	return d
}

// queries are those of the panels and variables, by name. Each asks the data source that the
// reader chooses.
func (d dashboard) queries(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	for _, panel := range d.Panels {
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 || panel.Datasource.UID != "${datasource}" {
			t.Errorf("the panel %s has no query, or a data source of its own", panel.Title)
		}
		for _, target := range panel.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("query %s of the panel %s has a data source of its own", target.RefID, panel.Title)
			}
			queries["panel "+panel.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, variable := range d.Templating.List {
		query, _ := variable.Query.(string)
		if series, ok := strings.CutPrefix(query, "label_values("); ok {
			series, _, _ = strings.Cut(series, ", ")
			queries["variable "+variable.Name] = series
		}
	}
	if len(queries) < 30 {
		t.Fatalf("the dashboard has only these queries: %v", queries)
	}
	return queries
}

// alertExpressions are the alerts of config/prometheus, by name and severity.
func alertExpressions(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testbed.Root(), "config", "prometheus", "prometheus_rule.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Labels      map[string]string
				}
			}
		}
	}
	if err := yaml.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, rule := range object.Spec.Groups[0].Rules {
		found[rule.Alert+" "+rule.Labels["severity"]] = rule.Expr
	}
	return found
}

// quietAlerts are those that a fleet with every state does not raise while its operator
// works, and why.
var quietAlerts = map[string]string{
	"CloudcertOutOfSync warning":            "nothing has been out of sync for half an hour",
	"CloudcertBindingOutOfSync critical":    "nothing has been out of sync for half an hour",
	"CloudcertCloudCopyExpiring critical":   "no copy in the cloud that ends has another in the cluster",
	"CloudcertDriftStale warning":           "the list has just been checked",
	"CloudcertCredentialsExpiring critical": "they have just been renewed",
	"CloudcertNoLeader critical":            "the operator leads",
	"CloudcertAbsent critical":              "it is scraped",
}

// TestDashboardAndAlertsOnARealPrometheus evaluates every query of the dashboard and every
// alert, with a fleet that has an object in every state. An alert that such a fleet does not
// raise is without a result, and everything that it selects is there.
func TestDashboardAndAlertsOnARealPrometheus(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.start()
	p := startPrometheus(t, f.metrics)
	alerts := alertExpressions(t)
	p.waitFor(map[string]string{"a standby": alerts["CloudcertNoLeader critical"]})
	f.lead()
	f.populate()
	f.vanish(func() {
		p.waitFor(map[string]string{"the new leader": "cloudcert_certificates", "its counters": "cloudcert_uploads_total"})
	})

	board := readDashboard(t, f.namespace)
	p.waitFor(board.queries(t))
	loud := map[string]string{}
	for name, expr := range alerts {
		why, quiet := quietAlerts[name]
		if !quiet {
			loud[name] = expr
			continue
		}
		f.eventually(func() string { // a scrape may fail on a machine that is busy
			n, problem := p.count(expr)
			if n == 0 && problem == "" {
				return ""
			}
			return fmt.Sprintf("%s: %d results, %s, although %s", name, n, problem, why)
		})
	}
	f.pruneAgain(3)
	p.waitFor(loud)
	selected := map[string]string{}
	for name, expr := range alerts {
		for i, selector := range p.selectors(expr) {
			selected[name+" "+strconv.Itoa(i)] = selector
		}
	}
	if len(selected) < len(alerts) {
		t.Errorf("%d alerts select only %v", len(alerts), selected)
	}
	p.waitFor(selected)
	if *picture != "" {
		p.waitFor(map[string]string{"the repair": `increase(cloudcert_sync_duration_seconds_count{kind="repair"}[1m]) > 0`})
		if err := os.WriteFile(*picture, []byte(p.draw(board)), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	f.stop()
	p.waitFor(map[string]string{"a stopped operator": alerts["CloudcertAbsent critical"]})
}
