// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
	"github.com/cloudcert-io/cloudcert/internal/targets"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// countingAdapter counts reads.
type countingAdapter struct {
	targets.Adapter
	reads    int
	revision string
}

func (a *countingAdapter) Read(context.Context, targets.Target) (targets.State, error) {
	a.reads++
	return targets.State{Status: "Running", Revision: a.revision}, nil
}

func TestBindingsOfOneListenerShareARead(t *testing.T) {
	t.Parallel()
	pass := func(p *reconciliation, d time.Duration) {
		clock := p.Clock.(*testclock.FakePassiveClock)
		clock.SetTime(clock.Now().Add(d))
	}
	for name, tc := range map[string]struct {
		change    func(second *reconciliation)
		wantReads int
	}{
		"both want to know":                      {func(*reconciliation) {}, 1},
		"the second wants to know a while later": {func(p *reconciliation) { pass(p, shareFor+1) }, 2},
		"the second is due for a check, and late": {func(p *reconciliation) {
			p.memory.checkFrom(p.next, p.Clock.Now())
			pass(p, forgetAfter/2)
		}, 1},
		"the second became due after the read": {func(p *reconciliation) {
			p.memory.checkFrom(p.next, p.Clock.Now().Add(time.Nanosecond))
			pass(p, forgetAfter/2)
		}, 2},
		"the second has decided by it":          {func(p *reconciliation) { p.memory.checked(p.next, p.Clock.Now()) }, 2},
		"it is asked to resync":                 {func(p *reconciliation) { p.since = p.Clock.Now() }, 2},
		"a watch has shown a change since then": {func(p *reconciliation) { p.memory.seen(p.next, "2") }, 2},
		"it has other credentials":              {func(p *reconciliation) { p.next.Spec.CredentialsSecretRef.Name = "ak" }, 2},
		"it is of another listener":             {func(p *reconciliation) { p.place.Resource = "lsn-b" }, 2},
		"something was written": {func(p *reconciliation) {
			p.rounds.drop(p.place.WriterKey())
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
			r, adapter := &Reconciler{Clock: testclock.NewFakePassiveClock(now)}, &countingAdapter{}
			first, second := take(r, adapter, "first"), take(r, adapter, "second")
			for _, p := range []*reconciliation{first, second} {
				if p == second {
					tc.change(p)
				}
				if err := p.read(t.Context()); err != nil || p.state == nil {
					t.Fatalf("%v, state %v", err, p.state)
				}
				p.tell()
				p.release()
			}
			if adapter.reads != tc.wantReads {
				t.Errorf("%d reads, want %d", adapter.reads, tc.wantReads)
			}
		})
	}
}

// failingAdapter cannot read, and names what it was to read.
type failingAdapter struct{ targets.Adapter }

func (failingAdapter) Read(_ context.Context, t targets.Target) (targets.State, error) {
	return targets.State{}, &targets.Error{Class: targets.TargetNotFound, Message: t.String() + " does not exist"}
}

// TestASharedFailureNamesNoSlot: bindings of several tenants may share a reading of a listener, each of which has a
// domain of its own there.
func TestASharedFailureNamesNoSlot(t *testing.T) {
	t.Parallel()
	clb := func(domain v1alpha1.Domain) v1alpha1.BindingTarget {
		return v1alpha1.BindingTarget{CLB: &v1alpha1.CLBTarget{RegionID: "cn-shanghai", LoadBalancerID: "lb-a", Port: 443, Domain: domain}}
	}
	ga := func(domain v1alpha1.Domain) v1alpha1.BindingTarget {
		return v1alpha1.BindingTarget{GA: &v1alpha1.GATarget{AcceleratorID: "ga-a", ListenerID: "lsr-a", Domain: domain}}
	}
	for name, target := range map[string]func(v1alpha1.Domain) v1alpha1.BindingTarget{"clb": clb, "ga": ga} {
		r := &Reconciler{Clock: testclock.NewFakePassiveClock(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC))}
		for _, domain := range []v1alpha1.Domain{"first.example.com", "second.example.com"} {
			p := take(r, nil, string(domain))
			p.next.Spec.Target = target(domain)
			p.place, p.adapter = placeOf(p.next), failingAdapter{}
			if err := p.read(t.Context()); err != nil || p.soFar.Read == nil {
				t.Fatalf("%s: %v, failure %v", name, err, p.soFar.Read)
			}
			if strings.Contains(p.soFar.Read.Text, "example.com") {
				t.Errorf("%s: the binding of %s shares %q", name, domain, p.soFar.Read.Text)
			}
			p.tell()
			p.release()
		}
	}
}

