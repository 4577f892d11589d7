// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	operator = "cloudcert-system/cloudcert"
	nobody   = "nobody"
	cluster  = "the cluster"
)

// grant is one right of one subject: what it may do where.
type grant struct{ subject, place, right string }

// TestChartGrantsWhatKustomizeGrants compares the chart with config/default, whose
// roles are generated from the markers beside the code that needs them.
func TestChartGrantsWhatKustomizeGrants(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(grants(t, kustomize(t, "default")), grants(t, objects(t, nil)), cmp.AllowUnexported(grant{})); diff != "" {
		t.Errorf("-kustomize +chart:\n%s", diff)
	}
}

// TestWatchNamespacesGrantsTheSameInThem moves what the operator may do in the
// cluster into the namespaces that it watches, and lets it do nothing elsewhere:
// that is what the chart's value does, and config/namespaced.
func TestWatchNamespacesGrantsTheSameInThem(t *testing.T) {
	t.Parallel()
	var want []grant
	for _, g := range grants(t, kustomize(t, "default")) {
		switch {
		case strings.Contains(g.right, "k8s.io/tokenreviews") || strings.Contains(g.right, "k8s.io/subjectaccessreviews"),
			g.subject == nobody: // metrics, a right that exists cluster-wide only; roles for users
		case g.place == cluster:
			want = append(want, grant{g.subject, "blog", g.right}, grant{g.subject, "shop", g.right})
		default:
			want = append(want, g)
		}
	}
	sortGrants(want)
	for name, all := range map[string][]*unstructured.Unstructured{
		"chart":     objects(t, parse(t, "watchNamespaces: [shop, blog]")),
		"kustomize": kustomize(t, "namespaced"),
	} {
		if diff := cmp.Diff(want, grants(t, all), cmp.AllowUnexported(grant{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, o := range ofKind(all, "ClusterRole", "ClusterRoleBinding") {
			t.Errorf("%s: something cluster-wide is left: %s", name, describe(o))
		}
	}
}

func TestClusterIDNeedsNoRole(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"all namespaces":  "clusterId: prod-1",
		"some namespaces": "{clusterId: prod-1, watchNamespaces: [shop]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, g := range grants(t, objects(t, parse(t, values))) {
				if g.place == "kube-system" {
					t.Errorf("the operator may %s in kube-system", g.right)
				}
			}
		})
	}
}

// grants lists the rights in roles, one by one and sorted: those of a role that is
// bound belong to the subjects, those of others to nobody.
func grants(t *testing.T, all []*unstructured.Unstructured) []grant {
	t.Helper()
	roles := map[string]*rbacv1.Role{}
	bound := map[string]bool{}
	for _, o := range ofKind(all, "Role", "ClusterRole") {
		role := &rbacv1.Role{}
		convert(t, o, role)
		roles[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = role
	}
	var found []grant
	for _, o := range ofKind(all, "RoleBinding", "ClusterRoleBinding") {
		binding := &rbacv1.RoleBinding{}
		convert(t, o, binding)
		key := binding.RoleRef.Kind + " " + binding.Namespace + "/" + binding.RoleRef.Name
		role := roles[key]
		if role == nil {
			t.Fatalf("%s binds %s, which is not there", describe(o), key)
		}
		bound[key] = true
		for _, s := range binding.Subjects {
			found = append(found, rightsOf(s.Namespace+"/"+s.Name, binding.Namespace, role.Rules)...)
		}
	}
	for key, role := range roles {
		if !bound[key] {
			found = append(found, rightsOf(nobody, role.Namespace, role.Rules)...)
		}
	}
	sortGrants(found)
	return slices.Compact(found)
}

func convert(t *testing.T, from *unstructured.Unstructured, to any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(from.Object, to, true); err != nil {
		t.Fatalf("%s: %v", describe(from), err)
	}
}

// rightsOf takes rules apart into single rights.
func rightsOf(subject, namespace string, rules []rbacv1.PolicyRule) []grant {
	place := namespace
	if place == "" {
		place = cluster
	}
	var all []grant
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{"*"}
		}
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				all = append(all, grant{subject, place, verb + " " + url})
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						all = append(all, grant{subject, place, fmt.Sprintf("%s %s/%s %s", verb, group, resource, name)})
					}
				}
			}
		}
	}
	return all
}

func sortGrants(all []grant) {
	slices.SortFunc(all, func(a, b grant) int {
		return strings.Compare(a.subject+a.place+a.right, b.subject+b.place+b.right)
	})
}

func TestOnlyTheOperatorIsGrantedAnything(t *testing.T) {
	t.Parallel()
	for _, g := range grants(t, objects(t, nil)) {
		forUsers := strings.HasSuffix(g.right, " cloudcert.io/cloudcertificates *")
		if g.subject != operator && (g.subject != nobody || g.place != cluster || !forUsers && g.right != "get /metrics") {
			t.Errorf("%s may %s in %s", g.subject, g.right, g.place)
		}
	}
}

// TestUsersGetTheirRolesByAggregation compares labels and rules: the controller that
// aggregates is no part of the API server. Each role may do nothing but what is here.
func TestUsersGetTheirRolesByAggregation(t *testing.T) {
	t.Parallel()
	read := []string{"get", "list", "watch"}
	write := []string{"create", "delete", "deletecollection", "patch", "update"}
	all := slices.Sorted(slices.Values(slices.Concat(read, write)))
	for name, tc := range map[string]struct {
		objects []*unstructured.Unstructured
		want    map[string][]string // verbs by Kubernetes' role
	}{
		"kustomize":     {kustomize(t, "default"), map[string][]string{"view": read, "edit": all, "admin": all}},
		"chart":         {objects(t, nil), map[string][]string{"view": read, "edit": all, "admin": all}},
		"readers only":  {objects(t, parse(t, "rbac: {aggregate: {edit: false, admin: false}}")), map[string][]string{"view": read}},
		"admins only":   {objects(t, parse(t, "rbac: {aggregate: {view: false, edit: false}}")), map[string][]string{"admin": all}},
		"no viewers":    {objects(t, parse(t, "rbac: {aggregate: {view: false}}")), map[string][]string{"edit": all, "admin": all}},
		"nobody":        {objects(t, parse(t, "rbac: {aggregate: {view: false, edit: false, admin: false}}")), map[string][]string{}},
		"in namespaces": {objects(t, parse(t, "watchNamespaces: [shop]")), map[string][]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string][]string{}
			for _, o := range ofKind(tc.objects, "ClusterRole") {
				for label := range o.GetLabels() {
					role, ok := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-")
					if !ok {
						continue
					}
					for _, g := range grants(t, []*unstructured.Unstructured{o}) {
						verb, what, _ := strings.Cut(g.right, " ")
						if what != "cloudcert.io/cloudcertificates *" {
							t.Errorf("%s lets %s %s", describe(o), role, g.right)
						}
						got[role] = append(got[role], verb)
					}
					slices.Sort(got[role])
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestKubernetesRolesContainEachOther, which is why the chart refuses to give admins
// less than editors.
func TestKubernetesRolesContainEachOther(t *testing.T) {
	t.Parallel()
	for smaller, larger := range map[string]string{"view": "edit", "edit": "admin"} {
		role := &rbacv1.ClusterRole{}
		if err := kube.Get(t.Context(), client.ObjectKey{Name: smaller}, role); err != nil {
			t.Fatal(err)
		}
		if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+larger] != "true" {
			t.Errorf("%s is no part of %s", smaller, larger)
		}
	}
}
