// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// What people may do in their namespace.
var (
	writeCertificates = rbacv1.PolicyRule{
		APIGroups: []string{"cloudcert.io"}, Resources: []string{"cloudcertificates", "cloudcertificates/status", "cloudcertificatebindings"},
		Verbs: []string{"get", "create", "update", "patch", "delete"},
	}
	writeBindings = rbacv1.PolicyRule{
		APIGroups: []string{"cloudcert.io"}, Resources: []string{"cloudcertificatebindings"}, Verbs: []string{"get", "create", "update", "patch", "delete"},
	}
	writeSecrets = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "update", "patch", "delete"}}
	doAnything   = rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}
)

func readSecrets(names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get"}}
}

// mayWrite is the right to change some objects, and no others of their kind.
func mayWrite(group, resource, verb string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: []string{verb}}
}

// TestPolicyAsksWhoNamesSecrets creates objects. Like other tests of a release for
// all namespaces it has the control plane for itself.
func TestPolicyAsksWhoNamesSecrets(t *testing.T) {
	const namespace = "named"
	ensureNamespace(t, namespace)
	install(t, namespace, nil)
	thief := person(t, namespace, "thief", writeCertificates, writeSecrets)
	owner := person(t, namespace, "owner", writeCertificates, readSecrets("web-tls", "account"))
	for name, tc := range map[string]struct {
		author              client.Client
		secret, credentials string
		refused             []string // what the refusal says
	}{
		"a thief names a Secret": {
			thief, "web-tls", "",
			[]string{`user "system:serviceaccount:named:thief"`, `Secret "web-tls" of namespace "named"`, "spec.secretRef", `verb "get"`, `["web-tls"]`},
		},
		"a thief names credentials of his own": {thief, "web-tls", "mine", []string{`Secret "web-tls"`}},
		"an owner names credentials that he may not read": {
			owner, "web-tls", "theirs",
			[]string{`user "system:serviceaccount:named:owner"`, `Secret "theirs" of namespace "named"`, "spec.credentialsSecretRef", `verb "get"`, `["theirs"]`},
		},
		"an owner names a Secret that he may not read":  {owner, "other-tls", "account", []string{`Secret "other-tls"`}},
		"an owner names his Secret, which is not there": {owner, "web-tls", "", nil},
		"an owner names his Secret and credentials":     {owner, "web-tls", "account", nil},
		"a GitOps controller": {
			clusterPerson(t, namespace, "gitops", doAnything), "web-tls", "account", nil,
		},
		"an administrator in the thief's place": {
			impersonate(t, "system:serviceaccount:named:thief"), "web-tls", "", []string{`user "system:serviceaccount:named:thief"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := naming(namespace, tc.secret, tc.credentials)
			checkRefused(t, tc.author.Create(t.Context(), object.DeepCopy(), client.DryRunAll), tc.refused...)
			apply := client.ApplyConfigurationFromUnstructured(object.DeepCopy())
			checkRefused(t, tc.author.Apply(t.Context(), apply, client.DryRunAll, client.FieldOwner("author")), tc.refused...)
			object.SetName("")
			object.SetGenerateName("web-")
			checkRefused(t, tc.author.Create(t.Context(), object, client.DryRunAll), tc.refused...)
		})
	}
}

// TestPolicyAsksWhoBinds for the credentials that a binding acts with, and for what it changes in
// the cluster.
func TestPolicyAsksWhoBinds(t *testing.T) {
	const namespace = "bound"
	ensureNamespace(t, namespace)
	install(t, namespace, nil)
	thief := person(t, namespace, "thief", writeBindings, writeSecrets)
	owner := person(t, namespace, "owner", writeBindings, mayWrite("cloudcert.io", "cloudcertificates", "update", "web"))
	patcher := person(t, namespace, "patcher", writeBindings, mayWrite("cloudcert.io", "cloudcertificates", "patch", "web"))
	tenant := person(t, namespace, "tenant", writeBindings, readSecrets("account"))
	editor := person(t, namespace, "editor", writeBindings, mayWrite("", "configmaps", "update", "ids"), mayWrite("", "services", "patch", "gateway"))
	gitops := clusterPerson(t, namespace, "binder", doAnything)
	const cdn, ids, gateway = `{"cdn": {"domain": "www.example.com"}}`, `{"configMap": {"name": "ids"}}`, `{"service": {"name": "gateway"}}`
	const function = `{"fc": {"regionId": "cn-shanghai", "domain": "www.example.com"}}`
	keeper := person(t, namespace, "keeper", writeBindings, readSecrets("account"), mayWrite("cloudcert.io", "cloudcertificates", "patch", "web"))
	for name, tc := range map[string]struct {
		author              client.Client
		target, credentials string
		refused             []string // what the refusal says
	}{
		"a thief has credentials of others used": {thief, cdn, "", []string{
			`user "system:serviceaccount:bound:thief"`, `CloudCertificate "web" of namespace "bound"`, "spec.certificateRef", "spec.credentialsSecretRef",
			`verb "update"`, `"cloudcertificates.cloudcert.io"`, `["web"]`,
		}},
		"a thief names credentials that he may not read": {thief, cdn, "account", []string{
			`user "system:serviceaccount:bound:thief"`, `Secret "account" of namespace "bound"`, "spec.credentialsSecretRef",
		}},
		"a thief has a ConfigMap written": {thief, ids, "", []string{
			`user "system:serviceaccount:bound:thief"`, `ConfigMap "ids" of namespace "bound"`, "spec.target.configMap", `"configmaps"`, `["ids"]`,
		}},
		"a thief has a Service annotated": {thief, gateway, "", []string{`CloudCertificate "web" of namespace "bound"`}},
		"an owner has a Service annotated that he may not change": {owner, gateway, "", []string{
			`user "system:serviceaccount:bound:owner"`, `Service "gateway" of namespace "bound"`, "spec.target.service", `"services"`, `["gateway"]`,
		}},
		"an owner has a ConfigMap written that he may not write": {owner, ids, "", []string{`ConfigMap "ids"`}},
		"an owner binds his CloudCertificate":                    {owner, cdn, "", nil},
		"who may patch the CloudCertificate":                     {patcher, cdn, "", nil},
		"a tenant brings credentials":                            {tenant, cdn, "account", nil},
		"a tenant has a private key sent": {tenant, function, "account", []string{
			`user "system:serviceaccount:bound:tenant"`, `CloudCertificate "web" of namespace "bound"`, "spec.target.fc", `verb "update"`, `["web"]`,
		}},
		"an owner has a private key sent":                      {owner, function, "", nil},
		"who may patch the certificate and brings credentials": {keeper, function, "account", nil},
		"a tenant brings none":                                 {tenant, cdn, "", []string{`CloudCertificate "web"`}},
		"who may write the ConfigMap":                          {editor, ids, "", nil},
		"who may change the Service and not the certificate":   {editor, gateway, "", []string{`CloudCertificate "web"`}},
		"a GitOps controller binds":                            {gitops, cdn, "", nil},
		"a GitOps controller has a ConfigMap written":          {gitops, ids, "", nil},
		"a GitOps controller has a Service annotated":          {gitops, gateway, "account", nil},
		"an administrator in the thief's place":                {impersonate(t, "system:serviceaccount:bound:thief"), cdn, "", []string{"bound:thief"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := binding(t, namespace, tc.target, tc.credentials)
			checkRefused(t, tc.author.Create(t.Context(), object.DeepCopy(), client.DryRunAll), tc.refused...)
			apply := client.ApplyConfigurationFromUnstructured(object)
			checkRefused(t, tc.author.Apply(t.Context(), apply, client.DryRunAll, client.FieldOwner("author")), tc.refused...)
		})
	}
}

// TestPolicyAsksWhoChangesABinding where the change decides whose credentials are used, or for
// what, and nobody else who writes one.
func TestPolicyAsksWhoChangesABinding(t *testing.T) {
	const namespace = "rebound"
	ensureNamespace(t, namespace)
	install(t, namespace, nil)
	thief := person(t, namespace, "thief", writeBindings, writeSecrets)
	owner := person(t, namespace, "owner", writeBindings, mayWrite("cloudcert.io", "cloudcertificates", "update", "web", "mine"))
	collector := impersonate(t, "system:serviceaccount:kube-system:generic-garbage-collector")
	object := binding(t, namespace, `{"cdn": {"domain": "www.example.com"}}`, "account")
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	const certificate, secret = `CloudCertificate "web"`, `Secret "account"`
	for name, tc := range map[string]struct {
		author  client.Client
		patch   string
		refused string // what the refusal says
	}{
		"a thief takes the credentials away":         {thief, `{"spec": {"credentialsSecretRef": null}}`, certificate},
		"a thief names another CloudCertificate":     {thief, `{"spec": {"certificateRef": {"name": "mine"}}}`, secret},
		"a thief adopts what is there":               {thief, `{"spec": {"adopt": ["*"]}}`, secret},
		"an owner takes the credentials away":        {owner, `{"spec": {"credentialsSecretRef": null, "certificateRef": {"name": "mine"}}}`, ""},
		"an owner names what is not his":             {owner, `{"spec": {"credentialsSecretRef": null, "certificateRef": {"name": "theirs"}}}`, `CloudCertificate "theirs"`},
		"a thief has others replaced again":          {thief, `{"spec": {"onDrift": "Restore"}}`, secret},
		"what else is in the spec":                   {thief, `{"spec": {"suspend": true, "onDelete": "Leave"}}`, ""},
		"what is there already":                      {thief, `{"spec": {"certificateRef": {"name": "web"}, "target": {"cdn": {"domain": "www.example.com"}}}}`, ""},
		"labels and annotations":                     {thief, `{"metadata": {"labels": {"a": "b"}, "annotations": {"cloudcert.io/resync": "1"}}}`, ""},
		"a finalizer":                                {thief, `{"metadata": {"finalizers": ["example.com/guard"]}}`, ""},
		"the garbage collector takes an owner away":  {collector, `{"metadata": {"ownerReferences": null}}`, ""},
		"the garbage collector takes a blocker away": {collector, `{"metadata": {"finalizers": null}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var refused []string
			if tc.refused != "" {
				refused = []string{tc.refused}
			}
			patch := client.RawPatch("application/merge-patch+json", []byte(tc.patch))
			checkRefused(t, tc.author.Patch(t.Context(), object.DeepCopy(), patch, client.DryRunAll), refused...)
		})
	}
	t.Run("a deletion", func(t *testing.T) {
		checkRefused(t, thief.Delete(t.Context(), object.DeepCopy()))
	})
}

// binding is one of the CloudCertificate web, with credentials unless they are empty.
func binding(t *testing.T, namespace, target, credentials string) *unstructured.Unstructured {
	t.Helper()
	spec := map[string]any{"certificateRef": map[string]any{"name": "web"}, "target": parse(t, target)}
	if credentials != "" {
		spec["credentialsSecretRef"] = map[string]any{"name": credentials}
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetAPIVersion("cloudcert.io/v1alpha1")
	object.SetKind("CloudCertificateBinding")
	object.SetNamespace(namespace)
	object.SetName("web")
	return object
}

// TestPolicyAsksWhoChangesWhatIsRead and nobody else who writes an object.
func TestPolicyAsksWhoChangesWhatIsRead(t *testing.T) {
	const namespace = "changed"
	ensureNamespace(t, namespace)
	install(t, namespace, nil)
	thief := person(t, namespace, "thief", writeCertificates, writeSecrets)
	owner := person(t, namespace, "owner", writeCertificates, readSecrets("web-tls", "new-tls", "account"))
	collector := impersonate(t, "system:serviceaccount:kube-system:generic-garbage-collector")
	object := naming(namespace, "web-tls", "account")
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		author  client.Client
		patch   string
		refused string // what the refusal says
	}{
		"a thief changes the Secret":                 {thief, `{"spec": {"secretRef": {"name": "new-tls"}}}`, `Secret "new-tls"`},
		"a thief changes the credentials":            {thief, `{"spec": {"credentialsSecretRef": {"name": "mine"}}}`, `Secret "web-tls"`},
		"a thief takes the credentials away":         {thief, `{"spec": {"credentialsSecretRef": null}}`, `Secret "web-tls"`},
		"a thief changes the keys":                   {thief, `{"spec": {"keys": {"privateKey": "old.key"}}}`, `Secret "web-tls"`},
		"a thief changes the type, and so the keys":  {thief, `{"spec": {"type": "SM"}}`, `Secret "web-tls"`},
		"a thief changes a tag and the Secret":       {thief, `{"spec": {"tags": [{"key": "a"}], "secretRef": {"name": "new-tls"}}}`, `Secret "new-tls"`},
		"an owner changes to what he may not read":   {owner, `{"spec": {"secretRef": {"name": "other-tls"}}}`, `Secret "other-tls"`},
		"an owner changes the Secret":                {owner, `{"spec": {"secretRef": {"name": "new-tls"}}}`, ""},
		"an owner takes the credentials away":        {owner, `{"spec": {"credentialsSecretRef": null}}`, ""},
		"tags":                                       {thief, `{"spec": {"tags": [{"key": "a"}]}}`, ""},
		"what else is in the spec":                   {thief, `{"spec": {"suspend": true, "revisionHistoryLimit": 1, "deletionPolicy": "Delete", "namePrefix": "x"}}`, ""},
		"what is there already":                      {thief, `{"spec": {"secretRef": {"name": "web-tls"}, "type": "TLS"}}`, ""},
		"labels and annotations":                     {thief, `{"metadata": {"labels": {"a": "b"}, "annotations": {"cloudcert.io/resync": "1"}}}`, ""},
		"a finalizer":                                {thief, `{"metadata": {"finalizers": ["example.com/guard"]}}`, ""},
		"the garbage collector takes an owner away":  {collector, `{"metadata": {"ownerReferences": null}}`, ""},
		"the garbage collector takes a blocker away": {collector, `{"metadata": {"finalizers": null}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var refused []string
			if tc.refused != "" {
				refused = []string{tc.refused}
			}
			patch := client.RawPatch("application/merge-patch+json", []byte(tc.patch))
			checkRefused(t, tc.author.Patch(t.Context(), object.DeepCopy(), patch, client.DryRunAll), refused...)
		})
	}
	t.Run("status", func(t *testing.T) {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status": {"name": "x"}}`))
		checkRefused(t, thief.Status().Patch(t.Context(), object.DeepCopy(), patch))
	})
	t.Run("the same, applied", func(t *testing.T) {
		same := client.ApplyConfigurationFromUnstructured(naming(namespace, "web-tls", "account"))
		checkRefused(t, thief.Apply(t.Context(), same, client.DryRunAll, client.FieldOwner("author"), client.ForceOwnership))
	})
	t.Run("an end in several steps", func(t *testing.T) {
		finalizers := func(list string) client.Patch {
			return client.RawPatch("application/merge-patch+json", []byte(`{"metadata": {"finalizers": `+list+`}}`))
		}
		namespaces := impersonate(t, "system:serviceaccount:kube-system:namespace-controller")
		checkRefused(t, thief.Patch(t.Context(), object.DeepCopy(), finalizers(`["example.com/guard"]`)))
		checkRefused(t, namespaces.DeleteAllOf(t.Context(), object.DeepCopy(), client.InNamespace(namespace)))
		checkRefused(t, thief.Patch(t.Context(), object.DeepCopy(), finalizers(`[]`)))
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object); !apierrors.IsNotFound(err) {
			t.Errorf("the object is still there: %v", err)
		}
	})
}