// take begins a reconcile of a binding of a listener.
func take(r *Reconciler, adapter targets.Adapter, name string) *reconciliation {
	b := &v1alpha1.CloudCertificateBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	b.Spec.Target.ALB = &v1alpha1.ALBTarget{RegionID: "cn-shanghai", ListenerID: "lsn-a", Slot: v1alpha1.SlotAdditional}
	return &reconciliation{Reconciler: r, before: b, next: b, place: placeOf(b), adapter: adapter}
}

// TestACheckThatWaitsStaysDue, so that what another binding reads meanwhile serves it; what is under
// way is looked at when that is worth it.
func TestACheckThatWaitsStaysDue(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	since, in := now.Add(-time.Second), verdict.Again{Pace: verdict.In, After: time.Minute}
	for name, tc := range map[string]struct {
		verdict verdict.Verdict
		status  string // the reason of Ready until now
		due     time.Time
	}{
		"a check that waits":                   {verdict.Verdict{Reason: v1alpha1.ReasonThrottled, Again: in}, v1alpha1.ReasonSynced, since},
		"a placement that waits":               {verdict.Verdict{Reason: v1alpha1.ReasonThrottled, Again: in}, v1alpha1.ReasonProgressing, now.Add(time.Minute)},
		"something is left to do besides that": {verdict.Verdict{Reason: v1alpha1.ReasonSynced, Again: in}, v1alpha1.ReasonSynced, now.Add(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Reconciler{Clock: testclock.NewFakePassiveClock(now)}
			p := take(r, nil, "web")
			p.next.Status.FirstReadTime = metav1.NewTime(now)
			p.next.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: tc.status}}
			r.memory.checkFrom(p.next, since)
			if result := p.requeue(tc.verdict); result.RequeueAfter != time.Minute {
				t.Errorf("it comes again after %s", result.RequeueAfter)
			}
			if due := r.memory.dueSince(p.next, now.Add(time.Hour)); !due.Equal(tc.due) {
				t.Errorf("a check is due since %s, want %s", due, tc.due)
			}
		})
	}
}

// TestSinceWhenChecksHaveComeToTheSame is what the time until the next one follows from.
func TestSinceWhenChecksHaveComeToTheSame(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	clock := testclock.NewFakePassiveClock(began)
	p := take(&Reconciler{Clock: clock}, nil, "web")
	under := func(message string) verdict.Verdict {
		return verdict.Verdict{Reason: v1alpha1.ReasonProgressing, Message: message, Again: verdict.Again{Pace: verdict.In, After: time.Second}}
	}
	for i, step := range []struct {
		verdict verdict.Verdict
		since   int // minutes
	}{
		{under("it is leaving"), 0},
		{under("it is leaving"), 0},
		{verdict.Verdict{Reason: v1alpha1.ReasonThrottled, Again: verdict.Again{Pace: verdict.In}}, 0},
		{under("it arrives"), 3},
		{verdict.Verdict{Reason: v1alpha1.ReasonSynced}, -1},
		{under("it arrives"), 5},
	} {
		clock.SetTime(began.Add(time.Duration(i) * time.Minute))
		p.requeue(step.verdict)
		var want time.Time
		if step.since >= 0 {
			want = began.Add(time.Duration(step.since) * time.Minute)
		}
		if got := p.observe().Tried.SameSince; !got.Equal(want) {
			t.Errorf("check %d: since %s, want %s", i, got, want)
		}
	}
}

