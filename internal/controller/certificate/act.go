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
func (p *pass) act(ctx context.Context, step protocol.Step) error {
	if err := p.takeTurn(step); err != nil {
		return err
	}
	follow(ctx, step)
	switch step := step.(type) {
	case protocol.Hold:
		return p.setFinalizer(ctx, p.next, step.Want)
	case protocol.Learn:
		p.connect(ctx)
	case protocol.Read:
		return p.read(ctx, step)
	case protocol.StartAnew:
		p.startAnew()
	case protocol.LookUp:
		p.lookUp(ctx)
	case protocol.List:
		p.list(ctx, step)
	case protocol.ListTogether:
		p.listTogether(ctx, step)
	case protocol.Adopt:
		return p.adopt(ctx, step.Entry)
	case protocol.Upload:
		return p.send(ctx, step)
	case protocol.Delete:
		return p.deleteAll(ctx, step.Entries)
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
func (p *pass) read(ctx context.Context, step protocol.Read) error {
	p.connect(ctx)
	if p.cloud != nil && step.Reserve {
		slot, err := p.cloud.ReserveAs(ctx, cas.ActionUpload, urgencies[step.Urgency])
		if err != nil {
			followWait(ctx, err)
			return err
		}
		p.slot = slot
	}
	p.held = isHeld(p.next)
	p.turn.read = true
	var err error
	p.secret, p.content, err = p.load(ctx, p.next)
	return err
}

// startAnew makes the status speak of the place that the object belongs to, and of nothing
// there.
func (p *pass) startAnew() {
	status := &p.next.Status
	if p.speaksFor(p.next) {
		settleIn(p.next, p.observePlace())
	} else {
		*status = v1alpha1.CloudCertificateStatus{LastHandledResync: status.LastHandledResync}
	}
	p.came.Anew = true
}

// settle notes in the status where the object lives, as far as that is known by now.
func (p *pass) settle() {
	if place := p.observePlace(); p.cloud != nil && !placeOf(p.next).DiffersFrom(place) {
		settleIn(p.next, place)
	}
}

// lookUp looks for the certificate of the content in the cloud's list.
func (p *pass) lookUp(ctx context.Context) {
	found, err := p.find(ctx, p.next, p.cloud, p.content)
	if err != nil {
		p.came.LookUp = failureOf(err)
		return
	}
	p.came.Looked = true
	if found != nil {
		p.came.Found = new(entryOf(*found, p.cloud.Inventory().Wrote(found.CertID)))
	}
}

// list asks for a complete list, which many objects share.
func (p *pass) list(ctx context.Context, step protocol.List) {
	if p.connect(ctx); p.cloud != nil {
		p.came.List = failureOf(p.cloud.SweptSince(step.Since))
	}
}

// listTogether reads what one reading of the list shows of an object: all pages under a name
// of the certificate, read now, if they show the current version and every one to delete; else
// a complete list, which many objects share.
func (p *pass) listTogether(ctx context.Context, step protocol.ListTogether) {
	p.connect(ctx)
	if p.cloud == nil || p.observe().Status.Place.DiffersFrom(p.observePlace()) {
		return // Decide says what becomes of it
	}
	p.memory.pruning.Change(p.next, func(known *pruning) {
		if known.proving.IsZero() {
			known.proving = p.Clock.Now()
		}
	})
	v, identity := p.cloud.Inventory(), p.identity(p.next)
	listed := []protocol.Entry{}
	if word := searchable(&p.next.Status.Certificate); word != "" && !v.Crowded() {
		_, err := p.cloud.Look(ctx, identity, word, p.Clock.Now(), func(e inventory.Entry) bool {
			listed = append(listed, entryOf(e, false))
			return p.observe().ShowsAll(listed)
		})
		if err != nil {
			p.came.List = failureOf(err)
			return
		}
		if p.observe().ShowsAll(listed) {
			p.came.Together = listed
			return
		}
	}
	if err := p.cloud.SweptSince(step.Since); err != nil {
		p.came.List = failureOf(err)
		return
	}
	p.came.Together = []protocol.Entry{}
	for _, e := range v.Entries(identity) {
		if !e.Seen.Before(v.Swept()) { // our own upload is an entry before any list shows it
			p.came.Together = append(p.came.Together, entryOf(e, false))
		}
	}
}

// adopt makes a listed certificate the current version. What has something in the cloud is
// held.
func (p *pass) adopt(ctx context.Context, e protocol.Entry) error {
	if p.next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
		if err := p.setFinalizer(ctx, p.next, true); err != nil {
			return err
		}
	}
	p.settle()
	p.Accounts.hold(p.next, true) // they have listed it
	p.cloud.Inventory().Settled(p.identity(p.next))
	adopted := p.next.Status.CertID != e.CertID
	p.setCurrent(p.next, p.cloud.KnownAccount(), inventory.Entry{CertID: e.CertID, ResourceID: e.ResourceID, Name: e.Name}, p.content)
	if adopted {
		uploads.WithLabelValues(p.next.Status.AccountID, p.next.Status.Region, resultAdopted).Inc()
	}
	p.came.Present = true
	return nil
}

// send uploads the content. Right before it the object is read live, or written with the
// finalizer: "What cannot be undone is not decided from a cache."
func (p *pass) send(ctx context.Context, step protocol.Upload) error {
	hold := p.next.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete && !isHeld(p.next)
	if hold {
		if err := p.setFinalizer(ctx, p.next, true); err != nil {
			return err
		}
	} else if err := p.unchanged(ctx, p.next); err != nil {
		return err
	}
	if p.came.Taken {
		log.FromContext(ctx).Info("The name is held by nothing that the list shows; uploading under another", "name", step.Name)
	}
	p.settle()
	p.Accounts.hold(p.next, p.cloud.KnownAccount() != "")
	err := p.upload(ctx, p.next, p.cloud, p.slot, step.Name, p.content)
	if alibaba.IsNameTaken(err) {
		p.cloud.Inventory().Taken(p.identity(p.next), step.Name)
		p.came.Taken = true
		return nil
	}
	p.came.Present = err == nil
	return err
}

// deleteAll deletes certificates, one after the other. One that cannot be deleted holds up no
// other; what concerns all calls alike ends the round. A call that gets no answer may concern its
// certificate alone, or all: the second in a row ends the round.
func (p *pass) deleteAll(ctx context.Context, entries []protocol.Entry) error {
	silent := 0
	for _, e := range entries {
		err := p.deleteOne(ctx, e)
		if isStale(err) {
			return err
		}
		if !alibaba.IsUnanswered(err) {
			silent = 0
		} else {
			silent++
			p.noteSilence(e.CertID)
		}
		switch {
		case err == nil:
		case silent == 1, alibaba.ConcernsOne(err), keptByBinding(err):
			p.came.Left = append(p.came.Left, protocol.Undeleted{CertID: e.CertID, Name: e.Name, Err: err, Refusal: isRefusal(err)})
		default:
			p.came.Delete = failureOf(err)
			return nil
		}
	}
	return nil
}

// noteSilence notes that the deletion of a certificate got no answer.
func (p *pass) noteSilence(certID int64) {
	p.memory.pruning.Change(p.next, func(known *pruning) {
		if !slices.Contains(known.silent, certID) {
			known.silent = append(slices.Clone(known.silent), certID)
		}
	})
}

// deleteOne deletes a certificate that Decide found to be proven, and takes it out of the
// status. Nothing else deletes anything in the cloud.
func (p *pass) deleteOne(ctx context.Context, e protocol.Entry) error {
	if err := p.unchanged(ctx, p.next); err != nil {
		return err
	}
	if err := p.checkHolders(ctx, e.CertID); err != nil {
		return err
	}
	if err := p.cloud.Delete(ctx, e.CertID); err != nil && !alibaba.IsNotFound(err) {
		return err
	}
	p.cloud.Inventory().Deleted(e.CertID, e.Name)
	dropCertificate(&p.next.Status, e.CertID)
	return nil
}
