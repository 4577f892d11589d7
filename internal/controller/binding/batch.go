// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// gathering is how long those who write wait for others of their round, at most: for those that
// decide by the same reading at this moment.
const gathering = 500 * time.Millisecond

// change is what one binding writes.
type change struct {
	placement targets.Placement
	removal   targets.Removal
	// quota is what the change counts towards, as Target.QuotaKey has it for an account.
	quota string
	// renews says that an earlier version of the binding is taken out afterwards, which makes room again.
	renews bool
	// accepted, if set, is called when the product has accepted it.
	accepted func()
}

// kind is how a write is sent. Only what is of one kind goes together.
type kind int

const (
	alone kind = iota
	adding
	removing
)

// mostOf is how many writes of a kind go into one call.
func (k kind) mostOf() int {
	if k == alone {
		return 1
	}
	return targets.MostTogether
}

// batch is what bindings of one round write together.
type batch struct {
	kind    kind
	most    int
	changes []change
	// whole is closed when nobody else is waited for.
	whole  chan struct{}
	closed bool
	// shown is what rounds have counted of that name when its call began.
	shown int
}

// takesMore reports whether somebody who enters the round may still be in time. It may be called
// on nil.
func (b *batch) takesMore() bool { return b == nil || !b.closed && len(b.changes) < b.most }

// complete notes that nobody else is waited for, if so. It may be called on nil.
func (b *batch) complete(in *round) {
	if b != nil && !b.closed && (len(b.changes) >= b.most || in.deciding+len(in.expected) == 0) {
		b.closed = true
		close(b.whole)
	}
}

// turnError says that it is not a binding's turn at a resource.
type turnError struct{ after time.Duration }

// Error implements error.
func (e *turnError) Error() string { return "another binding writes to the same target" }

// errHandedIn says that a change goes into the call of another binding, which has the answer: the
// next reading shows what came of it. Nobody waits for that in a worker.
var errHandedIn = errors.New("the change goes into the call of another binding")

// write hands in a change of the resource. The first of a round sends them all, once those that
// decide by the same reading have handed theirs in, or have nothing to write, and returns what
// came of it; the others return errHandedIn.
func (r *rounds) write(ctx context.Context, t *ticket, k kind, c change, now func() time.Time, send func([]change) error) error {
	b, leads := r.join(t, k, c)
	switch {
	case b == nil:
		return &turnError{after: settling}
	case !leads:
		return errHandedIn
	}
	err := r.send(ctx, t, b, now, send)
	if err == nil {
		for _, c := range b.changes {
			if c.accepted != nil {
				c.accepted()
			}
		}
	}
	if _, waits := isTurn(err); !waits && !mayHaveChanged(err) {
		r.refused(t, b, c, err)
	}
	return err
}

// refused notes that the next reading tells its binding nothing new. It is tried again at a pace of
// its own, or when there is room for it: two that are refused would wake each other without end.
func (r *rounds) refused(t *ticket, b *batch, c change, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.writes = false
	if targets.ClassOf(err) == targets.QuotaExceeded {
		r.lacks(t, b, c)
	}
}

// join adds a change to the batch of a round, and reports whether it leads. It returns nil where
// the resource was changed since it was read, or other changes go first.
func (r *rounds) join(t *ticket, k kind, c change) (b *batch, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.writes = true; !t.decided {
		t.decided = true
		t.deciding--
	}
	if t.number != t.round.number || r.writes[t.writer] || r.isRead(t.writer) {
		return nil, false
	}
	leads = t.batch == nil
	if leads {
		most := k.mostOf()
		if t.most > 0 {
			most = min(most, t.most)
		}
		t.batch = &batch{kind: k, most: most, whole: make(chan struct{})}
	}
	b = t.batch
	if b.kind != k || !b.takesMore() {
		return nil, false
	}
	b.changes = append(b.changes, c)
	b.complete(t.round)
	return b, leads
}

