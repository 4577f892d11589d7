// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of cloudcert: the kinds CloudCertificate, CloudCertificateBinding
// and CertificateTargetPolicy of the group cloudcert.io. It holds types, validation rules,
// conditions and reasons, and no logic.
//
// +kubebuilder:object:generate=true
// +groupName=cloudcert.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "cloudcert.io", Version: "v1alpha1"}

// AddToScheme adds the types of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&CloudCertificate{}, &CloudCertificateList{},
		&CloudCertificateBinding{}, &CloudCertificateBindingList{},
		&CertificateTargetPolicy{}, &CertificateTargetPolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
