// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// neverCertificates are types of Secrets that hold no certificate and no
// credentials of ours, and are many and large: the API server keeps them back.
var neverCertificates = []corev1.SecretType{
	"helm.sh/release.v1",
	corev1.SecretTypeServiceAccountToken,
	corev1.SecretTypeBootstrapToken,
	corev1.SecretTypeDockercfg,
	corev1.SecretTypeDockerConfigJson,
}

const (
	// resyncPeriod is how often every object is looked at from the cache, give or take
	// a tenth. A reconcile of one that is up to date neither calls the cloud nor reads a Secret.
	resyncPeriod = 10 * time.Hour
	// longestTimer is how far ahead a reconcile is put on a timer of its own. What is
	// further away waits for a resync: ten thousand certificates that expire in some
	// months would be as many timers, 500 bytes each.
	longestTimer = 12 * time.Hour
)

// CacheOptions makes the cache small: its size depends on the number of
// CloudCertificates, next to nothing on the Secrets in the cluster. Namespaces
// are those to watch; none means all.
func CacheOptions(namespaces []string) cache.Options {
	options := cache.Options{
		ReaderFailOnMissingInformer: true, // a read that would start an informer by accident is a bug
		SyncPeriod:                  new(resyncPeriod),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:             {Field: notNever(), Transform: stripSecret},
			&v1alpha1.CloudCertificate{}: {Transform: stripCloudCertificate},

			&v1alpha1.CloudCertificateBinding{}: {Transform: cache.TransformStripManagedFields()},
			&v1alpha1.CertificateTargetPolicy{}: {Transform: cache.TransformStripManagedFields()},
		},
	}
	for _, namespace := range namespaces {
		if options.DefaultNamespaces == nil {
			options.DefaultNamespaces = map[string]cache.Config{}
		}
		options.DefaultNamespaces[namespace] = cache.Config{}
	}
	return options
}

// notNever selects Secrets of every other type.
func notNever() fields.Selector {
	selectors := make([]fields.Selector, 0, len(neverCertificates))
	for _, t := range neverCertificates {
		selectors = append(selectors, fields.OneTermNotEqualSelector("type", string(t)))
	}
	return fields.AndSelectors(selectors...)
}

// stripSecret keeps a Secret's identity and version and nothing else: annotations
// may hold the whole Secret (kubectl's last-applied-configuration).
func stripSecret(in any) (any, error) {
	object, err := meta.Accessor(in)
	if err != nil {
		return in, nil //nolint:nilerr // a tombstone: its object went through here before
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: object.GetName(), Namespace: object.GetNamespace(), UID: object.GetUID(),
			ResourceVersion: object.GetResourceVersion(), DeletionTimestamp: object.GetDeletionTimestamp(),
		},
	}, nil
}

// stripCloudCertificate keeps what is read here, and shares what many objects have in common.
// Foreign labels, annotations, owners and finalizers may have a megabyte, whoever writes
// them. Who writes metadata therefore begins with the object as the API server has it.
func stripCloudCertificate(in any) (any, error) {
	cc, ok := in.(*v1alpha1.CloudCertificate)
	if !ok {
		return in, nil // a tombstone, as above
	}
	cc.ObjectMeta = metav1.ObjectMeta{
		Name: cc.Name, Namespace: cc.Namespace, UID: cc.UID,
		ResourceVersion: cc.ResourceVersion, Generation: cc.Generation,
		CreationTimestamp: cc.CreationTimestamp, DeletionTimestamp: cc.DeletionTimestamp,
		Annotations: ownAnnotations(cc), Finalizers: ownFinalizers(cc),
	}
	share(&cc.Kind)
	share(&cc.APIVersion)
	share(&cc.Namespace)
	share(&cc.Spec.Type)
	share(&cc.Spec.Region)
	share(&cc.Status.AccountID)
	share(&cc.Status.Region)
	share(&cc.Status.Certificate.Issuer)
	for i := range cc.Status.Conditions {
		condition := &cc.Status.Conditions[i]
		share(&condition.Type)
		share(&condition.Status)
		share(&condition.Reason)
		share(&condition.Message)
	}
	return in, nil
}

// share replaces a text by the one copy of it.
func share[T ~string](text *T) { *text = T(unique.Make(string(*text)).Value()) }