// TestPolicyIsForTheWatchedNamespaces: elsewhere the operator reads nothing, and
// another one may be at work.
func TestPolicyIsForTheWatchedNamespaces(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"bounded", "bounded-shop", "bounded-elsewhere"} {
		ensureNamespace(t, namespace)
	}
	install(t, "bounded", parse(t, "{watchNamespaces: [bounded-shop], admissionPolicy: {enabled: true}}"))
	elsewhere := person(t, "bounded-elsewhere", "author", writeCertificates)
	checkRefused(t, elsewhere.Create(t.Context(), naming("bounded-elsewhere", "web-tls", ""), client.DryRunAll))
}

// TestPolicyIsLeftOutWhereNothingIsClusterWide unless it is asked for.
func TestPolicyIsLeftOutWhereNothingIsClusterWide(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]int{
		"{}":                                2,
		"admissionPolicy: {enabled: auto}":  2,
		"admissionPolicy: {enabled: true}":  2,
		"admissionPolicy: {enabled: false}": 0,
		"watchNamespaces: [shop]":           0,
		"{watchNamespaces: [shop], admissionPolicy: {enabled: auto}}":  0,
		"{watchNamespaces: [shop], admissionPolicy: {enabled: true}}":  2,
		"{watchNamespaces: [shop], admissionPolicy: {enabled: false}}": 0,
	} {
		made := ofKind(objects(t, parse(t, values)), "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
		if len(made) != want {
			t.Errorf("%s: %d objects of the policy, want %d", values, len(made), want)
		}
	}
}

