// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// Keys of a credentials Secret.
const (
	keyAccessKeyID     = "accessKeyId"
	keyAccessKeySecret = "accessKeySecret"
	keySecurityToken   = "securityToken"
)

// Accounts finds the cloud client for an object: by the Secret that it refers to,
// or by the operator's own credentials.
type Accounts struct {
	// Cloud makes and keeps the clients.
	Cloud *cas.Cloud
	// Own are the operator's own credentials; nil if it has none, for the reason
	// OwnProblem.
	Own        alibaba.Provider
	OwnProblem string
	// OwnNamespaces may use the operator's own credentials; empty means all.
	OwnNamespaces []string
	// Metadata reads a Secret's metadata from the cache, Live a whole Secret from
	// the API server.
	Metadata, Live client.Reader

	mu       sync.Mutex
	resolved map[types.NamespacedName]resolvedCredentials
	departed map[types.NamespacedName]departedCredentials
}

// departedCredentials are the last ones of a Secret that is gone: a namespace is
// deleted in no order, and objects in it may still have to be cleaned up.
type departedCredentials struct {
	provider alibaba.Provider
	at       time.Time
}

// departedFor is how long credentials outlive their Secret in memory.
const departedFor = 24 * time.Hour

// resolvedCredentials is a provider made of one version of a credentials Secret.
type resolvedCredentials struct {
	uid             types.UID
	resourceVersion string
	provider        alibaba.Provider
}

// client returns the client for an object in a region. Its error is a
// *credentialsError where the credentials are missing or incomplete.
func (a *Accounts) client(ctx context.Context, object *v1alpha1.CloudCertificate, region string) (*cas.Client, error) {
	provider, err := a.provider(ctx, object)
	if err != nil {
		return nil, err
	}
	return a.Cloud.Client(region, provider)
}

// lastClient is client for an object that is being deleted: if the Secret of its
// credentials is gone already, with the last ones that it held.
func (a *Accounts) lastClient(ctx context.Context, object *v1alpha1.CloudCertificate, region string) (*cas.Client, error) {
	cloud, err := a.client(ctx, object, region)
	if err == nil || !isRefusal(err) || object.Spec.CredentialsSecretRef.Name == "" {
		return cloud, err
	}
	a.mu.Lock()
	last, ok := a.departed[credentialsKey(object)]
	a.mu.Unlock()
	if !ok {
		return nil, err
	}
	return a.Cloud.Client(region, last.provider)
}

// provider finds the credentials of an object.
func (a *Accounts) provider(ctx context.Context, object *v1alpha1.CloudCertificate) (alibaba.Provider, error) {
	if object.Spec.CredentialsSecretRef.Name != "" {
		return a.secretProvider(ctx, credentialsKey(object))
	}
	if len(a.OwnNamespaces) > 0 && !slices.Contains(a.OwnNamespaces, object.Namespace) {
		return nil, &credentialsError{
			problem: fmt.Sprintf("objects in namespace %q may not use the operator's own credentials", object.Namespace),
			fix:     "set spec.credentialsSecretRef, or have the namespace added to --default-credentials-namespaces",
		}
	}
	if a.Own == nil {
		return nil, &credentialsError{
			problem: "the operator has no credentials of its own: " + a.OwnProblem,
			fix:     "set spec.credentialsSecretRef, or give the operator an access key or an RRSA role",
		}
	}
	return a.Own, nil
}

// secretProvider makes a provider of a credentials Secret, once per version of it.
func (a *Accounts) secretProvider(ctx context.Context, key types.NamespacedName) (alibaba.Provider, error) {
	meta, err := secretMetadata(ctx, a.Metadata, key)
	if err != nil {
		return nil, err
	}
	if meta == nil {
		a.drop(key)
		return nil, missingCredentials(key)
	}
	if known, ok := a.known(key); ok && known.uid == meta.GetUID() && known.resourceVersion == meta.GetResourceVersion() {
		return known.provider, nil
	}
	secret := &corev1.Secret{}
	if err := a.Live.Get(ctx, key, secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, missingCredentials(key)
		}
		return nil, fmt.Errorf("failed to read Secret %q: %w", key.Name, err)
	}
	provider, err := parseCredentials(secret)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.resolved == nil {
		a.resolved = map[types.NamespacedName]resolvedCredentials{}
	}
	a.resolved[key] = resolvedCredentials{uid: secret.UID, resourceVersion: secret.ResourceVersion, provider: provider}
	return provider, nil
}

// elsewhere says that the credentials of an object are known to be of another
// account than its status speaks of, or have changed so that this has to be
// looked at. After a restart nothing is known, and nothing is read to find out.
func (a *Accounts) elsewhere(object *v1alpha1.CloudCertificate, region string) bool {
	provider := a.Own
	if object.Spec.CredentialsSecretRef.Name != "" {
		key := credentialsKey(object)
		known, ok := a.known(key)
		if !ok {
			return false
		}
		meta, err := secretMetadata(context.Background(), a.Metadata, key) // from memory
		if err == nil && meta != nil && (meta.GetUID() != known.uid || meta.GetResourceVersion() != known.resourceVersion) {
			return true
		}
		provider = known.provider
	}
	if provider == nil || object.Status.AccountID == "" {
		return false
	}
	client, err := a.Cloud.Client(region, provider)
	if err != nil {
		return false
	}
	account := client.KnownAccount()
	return account != "" && account != object.Status.AccountID
}

func (a *Accounts) known(key types.NamespacedName) (resolvedCredentials, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.resolved[key]
	return known, ok
}

// drop forgets the credentials of a Secret that is gone, but for those who are being
// deleted.
func (a *Accounts) drop(key types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(a.departed, func(_ types.NamespacedName, d departedCredentials) bool { return now.Sub(d.at) > departedFor })
	known, ok := a.resolved[key]
	if !ok {
		return
	}
	delete(a.resolved, key)
	if a.departed == nil {
		a.departed = map[types.NamespacedName]departedCredentials{}
	}
	a.departed[key] = departedCredentials{provider: known.provider, at: now}
}

// parseCredentials reads the keys of a credentials Secret. White space around a
// value is dropped: files and here-documents end with a newline.
func parseCredentials(secret *corev1.Secret) (alibaba.Provider, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	for _, key := range []string{keyAccessKeyID, keyAccessKeySecret} {
		if value(key) == "" {
			return nil, &credentialsError{
				problem: fmt.Sprintf("Secret %q: %s is missing or empty", secret.Name, key),
				fix:     fmt.Sprintf("put an access key into %s and %s, for temporary credentials also %s", keyAccessKeyID, keyAccessKeySecret, keySecurityToken),
			}
		}
	}
	return alibaba.Static(alibaba.Credentials{
		AccessKeyID:     value(keyAccessKeyID),
		AccessKeySecret: value(keyAccessKeySecret),
		SecurityToken:   value(keySecurityToken),
	})
}

func missingCredentials(key types.NamespacedName) error {
	return &credentialsError{
		problem: fmt.Sprintf("Secret %q not found in namespace %q", key.Name, key.Namespace),
		fix:     "create it, or correct spec.credentialsSecretRef.name",
	}
}

// credentialsKey is the Secret that holds an object's credentials.
func credentialsKey(object *v1alpha1.CloudCertificate) types.NamespacedName {
	return types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.CredentialsSecretRef.Name}
}

// secretMetadata reads a Secret's metadata from the cache; nil if it is not there.
func secretMetadata(ctx context.Context, reader client.Reader, key types.NamespacedName) (*metav1.PartialObjectMetadata, error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := reader.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read the metadata of Secret %q: %w", key.Name, err)
	}
	return secret, nil
}