// TestNothingIsWrittenByAnOldRead: a step that writes asks for another read first.
func TestNothingIsWrittenByAnOldRead(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, step := range []rules.Step{rules.Record{}, rules.Place{}, rules.Remove{}} {
		r := &Reconciler{Clock: testclock.NewFakePassiveClock(now)}
		p := &reconciliation{Reconciler: r, state: &targets.State{}, made: reading{ended: now.Add(-shareFor - 1)}} // whatever it would write to is missing
		if err := p.act(t.Context(), step); err != nil || p.state != nil || !p.since.Equal(now) {
			t.Errorf("%T: %v, state %v", step, err, p.state)
		}
	}
}

// stage is rounds of one listener in a bubble.
type stage struct {
	t      *testing.T
	rounds rounds
	woken  chan types.NamespacedName
	by     reader
	mu     sync.Mutex
	calls  []int // how many changes each had
	refuse func([]change) error
	placed map[string]bool
}

func (s *stage) accepted(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed[name] = true
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, woken: make(chan types.NamespacedName, 100), by: reader{resource: "lsn-a"}, placed: map[string]bool{}}
	s.rounds.wake = func(who types.NamespacedName) { s.woken <- who }
	return s
}

func nameOf(i int) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: fmt.Sprint(i)}
}

func (s *stage) want(i int) want { return want{who: nameOf(i), writer: "lsn-a"} }

func (s *stage) enter(w want) (*ticket, *reading, time.Duration) {
	return s.rounds.enter(s.by, w, time.Now())
}

// begin has the first binding read, for which n others wait, and tells them.
func (s *stage) begin(n int) *ticket {
	s.t.Helper()
	first, _, wait := s.enter(s.want(0))
	if first == nil || !first.reads {
		s.t.Fatalf("the first is told to wait for %s", wait)
	}
	for i := range n {
		if other, _, wait := s.enter(s.want(i + 1)); other != nil || wait <= 0 {
			s.t.Fatalf("binding %d does not wait for the reading", i+1)
		}
	}
	s.rounds.tell(first, reading{began: time.Now(), ended: time.Now()})
	return first
}

// write hands in a change of a binding.
func (s *stage) write(t *ticket, k kind) error {
	c := change{placement: targets.Placement{Seed: t.who.Name}, accepted: func() { s.accepted(t.who.Name) }}
	return s.rounds.write(s.t.Context(), t, k, c, time.Now, func(all []change) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls = append(s.calls, len(all))
		if s.refuse != nil {
			return s.refuse(all)
		}
		return nil
	})
}

// come has a woken binding enter the round and write, and returns what came of it.
func (s *stage) come(who types.NamespacedName, results chan<- error) {
	t, _, wait := s.enter(want{who: who, writer: "lsn-a"})
	if t == nil {
		results <- fmt.Errorf("told to wait for %s", wait)
		return
	}
	results <- s.write(t, adding)
	s.rounds.leave(t)
}

func TestWhatBindingsOfOneRoundWriteGoesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		const others = 19
		first, results := s.begin(others), make(chan error, others)
		for range others {
			who := <-s.woken
			go func() { s.come(who, results) }()
		}
		began := time.Now()
		if err := s.write(first, adding); err != nil {
			t.Error(err)
		}
		s.rounds.leave(first)
		if took := time.Since(began); took != 0 {
			t.Errorf("the first waited for %s, although all are there", took)
		}
		synctest.Wait()
		tooLate := 0
		for range others {
			if err := <-results; !errors.Is(err, errHandedIn) {
				tooLate++
			}
		}
		if !slices.Equal(s.calls, []int{targets.MostTogether}) || tooLate != 1+others-targets.MostTogether {
			t.Errorf("calls of %v changes, %d were too late; want one of %d, and the rest", s.calls, tooLate, targets.MostTogether)
		}
		if again, _, wait := s.enter(s.want(7)); again != nil || wait != settling {
			t.Errorf("the next reading is worth it in %s, want %s: the listener is being changed", wait, settling)
		}
		time.Sleep(settling)
		s.begin(0)
		if n := len(s.woken); n != others {
			t.Errorf("%d bindings are woken by the next reading, want all others", n)
		}
	})
}

func TestWhoWritesAloneWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.begin(2)
		quiet, _, _ := s.enter(s.want(1)) // has nothing to write
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Millisecond)
			s.rounds.leave(quiet)
		}()
		if err := s.write(first, adding); err != nil { // the second never comes
			t.Error(err)
		}
		if took := time.Since(began); took != gathering {
			t.Errorf("it took %s, want %s for one that was woken and does not come", took, gathering)
		}
		s.rounds.leave(first)
		time.Sleep(settling)
		again, _, _ := s.enter(want{who: nameOf(0), writer: "lsn-a", after: began})
		s.rounds.tell(again, reading{began: time.Now(), ended: time.Now()})
		began = time.Now()
		for len(s.woken) > 0 {
			if t, _, _ := s.enter(want{who: <-s.woken, writer: "lsn-a"}); t != nil {
				s.rounds.leave(t)
			}
		}
		if err := s.write(again, alone); err != nil || time.Since(began) != 0 {
			t.Errorf("it took %s: %v", time.Since(began), err)
		}
	})
}

// TestWhoNeverComesIsWaitedForOnce: a call ends the round, and whoever has not come until then is
// expected no more. Who is gone is not waited for at all.
func TestWhoNeverComesIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		gone time.Duration // how long after the first call it is gone, or -1 for before; 0 is never
		want time.Duration
	}{
		"woken, and busy with something else": {0, gathering},
		"woken, and gone":                     {-1, 0},
		"gone while it is waited for":         {gathering / 5, gathering / 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				first := s.begin(1)
				for call, want := range []time.Duration{tc.want, 0, 0} {
					began := time.Now()
					switch {
					case tc.gone < 0:
						s.rounds.forget(nameOf(1))
					case tc.gone > 0:
						time.AfterFunc(tc.gone, func() { s.rounds.forget(nameOf(1)) })
					}
					if err := s.write(first, adding); err != nil {
						t.Fatal(err)
					}
					s.rounds.leave(first)
					if took := time.Since(began); took != want {
						t.Errorf("call %d took %s, want %s", call, took, want)
					}
					time.Sleep(settling)
					first, _, _ = s.enter(s.want(0))
					s.rounds.tell(first, reading{began: time.Now(), ended: time.Now()})
				}
				if n := len(s.rounds.of[s.by].waiting); n > 0 {
					t.Errorf("%d wait for another reading", n)
				}
			})
		})
	}
}

// Who has read before a change decides by what is no longer so.
func TestNobodyWritesByWhatAnotherHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.begin(0)
		other, known, _ := s.rounds.enter(reader{resource: "lsn-a", secret: "ak"}, s.want(1), time.Now())
		if known != nil || !other.reads {
			t.Fatal("other credentials share the reading")
		}
		s.rounds.tell(other, reading{began: time.Now(), ended: time.Now()})
		mine, _, _ := s.enter(s.want(2))
		if err := s.write(mine, alone); err != nil {
			t.Fatal(err)
		}
		for name, late := range map[string]*ticket{"who shared the reading": first, "who read meanwhile": other} {
			if _, turn := isTurn(s.write(late, alone)); !turn {
				t.Errorf("%s writes", name)
			}
		}
		if next, known, _ := s.rounds.enter(reader{resource: "lsn-a", secret: "ak"}, s.want(3), time.Now()); next != nil || known != nil {
			t.Error("a reading from before the change is shared")
		}
	})
}

// Somebody may be changing the resource by now, which another reading shows.
func TestNobodyWritesByAnEarlierReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.begin(0)
		anew := s.want(1)
		anew.since = time.Now()
		second, known, _ := s.enter(anew)
		if known != nil || !second.reads {
			t.Fatal("who wants to know anew does not read")
		}
		if third, _, _ := s.enter(s.want(2)); third != nil {
			t.Error("somebody decides by the earlier reading")
		}
		for range 2 { // while it is read, and afterwards
			if _, turn := isTurn(s.write(first, alone)); !turn {
				t.Error("who decided by the earlier reading writes")
			}
			s.rounds.tell(second, reading{began: time.Now(), ended: time.Now()})
		}
		if err := s.write(second, alone); err != nil {
			t.Errorf("who has read anew does not write: %v", err)
		}
	})
}

