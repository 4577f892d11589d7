// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
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
	"github.com/cloudcert-io/cloudcert/internal/recent"
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
	resolved *recent.Map[types.NamespacedName, resolvedCredentials] // made by the first
	last     map[types.NamespacedName]lastCredentials
}

// maxResolved is how many Secrets of credentials at least are not read again while they do not
// change.
const maxResolved = 1024

// lastCredentials are the last ones of an object that has to be cleaned up, which it may need
// when their Secret is gone: a namespace is deleted in no order.
type lastCredentials struct {
	uid      types.UID
	provider alibaba.Provider
}

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
// credentials is gone already, with the last ones that worked for it.
func (a *Accounts) lastClient(ctx context.Context, object *v1alpha1.CloudCertificate, region string) (*cas.Client, error) {
	cloud, err := a.client(ctx, object, region)
	if err == nil || !isRefusal(err) || object.Spec.CredentialsSecretRef.Name == "" {
		return cloud, err
	}
	a.mu.Lock()
	last := a.last[client.ObjectKeyFromObject(object)]
	a.mu.Unlock()
	if last.provider == nil || last.uid != object.UID {
		return nil, err
	}
	return a.Cloud.Client(region, last.provider)
}

// hold keeps the present credentials of an object that the finalizer is on. Credentials that
// are not known to work do not replace those that are kept.
func (a *Accounts) hold(object *v1alpha1.CloudCertificate, work bool) {
	if object.Spec.CredentialsSecretRef.Name == "" || !isHeld(object) {
		return
	}
	present, ok := a.known(credentialsKey(object))
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := client.ObjectKeyFromObject(object)
	if !work && a.last[key].uid == object.UID {
		return
	}
	if a.last == nil {
		a.last = map[types.NamespacedName]lastCredentials{}
	}
	a.last[key] = lastCredentials{uid: object.UID, provider: present.provider}
}

// forget drops the last credentials of an object that does not need them any more.
func (a *Accounts) forget(key types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.last, key)
}

// provider finds the credentials of an object.
func (a *Accounts) provider(ctx context.Context, object *v1alpha1.CloudCertificate) (alibaba.Provider, error) {
	return a.Provider(ctx, object.Namespace, object.Spec.CredentialsSecretRef.Name)
}

// Provider returns the credentials in a Secret of a namespace, or, where it names none, the
// operator's own, if objects of that namespace may use them.
func (a *Accounts) Provider(ctx context.Context, namespace, secret string) (alibaba.Provider, error) {
	if secret != "" {
		return a.secretProvider(ctx, types.NamespacedName{Namespace: namespace, Name: secret})
	}
	if len(a.OwnNamespaces) > 0 && !slices.Contains(a.OwnNamespaces, namespace) {
		return nil, &credentialsError{
			problem: fmt.Sprintf("objects in namespace %q may not use the operator's own credentials", namespace),
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

// Account returns the account that credentials are of; empty where it cannot be learned.
func (a *Accounts) Account(ctx context.Context, p alibaba.Provider) string {
	cloud, err := a.Cloud.Client(cas.RegionChina, p)
	if err != nil {
		return ""
	}
	return account(ctx, cloud)
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
		return nil, unreadSecret(key, err)
	}
	provider, err := parseCredentials(secret)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.resolved == nil {
		a.resolved = recent.New[types.NamespacedName, resolvedCredentials](maxResolved, 0)
	}
	a.resolved.Put(key, resolvedCredentials{uid: secret.UID, resourceVersion: secret.ResourceVersion, provider: provider}, time.Time{})
	return provider, nil
}

// elsewhere says that the credentials of an object are known to be of another
// account than its status speaks of, or have changed so that this has to be
// looked at. After a restart nothing is known, and nothing is read to find out; the same goes
// for credentials that were not used as lately as many others.
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
	if a.resolved == nil {
		return resolvedCredentials{}, false
	}
	return a.resolved.Get(key, time.Time{})
}

// drop forgets the credentials of a Secret that is gone.
func (a *Accounts) drop(key types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.resolved != nil {
		a.resolved.Delete(key)
	}
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
