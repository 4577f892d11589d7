// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"io"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
)

// row is a binding as its series show it.
type row struct {
	*v1alpha1.CloudCertificateBinding

	// certificate is its CloudCertificate; nil if that has nothing in the cloud, or is not there.
	certificate *v1alpha1.CloudCertificate
}

// Reason implements fleet.Row.
func (r row) Reason() string {
	_, reason := fleet.ReadyOf(r.Status.Conditions)
	return reason
}

func (r row) synced() bool {
	return r.certificate != nil && follows(r.CloudCertificateBinding, r.certificate)
}

// outOfSyncSince is since when the target does not use the certificate that the CloudCertificate
// names: since that was uploaded, or, where it was used before, since it is not. All of it is from
// statuses, so that a restart changes nothing.
func (r row) outOfSyncSince() time.Time {
	since := r.certificate.Status.LastUploadTime.Time
	if r.CreationTimestamp.After(since) {
		since = r.CreationTimestamp.Time
	}
	if r.Status.BoundCertIdentifier != r.certificate.Status.CertIdentifier {
		return since
	}
	lost := r.Status.PendingSince.Time
	if ready, _ := fleet.ReadyOf(r.Status.Conditions); !fleet.IsTrue(ready) && ready != nil {
		lost = ready.LastTransitionTime.Time
	}
	if lost.After(since) {
		return lost
	}
	return since
}

// families are written in this order; docs/metrics.md describes them.
var families = []fleet.Family[row]{
	{
		Name: "cloudcert_binding_ready", Help: "1 if the condition Ready is True; the label is its reason.", Reason: true,
		Value: func(r row) (int64, bool) {
			ready, _ := fleet.ReadyOf(r.Status.Conditions)
			return fleet.OneIf(fleet.IsTrue(ready)), true
		},
	},
	{
		Name: "cloudcert_binding_synced", Help: "1 if the target was last seen to use the certificate that the status of the CloudCertificate names.",
		Value: func(r row) (int64, bool) { return fleet.OneIf(r.synced()), true },
	},
	{
		Name: "cloudcert_binding_out_of_sync_since_timestamp_seconds", Help: "Since when the target does not use the certificate that the status of the CloudCertificate names; absent while it does, and while there is none.",
		Value: func(r row) (int64, bool) {
			if r.certificate == nil || r.synced() {
				return 0, false
			}
			return r.outOfSyncSince().Unix(), true
		},
	},
	{
		Name: "cloudcert_binding_bound_timestamp_seconds", Help: "When the target was first seen to use the certificate that it was last seen to use; absent while there is none.",
		Value: func(r row) (int64, bool) { return r.Status.BoundTime.Unix(), !r.Status.BoundTime.IsZero() },
	},
}

// WriteSeries writes the series of single bindings in Prometheus' text format, if this replica
// leads. It can be appended to what the registry writes: no metric is in both.
func (f *Fleet) WriteSeries(ctx context.Context, to io.Writer) error {
	if !f.Leads() {
		return nil
	}
	bindings := f.List()
	rows := make([]row, len(bindings))
	for i, b := range bindings {
		rows[i] = row{CloudCertificateBinding: b, certificate: f.certificateOf(ctx, b)}
	}
	return fleet.Write(to, families, rows)
}