// send sends a batch once it is whole, and ends the round: also where the call panics, or the
// resource would be nobody's turn again.
func (r *rounds) send(ctx context.Context, t *ticket, b *batch, now func() time.Time, send func([]change) error) (err error) {
	wait := time.NewTimer(gathering)
	defer wait.Stop()
	select {
	case <-b.whole:
	case <-wait.C:
	case <-ctx.Done():
	}
	if !r.begin(t, b) {
		return &turnError{after: settling}
	}
	err = &targets.Error{Class: targets.Progressing, Message: "the call did not come to its end"} // until it has
	defer func() { err = r.end(t, b, err, now()) }()
	err = send(b.changes)
	if _, logged := errors.AsType[*alibaba.Error](err); err != nil && !logged && len(b.changes) > 1 {
		log.FromContext(ctx).Info("A change of several bindings was not sent", "bindings", len(b.changes), "error", err.Error())
	}
	return err
}

// end ends the round by what came of its call.
func (r *rounds) end(t *ticket, b *batch, err error, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.writes, t.writer)
	r.drop(t.writer) // who has read meanwhile has seen half of it
	t.batch = nil
	t.adapt(b, err)
	t.makesRoom(b, err)
	if mayHaveChanged(err) {
		r.settle(t.writer, now.Add(settling))
	} else {
		r.wakeAll(t.round) // whoever waits can go on
	}
	if len(b.changes) > 1 && err != nil {
		return b.shared(err)
	}
	return err
}

// shared is the failure of a call for several bindings, as one of them is told of it. They may be of several
// tenants, none of whom is told the certificates of another: the cloud's own words are in the log alone.
func (b *batch) shared(err error) error {
	told := &targets.Error{Cause: err}
	brief := "the operator's log says why"
	if e, ok := errors.AsType[*targets.Error](err); ok {
		told.Class, told.RetryAfter, told.Limit, told.Permission = e.Class, e.RetryAfter, e.Limit, e.Permission
		brief = cmp.Or(e.Brief(), brief)
	}
	if !concernsOne(err) {
		told.Message = "a call for several bindings of the target has failed: " + brief
		return told
	}
	told.Class, told.RetryAfter = targets.Progressing, settling
	told.Message = fmt.Sprintf("%d bindings of the target were refused together, and fewer are tried at a time: %s", len(b.changes), brief)
	return told
}

// begin takes the resource for a batch, and reports whether it is free.
func (r *rounds) begin(t *ticket, b *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.closed = true
	if t.number != t.round.number || r.writes[t.writer] || r.isRead(t.writer) {
		t.batch = nil
		return false
	}
	r.writes[t.writer], b.shown = true, r.shown
	r.drop(t.writer)
	return true
}

// settle leaves a resource alone until a change of it is worth another reading. r.mu is held.
func (r *rounds) settle(writer string, until time.Time) {
	for _, in := range r.of {
		if in.writer == writer && !in.instant {
			in.notBefore = later(in.notBefore, until)
		}
	}
}

// adapt gives the resource half as many at a time after a refusal that may be about one of them,
// and twice as many after a success.
func (in *round) adapt(b *batch, err error) {
	switch {
	case err == nil && in.most > 0:
		if in.most *= 2; in.most >= targets.MostTogether {
			in.most = 0
		}
	case len(b.changes) > 1 && concernsOne(err):
		in.most = len(b.changes) / 2
	}
}

// concernsOne reports whether a refusal may be about one of those that went together.
func concernsOne(err error) bool {
	if err == nil {
		return false
	}
	switch targets.ClassOf(err) {
	case targets.Refused, targets.CertificateNotFound, targets.QuotaExceeded:
		return true
	case targets.Transient, targets.Progressing, targets.Throttled, targets.TargetNotFound, targets.Denied, targets.Unauthenticated, targets.InUse:
	}
	return false
}

// mayHaveChanged reports whether the resource is being changed: by the call, or as it says.
func mayHaveChanged(err error) bool {
	return err == nil || alibaba.MayHaveHappened(err) || targets.ClassOf(err) == targets.Progressing
}

// isTurn reports whether a write had no turn, and when it is worth another try.
func isTurn(err error) (after time.Duration, ok bool) {
	e, ok := errors.AsType[*turnError](err)
	if !ok {
		return 0, false
	}
	return e.after, true
}
