// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/ownwrites"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// objects are CloudCertificates as the API server has them, which the cache may be behind: what is
// read of them live, what is written, and which writes were our own.
type objects struct {
	client.Client
	live    client.Reader
	clock   clock.PassiveClock
	writes  *ownwrites.Log
	retries *retries.Retries
}

// objects are those that the reconciler reads and writes.
func (r *Reconciler) objects() objects {
	return objects{Client: r.Client, live: r.Live, clock: r.Clock, writes: &r.memory.writes, retries: &r.memory.retries}
}

// isBehind reports whether the cache shows a version of an object that our own write
// replaced. The API server has the last word: what was restored from a snapshot of etcd
// carries versions that were replaced before.
func (o objects) isBehind(ctx context.Context, object *v1alpha1.CloudCertificate) bool {
	if !o.writes.IsBehind(object) {
		return false
	}
	if o.writes.StaleFor(object, o.clock.Now()) < trustMemory || o.unchanged(ctx, object) != nil {
		return true
	}
	o.writes.Undo(object, object.ResourceVersion)
	return false
}

// trustMemory is how long our own word that a version was replaced counts for more
// than the cache. Then the API server is asked.
const trustMemory = 2 * time.Second

// catchUp is when to reconcile an object again whose version in the cache is behind.
func (o objects) catchUp(object client.Object) time.Duration {
	if o.writes.Stale(object, o.clock.Now()) {
		o.retries.Succeeded(object, retries.CatchUp)
	}
	return o.retries.Next(object, retries.CatchUp, verdict.Retry)
}

// retry decides when a status that could not be written is computed again.
func (o objects) retry(object client.Object, err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) || errors.Is(err, errStale) {
		// Someone else wrote the object meanwhile, or our cache is a step behind our
		// own last write. The event of that write may be filtered, so ask again.
		return reconcile.Result{RequeueAfter: o.catchUp(object)}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

// unchanged reads the object live: it is the one that the reconcile knows, to the letter.
// A cache may be far behind; what is irrevocable is not decided from it alone.
func (o objects) unchanged(ctx context.Context, object *v1alpha1.CloudCertificate) error {
	_, err := o.current(ctx, object)
	return err
}

// current reads the whole object live, of which the cache keeps a part; its error is stale if
// it is not the one that the reconcile knows.
func (o objects) current(ctx context.Context, object *v1alpha1.CloudCertificate) (*v1alpha1.CloudCertificate, error) {
	live := &v1alpha1.CloudCertificate{}
	if err := o.live.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return nil, fmt.Errorf("failed to read the object again: %w", err)
	}
	if live.UID != object.UID || live.ResourceVersion != object.ResourceVersion {
		return nil, errStale
	}
	return live, nil
}

// patchStatus writes a patch of the status, and makes next what the API server stores. Fields
// that an older CRD does not know are dropped: a status without them is better than that
// of the version before.
func (o objects) patchStatus(ctx context.Context, next *v1alpha1.CloudCertificate, patch []byte) error {
	stored := &v1alpha1.CloudCertificate{} // an answer leaves in an object what it does not mention
	stored.Namespace, stored.Name = next.Namespace, next.Name
	lenient := client.FieldValidation(metav1.FieldValidationIgnore)
	if err := o.Status().Patch(ctx, stored, client.RawPatch(types.MergePatchType, patch), lenient); err != nil {
		return err
	}
	*next = *stored
	return nil
}

// writeFinalizer writes the finalizers of the object as the API server has it: the cache does
// not show those of others, and a merge patch replaces them all.
func (o objects) writeFinalizer(ctx context.Context, next, live *v1alpha1.CloudCertificate, want bool) error {
	patched := live.DeepCopy()
	if want {
		controllerutil.AddFinalizer(patched, v1alpha1.FinalizerCleanup)
	} else {
		controllerutil.RemoveFinalizer(patched, v1alpha1.FinalizerCleanup)
	}
	lock := client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})
	o.writes.Begin(next, next.ResourceVersion, &next.Status)
	if err := o.Patch(ctx, patched, lock); err != nil {
		o.writes.Undo(next, next.ResourceVersion)
		return fmt.Errorf("failed to write the finalizer: %w", err)
	}
	o.writes.End(patched, next.ResourceVersion, &patched.Status)
	next.ResourceVersion, next.Finalizers = patched.ResourceVersion, patched.Finalizers
	return nil
}
