// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// reconciliation is one reconcile of a binding: what it began with, what it makes of it, and what it has
// found out on the way.
type reconciliation struct {
	*Reconciler
	// before is the binding as the cache shows it, and next what it becomes.
	before, next *v1alpha1.CloudCertificateBinding
	// certificate is the CloudCertificate; nil if there is none.
	certificate *v1alpha1.CloudCertificate
	// held are the versions that other bindings hold; read where the product has copies of ours.
	held    []rules.ID
	place   place
	consent rules.Consent
	// adapter acts on the target, in account; nil until connect.
	adapter targets.Adapter
	account string
	// state is what was read; nil until then.
	state *targets.State
	// ticket is the part in the round of the resource; nil until then. made is what was read for
	// it, or taken over, at its time, and owner what was asked on the way.
	ticket *ticket
	made   reading
	owner  *string
	// since is set where only a reading that begins later will do.
	since time.Time
	soFar rules.SoFar
}

// begin takes a binding up. It reads from the cache alone.
func (r *Reconciler) begin(ctx context.Context, object *v1alpha1.CloudCertificateBinding) (*reconciliation, error) {
	p := &reconciliation{Reconciler: r, before: object, next: object.DeepCopy(), place: placeOf(object)}
	certificate := &v1alpha1.CloudCertificate{}
	err := r.Get(ctx, client.ObjectKey{Namespace: object.Namespace, Name: object.Spec.CertificateRef.Name}, certificate)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("failed to read the CloudCertificate: %w", err)
	}
	if !apierrors.IsNotFound(err) {
		p.certificate = certificate
	}
	if resyncAsked(object) {
		p.since = r.Clock.Now()
	}
	if p.consent, err = p.observeConsent(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// target is the slot as adapters name it.
func (r *reconciliation) target() targets.Target { return r.place.targetFor(r.certificate) }

// observe is everything that the next decision may rest on.
func (r *reconciliation) observe() rules.Observed {
	return rules.Observed{
		Now: r.Clock.Now(), OrphanAfter: r.Options.OrphanAfter,
		Object: r.observeObject(), Status: r.observeStatus(), Certificate: r.observeCertificate(),
		Target: r.place.rules(r.state), Consent: r.consent, Slot: r.observeSlot(),
		Tried: r.memory.tried(r.before, r.certificate, r.Clock.Now(), r.checkAt), SoFar: r.soFar,
	}
}

func (r *reconciliation) observeObject() rules.Object {
	b := r.next
	o := rules.Object{
		Name: b.Name, CertificateName: b.Spec.CertificateRef.Name, Generation: b.Generation,
		Held:      controllerutil.ContainsFinalizer(b, v1alpha1.FinalizerUnbind),
		Suspended: b.Spec.Suspend, Restores: b.Spec.OnDrift == v1alpha1.DriftRestore, Unbinds: b.Spec.OnDelete == v1alpha1.BindingUnbind,
		Orphan: b.Annotations[v1alpha1.AnnotationOrphan] == "true", Adopt: b.Spec.Adopt, Resync: resyncAsked(b),
	}
	if b.DeletionTimestamp != nil {
		o.Deleted = b.DeletionTimestamp.Time
	}
	return o
}

// resyncAsked reports whether a check is asked for that was not handled yet.
func resyncAsked(b *v1alpha1.CloudCertificateBinding) bool {
	asked := b.Annotations[v1alpha1.AnnotationResync]
	return asked != "" && asked != b.Status.LastHandledResync
}

func (r *reconciliation) observeStatus() rules.Status {
	s := &r.next.Status
	status := rules.Status{
		Generation: s.ObservedGeneration, Read: !s.FirstReadTime.IsZero(), PendingSince: s.PendingSince.Time,
		Bound: r.boundID(), Pending: r.id(s.PendingCertID),
	}
	for _, certID := range s.LeftoverCertIDs {
		status.Leftover = append(status.Leftover, r.id(certID))
	}
	if ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady); ready != nil {
		status.Reason, status.Ready = ready.Reason, ready.Status == metav1.ConditionTrue
	}
	return status
}

// boundID is the version that the target was last seen to use.
func (r *reconciliation) boundID() rules.ID {
	if certID, region, ok := targets.ParseIdentifier(r.next.Status.BoundCertIdentifier); ok {
		return rules.ID{CertID: certID, Region: region}
	}
	return rules.ID{}
}

// id is a version that the status names by its number alone: of the region that the certificate
// lives in, else of that of what is bound.
func (r *reconciliation) id(certID int64) rules.ID {
	if certID == 0 {
		return rules.ID{}
	}
	region := r.boundID().Region
	if r.certificate != nil {
		region = cmp.Or(r.certificate.Status.Region, region)
	}
	return rules.ID{CertID: certID, Region: region}
}

