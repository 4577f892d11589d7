// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// act takes one step. Whatever it does outside of this process may be repeated at any time.
// What Decide has to know of its outcome it notes; any error that it returns ends the
// reconcile.
func (r *reconciliation) act(ctx context.Context, step protocol.Step) error {
	if err := r.takeTurn(step); err != nil {
		return err
	}
	follow(ctx, step)
	switch step := step.(type) {
	case protocol.Hold:
		return r.setFinalizer(ctx, step.Want)
	case protocol.Learn:
		r.connect(ctx)
	case protocol.Read:
		return r.read(ctx, step)
	case protocol.StartAnew:
		r.startAnew()
	case protocol.LookUp:
		r.lookUp(ctx)
	case protocol.List:
		r.list(ctx, step)
	case protocol.ListTogether:
		r.listTogether(ctx, step)
	case protocol.Adopt:
		return r.adopt(ctx, step.Entry)
	case protocol.Upload:
		return r.send(ctx, step)
	case protocol.Delete:
		return r.deleteAll(ctx, step.Entries)
	default:
		return fmt.Errorf("nothing is known of the step %T", step)
	}
	return nil
}

// urgencies are those of the limiter, by what Decide calls them.
var urgencies = map[protocol.Urgency]ratelimit.Urgency{
	protocol.Prompt: ratelimit.Prompt, protocol.Backlog: ratelimit.Backlog, protocol.Repair: ratelimit.Repair,
}

// read reads the Secret live, with a slot for its upload where one is likely.
func (r *reconciliation) read(ctx context.Context, step protocol.Read) error {
	r.connect(ctx)
	if r.cloud != nil && step.Reserve {
		slot, err := r.cloud.ReserveAs(ctx, cas.ActionUpload, urgencies[step.Urgency])
		if err != nil {
			followWait(ctx, err)
			return err
		}
		r.slot = slot
	}
	r.held = isHeld(r.next)
	r.turn.read = true
	var err error
	r.secret, r.content, err = r.load(ctx)
	return err
}

// startAnew makes the status speak of the place that the object belongs to, and of nothing
// there.
func (r *reconciliation) startAnew() {
	status := &r.next.Status
	if r.speaksFor(r.next) {
		settleIn(r.next, r.observePlace())
	} else {
		*status = v1alpha1.CloudCertificateStatus{LastHandledResync: status.LastHandledResync}
	}
	r.soFar.Anew = true
}

// settle notes in the status where the object lives, as far as that is known by now.
func (r *reconciliation) settle() {
	if place := r.observePlace(); r.cloud != nil && !placeOf(r.next).DiffersFrom(place) {
		settleIn(r.next, place)
	}
}

// lookUp looks for the certificate of the content in the cloud's list.
func (r *reconciliation) lookUp(ctx context.Context) {
	found, err := r.find(ctx)
	if err != nil {
		r.soFar.LookUp = failureOf(err)
		return
	}
	r.soFar.Looked = true
	if found != nil {
		r.soFar.Found = new(entryOf(*found, r.cloud.Inventory().Wrote(found.CertID)))
	}
}

// list asks for a complete list, which many objects share.
func (r *reconciliation) list(ctx context.Context, step protocol.List) {
	if r.connect(ctx); r.cloud != nil {
		r.soFar.List = failureOf(r.cloud.SweptSince(step.Since))
	}
}

// listTogether reads what one reading of the list shows of an object: all pages under a name
// of the certificate, read now, if they show the current version and every one to delete; else
// a complete list, which many objects share.
func (r *reconciliation) listTogether(ctx context.Context, step protocol.ListTogether) {
	r.connect(ctx)
	if r.cloud == nil || r.observe().Status.Place.DiffersFrom(r.observePlace()) {
		return // Decide says what becomes of it
	}
	r.memory.pruning.Change(r.next, func(known *pruning) {
		if known.proving.IsZero() {
			known.proving = r.Clock.Now()
		}
	})
	v, identity := r.cloud.Inventory(), r.identity(r.next)
	listed := []protocol.Entry{}
	if word := searchable(&r.next.Status.Certificate); word != "" && !v.Crowded() {
		_, err := r.cloud.LookUp(ctx, identity, word, r.Clock.Now(), func(e inventory.Entry) bool {
			listed = append(listed, entryOf(e, false))
			return r.observe().ShowsAll(listed)
		})
		if err != nil {
			r.soFar.List = failureOf(err)
			return
		}
		if r.observe().ShowsAll(listed) {
			r.soFar.Together = listed
			return
		}
	}
	if err := r.cloud.SweptSince(step.Since); err != nil {
		r.soFar.List = failureOf(err)
		return
	}
	r.soFar.Together = []protocol.Entry{}
	for _, e := range v.Entries(identity) {
		if !e.Seen.Before(v.Swept()) { // our own upload is an entry before any list shows it
			r.soFar.Together = append(r.soFar.Together, entryOf(e, false))
		}
	}
}

