// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/targets"
)

var errFull = &targets.Error{Class: targets.QuotaExceeded, Message: "no room"}

// tries has a binding write to a listener of the load balancer, and returns what came of it.
func (s *stage) tries(i int, k kind, c change, answer error) error {
	s.t.Helper()
	t, known, wait := s.enter(want{who: nameOf(i), writer: "lsn-a", after: time.Now().Add(-1)})
	if t == nil {
		s.t.Fatalf("binding %d is told to wait for %s", i, wait)
	}
	defer s.rounds.leave(t)
	if known == nil {
		s.rounds.tell(t, reading{began: time.Now(), ended: time.Now()})
	}
	return s.rounds.write(s.t.Context(), t, k, c, time.Now, func([]change) error { return answer })
}

// refused are bindings that find the quota of a load balancer full, one after the other.
func (s *stage) refused(quota string, bindings ...int) { s.refuses(change{quota: quota}, bindings...) }

// refuses is the same of a change.
func (s *stage) refuses(c change, bindings ...int) {
	s.t.Helper()
	for _, i := range bindings {
		time.Sleep(time.Millisecond) // another reading for each
		if err := s.tries(i, adding, c, errFull); targets.ClassOf(err) != targets.QuotaExceeded {
			s.t.Fatal(err)
		}
	}
}

// removes has a binding take out what it has replaced, of which the product says what it does.
func (s *stage) removes(quota string, n int, answer error) {
	s.t.Helper()
	time.Sleep(time.Millisecond)
	_ = s.tries(90, removing, change{quota: quota, removal: targets.Removal{Entries: make([]targets.Entry, n)}}, answer)
}

// reads has a binding read the listener, and returns who is woken then.
func (s *stage) reads(seen reading) []string {
	s.t.Helper()
	time.Sleep(settling)
	for len(s.woken) > 0 {
		<-s.woken
	}
	t, _, wait := s.enter(want{who: nameOf(91), writer: "lsn-a", after: time.Now().Add(-1)})
	if t == nil {
		s.t.Fatalf("the reading is told to wait for %s", wait)
	}
	defer s.rounds.leave(t)
	seen.began, seen.ended = time.Now(), time.Now()
	s.rounds.tell(t, seen)
	var woken []string
	for len(s.woken) > 0 {
		if who := <-s.woken; who != nameOf(90) { // who has written is told what came of it
			woken = append(woken, who.Name)
		}
	}
	slices.Sort(woken)
	return woken
}

// TestARemovalMakesRoom: as many of those that a full quota has refused are tried again as certificates
// were taken out, once that is over.
func TestARemovalMakesRoom(t *testing.T) {
	t.Parallel()
	lost := &targets.Error{Class: targets.Transient, Message: "no answer"}
	for name, tc := range map[string]struct {
		play func(s *stage)
		seen reading
		want []string
		then []string // by the next reading, of a listener that is at rest
	}{
		"for one, who was refused first": {func(s *stage) { s.refused("alb-1", 2, 1, 3); s.removes("alb-1", 1, nil) }, reading{}, []string{"2"}, nil},
		"for two":                        {func(s *stage) { s.refused("alb-1", 2, 1, 3); s.removes("alb-1", 2, nil) }, reading{}, []string{"1", "2"}, nil},
		"for a renewal before a new binding": {func(s *stage) {
			s.refused("alb-1", 2)
			s.refuses(change{quota: "alb-1", renews: true}, 1)
			s.removes("alb-1", 1, nil)
		}, reading{}, []string{"1"}, nil},
		"for more than there are":      {func(s *stage) { s.refused("alb-1", 2, 1); s.removes("alb-1", 5, nil) }, reading{}, []string{"1", "2"}, nil},
		"not yet":                      {func(s *stage) { s.refused("alb-1", 1); s.removes("alb-1", 1, nil) }, reading{state: targets.State{Busy: true}}, nil, []string{"1"}},
		"not by one that is refused":   {func(s *stage) { s.refused("alb-1", 1); s.removes("alb-1", 1, lost) }, reading{}, nil, nil},
		"not of another load balancer": {func(s *stage) { s.refused("alb-1", 1); s.removes("alb-2", 1, nil) }, reading{}, nil, nil},
		"not for who tries anyway":     {func(s *stage) { s.refused("alb-1", 1); s.removes("alb-1", 1, nil); s.later(); s.leaves(1) }, reading{}, nil, nil},
		"not for who is gone":          {func(s *stage) { s.refused("alb-1", 1); s.removes("alb-1", 1, nil); s.rounds.forget(nameOf(1)) }, reading{}, nil, nil},
		"nor does a reading alone":     {func(s *stage) { s.refused("alb-1", 1) }, reading{}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				tc.play(s)
				if got := s.reads(tc.seen); !slices.Equal(got, tc.want) {
					t.Errorf("%v are woken, want %v", got, tc.want)
				}
				if got := s.reads(reading{}); !slices.Equal(got, tc.then) {
					t.Errorf("then %v are woken, want %v", got, tc.then)
				}
			})
		})
	}
}