// What one sees with other credentials counts: while it is read, and where it is being changed.
func TestNobodyWritesToWhatAnotherSeesChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		seen   reading
		writes bool
	}{
		"it is being changed":    {reading{state: targets.State{Busy: true}}, false},
		"it is at rest":          {reading{}, true},
		"it is not there at all": {reading{failure: &rules.Failure{Kind: rules.TargetNotFound}}, true}, // of another account
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				theirs := reader{resource: "lsn-a", secret: "ak"}
				before, _, _ := s.rounds.enter(theirs, s.want(1), time.Now())
				s.rounds.tell(before, reading{})
				first := s.begin(0)
				other, _, _ := s.rounds.enter(theirs, s.want(1), time.Now())
				if _, turn := isTurn(s.write(first, alone)); !turn {
					t.Error("it is written to while it is read")
				}
				s.rounds.tell(other, tc.seen)
				if err := s.write(first, alone); (err == nil) != tc.writes {
					t.Errorf("it is written to: %v", err)
				}
			})
		})
	}
}

// TestWhoSeesNothingHoldsUpNobody: a tenant with made-up credentials may name the listener of a neighbour, and have
// it read without end.
func TestWhoSeesNothingHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		theirs := reader{resource: "lsn-a", namespace: "other", secret: "made-up"}
		for range 2 { // before they were refused, and afterwards
			time.Sleep(settling)
			first := s.begin(0)
			other, _, _ := s.rounds.enter(theirs, s.want(1), time.Now())
			if other == nil || !other.reads {
				t.Fatal("they do not read")
			}
			if err := s.write(first, alone); err != nil {
				t.Errorf("a neighbour does not write: %v", err)
			}
			s.rounds.leave(first)
			s.rounds.tell(other, reading{began: time.Now(), ended: time.Now(), failure: &rules.Failure{Kind: rules.NoCredentials}})
			s.rounds.leave(other)
		}
	})
}

// What was refused has changed nothing: who waits for it goes on at once.
func TestARefusalHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.refuse = func([]change) error {
			if other, _, _ := s.enter(s.want(1)); other != nil {
				t.Error("somebody reads during a change")
			}
			return &targets.Error{Class: targets.Refused, Message: "not this one"}
		}
		first := s.begin(0)
		if err := s.write(first, alone); targets.ClassOf(err) != targets.Refused {
			t.Errorf("%v", err)
		}
		if len(s.woken) != 1 {
			t.Fatal("who waited is not woken")
		}
		if next, _, wait := s.enter(want{who: <-s.woken, writer: "lsn-a"}); next == nil || !next.reads {
			t.Errorf("it waits for %s", wait)
		}
	})
}

// Who has written wants to know what came of it. Who was refused knows, and is tried again at a pace of
// its own: two that are refused would wake each other without end.
func TestTheNextReadingWakesWhoWasNotRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer error
		woken  int
	}{
		"accepted":                      {nil, 1},
		"being changed":                 {&targets.Error{Class: targets.Progressing, Message: "it is Configuring"}, 1},
		"refused":                       {&targets.Error{Class: targets.Refused, Message: "not this one"}, 0},
		"of a certificate that is gone": {&targets.Error{Class: targets.CertificateNotFound, Message: "no such certificate"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.refuse = func([]change) error { return tc.answer }
				first := s.begin(0)
				if err := s.write(first, alone); !errors.Is(err, tc.answer) {
					t.Fatal(err)
				}
				s.rounds.leave(first)
				time.Sleep(settling)
				second, _, wait := s.enter(s.want(1))
				if second == nil {
					t.Fatalf("the second is told to wait for %s", wait)
				}
				s.rounds.tell(second, reading{began: time.Now(), ended: time.Now()})
				if len(s.woken) != tc.woken {
					t.Errorf("%d are woken, want %d", len(s.woken), tc.woken)
				}
			})
		})
	}
}

