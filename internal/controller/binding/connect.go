// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"fmt"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// connect finds the adapter; it reports whether there is one, and notes why there is none.
func (r *reconciliation) connect(ctx context.Context) bool {
	adapter, err := r.adapterOf(ctx)
	if err != nil {
		r.soFar.NoCloud = r.failureOf(err)
		return false
	}
	r.adapter = adapter
	return true
}

// adapterOf returns the adapter of the target. One of an object of the cluster calls the cloud
// where it has to, or not at all: until then the account is the certificate's.
func (r *reconciliation) adapterOf(ctx context.Context) (targets.Adapter, error) {
	if r.certificate != nil {
		r.account = r.certificate.Status.AccountID
	}
	switch r.place.Product {
	case targets.ConfigMap:
		return configMap{live: r.Live, writer: r.Client, owner: ownerOf(r.next.Name)}, nil
	case targets.Service:
		return service{live: r.Live, writer: r.Client, store: r.store, region: r.likelyRegion, placed: r.next.Status.ProviderCertificateID}, nil
	case targets.ALBConfig:
		return albConfig{live: r.Live, writer: r.Client, region: r.likelyRegion}, nil
	}
	return r.cloud(ctx, r.place.Product)
}

// likelyRegion is the cluster's, where the load balancers of its objects are; empty where that is not known.
func (r *reconciliation) likelyRegion(ctx context.Context) (string, error) {
	return r.home.likely(ctx, r.Live, r.Clock.Now())
}

// store returns the store of CLB in the cluster's region, and that region.
func (r *reconciliation) store(ctx context.Context) (targets.Store, string, error) {
	region, err := r.home.region(ctx, r.Live)
	if err != nil {
		return nil, "", err
	}
	adapter, err := r.cloud(ctx, targets.CLB)
	if err != nil {
		return nil, "", err
	}
	store, ok := adapter.(targets.Store)
	if !ok {
		return nil, "", fmt.Errorf("the adapter %T of CLB has no store", adapter)
	}
	return store, region, nil
}

// cloud returns the adapter of a product that acts with the binding's credentials.
func (r *reconciliation) cloud(ctx context.Context, product targets.Product) (targets.Adapter, error) {
	provider, err := r.Credentials.Provider(ctx, r.next.Namespace, r.secret())
	if err != nil {
		return nil, err
	}
	r.account = r.Credentials.Account(ctx, provider)
	if problem := r.otherAccount(); problem != "" {
		return nil, &targets.Error{Class: targets.Unauthenticated, Message: problem}
	}
	return r.Adapter(product, provider, r.next.Namespace, r.onlyChecks())
}

// secret is the Secret of the credentials that the binding acts with.
func (r *reconciliation) secret() string { return secretOf(r.next, r.certificate) }

// secretOf is the Secret of the credentials that a binding acts with: its own, else that of its
// CloudCertificate; empty for the operator's own.
func secretOf(b *v1alpha1.CloudCertificateBinding, certificate *v1alpha1.CloudCertificate) string {
	if own := b.Spec.CredentialsSecretRef.Name; own != "" || certificate == nil {
		return own
	}
	return certificate.Spec.CredentialsSecretRef.Name
}

// otherAccount says that the credentials are of another account than the certificate, or, where
// the CloudCertificate is gone, than what was placed; empty where that is not known. A target of
// another account would seem not to exist.
func (r *reconciliation) otherAccount() string {
	placedIn := r.next.Status.AccountID
	if r.certificate != nil {
		placedIn = r.certificate.Status.AccountID
	}
	switch {
	case r.account == "" || placedIn == "" || r.account == placedIn:
		return ""
	case r.certificate == nil:
		return fmt.Sprintf("the credentials are of account %s, CloudCertificate %q is gone, and what was placed is in account %s; set spec.credentialsSecretRef to credentials of that account",
			r.account, r.next.Spec.CertificateRef.Name, placedIn)
	}
	return fmt.Sprintf("the credentials are of account %s, and CloudCertificate %q is in account %s; use credentials of that account",
		r.account, r.certificate.Name, placedIn)
}
