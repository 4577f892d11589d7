// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestApplyToWhatSomebodyElseWrote holds the API server to what the adapter of ConfigMaps, and the
// simulation, rest on.
func TestApplyToWhatSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	apply := func(of *corev1.ConfigMap, value string, options ...client.ApplyOption) error {
		u := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"certId": value}}}
		u.SetAPIVersion("v1")
		u.SetKind("ConfigMap")
		u.SetNamespace(namespace)
		u.SetName("theirs")
		u.SetResourceVersion(of.ResourceVersion)
		u.SetUID(of.UID)
		return kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), append(options, client.FieldOwner("ours"))...)
	}
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}, Data: map[string]string{"certId": "1"}}
	if err := kube.Create(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	if err := apply(&corev1.ConfigMap{}, "2"); !apierrors.IsConflict(err) {
		t.Errorf("a key of somebody else is written without force: %v", err)
	}
	if err := apply(&corev1.ConfigMap{}, "1"); err != nil {
		t.Errorf("a key of somebody else that has the same value: %v", err)
	}
	if err := apply(theirs, "2", client.ForceOwnership); !apierrors.IsConflict(err) {
		t.Errorf("a version is written that has changed: %v", err)
	}
	if err := kube.Delete(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	if err := apply(theirs, "2", client.ForceOwnership); !apierrors.IsConflict(err) {
		t.Errorf("a ConfigMap is written that is gone: %v", err)
	}
	theirs.UID = ""
	if err := apply(theirs, "2", client.ForceOwnership); err != nil { // so the version alone proves nothing
		t.Errorf("a ConfigMap that is gone is made anew where the version alone is sent: %v", err)
	}
}