// TestACallThatPanicsEndsItsRound: the controller goes on after a panic, and so do the other bindings.
func TestACallThatPanicsEndsItsRound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.refuse = func([]change) error { panic("on purpose") }
		first := s.begin(0)
		func() {
			defer func() { _ = recover() }()
			defer s.rounds.leave(first)
			_ = s.write(first, adding)
		}()
		time.Sleep(settling)
		s.refuse = nil
		if err := s.write(s.begin(0), adding); err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}

func TestAdditionsAndRemovalsDoNotMix(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.begin(0)
		second, _, _ := s.enter(s.want(1))
		added := make(chan error)
		go func() { added <- s.write(first, adding) }()
		synctest.Wait()
		if _, turn := isTurn(s.write(second, removing)); !turn {
			t.Error("a removal goes with additions")
		}
		s.rounds.leave(second)
		if err := <-added; err != nil {
			t.Error(err)
		}
	})
}

// One whose certificate the product does not take holds up the others for a few rounds.
func TestOneThatIsRefusedIsFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		const bad = "3"
		s.refuse = func(all []change) error {
			if slices.ContainsFunc(all, func(c change) bool { return c.placement.Seed == bad }) {
				return &targets.Error{Class: targets.Refused, Message: "not this one"}
			}
			return nil
		}
		left, told := []int{0, 1, 2, 3, 4, 5, 6, 7}, false
		for round := 0; len(left) > 0; round++ {
			if round > 20 {
				t.Fatalf("%v are not placed", left)
			}
			for i, err := range s.play(left) {
				class := targets.ClassOf(err)
				if _, turn := isTurn(err); err != nil && !turn && !errors.Is(err, errHandedIn) && class != targets.Progressing {
					told = told || nameOf(i).Name == bad
					if nameOf(i).Name != bad {
						t.Errorf("binding %d is told that it is refused: %v", i, err)
					}
				}
			}
			left = slices.DeleteFunc(left, func(i int) bool { return s.placed[nameOf(i).Name] || told && nameOf(i).Name == bad })
			time.Sleep(settling)
		}
		if !told || s.placed[bad] {
			t.Errorf("the one that is refused was told so: %t", told)
		}
	})
}

// TestNobodyIsToldTheCertificatesOfAnother: the product names in its answer what was in the call.
func TestNobodyIsToldTheCertificatesOfAnother(t *testing.T) {
	t.Parallel()
	const secret = "12346-cn-hangzhou"
	failures := []error{errors.New("cannot place " + secret)}
	for _, class := range targets.Classes() {
		failures = append(failures, &targets.Error{Class: class, Message: "cannot place " + secret, Cause: &alibaba.Error{Code: "No", Message: secret, HTTPStatus: 400}})
	}
	for _, failure := range failures {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.refuse = func([]change) error { return failure }
			for i, err := range s.play([]int{0, 1, 2}) {
				if _, turn := isTurn(err); turn || errors.Is(err, errHandedIn) {
					continue
				}
				if err == nil || strings.Contains(err.Error(), secret) || !errors.Is(err, failure) {
					t.Errorf("class %s: binding %d is told %q", targets.ClassOf(failure), i, err)
				}
			}
			time.Sleep(settling)
			if told := s.play([]int{0})[0]; told == nil || told.Error() != failure.Error() {
				t.Errorf("class %s: one that was alone is told %q, want %q", targets.ClassOf(failure), told, failure)
			}
			if !slices.Equal(s.calls, []int{3, 1}) {
				t.Errorf("calls of %v changes, want 3 and then 1", s.calls)
			}
		})
	}
}

