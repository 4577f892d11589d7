// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// countingAdapter counts reads.
type countingAdapter struct {
	targets.Adapter
	reads int
}

func (a *countingAdapter) Read(context.Context, targets.Target) (targets.State, error) {
	a.reads++
	return targets.State{Status: "Running"}, nil
}

func TestBindingsOfOneListenerShareARead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change    func(second *reconciliation)
		wantReads int
	}{
		"both are due for a check": {func(*reconciliation) {}, 1},
		"the second became due after the read": {func(p *reconciliation) {
			p.memory.checkFrom(p.next, p.Clock.Now().Add(time.Nanosecond))
			p.Clock.(*testclock.FakePassiveClock).SetTime(p.Clock.Now().Add(time.Second))
		}, 2},
		"the second is not due, and reads for another reason": {func(p *reconciliation) { p.memory.checkFrom(p.next, p.Clock.Now().Add(time.Hour)) }, 2},
		"it is asked to resync": {func(p *reconciliation) {
			p.next.Annotations = map[string]string{v1alpha1.AnnotationResync: "now"}
		}, 2},
		"it has other credentials":   {func(p *reconciliation) { p.next.Spec.CredentialsSecretRef.Name = "ak" }, 2},
		"it is of another listener":  {func(p *reconciliation) { p.place.Resource = "lsn-b" }, 2},
		"something was written":      {func(p *reconciliation) { p.readings.drop(p.place.WriterKey()) }, 2},
		"it has to write, and reads": {func(p *reconciliation) { p.ownRead = true }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
			r, adapter := &Reconciler{Clock: testclock.NewFakePassiveClock(now)}, &countingAdapter{}
			take := func(name string) *reconciliation {
				b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
				b.Spec.Target.ALB = &v1alpha1.ALBTarget{RegionID: "cn-shanghai", ListenerID: "lsn-a", Slot: v1alpha1.SlotAdditional}
				r.memory.checkFrom(b, now.Add(-time.Second))
				return &reconciliation{Reconciler: r, before: b, next: b, place: placeOf(b), adapter: adapter}
			}
			first, second := take("first"), take("second")
			for _, p := range []*reconciliation{first, second} {
				if p == second {
					tc.change(p)
				}
				if err := p.read(t.Context()); err != nil || p.state == nil {
					t.Fatalf("%v", err)
				}
				p.release()
			}
			if adapter.reads != tc.wantReads || second.borrowed != (tc.wantReads == 1) {
				t.Errorf("%d reads, want %d; borrowed: %t", adapter.reads, tc.wantReads, second.borrowed)
			}
		})
	}
}

// TestNothingIsWrittenByABorrowedRead: a step that writes asks for a read of its own first.
func TestNothingIsWrittenByABorrowedRead(t *testing.T) {
	t.Parallel()
	for _, step := range []rules.Step{rules.Record{}, rules.Place{}, rules.Remove{}} {
		p := &reconciliation{state: &targets.State{}, borrowed: true} // whatever it would write to is missing
		if err := p.act(t.Context(), step); err != nil || p.state != nil || !p.ownRead {
			t.Errorf("%T: %v, state %v", step, err, p.state)
		}
	}
}
