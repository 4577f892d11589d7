// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/fleet"
)

// row is an object as its series show it.
type row struct {
	*v1alpha1.CloudCertificate

	fleet  *Fleet
	synced bool
}

// Reason implements fleet.Row.
func (r row) Reason() string {
	_, reason := readyOf(r.CloudCertificate)
	return reason
}

// families are written in this order; docs/metrics.md describes them.
var families = []fleet.Family[row]{
	{
		Name: "cloudcert_certificate_ready", Help: "1 if the condition Ready is True; the label is its reason.", Reason: true,
		Value: func(r row) (int64, bool) {
			ready, _ := readyOf(r.CloudCertificate)
			return fleet.OneIf(fleet.IsTrue(ready)), true
		},
	},
	{
		Name: "cloudcert_certificate_synced", Help: "1 if the certificate in the cloud is that of the Secret's present version.",
		Value: func(r row) (int64, bool) { return fleet.OneIf(r.synced), true },
	},
	{
		Name: "cloudcert_certificate_out_of_sync_since_timestamp_seconds", Help: "Since when the certificate in the cloud is not that of the Secret; absent while it is.",
		Value: func(r row) (int64, bool) {
			if r.synced {
				return 0, false
			}
			return r.fleet.outOfSyncSince(r.CloudCertificate).Unix(), true
		},
	},
	{
		Name: "cloudcert_certificate_not_before_timestamp_seconds", Help: "When the certificate in the cloud begins to be valid; absent while there is none.",
		Value: func(r row) (int64, bool) { return inCloud(r, r.Status.Certificate.NotBefore.Time) },
	},
	{
		Name: "cloudcert_certificate_not_after_timestamp_seconds", Help: "Until when the certificate in the cloud is valid; absent while there is none.",
		Value: func(r row) (int64, bool) { return inCloud(r, r.Status.Certificate.NotAfter.Time) },
	},
	{
		Name: "cloudcert_certificate_uploaded_timestamp_seconds", Help: "When the certificate in the cloud was uploaded, or adopted; absent while there is none.",
		Value: func(r row) (int64, bool) { return inCloud(r, r.Status.LastUploadTime.Time) },
	},
}

// inCloud is a time of the certificate in the cloud.
func inCloud(r row, t time.Time) (int64, bool) {
	return t.Unix(), r.Status.CertID != 0 && !t.IsZero()
}

// WriteSeries writes the series of single objects in Prometheus' text format, if this
// replica leads. It can be appended to what the registry writes: no metric is in both.
func (f *Fleet) WriteSeries(ctx context.Context, to io.Writer) error {
	if !f.Leads() {
		return nil
	}
	return fleet.Write(to, families, f.rows(ctx))
}

// rows are the objects, with what the cache of Secrets says of them.
func (f *Fleet) rows(ctx context.Context) []row {
	objects := f.List()
	rows := make([]row, len(objects))
	secrets := secretVersions{reader: f.reconciler.Client}
	for i, o := range objects {
		rows[i] = row{CloudCertificate: o, fleet: f, synced: isInSync(o, secrets.of(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.Spec.SecretRef.Name}))}
	}
	return rows
}