// play has some bindings write in one round, and returns what each was told.
func (s *stage) play(left []int) map[int]error {
	s.t.Helper()
	tickets := map[int]*ticket{}
	began := time.Now()
	for _, i := range left {
		t, known, _ := s.enter(want{who: nameOf(i), writer: "lsn-a", after: began.Add(-1)})
		if t == nil {
			s.t.Fatalf("binding %d is told to wait", i)
		}
		if known == nil {
			s.rounds.tell(t, reading{began: time.Now(), ended: time.Now()})
		}
		tickets[i] = t
	}
	told := map[int]error{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for i, t := range tickets {
		writers.Go(func() {
			err := s.write(t, adding)
			s.rounds.leave(t)
			mu.Lock()
			defer mu.Unlock()
			told[i] = err
		})
	}
	writers.Wait()
	return told
}

// A check has a limit of its own, and holds up nobody who has something to do.
func TestOnlyChecksWaitForTheirLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		check := s.want(0)
		check.check = true
		first, _, _ := s.enter(check)
		s.rounds.putOff(first, time.Now().Add(time.Minute), true)
		s.rounds.leave(first)
		if again, _, wait := s.enter(check); again != nil || wait != time.Minute {
			t.Errorf("a check waits for %s", wait)
		}
		urgent, _, wait := s.enter(s.want(1))
		if urgent == nil {
			t.Fatalf("a renewal waits for %s", wait)
		}
		s.rounds.putOff(urgent, time.Now().Add(time.Second), false)
		s.rounds.leave(urgent)
		if again, _, wait := s.enter(s.want(2)); again != nil || wait != time.Second {
			t.Errorf("another renewal waits for %s, want what the first was told", wait)
		}
		time.Sleep(time.Second)
		if urgent, _, wait := s.enter(s.want(2)); urgent == nil {
			t.Errorf("after that it waits for %s", wait)
		}
	})
}

func TestRoundsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		for i := range 100 {
			ticket, _, _ := s.rounds.enter(reader{resource: fmt.Sprint(i)}, s.want(i), time.Now())
			s.rounds.leave(ticket)
		}
		time.Sleep(forgetAfter)
		s.begin(0)
		if n := len(s.rounds.of); n != 1 {
			t.Errorf("%d rounds are left", n)
		}
	})
}

// severalAdapter takes several certificates in one call.
type severalAdapter struct{ targets.Adapter }

func (severalAdapter) PlaceAll(context.Context, targets.Target, targets.State, []targets.Placement) error {
	return nil
}

// TestWhoSendsTouchesNoOtherReconcile: a reconcile that has handed its placement in goes on with its
// own object, which the answer to the write of its status is read into, and ends.
func TestWhoSendsTouchesNoOtherReconcile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &Reconciler{Clock: clock.RealClock{}}
		first, second := take(r, severalAdapter{}, "first"), take(r, severalAdapter{}, "second")
		for _, p := range []*reconciliation{first, second} {
			p.ticket, _, _ = r.rounds.enter(p.reader(), p.want(), time.Now())
			p.next, p.state = p.before.DeepCopy(), &targets.State{}
			if p == first {
				p.rounds.tell(p.ticket, reading{began: time.Now(), ended: time.Now()})
			}
		}
		placement := targets.Placement{Certificate: targets.Certificate{CertID: 7, Region: "cn-hangzhou"}}
		go func() {
			time.Sleep(gathering / 2) // the first has begun to gather
			if err := second.putIn(t.Context(), placement); !errors.Is(err, errHandedIn) {
				t.Errorf("the second: %v", err)
			}
			second.next.UID, second.next.ResourceVersion = types.UID("second"), "2" // as a patch does
		}()
		if err := first.putIn(t.Context(), placement); err != nil {
			t.Errorf("the first: %v", err)
		}
		synctest.Wait()
		for _, p := range []*reconciliation{first, second} {
			if placed := r.memory.tried(p.next, &v1alpha1.CloudCertificate{Status: v1alpha1.CloudCertificateStatus{CertID: 7}}, time.Now(), time.Now).Placed; len(placed) != 1 {
				t.Errorf("%s: %d placements are remembered", p.next.Name, len(placed))
			}
		}
	})
}
