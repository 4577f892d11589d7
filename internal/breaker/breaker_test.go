// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

const workers = 60

// place is a place of the cloud that is called through a breaker.
type place struct {
	*Breaker
	latency func() (d time.Duration, answers bool)

	mu           sync.Mutex
	busy, most   int
	sent, denied int
	answered     []time.Time
}

func (p *place) count(busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += busy
	p.most = max(p.most, p.busy)
}

// call makes a call, and returns how long the caller is told to stay away.
func (p *place) call() time.Duration {
	call, wait := p.Enter("a")
	if call == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.denied++
		return wait
	}
	p.count(1)
	defer p.count(-1)
	d, answers := p.latency()
	time.Sleep(d)
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	if !answers {
		return call.Unanswered()
	}
	call.Answered()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered = append(p.answered, time.Now())
	return 0
}

// crowd has so many objects call a place again and again for a time, each until it is answered
// and again after the pause.
func (p *place) crowd(objects int, d, pause time.Duration) {
	end := time.Now().Add(d)
	var all sync.WaitGroup
	for range objects {
		all.Go(func() {
			for time.Now().Before(end) {
				time.Sleep(max(p.call(), pause))
			}
		})
	}
	all.Wait()
}

func hangs() (time.Duration, bool) { return 4500 * time.Millisecond, false }

func answersAfter(d time.Duration) func() (time.Duration, bool) {
	return func() (time.Duration, bool) { return d, true }
}

func TestAPlaceThatHangsTakesAQuarterOfTheWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{Breaker: New(realClock{}, workers, New(realClock{}, workers, nil)), latency: hangs}
		p.crowd(600, time.Minute, time.Second)
		if p.most > workers/4 || p.most < workers/5 {
			t.Errorf("%d workers were busy at a time", p.most)
		}
		// Some at once, then one in 5.5 s.
		if p.sent > 15+12 || p.sent < 12+8 {
			t.Errorf("%d calls in a minute", p.sent)
		}
		if perSecond := p.denied / 60; perSecond > 600 {
			t.Errorf("%d were turned away a second", perSecond)
		}
	})
}

func TestAPlaceThatIsBackIsUsedWithinTenSeconds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		objects int
		latency func() (time.Duration, bool)
	}{
		"many wait":                {600, hangs},
		"one waits":                {1, hangs},
		"connections are refused":  {600, func() (time.Duration, bool) { return 0, false }},
		"one waits and is refused": {1, func() (time.Duration, bool) { return 0, false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				back := time.Now().Add(time.Minute)
				p := &place{Breaker: New(realClock{}, workers, nil)}
				p.around = New(realClock{}, workers, nil)
				p.latency = func() (time.Duration, bool) {
					if time.Now().Before(back) {
						return tc.latency()
					}
					return 50 * time.Millisecond, true
				}
				p.crowd(tc.objects, 80*time.Second, time.Millisecond)
				if len(p.answered) == 0 || p.answered[0].Sub(back) > 8*time.Second {
					t.Fatalf("first answers: %v after %s", p.answered[:min(3, len(p.answered))], back)
				}
				if p.Open() {
					t.Error("the place answers, and is still probed")
				}
				if tc.objects == 1 {
					return
				}
				within := 0
				for _, at := range p.answered {
					if at.Sub(back) < 10*time.Second {
						within++
					}
				}
				if within < tc.objects {
					t.Errorf("%d of %d were answered within 10 s", within, tc.objects)
				}
			})
		})
	}
}

func TestAPlaceThatAnswersGetsTheWorkersThatItNeeds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		latency time.Duration
		least   float64 // answers a second
	}{
		"in the usual time": {150 * time.Millisecond, 250},
		"slowly":            {400 * time.Millisecond, 90},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &place{Breaker: New(realClock{}, workers, New(realClock{}, workers, nil)), latency: answersAfter(tc.latency)}
				p.crowd(workers, time.Minute, 0)
				if got := float64(len(p.answered)) / 60; got < tc.least {
					t.Errorf("%.0f answers a second, want %.0f", got, tc.least)
				}
				if p.most > workers*7/8 || p.most < workers*2/3 {
					t.Errorf("%d workers were busy at a time", p.most)
				}
			})
		})
	}
}

// What hangs at a place that answers other calls leaves workers to others, and the
// place is not given up.
func TestAPlaceThatAnswersSomeCallsIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		n := 0
		p := &place{Breaker: New(realClock{}, workers, New(realClock{}, workers, nil)), latency: func() (time.Duration, bool) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n%3 == 0 {
				return hangs()
			}
			return 20 * time.Millisecond, true
		}}
		var all sync.WaitGroup
		for range 95 * 60 {
			all.Go(func() { p.call() })
			time.Sleep(time.Second / 95)
		}
		all.Wait()
		if p.most > workers*7/8 {
			t.Errorf("%d workers were busy at a time", p.most)
		}
		if got := float64(len(p.answered)) / 60; got < 5 {
			t.Errorf("%.1f answers a second", got)
		}
	})
}

