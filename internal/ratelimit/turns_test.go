// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd are callers of one tenant and urgency, each of which wants one place after the other.
type crowd struct {
	tenant  string
	urgency Urgency
	callers int
}

// share is what the calls of a crowd came to.
type share struct {
	calls
	slowest time.Duration // from the first asking to the call
}

func (s *share) note(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, took)
}

// ask wants one place until it has it and uses it, as a reconcile that keeps to its hints.
func ask(l *Limiter, tenant string, u Urgency, s *share) {
	began := time.Now()
	for {
		slot, hint := l.Reserve(tenant, u, u.Horizon())
		if slot == nil {
			time.Sleep(hint)
			continue
		}
		if _, err := slot.Wait(context.Background()); err == nil {
			s.add()
			s.note(time.Since(began))
			return
		}
	}
}

// press has crowds press for places, and returns their shares by tenant and urgency.
func press(l *Limiter, d time.Duration, crowds ...crowd) map[crowd]*share {
	shares := map[crowd]*share{}
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for _, c := range crowds {
		s := &share{}
		shares[c] = s
		for range c.callers {
			all.Go(func() {
				for time.Now().Before(end) {
					ask(l, c.tenant, c.urgency, s)
				}
			})
		}
	}
	all.Wait()
	for s := range maps.Values(shares) { // those who are still waiting at the end have no competitors
		s.at = slices.DeleteFunc(s.at, func(at time.Time) bool { return at.After(end) })
	}
	return shares
}

// mostOf returns the largest number of calls in any second, of all shares together.
func mostOf(shares map[crowd]*share) int {
	var all []time.Time
	for s := range maps.Values(shares) {
		all = append(all, s.at...)
	}
	return mostInWindow(all)
}

const testRate = 95

// pressFor is long enough that the first second and the last callers matter little.
const pressFor = 20 * time.Second

func TestACallerFindsAPlaceBesideAFlood(t *testing.T) {
	t.Parallel()
	for name, floods := range map[string]int{"one tenant floods": 1, "five tenants flood": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := New(realClock{}, testRate, time.Now())
				var quiet share
				var calm sync.WaitGroup
				calm.Go(func() {
					for range 18 {
						time.Sleep(time.Second)
						ask(l, "quiet", Prompt, &quiet)
					}
				})
				var crowds []crowd
				for i := range floods {
					crowds = append(crowds, crowd{fmt.Sprint("flood-", i), Prompt, 300})
				}
				shares := press(l, pressFor, crowds...)
				calm.Wait()
				if most := Prompt.Horizon(); quiet.slowest > most {
					t.Errorf("the slowest call of the quiet tenant waited %s", quiet.slowest)
				}
				if floods == 1 && quiet.slowest > Prompt.Horizon()*4/10 {
					t.Errorf("beside one flood the quiet tenant waited %s", quiet.slowest)
				}
				if most := mostOf(shares); most > testRate+1 {
					t.Errorf("%d calls within a second", most)
				}
				for c, s := range shares {
					if got, fair := float64(len(s.at))/pressFor.Seconds(), testRate/float64(floods); got < 0.9*(fair-1) {
						t.Errorf("%s got %.1f calls a second of %.1f", c.tenant, got, fair)
					}
				}
			})
		})
	}
}

func TestTenantsTakeTurnsHoweverLongTheirQueues(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rate   float64
		crowds []crowd
	}{
		"a long queue and two short ones": {testRate, []crowd{{"a", Prompt, 1000}, {"b", Prompt, 50}, {"c", Prompt, 50}}},
		"a slow limit":                    {9, []crowd{{"a", Prompt, 300}, {"b", Prompt, 10}}},
		"a backlog":                       {testRate, []crowd{{"a", Backlog, 1000}, {"b", Backlog, 50}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shares := press(New(realClock{}, tc.rate, time.Now()), pressFor, tc.crowds...)
				var each []int
				total := 0
				for _, c := range tc.crowds {
					each = append(each, len(shares[c].at))
					total += len(shares[c].at)
				}
				if fair := float64(slices.Min(each)) / float64(slices.Max(each)); fair < 0.7 {
					t.Errorf("calls by tenant: %v", each)
				}
				if got := float64(total) / pressFor.Seconds(); got < 0.95*tc.rate {
					t.Errorf("%.1f calls a second of %.0f", got, tc.rate)
				}
				if most := mostOf(shares); float64(most) > tc.rate+1 {
					t.Errorf("%d calls within a second", most)
				}
			})
		})
	}
}

