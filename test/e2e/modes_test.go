// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// TestNamespacedMode watches one namespace: there the operator works, and
// elsewhere it can neither work nor read.
func TestNamespacedMode(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	inside, outside := newApp(t, "inside"), newApp(t, "outside")
	c.install(t, map[string]any{"watchNamespaces": []string{inside.namespace}})
	if left := kubectl(t, "get", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/instance="+releaseName, "-o", "name"); left != "" {
		t.Errorf("cluster-wide rights in namespaced mode: %s", left)
	}
	for _, a := range []*app{outside, inside} {
		a.putTLS("web", a.namespace+".example.com")
		a.create("web", nil)
	}
	c.checkHeld(t, inside.waitReady("web", 0))
	if cc := outside.get("web"); cc.Status.ObservedGeneration != -1 || len(cc.Status.Conditions) > 0 {
		t.Errorf("the operator looked at an object that is none of its business: %+v", cc.Status)
	}
	for _, try := range []struct {
		verb, group, resource, namespace, name string
		allowed                                bool
	}{
		{"get", "", "secrets", inside.namespace, "web", true},
		{"get", "", "secrets", outside.namespace, "web", false},
		{"list", "", "secrets", outside.namespace, "", false},
		{"list", "", "secrets", "", "", false},
		{"get", "", "secrets", "kube-system", "", false},
		{"get", v1alpha1.GroupVersion.Group, "cloudcertificates", outside.namespace, "web", false},
		{"get", "", "namespaces", "", "kube-system", true},
		{"get", "", "namespaces", "", outside.namespace, false},
		{"list", "", "namespaces", "", "", false},
	} {
		namespace := try.namespace
		if try.resource == "namespaces" {
			namespace = try.name // a namespace is in itself
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   fmt.Sprintf("system:serviceaccount:%s:%s", releaseNamespace, releaseName),
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + releaseNamespace, "system:authenticated"},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: try.verb, Group: try.group, Resource: try.resource, Namespace: namespace, Name: try.name,
			},
		}}
		if err := kube.Create(t.Context(), review); err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != try.allowed {
			t.Errorf("the operator may %s %s %s/%s: %t, want %t", try.verb, try.resource, try.namespace, try.name, review.Status.Allowed, try.allowed)
		}
	}
}

// TestKustomize installs config/default as an overlay of a user's would, and
// removes it.
func TestKustomize(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	// The overlay's resources are the namespace, the CRD and more, which the chart
	// has brought or left.
	kubectl(t, "delete", "crd", "--ignore-not-found", "cloudcertificates."+v1alpha1.GroupVersion.Group)
	dir := t.TempDir()
	base, err := filepath.Rel(dir, filepath.Join(testbed.Root(), "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	repository, tag, _ := strings.Cut(os.Getenv("E2E_IMAGE"), ":")
	overlay := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%q]
images: [{name: %s, newTag: %s}]
patches:
- target: {kind: Deployment, name: cloudcert}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --cas-endpoint=cn-hangzhou=%[4]s}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --cas-endpoint=ap-southeast-1=%[4]s}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --sts-endpoint=%[4]s}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --cas-ca-file=/ca/ca.crt}
    - {op: add, path: /spec/template/spec/containers/0/volumeMounts, value: [{name: ca, mountPath: /ca, readOnly: true}]}
    - {op: add, path: /spec/template/spec/volumes, value: [{name: ca, configMap: {name: %[5]s}}]}
`, base, repository, tag, c.url, cloudCAConfigMap)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		saveLogs(t)
		// Everything but the namespace, which other tests need.
		kubectl(t, "delete", "--ignore-not-found", "--wait", "--namespace="+releaseNamespace, "deployment,service,pdb,networkpolicy,role,rolebinding,serviceaccount", "--all")
		kubectl(t, "delete", "--ignore-not-found", "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding", "-l", "app.kubernetes.io/name=cloudcert")
		kubectl(t, "delete", "crd", "--ignore-not-found", "cloudcertificates."+v1alpha1.GroupVersion.Group)
	})
	kubectl(t, "apply", "-k", dir)
	kubectl(t, "rollout", "status", "--namespace="+releaseNamespace, "--timeout=2m", "deployment/cloudcert")
	a := newApp(t, "kustomize")
	a.putTLS("web", "kustomize.example.com")
	apply(t, sample(t, "cloudcert_v1alpha1_cloudcertificate_tls.yaml", a.namespace, "web-tls", "web"))
	c.checkHeld(t, a.waitReady("web", 0))
}

// sample is a file of config/samples for a namespace, with another Secret.
func sample(t *testing.T, file, namespace, secret, instead string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testbed.Root(), "config", "samples", file))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "metadata:\n", "metadata:\n  namespace: "+namespace+"\n", 1)
	return strings.Replace(text, "name: "+secret, "name: "+instead, 1)
}

// TestSMPair takes a pair of SM2 certificates through a renewal.
func TestSMPair(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, nil)
	ca, err := testbed.NewSMCA("SM CA")
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t, "sm")
	put := func() {
		sign, encrypt, err := ca.Issue(90*24*time.Hour, "sm.example.com")
		if err != nil {
			t.Fatal(err)
		}
		a.putSecret("web-sm", corev1.SecretTypeOpaque, map[string][]byte{
			"sign.crt": sign.Certificate, "sign.key": sign.PrivateKey, "enc.crt": encrypt.Certificate, "enc.key": encrypt.PrivateKey,
		})
	}
	put()
	apply(t, sample(t, "cloudcert_v1alpha1_cloudcertificate_sm.yaml", a.namespace, "", ""))
	first := a.waitReady("web-sm", 0)
	c.checkHeld(t, first)
	put()
	renewed := a.waitReady("web-sm", first.Status.CertID)
	c.checkHeld(t, renewed)
	for _, held := range c.certificates("sm.example.com") {
		if held.Algorithm != "SM2" {
			t.Errorf("the cloud holds %+v, want SM2", held)
		}
	}
}