// Many accounts of one region that hangs take a quarter of the workers together, and those of
// another region are not held up.
func TestPlacesOfARegionAreBoundedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		region := New(realClock{}, workers, nil)
		most, mu := 0, sync.Mutex{}
		var all sync.WaitGroup
		for range 100 {
			p := &place{Breaker: New(realClock{}, workers, region)}
			p.latency = func() (time.Duration, bool) {
				mu.Lock()
				defer mu.Unlock()
				region.mu.Lock()
				defer region.mu.Unlock()
				most = max(most, region.busy)
				return hangs()
			}
			all.Go(func() { p.crowd(10, time.Minute, 100*time.Millisecond) })
		}
		all.Wait()
		if most > workers/4 || most < workers/5 {
			t.Errorf("%d workers were busy at a time", most)
		}
		if region.busy != 0 {
			t.Errorf("%d calls are left", region.busy)
		}
	})
}

func TestACallThatWasNotSentSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(realClock{}, workers, New(realClock{}, workers, nil))
		for range mostUnanswered {
			call, _ := b.Enter("a")
			call.Unanswered()
		}
		if call, wait := b.Enter("a"); call != nil || wait != probePause {
			t.Errorf("right after the last call a probe may be sent in %s", wait)
		}
		time.Sleep(probePause)
		probe, _ := b.Enter("a")
		if probe == nil {
			t.Fatal("no probe")
		}
		if call, wait := b.Enter("a"); call != nil || wait < turnedAway {
			t.Errorf("a second probe may be sent in %s", wait)
		}
		probe.Cancel()
		if !b.Open() {
			t.Error("a call that was not sent ends the probing")
		}
		if probe, _ = b.Enter("a"); probe == nil {
			t.Fatal("a call that was not sent counts as a probe")
		}
		probe.Answered()
		if b.Open() || b.busy != 0 || b.around.busy != 0 {
			t.Errorf("after an answer: open %t, busy %d", b.Open(), b.busy)
		}
	})
}

// What one tenant sends may be the reason why no answer comes: its probes keep no other from
// calling.
func TestTenantsProbeInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(realClock{}, workers, New(realClock{}, workers, nil))
		end := time.Now().Add(5 * time.Minute)
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				for time.Now().Before(end) {
					call, wait := b.Enter("never answered")
					if call != nil {
						time.Sleep(4500 * time.Millisecond)
						wait = call.Unanswered()
					}
					time.Sleep(max(wait, time.Second))
				}
			})
		}
		var slowest time.Duration
		for time.Now().Before(end) {
			time.Sleep(30 * time.Second)
			began := time.Now()
			call, wait := b.Enter("answered")
			for call == nil {
				time.Sleep(wait)
				call, wait = b.Enter("answered")
			}
			slowest = max(slowest, time.Since(began))
			call.Answered()
		}
		all.Wait()
		if slowest > 10*time.Second {
			t.Errorf("a call that would have been answered waited %s", slowest)
		}
	})
}

// A tenant that floods a place finds it empty first, and leaves some of it to others.
func TestATenantLeavesRoomToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(realClock{}, workers, New(realClock{}, workers, nil))
		var flood []*Call
		for range workers {
			if call, _ := b.Enter("flood"); call != nil {
				flood = append(flood, call)
			}
		}
		if len(flood) > 13 || len(flood) < 10 {
			t.Errorf("a tenant has %d calls under way", len(flood))
		}
		for range 2 {
			call, wait := b.Enter("other")
			if call == nil {
				t.Fatalf("another tenant has to wait %s", wait)
			}
			flood = append(flood, call)
		}
		for _, call := range flood {
			call.Answered()
		}
		if len(b.held) != 0 || len(b.around.held) != 0 {
			t.Errorf("calls are left: %v", b.held)
		}
	})
}

// opened returns a breaker that only lets probes through.
func opened(t *testing.T) *Breaker {
	t.Helper()
	b := New(realClock{}, workers, New(realClock{}, workers, nil))
	for range mostUnanswered {
		call, _ := b.Enter("a")
		call.Unanswered()
	}
	if !b.Open() {
		t.Fatal("five unanswered calls do not open it")
	}
	time.Sleep(probePause)
	return b
}

// A call that was sent before the place was given up may be answered while a probe is under way,
// and the probe may go unanswered after that.
func TestALateAnswerDuringAProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(realClock{}, workers, New(realClock{}, workers, nil))
		late, _ := b.Enter("a")
		for range mostUnanswered {
			call, _ := b.Enter("a")
			call.Unanswered()
		}
		time.Sleep(probePause)
		probe, wait := b.Enter("b")
		if probe == nil {
			t.Fatalf("no probe is admitted for %s", wait)
		}
		late.Answered()
		probe.Unanswered()
		for _, tenant := range []string{"a", "b"} {
			call, wait := b.Enter(tenant)
			if call == nil {
				t.Fatalf("a place that answered turns %s away for %s", tenant, wait)
			}
			call.Answered()
		}
	})
}

// A tenant that is admitted and sends nothing does not keep the others from probing.
func TestATenantThatSendsNothingDoesNotKeepAPlaceClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if call, _ := b.Enter("idle"); call != nil {
				call.Cancel()
			}
			if b.May("busy") > 0 {
				continue
			}
			if call, _ := b.Enter("busy"); call != nil {
				call.Answered()
				return
			}
		}
		t.Error("the place is closed although it answers")
	})
}

// To ask whether a call may be made takes no turn.
func TestToAskIsNotToProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := opened(t)
		for range 3 {
			if wait := b.May("a"); wait > 0 {
				t.Errorf("may not call for %s", wait)
			}
		}
		call, _ := b.Enter("a")
		if call == nil || b.May("b") == 0 {
			t.Error("a probe is not admitted, or a second one beside it")
		}
		call.Cancel()
	})
}
