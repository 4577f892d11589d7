// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// load reads the Secret live, also where the cache does not show it (yet: the two
// watches of an object and its Secret are not in step), and turns it into what
// would be uploaded. A verdict of our own that time alone cannot change is recorded
// with the Secret's version, so that the same content is not read again.
func (r *reconciliation) load(ctx context.Context) (*corev1.Secret, *bundle.Bundle, error) {
	next, secret := r.next, &corev1.Secret{}
	name := next.Spec.SecretRef.Name
	key := client.ObjectKey{Namespace: next.Namespace, Name: name}
	err := r.Live.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil, &bundle.Error{
			Kind: bundle.KindMissing, Secret: name,
			Problem: fmt.Sprintf("not found in namespace %q", next.Namespace),
			Fix:     "create it, or correct spec.secretRef.name",
		}
	}
	if err != nil {
		return nil, nil, unreadSecret(key, err)
	}
	if slices.Contains(neverCertificates, secret.Type) {
		return nil, nil, &bundle.Error{
			Kind: bundle.KindMissing, Secret: name,
			Problem: fmt.Sprintf("is of type %s, which is not watched", secret.Type),
			Fix:     "keep the certificate in a Secret of type kubernetes.io/tls or Opaque",
		}
	}
	content, err := bundle.Load(secret, bundle.Options{
		Type: bundle.Type(next.Spec.Type),
		Keys: secretKeys(next.Spec.Keys),
		Now:  r.Clock.Now(),
	})
	if err != nil {
		err = r.awaitPartner(secret, err)
		if v := verdict.Of(err, r.subject()); v.Stalled && v.Again.Pace == verdict.Never { // time alone does not change it
			recordVersion(next, secret)
			next.Status.LastHandledResync = resyncRequest(next)
		} else {
			forgetVersion(next) // an older verdict on the same Secret, by other keys, does not hold any more
		}
		return nil, nil, err
	}
	return secret, content, nil
}

// awaitPartner makes a mismatch of key and certificate a verdict of our own once this
// version of the Secret has been known for partnerTime. Until then the error names the
// end of that time: a change of the Secret is an event, so it is not read meanwhile.
func (r *reconciliation) awaitPartner(secret metav1.Object, err error) error {
	mismatch, ok := errors.AsType[*bundle.Error](err)
	if !ok || mismatch.Kind != bundle.KindMismatch {
		return err
	}
	now := r.Clock.Now()
	verdict := *mismatch
	verdict.Deadline = r.memory.mismatched(r.next, string(secret.GetUID())+"/"+secret.GetResourceVersion(), now).Add(partnerTime)
	if !now.Before(verdict.Deadline) {
		verdict.Kind, verdict.Deadline = bundle.KindInvalid, time.Time{}
	}
	return &verdict
}

// partnerTime is how long a key and a certificate that do not match may be half of a
// change: some tools write the two one after the other.
const partnerTime = 10 * time.Second

// secretMetadata reads the metadata of the Secret that holds the certificate; nil
// if it is not there.
func (r *Reconciler) secretMetadata(ctx context.Context, object *v1alpha1.CloudCertificate) (*metav1.PartialObjectMetadata, error) {
	return secretMetadata(ctx, r.Client, client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.SecretRef.Name})
}

// secretKeys translates the keys of the spec.
func secretKeys(k v1alpha1.SecretKeys) bundle.Keys {
	return bundle.Keys{
		Certificate: string(k.Certificate), PrivateKey: string(k.PrivateKey),
		SignCertificate: string(k.SignCertificate), SignPrivateKey: string(k.SignPrivateKey),
		EncryptCertificate: string(k.EncryptCertificate), EncryptPrivateKey: string(k.EncryptPrivateKey),
	}
}

// facts describes a certificate for the status.
func facts(content *bundle.Bundle) v1alpha1.CertificateFacts {
	f := content.Facts
	return v1alpha1.CertificateFacts{
		CommonName: f.CommonName, DNSNames: f.DNSNames,
		DNSNamesTotal: int32(f.DNSNamesTotal), //nolint:gosec // a Secret has no room for so many
		SerialNumber:  f.SerialNumber, Issuer: f.Issuer, FingerprintSHA256: f.FingerprintSHA256,
		NotBefore: metav1.NewTime(f.NotBefore), NotAfter: metav1.NewTime(f.NotAfter),
	}
}