// adopt makes a listed certificate the current version. What has something in the cloud is
// held.
func (r *reconciliation) adopt(ctx context.Context, e protocol.Entry) error {
	if r.next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
		if err := r.setFinalizer(ctx, true); err != nil {
			return err
		}
	}
	r.settle()
	r.Accounts.hold(r.next, true) // they have listed it
	r.cloud.Inventory().Settled(r.identity(r.next))
	adopted := r.next.Status.CertID != e.CertID
	r.setCurrent(inventory.Entry{CertID: e.CertID, ResourceID: e.ResourceID, Name: e.Name})
	if adopted {
		uploads.WithLabelValues(r.next.Status.AccountID, r.next.Status.Region, resultAdopted).Inc()
	}
	r.soFar.Present = true
	return nil
}

// send uploads the content. Right before it the object is read live, or written with the
// finalizer: "What cannot be undone is not decided from a cache."
func (r *reconciliation) send(ctx context.Context, step protocol.Upload) error {
	hold := r.next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete && !isHeld(r.next)
	if hold {
		if err := r.setFinalizer(ctx, true); err != nil {
			return err
		}
	} else if err := r.objects.unchanged(ctx, r.next); err != nil {
		return err
	}
	if r.soFar.Taken {
		log.FromContext(ctx).Info("The name is held by nothing that the list shows; uploading under another", "name", step.Name)
	}
	r.settle()
	r.Accounts.hold(r.next, r.cloud.KnownAccount() != "")
	err := r.upload(ctx, step.Name)
	if alibaba.IsNameTaken(err) {
		r.cloud.Inventory().Taken(r.identity(r.next), step.Name)
		r.soFar.Taken = true
		return nil
	}
	r.soFar.Present = err == nil
	return err
}

// deleteAll deletes certificates, one after the other. One that cannot be deleted holds up no
// other; what concerns all calls alike ends the round. A call that gets no answer may concern its
// certificate alone, or all: the second in a row ends the round.
func (r *reconciliation) deleteAll(ctx context.Context, entries []protocol.Entry) error {
	silent := 0
	for _, e := range entries {
		err := r.deleteOne(ctx, e)
		if isStale(err) {
			return err
		}
		if !alibaba.IsUnanswered(err) {
			silent = 0
		} else {
			silent++
			r.noteSilence(e.CertID)
		}
		switch {
		case err == nil:
		case silent == 1, alibaba.ConcernsOne(err), keptByBinding(err):
			r.soFar.Left = append(r.soFar.Left, protocol.Undeleted{CertID: e.CertID, Name: e.Name, Err: err, Refusal: isRefusal(err)})
		default:
			r.soFar.Delete = failureOf(err)
			return nil
		}
	}
	return nil
}

// noteSilence notes that the deletion of a certificate got no answer.
func (r *reconciliation) noteSilence(certID int64) {
	r.memory.pruning.Change(r.next, func(known *pruning) {
		if !slices.Contains(known.silent, certID) {
			known.silent = append(slices.Clone(known.silent), certID)
		}
	})
}

// deleteOne deletes a certificate that Decide found to be proven, and takes it out of the
// status. Nothing else deletes anything in the cloud.
func (r *reconciliation) deleteOne(ctx context.Context, e protocol.Entry) error {
	if err := r.objects.unchanged(ctx, r.next); err != nil {
		return err
	}
	if err := r.checkHolders(ctx, e.CertID); err != nil {
		return err
	}
	if err := r.cloud.Delete(ctx, e.CertID); err != nil && !alibaba.IsNotFound(err) {
		return err
	}
	r.cloud.Inventory().Deleted(e.CertID, e.Name)
	dropCertificate(&r.next.Status, e.CertID)
	return nil
}