// naming is an object that names a Secret, and credentials unless they are empty.
func naming(namespace, secret, credentials string) *unstructured.Unstructured {
	object := cloudCertificate(namespace)
	spec := map[string]any{"secretRef": map[string]any{"name": secret}}
	if credentials != "" {
		spec["credentialsSecretRef"] = map[string]any{"name": credentials}
	}
	object.Object["spec"] = spec
	return object
}

// checkRefused checks that an answer is the policy's refusal and says all of what
// is given, or that there is none if nothing is given.
func checkRefused(t *testing.T, err error, says ...string) {
	t.Helper()
	if len(says) == 0 {
		if err != nil {
			t.Errorf("it was refused: %v", err)
		}
		return
	}
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		t.Fatalf("it was not refused by the policy: %v", err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal does not say %q: %v", part, err)
		}
	}
}

// awaitPolicy waits until the API server asks the policy of a release, and when the
// release is deleted, until it asks the policy no more: both take it about a second,
// and another test could meet the policy meanwhile. It is called before the release is
// created and returns what waits for the policy to be asked.
func awaitPolicy(t *testing.T, policy, namespace string) (asked func()) {
	t.Helper()
	nobody := person(t, namespace, "nobody", writeCertificates)
	wait := func(want bool) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		if err := testbed.Eventually(ctx, testbed.Patience, 50*time.Millisecond, func() (string, error) {
			err := nobody.Create(ctx, naming(namespace, "any", ""), client.DryRunAll)
			refused := apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'")
			if refused == want {
				return "", nil
			}
			return fmt.Sprintf("policy %s: is it asked? want %t: %v", policy, want, err), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { wait(false) })
	return func() { wait(true) }
}

// person makes a ServiceAccount with rights in its namespace, and is its client.
func person(t *testing.T, namespace, name string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	return withRights(t, meta,
		&rbacv1.Role{ObjectMeta: meta, Rules: rules},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}},
		})
}

// clusterPerson is person with rights in all namespaces.
func clusterPerson(t *testing.T, namespace, name string, rules ...rbacv1.PolicyRule) client.Client {
	t.Helper()
	wide := metav1.ObjectMeta{Name: namespace + ":" + name}
	return withRights(t, metav1.ObjectMeta{Namespace: namespace, Name: name},
		&rbacv1.ClusterRole{ObjectMeta: wide, Rules: rules},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: wide, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wide.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}},
		})
}

func withRights(t *testing.T, account metav1.ObjectMeta, rights ...client.Object) client.Client {
	t.Helper()
	for _, o := range append(rights, &corev1.ServiceAccount{ObjectMeta: account}) {
		if err := kube.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	config := rest.AnonymousClientConfig(plane.Config)
	config.BearerToken = tokenOf(t, account.Namespace, account.Name)
	return newClient(t, config)
}

// impersonate is a client of an administrator in the place of somebody else.
func impersonate(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(plane.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return newClient(t, config)
}

func newClient(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	made, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}
