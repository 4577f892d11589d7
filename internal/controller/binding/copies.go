// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// A product with a store of its own (CLB) is given a new copy at each renewal. The one that it
// replaces is deleted, for a store has an end.

// isOwnCopy reports whether a copy in a store was imported for the CloudCertificate. It is proven
// as before a deletion in CAS, by the identity in the certificate's name; a copy that somebody
// imported by hand is his, also one of a certificate of ours.
func (r *reconciliation) isOwnCopy(e targets.Entry) bool {
	return r.certificate != nil && e.Role == targets.RoleStored && e.Imported && protocol.Owns(r.identity(r.certificate), e.CertID, e.Name)
}

// observeHeld notes which versions other bindings hold, where the product has copies of ours.
func (r *reconciliation) observeHeld(ctx context.Context) (err error) {
	if slices.ContainsFunc(r.state.Entries, r.isOwnCopy) {
		r.held, err = r.heldByOthers(ctx, r.Client)
	}
	return err
}

// heldByOthers are the versions that other bindings of the namespace have as bound, pending or left
// over, by a reader: the cache for a decision, the API server right before a deletion. One that
// refers to another CloudCertificate by now may still have versions of this one.
func (r *reconciliation) heldByOthers(ctx context.Context, reader client.Reader) ([]rules.ID, error) {
	list := &v1alpha1.CloudCertificateBindingList{}
	if err := reader.List(ctx, list, client.InNamespace(r.next.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("failed to read which versions other bindings use: %w", err)
	}
	var held []rules.ID
	for i := range list.Items {
		other := &list.Items[i]
		if other.UID == r.next.UID {
			continue
		}
		for _, certID := range append([]int64{other.Status.BoundCertID, other.Status.PendingCertID}, other.Status.LeftoverCertIDs...) {
			if certID != 0 {
				held = append(held, r.id(certID))
			}
		}
	}
	return held, nil
}

// discard deletes copies of superseded versions. Right before, everything that speaks against it
// is read live: a binding that places an earlier version again says so in its status first.
func (r *reconciliation) discard(ctx context.Context, step rules.Discard) error {
	if err := r.unchanged(ctx); err != nil {
		return err
	}
	if _, err := r.sameCertificate(ctx); err != nil {
		return err
	}
	held, err := r.heldByOthers(ctx, r.Live)
	if err != nil {
		return err
	}
	removal := targets.Removal{Seed: r.removalSeed("discard")}
	for _, e := range r.state.Entries {
		if r.isOwnCopy(e) && slices.Contains(step.IDs, idOf(e)) && !slices.Contains(held, idOf(e)) {
			removal.Entries = append(removal.Entries, e)
		}
	}
	err = r.takeOut(ctx, removal)
	if _, waits := isTurn(err); waits {
		return err
	}
	if err != nil && !errors.Is(err, errHandedIn) {
		r.soFar.Discard = r.failureOf(err)
		return nil
	}
	r.soFar.Discarded = true
	return nil
}
