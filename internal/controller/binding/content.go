// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// contentRetry is when a Secret is read again that does not hold what the CloudCertificate names. A
// change of the CloudCertificate is an event, but the Secret may be put back without one.
const contentRetry = 30 * time.Second

// contentOf returns what reads the certificate with its key out of the Secret of a CloudCertificate,
// for a product that takes no id; nil for any other. What it reads is kept nowhere.
func (r *reconciliation) contentOf(c *v1alpha1.CloudCertificate) func(context.Context) (targets.Content, error) {
	if !targets.TakesKey(r.place.Product) {
		return nil
	}
	return func(ctx context.Context) (targets.Content, error) { return r.readContent(ctx, c) }
}

func (r *reconciliation) readContent(ctx context.Context, c *v1alpha1.CloudCertificate) (targets.Content, error) {
	if r.account == "" || r.account != c.Status.AccountID { // else anybody's credentials would be sent the key
		return targets.Content{}, &targets.Error{Class: targets.Unauthenticated, Message: fmt.Sprintf(
			"the account of the credentials is not known to be that of CloudCertificate %q, and a private key is sent to no other: see that sts:GetCallerIdentity is answered", c.Name)}
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: c.Namespace, Name: c.Spec.SecretRef.Name}
	if err := r.Live.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return targets.Content{}, awaited(c, "does not exist")
		}
		return targets.Content{}, objectError("read Secret", key, err)
	}
	content, err := bundle.Load(secret, bundle.Options{
		Type: bundle.Type(c.Spec.Type), Now: r.Clock.Now(),
		Keys: bundle.Keys{Certificate: string(c.Spec.Keys.Certificate), PrivateKey: string(c.Spec.Keys.PrivateKey)},
	})
	if err != nil {
		return targets.Content{}, awaited(c, "does not hold a certificate that can be used; the CloudCertificate says why")
	}
	if content.Hash.String() != c.Status.ContentHash {
		return targets.Content{}, awaited(c, "holds another certificate than status.contentHash names")
	}
	return targets.Content{Certificate: content.Material.Certificate, PrivateKey: content.Material.PrivateKey}, nil
}

// awaited says that a Secret does not hold the certificate that its CloudCertificate has published.
func awaited(c *v1alpha1.CloudCertificate, problem string) error {
	return &targets.Error{Class: targets.Progressing, RetryAfter: contentRetry, Message: fmt.Sprintf(
		"Secret %q of CloudCertificate %q %s: the private key is read from there when both agree", c.Spec.SecretRef.Name, c.Name, problem)}
}
