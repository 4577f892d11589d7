// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

// The manager may be newer than the CRD: a second release with crds.enabled=false, or a
// Deployment that was applied first.
func TestACRDThatIsOlderThanTheOperator(t *testing.T) {
	t.Parallel()
	own, err := testbed.StartControlPlane() // the others need theirs whole
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := scheme()
	if err := apiextensionsv1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(own.Config, client.Options{Scheme: s})
	if err != nil {
		t.Fatal(err)
	}
	removeFields(t, admin, "historyTotal", "secretUID", "certIdentifier")
	w := newWorldOn(t, admin, own.Config, emulator.Options{})
	w.start()
	w.putSecret("web", w.issue("www.example.com"))
	w.create("web", nil)
	first := w.waitReason("web", v1alpha1.ReasonSynced)
	w.putSecret("web", w.issue("www.example.com"))
	second := w.wait("web", "renewed", func(cc *v1alpha1.CloudCertificate) bool {
		return cc.Status.CertID != first.Status.CertID && readyOf(cc).Reason == v1alpha1.ReasonSynced
	})
	if len(second.Status.History) != 1 || second.Status.HistoryTotal != 0 || second.Status.SecretUID != "" {
		t.Errorf("the status is not what an older CRD holds: %+v", second.Status)
	}
	w.stop()
	if out := w.output(); strings.Count(out, "The CRD is too old") != 1 || !strings.Contains(out, "status.certIdentifier, status.secretUID") {
		t.Error("the log does not say once what the CRD lacks")
	}
	patches := 0
	for _, r := range w.proxy.Requests() {
		if r.Method == "PATCH" && strings.HasSuffix(r.Path, "/status") {
			patches++
		}
	}
	if patches > 6 {
		t.Errorf("the status was written %d times for two versions", patches)
	}
}

// removeFields takes fields of the status out of the installed CRD, and waits until the
// API server does not know them any more.
func removeFields(t *testing.T, admin client.Client, fields ...string) {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := admin.Get(ctx, client.ObjectKey{Name: "cloudcertificates.cloudcert.io"}, crd); err != nil {
		t.Fatal(err)
	}
	status := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	for _, field := range fields {
		if _, ok := status.Properties[field]; !ok {
			t.Fatalf("the CRD has no status.%s", field)
		}
		delete(status.Properties, field)
	}
	status.Required = slices.DeleteFunc(status.Required, func(f string) bool { return slices.Contains(fields, f) })
	if err := admin.Update(ctx, crd); err != nil {
		t.Fatal(err)
	}
	probe := &v1alpha1.CloudCertificate{}
	probe.Namespace, probe.Name, probe.Spec.SecretRef.Name = newNamespaceOn(t, admin), "probe", "none"
	if err := admin.Create(ctx, probe); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t}
	w.eventually(func() string {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"`+fields[0]+`":1}}`))
		if err := admin.Status().Patch(ctx, probe, patch, client.FieldValidation("Strict")); err == nil || !strings.Contains(err.Error(), "unknown field") {
			return "the API server still knows the fields"
		}
		return ""
	})
}
