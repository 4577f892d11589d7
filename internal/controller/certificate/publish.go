// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/controller/ownwrites"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// publish writes the status once, if it differs from what it was, under the
// version that the reconcile began with: whoever wrote in between makes it a conflict.
func (r *reconciliation) publish(ctx context.Context, v verdict.Verdict) error {
	before, next := r.before, r.next
	next.Status.ObservedGeneration = next.Generation
	conditions.Set(&next.Status.Conditions, v, next.Generation)
	if equality.Semantic.DeepEqual(before.Status, next.Status) {
		return nil
	}
	base := before.DeepCopy()
	base.ResourceVersion, base.Finalizers = next.ResourceVersion, next.Finalizers // as our own write of the finalizer left them
	patch, err := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}).Data(next)
	if err != nil {
		return fmt.Errorf("failed to compute the new status: %w", err)
	}
	wanted := next.Status
	log.FromContext(ctx).V(1).Info("Publishing the status", "reason", v.Reason, "certId", wanted.CertID)
	r.memory.writes.Begin(next, base.ResourceVersion, &next.Status)
	err = r.objects.patchStatus(ctx, next, patch)
	switch {
	case err != nil, next.ResourceVersion == base.ResourceVersion: // or it said nothing new after all
		r.memory.writes.Undo(next, base.ResourceVersion)
	default:
		r.memory.writes.End(next, base.ResourceVersion, &next.Status)
	}
	if err != nil {
		return fmt.Errorf("failed to write status: %w", err)
	}
	r.reportDropped(ctx, &wanted)
	if why := departure(r.speaksFor(before), before, next); why != "" {
		r.memory.movedAway(next, r.Clock.Now())
		r.announce.left(ctx, next, &before.Status, why)
	}
	r.announce.transition(ctx, before, next)
	return nil
}

// reportDropped says, once, that the API server does not store every field of a status.
func (r *reconciliation) reportDropped(ctx context.Context, wanted *v1alpha1.CloudCertificateStatus) {
	stored := r.next
	if ownwrites.Digest(wanted) == ownwrites.Digest(&stored.Status) {
		return
	}
	dropped := droppedFields("status", fieldsOf(wanted), fieldsOf(&stored.Status))
	if len(dropped) == 0 {
		return // somebody between us and the store changed a value
	}
	if wanted.LastHandledResync != stored.Status.LastHandledResync {
		r.memory.handled(stored, wanted.LastHandledResync) // what the status cannot keep is asked for once in a process
	}
	r.oldCRD.Do(func() {
		problem := fmt.Sprintf("the CustomResourceDefinition cloudcertificates.cloudcert.io is older than the operator, and the API server drops %s; "+
			"apply the one of this release (the chart's with crds.enabled, or config/crd)", strings.Join(dropped, ", "))
		log.FromContext(ctx).Error(nil, "The CRD is too old", "problem", problem)
		r.Recorder.Eventf(stored, nil, corev1.EventTypeWarning, v1alpha1.ReasonCRDTooOld, "Publish", "%s", conditions.Truncate(problem))
	})
}

// fieldsOf is a status as it is written.
func fieldsOf(status *v1alpha1.CloudCertificateStatus) (fields map[string]any) {
	text, err := json.Marshal(status)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		return nil // a status holds nothing that cannot be written
	}
	return fields
}

// droppedFields are the paths of fields that are wanted and not stored, in order.
func droppedFields(path string, wanted, stored any) (dropped []string) {
	switch wanted := wanted.(type) {
	case map[string]any:
		fields, _ := stored.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(wanted)) {
			value, ok := fields[key]
			if !ok {
				dropped = append(dropped, path+"."+key)
				continue
			}
			dropped = append(dropped, droppedFields(path+"."+key, wanted[key], value)...)
		}
	case []any:
		items, _ := stored.([]any)
		for i := range min(len(wanted), len(items)) {
			dropped = append(dropped, droppedFields(path+"[]", wanted[i], items[i])...)
		}
	}
	return slices.Compact(dropped)
}

// brake leaves the status of the object alone that has moved too often, and says so once.
func (r *reconciliation) brake(ctx context.Context, e *protocol.MovesError) (reconcile.Result, error) {
	if r.memory.brakes(r.before, e.Until) {
		log.FromContext(ctx).Error(e, "The status is left as it is")
		r.Recorder.Eventf(r.before, nil, corev1.EventTypeWarning, v1alpha1.ReasonMovedTooOften, "Relocate", "%s", conditions.Truncate(e.Error()))
	}
	return reconcile.Result{RequeueAfter: e.Until.Sub(r.Clock.Now()) + time.Second}, nil
}