// More tenants than there are places within reach: none of them is passed over.
func TestNoneOfManyTenantsStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var crowds []crowd
		for i := range 200 {
			crowds = append(crowds, crowd{fmt.Sprint("tenant-", i), Prompt, 3})
		}
		shares := press(New(realClock{}, testRate, time.Now()), pressFor, crowds...)
		fair := testRate * pressFor.Seconds() / float64(len(crowds))
		for c, s := range shares {
			if got := float64(len(s.at)); got < fair/2 || got > 2*fair {
				t.Errorf("%s got %.0f calls, its share is %.0f", c.tenant, got, fair)
			}
		}
	})
}

func TestATenthIsForTheLowerUrgencies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		backlog, repair := crowd{"a", Backlog, 100}, crowd{"b", Repair, 100}
		crowds := []crowd{backlog, repair}
		for i := range 30 {
			crowds = append(crowds, crowd{fmt.Sprint("flood-", i), Prompt, 50})
		}
		shares := press(New(realClock{}, testRate, time.Now()), pressFor, crowds...)
		all := 0
		for s := range maps.Values(shares) {
			all += len(s.at)
		}
		for _, c := range []crowd{backlog, repair} {
			if part := float64(len(shares[c].at)) / float64(all); part < 0.04 || part > 0.07 {
				t.Errorf("urgency %d got %.1f %% of the calls", c.urgency, 100*part)
			}
		}
		if rate := float64(all) / pressFor.Seconds(); rate < 0.95*testRate {
			t.Errorf("%.1f calls a second", rate)
		}
		if most := mostOf(shares); most > testRate+1 {
			t.Errorf("%d calls within a second", most)
		}
	})
}

// What is given back, due or handed to another limiter is held by nobody.
func TestTurnsForgetWhatIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := New(realClock{}, 10, time.Now()), New(realClock{}, 10, time.Now())
		first, _ := one.Reserve("a", Prompt, Prompt.Horizon())
		second, _ := one.Reserve("a", Prompt, Prompt.Horizon())
		if second == nil {
			t.Fatal("a tenant alone got one place")
		}
		second.Release()
		second.Release()
		if got := one.turns.held.AtLeast("a", Repair); got != 1 {
			t.Errorf("%d places are held after one of two was given back", got)
		}
		for one.turns.mayHold("b", Prompt, 100*time.Millisecond) {
			if slot, _ := one.Reserve("b", Prompt, Prompt.Horizon()); slot == nil {
				break
			}
		}
		one.MergeInto(two)
		if got := two.turns.held.AtLeast("a", Repair); got != 1 {
			t.Errorf("%d places are held after a merge", got)
		}
		first.Release() // of the limiter that is gone
		time.Sleep(time.Minute)
		if _, err := two.Reserve("c", Prompt, 0); err != 0 {
			t.Errorf("no place a minute later: %s", err)
		}
		if len(two.turns.held) != 1 || len(two.turns.ahead) != 1 {
			t.Errorf("places that are due are held: %v", two.turns.held)
		}
		for range 20 {
			two.Reserve("d", Prompt, 0)
		}
		time.Sleep(time.Hour)
		two.Reserve("e", Prompt, 0)
		two.Reserve("e", Prompt, 0)
		if queue := two.turns.queues[Prompt]; len(queue) != 1 {
			t.Errorf("those who were told to come back an hour ago are remembered: %v", queue)
		}
	})
}
