// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// metric is what is documented of a metric, and how many series of it were served.
type metric struct {
	Type   string
	Labels []string
	Series int
}

var quoted = regexp.MustCompile("`([a-z_]+)`")

// readMetricsPage reads the table of docs/metrics.md.
func readMetricsPage(t *testing.T) (documented map[string]metric, byLeader, perObject map[string]bool) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(testbed.Root(), "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented, byLeader, perObject = map[string]metric{}, map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		name, ok := strings.CutPrefix(cells[0], "| `cloudcert_")
		if !ok {
			continue
		}
		name = "cloudcert_" + strings.TrimSuffix(name, "`")
		var labels []string
		for _, match := range quoted.FindAllStringSubmatch(cells[2], -1) {
			labels = append(labels, match[1])
		}
		slices.Sort(labels)
		documented[name] = metric{Type: cells[1], Labels: labels}
		byLeader[name] = strings.HasPrefix(cells[3], "leader")
		if strings.HasSuffix(cells[3], "per object") {
			perObject[name] = true
		}
	}
	if len(documented) < 20 || len(perObject) == 0 {
		t.Fatalf("the table of docs/metrics.md cannot be read: %v", documented)
	}
	return documented, byLeader, perObject
}

// ours leaves the metrics of libraries out.
func ours(all map[string]metric) map[string]metric {
	own := maps.Clone(all)
	maps.DeleteFunc(own, func(name string, _ metric) bool { return !strings.HasPrefix(name, "cloudcert_") })
	return own
}

func kindOf(family *dto.MetricFamily) string { return strings.ToLower(family.GetType().String()) }

// leaseRoles are the rights of the operator to a lease in a namespace.
func leaseRoles(namespace string) []client.Object {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "leases"}
	return []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "watch", "create", "update"},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "leases"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "cloudcert-system", Name: "cloudcert"}},
		},
	}
}
