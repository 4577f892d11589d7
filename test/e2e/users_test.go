// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// TestUsers lets people with Kubernetes' own roles, and one who may write and not read
// Secrets, do what they can with the object of the README. At the end the garbage
// collector and the deletion of the namespace take objects with a finalizer away.
func TestUsers(t *testing.T) {
	c := newCloud(t, emulator.Options{})
	c.install(t, map[string]any{"timing": map[string]any{"settleDelay": "1s"}})
	a := newApp(t, "shop")
	a.putTLS("web-tls", "shop.example.com")
	apply(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer, namespace: shop}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [create, update, patch]}
- {apiGroups: [cloudcert.io], resources: [cloudcertificates], verbs: [get, create, update, patch]}
`)
	for name, role := range map[string]string{"editor": "--clusterrole=edit", "viewer": "--clusterrole=view", "thief": "--role=writer"} {
		kubectl(t, "create", "rolebinding", name, "-n", a.namespace, role, "--serviceaccount="+a.namespace+":"+name)
	}
	as := func(user, input string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "kubectl", append(args, "-n", a.namespace, "--as=system:serviceaccount:"+a.namespace+":"+user)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	eventually(t, "the roles are aggregated", func() (bool, string) {
		out, err := as("editor", "", "auth", "can-i", "create", "cloudcertificates.cloudcert.io")
		return err == nil, out
	})

	object := readmeObject(t)
	if out, err := as("viewer", object, "apply", "-f", "-"); err == nil || !strings.Contains(out, "forbidden") {
		t.Errorf("view applies an object: %v: %s", err, out)
	}
	if out, err := as("thief", object, "create", "-f", "-"); err == nil || !strings.Contains(out, `may not get Secret "web-tls" of namespace "shop"`) {
		t.Errorf("who may not read the Secret names it: %v: %s", err, out)
	}
	if out, err := as("editor", object, "apply", "-f", "-"); err != nil {
		t.Fatalf("edit cannot apply an object: %s", out)
	}
	c.checkHeld(t, a.waitReady("web", 0))
	for _, user := range []string{"editor", "viewer"} {
		out, err := as(user, "", "get", "ccert", "web", "-o", "yaml")
		if err != nil || strings.Contains(out, "-----BEGIN") || strings.Contains(out, "LS0tLS1CRUdJTi") {
			t.Errorf("%s reads the object with a Secret in it, or not at all: %v: %s", user, err, out)
		}
	}
	if out, err := as("viewer", "", "get", "secret", "web-tls"); err == nil {
		t.Errorf("view reads the Secret: %s", out)
	}
	if out, err := as("editor", "", "patch", "ccert", "web", "--subresource=status", "--type=merge", "-p", `{"status": {"certId": 1}}`); err == nil {
		t.Errorf("edit writes status: %s", out)
	}
	if out, err := as("thief", "", "patch", "ccert", "web", "--type=merge", "-p", `{"spec": {"deletionPolicy": "Delete", "tags": [{"key": "a"}]}}`); err != nil {
		t.Errorf("the policy is asked about something else than Secrets: %s", out)
	}
	eventually(t, "the operator writes its finalizer", func() (bool, string) {
		finalizers := a.get("web").Finalizers
		return len(finalizers) == 1, strings.Join(finalizers, " ")
	})
	checkPolicyTypes(t)
	checkCollected(t, c, a)
}

// readmeObject is the first object of the README, of namespace shop.
func readmeObject(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testbed.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "```yaml\napiVersion: "+v1alpha1.GroupVersion.String()+"\n")
	object, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no object")
	}
	return "apiVersion: " + v1alpha1.GroupVersion.String() + "\n" + object
}

// checkPolicyTypes reads what the controller that checks the types of a policy's
// expressions against the CRD has found.
func checkPolicyTypes(t *testing.T) {
	t.Helper()
	name := releaseNamespace + "." + releaseName
	eventually(t, "the policy's types are checked", func() (bool, string) {
		checked := kubectl(t, "get", "validatingadmissionpolicy", name, "-o", "jsonpath={.status.observedGeneration}")
		return checked != "", checked
	})
	if warnings := kubectl(t, "get", "validatingadmissionpolicy", name, "-o", "jsonpath={.status.typeChecking.expressionWarnings}"); warnings != "" {
		t.Errorf("the policy has mistakes: %s", warnings)
	}
}

// checkCollected has the garbage collector delete one object and the namespace's
// deletion another, both with a finalizer and certificates that have to go.
func checkCollected(t *testing.T, c *cloud, a *app) {
	t.Helper()
	a.putTLS("owned", "owned.example.com")
	kubectl(t, "create", "configmap", "owner", "-n", a.namespace)
	uid := kubectl(t, "get", "configmap", "owner", "-n", a.namespace, "-o", "jsonpath={.metadata.uid}")
	a.create("owned", func(s *v1alpha1.CloudCertificateSpec) { s.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
	kubectl(t, "patch", "ccert", "owned", "-n", a.namespace, "--type=merge", "-p",
		`{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "`+uid+`"}]}}`)
	a.waitReady("owned", 0)
	kubectl(t, "delete", "configmap", "owner", "-n", a.namespace)
	gone := func(name string) {
		eventually(t, "the certificate of "+name+" is gone", func() (bool, string) {
			return len(c.certificates(name)) == 0, "it is there"
		})
	}
	gone("owned.example.com")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "kubectl", "delete", "namespace", a.namespace, "--timeout="+(patience-time.Second).String()).CombinedOutput(); err != nil {
		t.Errorf("the namespace does not go: %v: %s", err, out)
	}
	gone("shop.example.com")
}
