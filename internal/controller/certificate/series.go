// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// row is an object as its series show it.
type row struct {
	object *v1alpha1.CloudCertificate
	synced bool
}

// family is one metric with a series for each object.
type family struct {
	name, help string
	// value returns the value for an object, and whether it has one.
	value func(*Fleet, row) (value int64, ok bool)
	// reason reports whether the reason of Ready is a label.
	reason bool
}

// families are written in this order; docs/metrics.md describes them.
var families = []family{
	{
		name: "cloudcert_certificate_ready", help: "1 if the condition Ready is True; the label is its reason.", reason: true,
		value: func(_ *Fleet, r row) (int64, bool) {
			ready, _ := readyOf(r.object)
			return oneIf(ready != nil && ready.Status == metav1.ConditionTrue), true
		},
	},
	{
		name: "cloudcert_certificate_synced", help: "1 if the certificate in the cloud is that of the Secret's present version.",
		value: func(_ *Fleet, r row) (int64, bool) { return oneIf(r.synced), true },
	},
	{
		name: "cloudcert_certificate_out_of_sync_since_timestamp_seconds", help: "Since when the certificate in the cloud is not that of the Secret; absent while it is.",
		value: func(f *Fleet, r row) (int64, bool) {
			if r.synced {
				return 0, false
			}
			return f.outOfSyncSince(r.object).Unix(), true
		},
	},
	{
		name: "cloudcert_certificate_not_before_timestamp_seconds", help: "When the certificate in the cloud begins to be valid; absent while there is none.",
		value: func(_ *Fleet, r row) (int64, bool) { return inCloud(r, r.object.Status.Certificate.NotBefore.Time) },
	},
	{
		name: "cloudcert_certificate_not_after_timestamp_seconds", help: "Until when the certificate in the cloud is valid; absent while there is none.",
		value: func(_ *Fleet, r row) (int64, bool) { return inCloud(r, r.object.Status.Certificate.NotAfter.Time) },
	},
	{
		name: "cloudcert_certificate_uploaded_timestamp_seconds", help: "When the certificate in the cloud was uploaded, or adopted; absent while there is none.",
		value: func(_ *Fleet, r row) (int64, bool) { return inCloud(r, r.object.Status.LastUploadTime.Time) },
	},
}

// inCloud is a time of the certificate in the cloud.
func inCloud(r row, t time.Time) (int64, bool) {
	return t.Unix(), r.object.Status.CertID != 0 && !t.IsZero()
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// WriteSeries writes the series of single objects in Prometheus' text format, if this
// replica leads. It can be appended to what the registry writes: no metric is in both.
func (f *Fleet) WriteSeries(ctx context.Context, to io.Writer) error {
	if !f.leads.Load() {
		return nil
	}
	rows := f.rows(ctx)
	w := bufio.NewWriterSize(to, 32<<10)
	var line []byte
	for _, m := range families {
		_, _ = w.WriteString("# HELP " + m.name + " " + m.help + "\n# TYPE " + m.name + " gauge\n") // Flush has the error
		for _, r := range rows {
			value, ok := m.value(f, r)
			if !ok {
				continue
			}
			line = m.appendLabels(append(line[:0], m.name...), r.object)
			line = append(strconv.AppendInt(append(line, ' '), value, 10), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// rows are the objects, with what the cache of Secrets says of them.
func (f *Fleet) rows(ctx context.Context) []row {
	objects := f.list()
	rows := make([]row, len(objects))
	secrets := secretVersions{reader: f.reconciler.Client}
	for i, o := range objects {
		rows[i] = row{object: o, synced: isInSync(o, secrets.of(ctx, types.NamespacedName{Namespace: o.Namespace, Name: o.Spec.SecretRef.Name}))}
	}
	return rows
}

func (m family) appendLabels(line []byte, o *v1alpha1.CloudCertificate) []byte {
	line = appendLabel(append(line, '{'), "namespace", o.Namespace)
	line = appendLabel(append(line, ','), "name", o.Name)
	if m.reason {
		_, reason := readyOf(o)
		line = appendLabel(append(line, ','), "reason", reason)
	}
	return append(line, '}')
}

// escaper escapes a label's value. The API server takes no such character in any of ours.
var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func appendLabel(line []byte, name, value string) []byte {
	line = append(append(line, name...), `="`...)
	return append(append(line, escaper.Replace(value)...), '"')
}
