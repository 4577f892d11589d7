// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// reconciliation is one reconcile of an object: what it began with, what it makes of it, and what it
// has found out on the way.
type reconciliation struct {
	*Reconciler
	objects  objects
	announce announcer
	// before is the object as the cache shows it, and next what it becomes.
	before, next *v1alpha1.CloudCertificate
	// seen is the metadata of the Secret in the cache; nil if it is not there.
	seen *metav1.PartialObjectMetadata
	// elsewhere reports whether the credentials lead, or may lead, to another account than the
	// status speaks of, as far as was known when the reconcile began.
	elsewhere bool
	// held reports whether the finalizer was on when the upload was decided.
	held bool
	// holders are the bindings that may keep versions of the object.
	holders []protocol.Holder
	// cloud is the client for the object's account and region; nil until connect.
	cloud *cas.Client
	// slot is a place of the account's limit for an upload; it may be nil.
	slot *cas.Slot
	// secret and content are what was read live; nil until then.
	secret  *corev1.Secret
	content *bundle.Bundle
	// turn is what the reconcile takes of what all share.
	turn turn
	// soFar is what the steps until now have found out and done.
	soFar protocol.SoFar
}

// begin takes an object up. It reads from the cache alone.
func (r *Reconciler) begin(ctx context.Context, object *v1alpha1.CloudCertificate) (*reconciliation, error) {
	secret, err := r.secretMetadata(ctx, object)
	if err != nil {
		return nil, err
	}
	holders, err := r.holders(ctx, r.Client, object)
	if err != nil {
		return nil, err
	}
	return &reconciliation{
		Reconciler: r, before: object, next: object.DeepCopy(), seen: secret, holders: holders,
		elsewhere: r.Accounts.elsewhere(object, r.region(object)),
		objects:   r.objects(), announce: announcer{r.Recorder},
	}, nil
}

// connect finds the client for the object, and learns whose account it reaches. What keeps
// it from that is for Decide to judge.
func (r *reconciliation) connect(ctx context.Context) {
	if r.soFar.Asked {
		return
	}
	r.soFar.Asked = true
	find := r.Accounts.client
	if !r.next.DeletionTimestamp.IsZero() {
		find = r.Accounts.lastClient
	}
	cloud, err := find(ctx, r.next, r.region(r.next))
	if err != nil {
		r.soFar.NoCloud = failureOf(err)
		return
	}
	if _, err := cloud.Account(ctx); err != nil {
		r.soFar.NoAccount = failureOf(err) // an upload does not need it, unless accounts are restricted
	}
	r.Accounts.hold(r.next, cloud.KnownAccount() != "")
	r.cloud = cloud.For(r.behalf())
}

// observe is everything that the next decision may rest on.
func (r *reconciliation) observe() protocol.Observed {
	now := r.Clock.Now()
	return protocol.Observed{
		Now: now,
		Settings: protocol.Settings{
			Started: r.began(), MaxVersionsPerHour: r.Options.MaxVersionsPerHour, PruneDelay: r.Options.PruneDelay,
			SettleDelay: r.Options.SettleDelay, OrphanAfter: r.Options.OrphanAfter, OwnWriteAge: inventory.DefaultOwnWriteAge,
			AllowedAccounts: r.Options.AllowedAccounts,
		},
		Object:  r.observeObject(),
		Status:  observeStatus(r.next, r.seen),
		Place:   r.observePlace(),
		Content: r.observeContent(),
		Cloud:   r.observeCloud(),
		Holders: r.holders,
		Tried:   r.observeTried(),
		SoFar:   r.soFar,
	}
}

func (r *reconciliation) observeObject() protocol.Object {
	spec := &r.next.Spec
	o := protocol.Object{
		Identity: r.identity(r.next), Prefixed: spec.NamePrefix != "",
		Generation: r.next.Generation, Created: r.next.CreationTimestamp.Time,
		Held:                isHeld(r.next),
		DeletesCertificates: spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete,
		Keep:                -1,
		Suspended:           spec.Suspend,
		SM:                  spec.Type == v1alpha1.CertificateTypeSM,
		Orphan:              r.next.Annotations[v1alpha1.AnnotationOrphan] == "true",
		Resync:              r.resyncAsked(r.next),
	}
	if r.next.DeletionTimestamp != nil {
		o.Deleted = r.next.DeletionTimestamp.Time
	}
	if spec.RevisionHistoryLimit != nil {
		o.Keep = int(*spec.RevisionHistoryLimit)
	}
	if r.content != nil {
		o.Names = names(r.next, r.identity(r.next), r.content.Hash.Content())
	}
	return o
}