// TestCopiesAreTakenOutOneByOne: what one of them refuses says nothing of the others.
func TestCopiesAreTakenOutOneByOne(t *testing.T) {
	t.Parallel()
	stored := targets.Entry{Role: targets.RoleStored}
	inUse := &targets.Error{Class: targets.InUse, Message: "a listener serves it"}
	for name, tc := range map[string]struct {
		entries []targets.Entry
		answer  error
		want    []string
	}{
		"two":                         {slices.Repeat([]targets.Entry{stored}, 2), nil, []string{"1", "2"}},
		"two, of which one is used":   {slices.Repeat([]targets.Entry{stored}, 2), inUse, []string{"1"}},
		"one that is used":            {[]targets.Entry{stored}, inUse, nil},
		"more than go at a time":      {slices.Repeat([]targets.Entry{stored}, 9), nil, []string{"1", "2", "3", "4", "5"}},
		"the annotation of a Service": {[]targets.Entry{{Role: targets.RoleDefault}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.refused("clb", 1, 2, 3, 4, 5, 6)
				time.Sleep(time.Millisecond)
				_ = s.tries(90, alone, change{quota: "clb", removal: targets.Removal{Entries: tc.entries}}, tc.answer)
				if got := s.reads(reading{}); !slices.Equal(got, tc.want) {
					t.Errorf("%v are woken, want %v", got, tc.want)
				}
			})
		})
	}
}

// later is when a change is worth another reading.
func (s *stage) later() { time.Sleep(settling) }

// leaves has a binding take part in a round, and write nothing.
func (s *stage) leaves(i int) {
	s.t.Helper()
	t, _, wait := s.enter(want{who: nameOf(i), writer: "lsn-a", after: time.Now().Add(-1)})
	if t == nil {
		s.t.Fatalf("binding %d is told to wait for %s", i, wait)
	}
	s.rounds.leave(t)
}

// What others see of another listener of the load balancer tells who waits there, and not who waits
// for a reading of this one.
func TestARemovalMakesRoomAtAnotherListener(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		other, _, _ := s.rounds.enter(reader{resource: "lsn-b"}, want{who: nameOf(1), writer: "lsn-b"}, time.Now())
		s.rounds.tell(other, reading{began: time.Now(), ended: time.Now()})
		if err := s.rounds.write(t.Context(), other, adding, change{quota: "alb-1"}, time.Now, func([]change) error { return errFull }); err == nil {
			t.Fatal("there is room")
		}
		s.rounds.leave(other)
		s.removes("alb-1", 1, nil)
		if got := s.reads(reading{}); !slices.Equal(got, []string{"1"}) {
			t.Errorf("%v are woken, want the one of the other listener", got)
		}
		if expected := s.rounds.of[s.by].expected; expected[nameOf(1)] {
			t.Error("a call of this listener waits for it")
		}
	})
}

// TestRoomThatIsMadeDuringACallIsNotLost: the call was refused before, and its answer comes after the
// reading that shows it.
func TestRoomThatIsMadeDuringACallIsNotLost(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		removed int
		during  bool
		want    []string
	}{
		"room for more than wait": {2, true, []string{"1"}},
		"room for another":        {1, true, nil},
		"what was there before":   {2, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				makeRoom := func() {
					s.refused("alb-1", 2)
					s.removes("alb-1", tc.removed, nil)
					if got := s.reads(reading{}); !slices.Equal(got, []string{"2"}) {
						t.Errorf("%v are woken, want the one that waits", got)
					}
				}
				if !tc.during {
					makeRoom()
				}
				other, _, _ := s.rounds.enter(reader{resource: "lsn-b"}, want{who: nameOf(1), writer: "lsn-b"}, time.Now())
				s.rounds.tell(other, reading{began: time.Now(), ended: time.Now()})
				_ = s.rounds.write(t.Context(), other, adding, change{quota: "alb-1"}, time.Now, func([]change) error {
					if tc.during {
						makeRoom()
					}
					return errFull
				})
				s.rounds.leave(other)
				var woken []string
				for len(s.woken) > 0 {
					woken = append(woken, (<-s.woken).Name)
				}
				if !slices.Equal(woken, tc.want) {
					t.Errorf("%v are woken, want %v", woken, tc.want)
				}
			})
		})
	}
}
