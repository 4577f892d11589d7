// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package certificate reconciles CloudCertificates: it reads the Secret that
// an object refers to, uploads each new content of it to the cloud exactly once,
// and publishes what is there in the object's status.
package certificate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
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

// began returns when this process started making calls: when it became the leader, or was first
// asked. The calls of an earlier leader had all ended by then.
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
	if r.objects().isBehind(ctx, object) {
		return reconcile.Result{RequeueAfter: r.objects().catchUp(object)}, nil // the event of our own write is let through to the cache, not to the queue
	}
	hurried, wait := r.expedite(ctx, object)
	if wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	run, err := r.begin(ctx, object)
	if err != nil {
		return reconcile.Result{}, err
	}
	run.turn.paid = hurried
	defer run.endTurn()
	defer func() { run.slot.Release() }()
	for range maxSteps {
		step := protocol.Decide(run.observe())
		if protocol.Ends(step) {
			return run.conclude(ctx, step)
		}
		if err := run.act(ctx, step); err != nil {
			return run.fail(ctx, err)
		}
	}
	return run.fail(ctx, errors.New("the reconcile did not come to an end; it begins anew"))
}

// maxSteps is more than any reconcile takes: a property test of the rules says so.
const maxSteps = 20

// account learns whose certificates these credentials reach. Where it cannot be
// learned the operator goes on without: an upload does not need it.
func account(ctx context.Context, cloud *cas.Client) string {
	id, err := cloud.Account(ctx)
	if err != nil {
		return ""
	}
	return id
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
