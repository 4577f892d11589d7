// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// createBinding makes a binding.
func (a *apiServer) createBinding(binding *v1alpha1.CloudCertificateBinding) {
	binding.UID, binding.Generation, binding.CreationTimestamp = a.newUID(), 1, metav1.Now()
	binding.Status = v1alpha1.CloudCertificateBindingStatus{ObservedGeneration: -1}
	a.storeBinding(client.ObjectKeyFromObject(binding), binding)
}

// storeBinding enters a new version of a binding; nil removes it.
func (a *apiServer) storeBinding(key types.NamespacedName, binding *v1alpha1.CloudCertificateBinding) {
	if binding == nil {
		delete(a.bindings, key)
		a.bindingLog.enter(key, nil)
		return
	}
	binding.ResourceVersion = a.nextVersion()
	a.bindings[key] = binding
	a.bindingLog.enter(key, binding)
}

// changeBinding is what a user does to a binding.
func (a *apiServer) changeBinding(key types.NamespacedName, do func(*v1alpha1.CloudCertificateBinding)) {
	if binding, ok := changed(a.bindings[key], do); ok {
		a.updateBinding(key, a.bindings[key], binding)
	}
}

// updateBinding stores a changed binding as an API server does.
func (a *apiServer) updateBinding(key types.NamespacedName, old, binding *v1alpha1.CloudCertificateBinding) {
	a.storeBinding(key, updated(binding, string(encode(old.Spec)) != string(encode(binding.Spec))))
}

// removeBinding is a user's delete.
func (a *apiServer) removeBinding(key types.NamespacedName) {
	if binding, ok := removed(a.bindings[key]); ok {
		a.storeBinding(key, binding)
	}
}

// patchBinding applies a JSON merge patch to a binding or to its status.
func (a *apiServer) patchBinding(binding *v1alpha1.CloudCertificateBinding, patch client.Patch, status bool) error {
	key := client.ObjectKeyFromObject(binding)
	old := a.bindings[key]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "cloudcertificatebindings"}, key.Name)
	}
	data, err := patch.Data(binding)
	if err != nil {
		return err
	}
	patched := &v1alpha1.CloudCertificateBinding{}
	if err := merge(old, data, patched); err != nil {
		return err
	}
	result := old.DeepCopy()
	if status {
		result.Status = patched.Status
	} else {
		result.Finalizers, result.Annotations = patched.Finalizers, patched.Annotations
	}
	if string(encode(result)) != string(encode(old)) {
		a.updateBinding(key, old, result)
	}
	result.DeepCopyInto(binding)
	return nil
}

// putPolicy makes the policy, or changes it; nil withdraws it.
func (a *apiServer) putPolicy(policy *v1alpha1.CertificateTargetPolicy) {
	key := types.NamespacedName{Name: "all"}
	if policy == nil {
		if a.policies[key] != nil {
			delete(a.policies, key)
			a.policyLog.enter(key, nil)
		}
		return
	}
	policy.Name, policy.UID, policy.ResourceVersion = key.Name, "policy", a.nextVersion()
	a.policies[key] = policy
	a.policyLog.enter(key, policy)
}
