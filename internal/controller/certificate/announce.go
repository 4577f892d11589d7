// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/conditions"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// announcer tells people what happened to an object: by an event, in the log where an event may
// reach nobody, and in a metric where it is counted.
type announcer struct{ events.EventRecorder }

// transition reports as events a transition, another problem under the same reason, and a
// new version. Events of one version of the object and one reason are merged, so there
// is one of each.
func (a announcer) transition(ctx context.Context, before, next *v1alpha1.CloudCertificate) {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(next.Status.Conditions, v1alpha1.ConditionReady)
	if is == nil {
		return // somebody between us and the store took it out
	}
	renewed := before.Status.CertID != next.Status.CertID
	same := was != nil && was.Status == is.Status && was.Reason == is.Reason
	if same && !renewed && (was.Message == is.Message || is.Reason == v1alpha1.ReasonSynced) {
		return // what a synced object has to say besides has an event of its own
	}
	a.Eventf(next, nil, conditions.EventType(is.Reason), is.Reason, "Reconcile", "%s", is.Message)
	log.FromContext(ctx).Info("Status changed", "ready", is.Status, "reason", is.Reason,
		"certId", next.Status.CertID, "message", is.Message)
}

// recreated says that a certificate which was gone has been uploaded again.
func (a announcer) recreated(next *v1alpha1.CloudCertificate, before *v1alpha1.CloudCertificateStatus) {
	a.Eventf(next, nil, corev1.EventTypeWarning, v1alpha1.ReasonRecreated, "Upload",
		"certificate %s was gone from the cloud, and is uploaded again as %s; whatever refers to the old one is broken until it refers to the new one",
		cas.CertIdentifier(before.CertID, before.Region), cas.CertIdentifier(next.Status.CertID, next.Status.Region))
}

// oddities reports what is odd about a version that is uploaded all the same.
func (a announcer) oddities(next *v1alpha1.CloudCertificate, content *bundle.Bundle) {
	for _, warning := range content.Warnings {
		a.Eventf(next, nil, "Warning", warning.Reason, "Upload", "%s", conditions.Truncate(warning.Message))
	}
	if before := next.Status.Certificate.NotAfter; next.Status.CertID != 0 && content.Facts.NotAfter.Before(before.Time) {
		a.Eventf(next, nil, "Warning", v1alpha1.ReasonOlderCertificate, "Upload",
			"Secret %q: the certificate expires on %s, before the one that it replaces (%s)", next.Spec.SecretRef.Name,
			content.Facts.NotAfter.UTC().Format(time.RFC3339), before.UTC().Format(time.RFC3339))
	}
}

// pruned reports what was deleted.
func (a announcer) pruned(before, next *v1alpha1.CloudCertificate) {
	var deleted []string
	for _, version := range before.Status.History {
		left := slices.ContainsFunc(next.Status.History, func(h v1alpha1.CertificateVersion) bool { return h.CertID == version.CertID })
		if !left {
			deleted = append(deleted, protocol.NameAndID(version.Name, version.CertID))
		}
	}
	if len(deleted) > 0 {
		pruned.WithLabelValues(before.Status.AccountID, before.Status.Region).Add(float64(len(deleted)))
		a.Eventf(next, nil, corev1.EventTypeNormal, v1alpha1.ReasonPruned, "Prune", "%s",
			conditions.Truncate("superseded versions deleted from the cloud: "+strings.Join(deleted, ", ")))
	}
}

// left says which certificates of a status an object has left behind, in the log
// and a metric too: events may not reach anybody.
func (a announcer) left(ctx context.Context, object *v1alpha1.CloudCertificate, before *v1alpha1.CloudCertificateStatus, why string) {
	names := leftBehind(before)
	if names == "" {
		return
	}
	leftCertificates.WithLabelValues(v1alpha1.ReasonLeftBehind).Add(float64(countNamed(before)))
	log.FromContext(ctx).Info("Certificates stay where the object was", "changed", why, "account", before.AccountID, "region", before.Region, "certificates", names)
	note := fmt.Sprintf("certificates stay in account %q, region %s: %s", before.AccountID, before.Region, names)
	if why == departedIdentity {
		note = "the status was another object's, by the identity in its name, and is not believed; the object starts anew, and " + note
	}
	a.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonLeftBehind, "Relocate", "%s", conditions.Truncate(note))
}

// released says what a released object leaves in the cloud, if anything. In a
// namespace that is being deleted no event can be made: log and metric say it too.
func (a announcer) released(ctx context.Context, object *v1alpha1.CloudCertificate, end ending) {
	var notes []string
	if end.why != "" {
		stays := "whatever it has in the cloud"
		if object.Status.CertID != 0 || len(object.Status.History) > 0 {
			stays = fmt.Sprintf("account %q, region %s: %s", object.Status.AccountID, object.Status.Region, leftBehind(&object.Status))
		}
		notes = append(notes, fmt.Sprintf("released, because %s; not deleted: %s", end.why, stays))
		leftCertificates.WithLabelValues(v1alpha1.ReasonReleased).Add(float64(max(end.named, named(object, nil))))
	}
	if len(end.alone) > 0 {
		notes = append(notes, "left alone, because they hold names of this object and may not be its certificates: "+namesOf(end.alone))
	}
	if len(notes) == 0 {
		log.FromContext(ctx).Info("Released; nothing of it is in the cloud")
		return
	}
	note := strings.Join(notes, "; ")
	log.FromContext(ctx).Info("Released with what may be in the cloud", "note", note)
	a.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonReleased, "Delete", "%s", conditions.Truncate(note))
}