func (r *reconciliation) observeCertificate() rules.Certificate {
	c := r.certificate
	if c == nil {
		return rules.Certificate{}
	}
	facts := &c.Status.Certificate
	observed := rules.Certificate{
		Held: r.held, Exists: true, Problem: r.certificateProblem(), SM: c.Spec.Type == v1alpha1.CertificateTypeSM,
		NotBefore: facts.NotBefore.Time, NotAfter: facts.NotAfter.Time, Since: c.Status.LastUploadTime.Time,
		DNSNames: hostsOf(facts), NamesCut: int(facts.DNSNamesTotal) > len(facts.DNSNames),
	}
	if !r.ownsStatus() {
		return observed // what it names is somebody else's
	}
	if c.Status.CertID != 0 {
		observed.Current = rules.ID{CertID: c.Status.CertID, Region: c.Status.Region}
		observed.Versions = append(observed.Versions, observed.Current)
	}
	for _, h := range c.Status.History {
		if protocol.Owns(r.identity(c), h.CertID, h.Name) {
			observed.Versions = append(observed.Versions, rules.ID{CertID: h.CertID, Region: c.Status.Region})
		}
	}
	return observed
}

func (r *reconciliation) ownsStatus() bool {
	return protocol.Owns(r.identity(r.certificate), r.certificate.Status.CertID, r.certificate.Status.Name)
}

// certificateProblem says why a CloudCertificate cannot be carried anywhere; empty if it can.
func (r *reconciliation) certificateProblem() string {
	c := r.certificate
	switch {
	case !c.DeletionTimestamp.IsZero():
		return fmt.Sprintf("CloudCertificate %q is being deleted; what is placed stays", c.Name)
	case c.Status.CertID == 0:
		return fmt.Sprintf("CloudCertificate %q has no certificate in the cloud yet: %s; see its status", c.Name, reasonOfCertificate(c))
	case !r.ownsStatus():
		return fmt.Sprintf("the status of CloudCertificate %q names a certificate of another object; it is corrected by the operator", c.Name)
	case reasonOfCertificate(c) != v1alpha1.ReasonSynced:
		return fmt.Sprintf("CloudCertificate %q is not Synced: %s; see its status", c.Name, reasonOfCertificate(c))
	}
	return ""
}

// reasonOfCertificate is the reason of a CloudCertificate's Ready, which is Synced only where it answers the
// spec. Its message stays there: it may change with every try, and every binding would be written again.
func reasonOfCertificate(c *v1alpha1.CloudCertificate) string {
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return "it was not handled yet"
	case c.Status.ObservedGeneration != c.Generation:
		return "its spec has changed"
	case ready.Reason == v1alpha1.ReasonSynced && ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("its Ready is %s", ready.Status)
	}
	return ready.Reason
}

// observeSlot translates what was read.
func (r *reconciliation) observeSlot() *rules.Slot {
	if r.state == nil {
		return nil
	}
	slot := &rules.Slot{Incomplete: r.state.Incomplete, Busy: r.state.Busy, Doing: r.state.Status, Off: r.state.Off}
	in := r.state.In(r.place.Target)
	for _, e := range r.state.Entries {
		if e.Role == targets.RoleStored {
			if r.isOwnCopy(e) {
				slot.Copies = append(slot.Copies, idOf(e))
			}
			continue
		}
		slot.Entries = append(slot.Entries, rules.Entry{
			ID: idOf(e), Text: textOf(e), InSlot: slices.Contains(in, e), Default: e.Role == targets.RoleDefault, Progress: progress[e.Status],
		})
	}
	return slot
}

var progress = map[targets.Status]rules.Progress{
	targets.StatusServing: rules.Serving, targets.StatusArriving: rules.Arriving, targets.StatusLeaving: rules.Leaving,
}

// idOf is the id of an entry in CAS; zero where it has none.
func idOf(e targets.Entry) rules.ID {
	if e.CertIdentifier == "" {
		return rules.ID{}
	}
	return rules.ID{CertID: e.CertID, Region: e.Region}
}

// textOf names an entry to people, and in spec.adopt.
func textOf(e targets.Entry) string {
	return cmp.Or(e.CertIdentifier, e.ProviderID, "that is none of CAS")
}

// kinds are those of the rules, by the classes of adapters.
var kinds = map[targets.Class]rules.Kind{
	targets.Progressing: rules.Progressing, targets.Throttled: rules.Throttled, targets.TargetNotFound: rules.TargetNotFound,
	targets.Refused: rules.Refused, targets.Denied: rules.Denied, targets.QuotaExceeded: rules.QuotaExceeded, targets.Unauthenticated: rules.NoCredentials,
	targets.InUse: rules.InUse,
}