func observeStatus(object *v1alpha1.CloudCertificate, seen *metav1.PartialObjectMetadata) protocol.Status {
	status := &object.Status
	s := protocol.Status{
		Place: placeOf(object), Generation: status.ObservedGeneration, ContentHash: status.ContentHash,
		Current: protocol.Version{
			CertID: status.CertID, ResourceID: status.ResourceID, Name: status.Name, Digest: status.Certificate.FingerprintSHA256,
			NotAfter: status.Certificate.NotAfter.Time, Became: status.LastUploadTime.Time,
		},
		Stalled:       meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled),
		NamesSecret:   status.SecretUID != "" && seen != nil,
		AnswersSecret: seen != nil && namesVersion(status, seen),
		SecretShown:   seen != nil,
		Foreign:       status.ForeignCertIDs,
	}
	for _, h := range status.History {
		s.History = append(s.History, protocol.Version{
			CertID: h.CertID, ResourceID: h.ResourceID, Name: h.Name, Digest: h.FingerprintSHA256,
			NotAfter: h.NotAfter.Time, Became: h.UploadTime.Time,
		})
	}
	if ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); ready != nil {
		s.Reason, s.Ready = ready.Reason, ready.Status == metav1.ConditionTrue
	}
	return s
}

func (r *reconciliation) observePlace() protocol.Place {
	place := protocol.Place{Region: r.region(r.next)}
	if r.cloud != nil {
		place.Account = r.cloud.KnownAccount()
	}
	return place
}

func (r *reconciliation) observeContent() *protocol.Content {
	if r.content == nil {
		return nil
	}
	content := &protocol.Content{
		Hash: r.content.Hash.String(), Field: r.content.Hash.Content(),
		Digests: []string{hexDigest(r.content.LeafSHA256)},
	}
	if r.content.Type == bundle.SM {
		content.Digests = append(content.Digests, hexDigest(r.content.EncryptLeafSHA256))
	}
	return content
}

func (r *reconciliation) observeCloud() protocol.Cloud {
	if r.cloud == nil {
		return protocol.Cloud{}
	}
	return cloudOf(r.cloud.Inventory(), r.identity(r.next), &r.next.Status)
}

// cloudOf is what an inventory knows of the certificates of an identity.
func cloudOf(v *inventory.Inventory, identity string, status *v1alpha1.CloudCertificateStatus) protocol.Cloud {
	known := protocol.Cloud{Listed: v.Swept(), Unreadable: v.Unreadable()}
	for _, e := range v.Entries(identity) {
		known.Entries = append(known.Entries, entryOf(e, v.Wrote(e.CertID)))
	}
	for _, h := range status.History {
		if v.Gone(h.CertID, h.Name, h.UploadTime.Time) {
			known.Gone = append(known.Gone, h.CertID)
		}
	}
	known.DeletedCurrent = v.Wrote(status.CertID) // one that is not listed and was written is deleted
	return known
}

// entryOf translates what an inventory keeps of a certificate.
func entryOf(e inventory.Entry, fresh bool) protocol.Entry {
	_, field, _ := bundle.ParseName(e.Name)
	return protocol.Entry{
		CertID: e.CertID, ResourceID: e.ResourceID, Name: e.Name, Field: field, Digest: e.SHA256, NotAfter: e.NotAfter,
		Seen: e.Seen, Uploaded: e.Uploaded, Fresh: fresh, Appeared: e.Appeared, Refuted: e.Refuted,
	}
}

func (r *reconciliation) observeTried() protocol.Tried {
	found, waits, pruning := r.memory.findings.Of(r.next), r.memory.waits.Of(r.next), r.memory.pruning.Of(r.next)
	tried := protocol.Tried{
		Missing: found.isMissing(r.next), Outdated: found.outdated,
		Elsewhere: r.elsewhere,
		Recreated: waits.recreations, Moves: waits.moves, ListAgain: waits.asked, FailedOtherwise: waits.otherwise,
		PruneAfter: pruning.notBefore, PruneHeld: pruning.held, Proving: pruning.proving, Unanswered: pruning.silent,
	}
	if r.cloud != nil {
		last := r.cloud.Inventory().LastAttempt(r.identity(r.next))
		tried.Name, tried.Sent, tried.Taken, tried.TakenSince = last.Name, last.Sent, last.Taken, last.Since
		tried.Lost = r.cloud.Inventory().LastLost()
	}
	return tried
}
