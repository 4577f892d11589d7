// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// mostInWindow returns the largest number of calls in any window of a second.
func mostInWindow(calls []time.Time) int {
	slices.SortFunc(calls, time.Time.Compare)
	most, first := 0, 0
	for i, at := range calls {
		for at.Sub(calls[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// calls is a log of calls from many goroutines.
type calls struct {
	mu sync.Mutex
	at []time.Time
}

func (c *calls) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
}

// run reserves and uses places of the limiter for as long as told, as a worker
// that honours the hints; between reserving and use it takes its time.
func run(l *Limiter, u Urgency, until time.Time, think func() time.Duration, log *calls) {
	runOver(l, u, until, think, func(func()) {}, log)
}

// runOver is run over a network: transit says when the call is written, and ends when
// the cloud counts it.
func runOver(l *Limiter, u Urgency, until time.Time, think func() time.Duration, transit func(written func()), log *calls) {
	for time.Now().Before(until) {
		slot, hint := l.Reserve("one of all", u, u.Horizon())
		if slot == nil {
			time.Sleep(hint)
			continue
		}
		if think != nil {
			time.Sleep(think())
		}
		if sent, err := slot.Wait(context.Background()); err == nil {
			transit(func() { l.written(sent) })
			log.add()
		}
	}
}

func TestLimiterFillsTheRateAndNeverExceedsIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rate    float64
		workers int
		think   time.Duration
		least   float64 // of the rate, over ten seconds
	}{
		"workers that are prompt":              {95, 60, 0, 0.98},
		"workers that use their place late":    {95, 60, 400 * time.Millisecond, 0.9},
		"more workers than places":             {95, 1000, 0, 0.98},
		"lists":                                {9, 60, 50 * time.Millisecond, 0.95},
		"a rate below one a second":            {0.5, 3, 0, 0.8},
		"a rate that is no whole number":       {9.7, 20, 10 * time.Millisecond, 0.95},
		"the whole limit, by prompt workers":   {99, 60, 0, 0.98},
		"the whole limit, by workers that lag": {99, 60, 200 * time.Millisecond, 0.9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := New(realClock{}, tc.rate, time.Now().Add(QuietStart))
				start := time.Now()
				var log calls
				var wg sync.WaitGroup
				for range tc.workers {
					wg.Go(func() {
						run(l, Prompt, start.Add(11*time.Second), func() time.Duration {
							return time.Duration(rand.Int64N(int64(tc.think) + 1))
						}, &log)
					})
				}
				wg.Wait()
				if most := mostInWindow(log.at); float64(most) > tc.rate+1 {
					t.Errorf("%d calls within a second at a rate of %v", most, tc.rate)
				}
				if first := log.at[0].Sub(start); first < QuietStart {
					t.Errorf("first call after %v", first)
				}
				if got := float64(len(log.at)) / 10; got < tc.least*tc.rate {
					t.Errorf("%v calls a second of %v", got, tc.rate)
				}
			})
		})
	}
}

// Calls that are sent within the limit can meet on the way, and leave later than they
// were let go.
func TestLimiterLeavesRoomForJitter(t *testing.T) {
	t.Parallel()
	upTo := func(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d))) }
	for name, transit := range map[string]func(written func()){
		"on the network": func(written func()) {
			written()
			time.Sleep(upTo(9 * time.Millisecond))
		},
		"before the call is written": func(written func()) {
			if rand.IntN(50) == 0 {
				time.Sleep(upTo(100 * time.Millisecond))
			}
			written()
			time.Sleep(upTo(5 * time.Millisecond))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const limit = 100
				l := New(realClock{}, limit-1, time.Now())
				start := time.Now()
				var log calls
				var wg sync.WaitGroup
				for range 60 {
					wg.Go(func() {
						think := func() time.Duration { return upTo(100 * time.Millisecond) }
						runOver(l, Prompt, start.Add(20*time.Second), think, transit, &log)
					})
				}
				wg.Wait()
				if most := mostInWindow(log.at); most > limit {
					t.Errorf("%d calls were counted within a second", most)
				}
				if got := float64(len(log.at)) / 20; got < 97 {
					t.Errorf("%v calls a second", got)
				}
			})
		})
	}
}

func TestLimiterReservesAtMostHalfASecondAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 10, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		places := map[Urgency]int{}
		for _, u := range []Urgency{Repair, Backlog, Prompt} {
			for {
				slot, hint := l.Reserve("", u, u.Horizon())
				if slot == nil {
					if hint <= 0 {
						t.Errorf("urgency %d: hint %v", u, hint)
					}
					break
				}
				if ahead := time.Until(slot.at); ahead > u.Horizon() {
					t.Errorf("urgency %d: a place %v ahead", u, ahead)
				}
				places[u]++
			}
		}
		if places[Repair] != 2 || places[Backlog] != 2 || places[Prompt] != 2 {
			t.Errorf("places by urgency: %v", places)
		}
	})
}

func TestLimiterHintsFormAQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 10, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		var last time.Duration
		for i := range 100 {
			slot, hint := l.Reserve("", Prompt, 0)
			if slot != nil {
				continue
			}
			if hint <= last || hint > maxHint {
				t.Fatalf("hint %d is %v after %v", i, hint, last)
			}
			last = hint
		}
		// 99 at 12.5 a second.
		if last < 7*time.Second || last > 9*time.Second {
			t.Errorf("the last is told to come back in %v", last)
		}
		for range 1000 {
			_, last = l.Reserve("", Prompt, 0)
		}
		if last != maxHint {
			t.Errorf("hint of a long queue is %v", last)
		}
	})
}

func TestPlacesThatAreGivenBackAreUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 10, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		var slots []*Slot
		for range 6 {
			slot, _ := l.Reserve("", Prompt, time.Second)
			slots = append(slots, slot)
		}
		want := []time.Time{slots[2].at, slots[4].at, slots[5].at, slots[5].at.Add(100 * time.Millisecond)}
		for _, i := range []int{5, 2, 4, 2, 5} { // some twice
			slots[i].Release()
		}
		for i, at := range want {
			slot, _ := l.Reserve("", Prompt, time.Second)
			if slot == nil || !slot.at.Equal(at) {
				t.Errorf("place %d: got %v, want %v", i, slot, at)
			}
		}
	})
}

func TestAReleasedPlaceDoesNotDelayTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 1, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		for range 5 {
			slot, _ := l.Reserve("", Prompt, 0)
			if slot == nil {
				t.Fatal("no place although none was used")
			}
			slot.Release()
		}
	})
}

func TestASlotOfAPausedAccountIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 10, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		first, _ := l.Reserve("", Prompt, time.Second)
		second, _ := l.Reserve("", Prompt, time.Second)
		sent, err := first.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hint := l.throttled(turn{}, sent, 5*time.Second)
		if hint < 5*time.Second {
			t.Errorf("hint %v", hint)
		}
		_, err = second.Wait(t.Context())
		if paused, ok := errors.AsType[*PausedError](err); !ok || paused.RetryAfter < 5*time.Second {
			t.Errorf("got %v", err)
		}
		if slot, _ := l.Reserve("", Prompt, Prompt.Horizon()); slot != nil {
			t.Error("a place during the pause")
		}
		time.Sleep(5 * time.Second)
		if slot, _ := l.Reserve("", Prompt, Prompt.Horizon()); slot == nil {
			t.Error("no place after the pause")
		}
	})
}

func TestLimiterSlowsOncePerCongestionAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 100, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		sent := time.Now()
		l.throttled(turn{}, sent, 0)
		if got := l.rate(time.Now()); got != 95 {
			t.Errorf("rate after one answer at the full rate: %v", got)
		}
		for range 9 {
			l.throttled(turn{}, sent, 0)
		}
		if got := l.rate(time.Now()); got != 80 {
			t.Errorf("rate after ten answers to the same calls: %v", got)
		}
		time.Sleep(minPause + 5*time.Second)
		if got := l.rate(time.Now()); got != 90 {
			t.Errorf("rate 5 s later: %v", got)
		}
		time.Sleep(time.Minute)
		if got := l.rate(time.Now()); got != 100 {
			t.Errorf("rate a minute later: %v", got)
		}
		for range 100 {
			l.throttled(turn{}, time.Now(), 0)
			time.Sleep(minPause)
		}
		if got := l.rate(time.Now()); got < 5 || got > 5.5 {
			t.Errorf("rate after a storm: %v", got)
		}
	})
}

func TestMergedLimitersKeepTheLimitOfOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := New(realClock{}, 95, time.Now().Add(QuietStart)), New(realClock{}, 95, time.Now().Add(QuietStart))
		start := time.Now()
		var before, after calls
		merged := start.Add(3 * time.Second)
		var wg sync.WaitGroup
		for i := range 60 {
			l := []*Limiter{one, two}[i%2]
			wg.Go(func() {
				run(l, Prompt, merged, nil, &before)
				run(one, Prompt, merged.Add(5*time.Second), nil, &after)
			})
		}
		time.Sleep(time.Until(merged))
		// What was reserved from the other one before is still out.
		var late []*Slot
		for range 10 {
			if slot, _ := two.Reserve("", Prompt, 2*time.Second); slot != nil {
				late = append(late, slot)
			}
		}
		two.MergeInto(one)
		for _, slot := range late {
			wg.Go(func() {
				if _, err := slot.Wait(t.Context()); err == nil {
					after.add()
				}
			})
		}
		wg.Wait()
		if len(late) != 10 {
			t.Fatalf("%d places were out", len(late))
		}
		var counted []time.Time
		for _, at := range after.at {
			if !at.Before(merged) {
				counted = append(counted, at)
			}
		}
		if most := mostInWindow(counted); most > 96 {
			t.Errorf("%d calls within a second after the merge", most)
		}
		if len(counted) < 4*95 {
			t.Errorf("%d calls in 5 s after the merge", len(counted))
		}
		if most := mostInWindow(before.at); most <= 96 {
			t.Errorf("%d calls within a second before the merge: the test does not test", most)
		}
		late[0].Release() // of a limiter that is gone: nothing to do
	})
}

// window is the cloud's: strict, over a second. Whether throttled calls count is
// unknown.
type window struct {
	limit         int
	countsRefused bool
	mu            sync.Mutex
	at            []time.Time
}

func (w *window) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.at = slices.DeleteFunc(w.at, func(at time.Time) bool { return now.Sub(at) >= time.Second })
	admitted := len(w.at) < w.limit
	if admitted || w.countsRefused {
		w.at = append(w.at, now)
	}
	return admitted
}

func TestLimitersThatShareAnAccount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rate          float64
		neighbours    int
		limit         int
		countsRefused bool
		least         float64 // accepted calls a second, together
		mostThrottled float64 // share of the calls
		leastFair     float64 // the slowest's share of the fastest's
	}{
		"alone":                              {95, 1, 100, false, 92, 0.003, 1},
		"three neighbours":                   {95, 3, 100, false, 90, 0.03, 0.5},
		"three neighbours, refusals count":   {95, 3, 100, true, 88, 0.03, 0.5},
		"five neighbours":                    {95, 5, 100, true, 85, 0.06, 0.5},
		"less left, refusals count":          {95, 1, 50, true, 42, 0.03, 1},
		"two neighbours":                     {95, 2, 100, false, 90, 0.03, 0.5},
		"alone in an account with less left": {95, 1, 50, false, 42, 0.03, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const seconds, settle = 120, 30
				cloud := &window{limit: tc.limit, countsRefused: tc.countsRefused}
				start := time.Now()
				accepted := make([]calls, tc.neighbours)
				throttled := make([]calls, tc.neighbours)
				latency := func() time.Duration {
					return 50*time.Millisecond + time.Duration(rand.Int64N(int64(50*time.Millisecond)))
				}
				var wg sync.WaitGroup
				for n := range tc.neighbours {
					l := New(realClock{}, tc.rate, time.Now().Add(QuietStart))
					for range 60 {
						wg.Go(func() {
							for time.Since(start) < seconds*time.Second {
								slot, hint := l.Reserve("", Prompt, Prompt.Horizon())
								if slot == nil {
									time.Sleep(hint)
									continue
								}
								sent, err := slot.Wait(context.Background())
								if paused, ok := errors.AsType[*PausedError](err); ok {
									time.Sleep(paused.RetryAfter)
									continue
								}
								time.Sleep(latency())
								ok := cloud.take()
								time.Sleep(latency())
								if ok {
									accepted[n].add()
									continue
								}
								throttled[n].add()
								time.Sleep(l.throttled(turn{}, sent, 0))
							}
						})
					}
				}
				wg.Wait()
				var per []float64
				var all, refused float64
				for n := range tc.neighbours {
					count := func(c *calls) (sum float64) {
						for _, at := range c.at {
							if at.Sub(start) > settle*time.Second {
								sum++
							}
						}
						return sum
					}
					per = append(per, count(&accepted[n])/(seconds-settle))
					all += count(&accepted[n])
					refused += count(&throttled[n])
				}
				fair := slices.Min(per) / slices.Max(per)
				t.Logf("accepted %.1f a second %.1f, throttled %.2f %%, fairness %.2f",
					all/(seconds-settle), per, 100*refused/(all+refused), fair)
				if all/(seconds-settle) < tc.least {
					t.Errorf("only %.1f calls a second", all/(seconds-settle))
				}
				if share := refused / (all + refused); share > tc.mostThrottled {
					t.Errorf("%.2f %% of the calls were throttled", 100*share)
				}
				if fair < tc.leastFair {
					t.Errorf("the slowest had %.2f of the fastest", fair)
				}
			})
		})
	}
}

func TestMergeHandsEverythingOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := New(realClock{}, 10, time.Now().Add(QuietStart)), New(realClock{}, 10, time.Now().Add(QuietStart))
		time.Sleep(2 * time.Second)
		for range cap(two.sent) {
			if sent, _ := two.admit(time.Now()); sent.IsZero() {
				t.Fatal("not admitted")
			}
			time.Sleep(10 * time.Millisecond)
		}
		last, _ := two.Reserve("", Prompt, 0)
		for slot := last; slot != nil; slot, _ = two.Reserve("", Prompt, 800*time.Millisecond) {
			last = slot
		}
		early, _ := one.Reserve("", Prompt, 0)
		two.throttled(turn{}, time.Now(), 0)
		two.throttled(turn{}, time.Now(), 0)
		two.MergeInto(one)

		if sent, wait := one.admit(early.at); !sent.IsZero() || wait < 800*time.Millisecond {
			t.Errorf("a full window was lost: waits %v", wait)
		}
		if got := one.rate(time.Now()); got < 7.99 || got > 8.01 {
			t.Errorf("rate %v, want the lower one", got)
		}
		next, _ := one.Reserve("", Prompt, 10*time.Second)
		if next.at.Add(one.shift).Before(last.at.Add(two.shift)) {
			t.Errorf("a place before those that are out")
		}
	})
}

func TestPromptCallersPassABacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New(realClock{}, 95, time.Now().Add(QuietStart))
		start := time.Now()
		var log calls
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				for {
					slot, hint := l.Reserve("one of all", Backlog, Backlog.Horizon())
					if slot == nil {
						// As a controller does, with jitter.
						time.Sleep(hint + time.Duration(rand.Int64N(int64(hint/10)+1)))
						continue
					}
					if _, err := slot.Wait(context.Background()); err == nil {
						log.add()
						return
					}
				}
			})
		}
		time.Sleep(5 * time.Second)
		for range 500 {
			wg.Go(func() {
				began := time.Now()
				slot, hint := l.Reserve("one of all", Prompt, Prompt.Horizon())
				if slot == nil {
					t.Errorf("a renewal has to come back in %v", hint)
					return
				}
				if _, err := slot.Wait(context.Background()); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took > Prompt.Horizon()+maxWindowLag {
					t.Errorf("a renewal took %v", took)
				}
				log.add()
			})
			time.Sleep(50 * time.Millisecond)
		}
		wg.Wait()
		took := time.Since(start) - QuietStart
		if rate := 3500 / took.Seconds(); rate < 0.97*95 {
			t.Errorf("%.1f calls a second", rate)
		}
		if most := mostInWindow(log.at); most > 96 {
			t.Errorf("%d calls within a second", most)
		}
	})
}

// maxWindowLag is how much the window may add to a place, in these tests.
const maxWindowLag = 50 * time.Millisecond
