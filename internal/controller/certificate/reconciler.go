// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificate reconciles CloudCertificates: it reads the Secret that
// an object refers to, uploads each new content of it to the cloud exactly once,
// and publishes what is there in the object's status.
package certificate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// Options are the settings of the operator that decide how objects are reconciled.
type Options struct {
	// ClusterID is part of every name in the cloud, so that clusters which share
	// an account keep their certificates apart.
	ClusterID string
	// Region is where objects live that name none.
	Region string
	// MaxVersionsPerHour is how many versions one object may upload in an hour; 0
	// means no limit. At most 50 versions are remembered, so a larger limit acts
	// as 50.
	MaxVersionsPerHour int
	// PruneDelay is how long a superseded version is kept after its successor was
	// published.
	PruneDelay time.Duration
	// SettleDelay is how long a deletion waits for uploads that may be in flight.
	SettleDelay time.Duration
	// OrphanAfter is how long a deleted object waits for what may never help (missing
	// credentials, a refusal by the cloud) before it is released with what it has in the cloud; 0 means for ever.
	OrphanAfter time.Duration
	// DriftInterval is the time between two checks of the whole list of an account
	// and region; 0 means never.
	DriftInterval time.Duration
	// AllowedAccounts are the ids of the accounts to which certificates may be uploaded;
	// empty means all.
	AllowedAccounts []string
	// Bindings reports whether CloudCertificateBindings are served: versions that they use are
	// kept.
	Bindings bool
	// MaxConcurrentReconciles is how many objects are reconciled at the same time.
	MaxConcurrentReconciles int
}

// Reconciler brings CloudCertificates and the cloud together. It is safe for
// concurrent use by the workers of one controller.
type Reconciler struct {
	// Client reads CloudCertificates and the metadata of Secrets from the cache,
	// and writes to the API server.
	client.Client
	// Live reads one Secret at a time from the API server: no Secret's data is
	// ever cached.
	Live     client.Reader
	Recorder events.EventRecorder
	Accounts *Accounts
	Options  Options
	Clock    clock.PassiveClock
	// Jitter spreads a periodic delay, so that objects which failed together are
	// not tried again together.
	Jitter func(time.Duration) time.Duration

	memory  memory
	turns   turns
	changes changes
	oldCRD  sync.Once // what is wrong with the CRD is said once

	superseded superseded

	start   sync.Once
	started time.Time
}

// began is when this process may have begun to write: every call of one before it
// ended earlier. The first to ask sets it, when it becomes the leader at the latest.
func (r *Reconciler) began() time.Time {
	r.start.Do(func() {
		r.started = r.Clock.Now()
		r.Accounts.Cloud.Begin()
	})
	return r.started
}

// Reconcile takes one step after the other until one is the last: observe, decide, act,
// publish. The status is computed in memory and written once.
func (r *Reconciler) Reconcile(ctx context.Context, object *v1alpha1.CloudCertificate) (reconcile.Result, error) {
	if r.isBehind(ctx, object) {
		return reconcile.Result{RequeueAfter: r.catchUp(object)}, nil // the event of our own write is let through to the cache, not to the queue
	}
	hurried, wait := r.expedite(ctx, object)
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	p, err := r.begin(ctx, object)
	if err != nil {
		return reconcile.Result{}, err
	}
	p.turn.paid = hurried
	defer p.endTurn()
	defer func() { p.slot.Release() }()
	for range maxSteps {
		step := protocol.Decide(p.observe())
		if protocol.Ends(step) {
			return p.conclude(ctx, step)
		}
		if err := p.act(ctx, step); err != nil {
			return p.fail(ctx, err)
		}
	}
	return p.fail(ctx, errors.New("the reconcile did not come to an end; it begins anew"))
}

// maxSteps is more than any reconcile takes: a property test of the rules says so.
const maxSteps = 20

// load reads the Secret live, also where the cache does not show it (yet: the two
// watches of an object and its Secret are not in step), and turns it into what
// would be uploaded. A verdict of our own that time alone cannot change is recorded
// with the Secret's version, so that the same content is not read again.
func (r *Reconciler) load(ctx context.Context, next *v1alpha1.CloudCertificate) (*corev1.Secret, *bundle.Bundle, error) {
	secret := &corev1.Secret{}
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
		err = r.awaitPartner(next, secret, err)
		if v := verdict.Of(err, r.subject(next)); v.Stalled && v.Again.Pace == verdict.Never { // time alone does not change it
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
func (r *Reconciler) awaitPartner(next *v1alpha1.CloudCertificate, secret metav1.Object, err error) error {
	mismatch, ok := errors.AsType[*bundle.Error](err)
	if !ok || mismatch.Kind != bundle.KindMismatch {
		return err
	}
	now := r.Clock.Now()
	verdict := *mismatch
	verdict.Deadline = r.memory.mismatched(next, string(secret.GetUID())+"/"+secret.GetResourceVersion(), now).Add(partnerTime)
	if !now.Before(verdict.Deadline) {
		verdict.Kind, verdict.Deadline = bundle.KindInvalid, time.Time{}
	}
	return &verdict
}

// account learns whose certificates these credentials reach. Where it cannot be
// learned the operator goes on without: an upload does not need it.
func account(ctx context.Context, cloud *cas.Client) string {
	id, err := cloud.Account(ctx)
	if err != nil {
		return ""
	}
	return id
}

// partnerTime is how long a key and a certificate that do not match may be half of a
// change: some tools write the two one after the other.
const partnerTime = 10 * time.Second

// trustMemory is how long our own word that a version was replaced counts for more
// than the cache. Then the API server is asked.
const trustMemory = 2 * time.Second

// isBehind reports whether the cache shows a version of an object that our own write
// replaced. The API server has the last word: what was restored from a snapshot of etcd
// carries versions that were replaced before.
func (r *Reconciler) isBehind(ctx context.Context, object *v1alpha1.CloudCertificate) bool {
	if !r.memory.writes.IsBehind(object) {
		return false
	}
	if r.memory.writes.StaleFor(object, r.Clock.Now()) < trustMemory || r.unchanged(ctx, object) != nil {
		return true
	}
	r.memory.writes.Undo(object, object.ResourceVersion)
	return false
}

// catchUp is when to reconcile an object again whose version in the cache is behind.
func (r *Reconciler) catchUp(object client.Object) time.Duration {
	if r.memory.writes.Stale(object, r.Clock.Now()) {
		r.memory.retries.Succeeded(object, retries.CatchUp)
	}
	return r.memory.retries.Next(object, retries.CatchUp, verdict.Retry)
}

// retryPublish decides when a status that could not be written is computed again.
func (r *Reconciler) retryPublish(object client.Object, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || errors.Is(err, errStale) {
		// Someone else wrote the object meanwhile, or our cache is a step behind our
		// own last write. The event of that write may be filtered, so ask again.
		return reconcile.Result{RequeueAfter: r.catchUp(object)}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

// region is where an object belongs in the cloud: the one that its spec names,
// else where its status lives, else the operator's own. Two operators with different
// regions agree by that, and a new --region moves nobody.
func (r *Reconciler) region(object *v1alpha1.CloudCertificate) string {
	lived := object.Status.Region
	switch {
	case object.Spec.Region != "":
		return object.Spec.Region
	case lived != r.Options.Region && slices.Contains(cas.Regions(), lived) && r.speaksFor(object):
		return lived
	}
	return r.Options.Region
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
