// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// account is an account whose list is read while it changes. It plays the cloud, all who
// use the account, and the time.
type account struct {
	t         *testing.T
	inventory *Inventory
	now       time.Time
	// lists holds the certificates by status, in the order in which the cloud lists them.
	// 0 stands for an entry that cannot be read.
	lists [2][]int64
	// stood are those that were there all the time since the account was opened, and
	// shown those that were there at any time.
	stood, shown  map[int64]bool
	added, wiped  []int64 // by us
	next          int64
	calls         int
	elapse        time.Duration // of a call
	beforeAPage   func(*account)
	afterDuration func(*account, time.Duration)
}

// statuses of the lists, in the order in which a certificate moves.
var statuses = []string{"", "EXPIRED"}

// openAccount makes an account with certificates 1 to n, the last of which have expired.
func openAccount(t *testing.T, pageSize, n, expired int) *account {
	a := &account{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), stood: map[int64]bool{}, shown: map[int64]bool{}, next: int64(n)}
	for id := range int64(n) {
		list := &a.lists[0]
		if int(id) >= n-expired {
			list = &a.lists[1]
		}
		*list = append(*list, id+1)
		a.stood[id+1], a.shown[id+1] = true, true
	}
	a.inventory = New(Config{
		ParseName: parseTestName, Clock: a, Action: "List", Statuses: statuses, PageSize: pageSize, QPS: 9,
		Background: func(run func()) { run() },
	})
	return a
}

func (a *account) Now() time.Time { return a.now }

func (a *account) After(d time.Duration) <-chan time.Time {
	a.pass(d)
	ready := make(chan time.Time, 1)
	ready <- a.now
	return ready
}

func (a *account) pass(d time.Duration) {
	a.now = a.now.Add(d)
	if a.afterDuration != nil {
		a.afterDuration(a, d)
	}
}

// ListPage is the cloud's part.
func (a *account) ListPage(_ context.Context, q Query) (Page, error) {
	a.pass(a.elapse)
	if a.beforeAPage != nil {
		a.beforeAPage(a)
	}
	a.calls++
	list := a.lists[slices.Index(statuses, q.Status)]
	page := Page{Total: int64(len(list))}
	first := min(len(list), (q.Page-1)*q.Size)
	for row, id := range list[first:min(len(list), first+q.Size)] {
		if id == 0 {
			page.Unreadable++
			continue
		}
		page.Certificates = append(page.Certificates, Certificate{CertID: id, Name: testName(id), Row: row})
	}
	return page, nil
}

// testName is the name of a certificate that has an identity to itself.
func testName(id int64) string { return fmt.Sprintf("web_%d_0", id) }

// add inserts a new certificate into the list, and remove takes one out: foreign ones, or
// our own.
func (a *account) add(place int, own bool) {
	a.next++
	a.lists[0] = slices.Insert(a.lists[0], place, a.next)
	a.shown[a.next] = true
	if own {
		a.added = append(a.added, a.next)
		a.inventory.Uploaded(a.next, "", testName(a.next))
	}
}

func (a *account) remove(status, place int, own bool) {
	id := a.lists[status][place]
	a.lists[status] = slices.Delete(a.lists[status], place, place+1)
	delete(a.stood, id)
	if own {
		a.wiped = append(a.wiped, id)
		a.added = slices.DeleteFunc(a.added, func(added int64) bool { return added == id })
		a.inventory.Deleted(id, testName(id))
	}
}

// expire moves a certificate to the expired ones.
func (a *account) expire(from, to int) {
	id := a.lists[0][from]
	a.lists[0] = slices.Delete(a.lists[0], from, from+1)
	a.lists[1] = slices.Insert(a.lists[1], to, id)
}

// sweep reads the list, and checks what comes of it.
func (a *account) sweep() error {
	began := a.now
	err := a.inventory.Sweep(a.t.Context(), Source{Lister: a})
	if err != nil {
		if !a.inventory.Swept().IsZero() {
			a.t.Fatal("a sweep that failed counts")
		}
		return err
	}
	if !a.inventory.Swept().Equal(began) {
		a.t.Fatalf("the sweep is said to have begun at %s, not %s", a.inventory.Swept(), began)
	}
	a.check()
	return nil
}

// check holds what the inventory knows against what was there.
func (a *account) check() {
	known := func(id int64) bool { return len(a.inventory.Entries(fmt.Sprint(id))) > 0 }
	for id := range a.stood {
		if !known(id) {
			a.t.Errorf("certificate %d was there all the time, and the sweep does not show it", id)
		}
	}
	for _, id := range a.added {
		if !known(id) {
			a.t.Errorf("certificate %d of our own is forgotten", id)
		}
	}
	for _, id := range a.wiped {
		if known(id) {
			a.t.Errorf("we deleted certificate %d, and it is shown", id)
		}
	}
	for _, entries := range a.inventory.entries {
		if id := entries[0].CertID; len(entries) != 1 || !a.shown[id] {
			a.t.Errorf("the sweep shows %v", entries)
		}
	}
}

// explore runs a test once for every sequence of choices that it can make. A choice is a
// number below n.
func explore(run func(choose func(n int) int)) (runs int) {
	var taken, of []int
	for {
		at := 0
		run(func(n int) int {
			if at == len(taken) {
				taken, of = append(taken, 0), append(of, n)
			}
			at++
			return taken[at-1]
		})
		runs++
		for len(taken) > 0 && taken[len(taken)-1] == of[len(of)-1]-1 {
			taken, of = taken[:len(taken)-1], of[:len(of)-1]
		}
		if len(taken) == 0 {
			return runs
		}
		taken[len(taken)-1]++
	}
}

// A change that can happen to a list between two pages.
type change func(*account)

// everyChange is whatever can happen to an account.
func everyChange(a *account) (all []change) {
	for _, own := range []bool{false, true} {
		for place := range len(a.lists[0]) + 1 {
			all = append(all, func(a *account) { a.add(place, own) })
		}
		for status := range a.lists {
			for place := range a.lists[status] {
				all = append(all, func(a *account) { a.remove(status, place, own) })
			}
		}
	}
	for from := range a.lists[0] {
		for to := range len(a.lists[1]) + 1 {
			all = append(all, func(a *account) { a.expire(from, to) })
		}
	}
	return all
}

// foreignChange is what others can do to it.
func foreignChange(a *account) (all []change) {
	for place := range len(a.lists[0]) + 1 {
		all = append(all, func(a *account) { a.add(place, false) })
	}
	for place := range a.lists[0] {
		all = append(all, func(a *account) { a.remove(0, place, false) })
	}
	return all
}

// Every interleaving of changes and pages: a sweep that counts shows every certificate that
// was there from its begin to its end, and so many changes as it can begin anew do not keep
// it from counting.
func TestASweepThatCountsShowsWhatStayed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pageSize, certificates, expired, changes int
		possible                                 func(*account) []change
	}{
		"one change of any kind, two pages":           {5, 8, 2, 1, everyChange},
		"one change of any kind, six pages":           {5, 24, 7, 1, everyChange},
		"one change of any kind, larger pages":        {10, 45, 13, 1, everyChange},
		"two changes of any kind":                     {5, 8, 1, 2, everyChange},
		"two changes by others, three pages":          {5, 14, 0, 2, foreignChange},
		"two changes by others, four pages":           {5, 17, 0, 2, foreignChange},
		"three changes by others, two pages":          {5, 7, 0, 3, foreignChange},
		"two changes where nothing is there at first": {5, 0, 0, 2, everyChange},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gaveUp := 0
			runs := explore(func(choose func(int) int) {
				a := openAccount(t, tc.pageSize, tc.certificates, tc.expired)
				left := tc.changes
				a.beforeAPage = func(a *account) {
					for left > 0 {
						possible := tc.possible(a)
						chosen := choose(len(possible) + 1)
						if chosen == 0 {
							return
						}
						left--
						possible[chosen-1](a)
					}
				}
				if err := a.sweep(); err != nil {
					gaveUp++
					if tc.changes < rereads {
						t.Errorf("the sweep does not count: %v", err)
					}
				}
			})
			t.Logf("%d interleavings, of which %d gave up", runs, gaveUp)
			if gaveUp > runs/100 {
				t.Errorf("of %d sweeps %d do not count", runs, gaveUp)
			}
		})
	}
}

// The simulation finds the fault of a rule that is too weak: that pages which do not overlap
// are complete where they show as many certificates as the cloud counts, at first and at
// last.
func TestPagesThatOnlyAddUpMissSomething(t *testing.T) {
	t.Parallel()
	missed := 0
	explore(func(choose func(int) int) {
		a := openAccount(t, 3, 7, 0)
		left := 2
		a.beforeAPage = func(a *account) {
			for left > 0 {
				possible := foreignChange(a)
				chosen := choose(len(possible) + 1)
				if chosen == 0 {
					return
				}
				left--
				possible[chosen-1](a)
			}
		}
		seen := map[int64]bool{}
		first := int64(-1)
		var page Page
		for number := 1; ; number++ {
			page, _ = a.ListPage(t.Context(), Query{Page: number, Size: 3})
			if first < 0 {
				first = page.Total
			}
			for _, c := range page.Certificates {
				seen[c.CertID] = true
			}
			if int64(number*3) >= page.Total {
				break
			}
		}
		if first != page.Total || len(seen) != int(first) {
			return
		}
		for id := range a.stood {
			if !seen[id] {
				missed++
			}
		}
	})
	if missed == 0 {
		t.Error("the simulation does not find what it is for")
	}
}

// What we wrote ourselves explains a list that does not hold as many certificates as were
// counted at each page; what others wrote cannot be told from an order that changes.
func TestOurOwnWritesCorrectTheCount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		own   bool
		calls int
	}{
		"one made and one deleted by us":     {true, 2 + 1},
		"one made and one deleted by others": {false, 2 + 2 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := openAccount(t, 50, 70, 0)
			a.beforeAPage = func(a *account) {
				if a.calls == 1 {
					a.add(0, tc.own)
					a.remove(0, 70, tc.own)
				}
			}
			if err := a.sweep(); err != nil || a.calls != tc.calls {
				t.Errorf("%d calls, want %d: %v", a.calls, tc.calls, err)
			}
		})
	}
}

// A list of which more goes and comes between two pages than a page holds is given up, and
// not before several times as many pages were read as it holds.
func TestAListThatChangesTooFastIsGivenUp(t *testing.T) {
	t.Parallel()
	a := openAccount(t, 50, 300, 0)
	a.beforeAPage = func(a *account) {
		for range 80 {
			a.remove(0, 0, false)
			a.add(len(a.lists[0]), false)
		}
	}
	err := a.sweep()
	if err == nil || !strings.Contains(err.Error(), "changes faster than it can be read") {
		t.Errorf("got %v", err)
	}
	if most := fewPages + busyPages*6 + 1; a.calls < most/2 || a.calls > most {
		t.Errorf("%d calls for 300 certificates", a.calls)
	}
}

func TestALargeListTakesAsLongAsItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openAccount(t, 50, 5000, 0)
		a.inventory.config.QPS = 0.1
		a.inventory.clock = realClock{}
		began := time.Now()
		if err := a.inventory.Sweep(t.Context(), Source{Lister: a}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < 2*pageTimeout {
			t.Errorf("it took only %s", took)
		}
	})
}

func TestASweepDoesNotWaitForAPageForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		busy := listerFunc(func(Query) (Page, error) {
			return Page{}, &alibaba.Error{Class: alibaba.Throttled, RetryAfter: time.Second}
		})
		began := time.Now()
		if err := newTestInventory().Sweep(t.Context(), Source{Lister: busy}); err == nil {
			t.Error("the sweep counts")
		}
		if took := time.Since(began); took != pageTimeout {
			t.Errorf("it took %s", took)
		}
	})
}

// A cloud that serves no larger pages than the usual ones is read in those.
func TestACloudWithSmallerPagesIsRead(t *testing.T) {
	t.Parallel()
	a := openAccount(t, 50, 500, 120)
	small := listerFunc(func(q Query) (Page, error) {
		if q.Size > 50 {
			q.Size = 50
		}
		return a.ListPage(t.Context(), q)
	})
	if err := a.inventory.Sweep(t.Context(), Source{Lister: small}); err != nil {
		t.Fatal(err)
	}
	a.check()
	if a.calls > 500/40+2 {
		t.Errorf("%d calls", a.calls)
	}
}

// orders are the orders in which a cloud may list certificates: where a new one goes.
var orders = map[string]func(r *rand.Rand, length int) int{
	"newest first": func(_ *rand.Rand, _ int) int { return 0 },
	"oldest first": func(_ *rand.Rand, length int) int { return length },
	"by name":      func(r *rand.Rand, length int) int { return r.IntN(length + 1) },
}

// Accounts of all sizes and at all paces of change, at random.
func TestRandomChanges(t *testing.T) {
	t.Parallel()
	for order, place := range orders {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			counted := 0
			const runs = 300
			for seed := range uint64(runs) {
				r := rand.New(rand.NewPCG(seed, 14))
				a := openAccount(t, 50, r.IntN(1500), 0)
				pace, bias := r.Float64()*r.Float64()*20, r.Float64()
				a.beforeAPage = func(a *account) {
					for range int(pace * r.ExpFloat64()) {
						length := len(a.lists[0])
						own := r.IntN(4) == 0
						switch {
						case length == 0 || r.Float64() < bias:
							a.add(place(r, length), own)
						case r.IntN(10) == 0:
							a.expire(r.IntN(length), r.IntN(len(a.lists[1])+1))
						default:
							a.remove(0, r.IntN(length), own)
						}
					}
				}
				if a.sweep() == nil {
					counted++
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			t.Logf("of %d sweeps %d count", runs, counted)
			if counted < runs/2 {
				t.Errorf("of %d sweeps only %d count", runs, counted)
			}
		})
	}
}

// An account of 50,000 certificates in which one is made or deleted every second.
func TestEverySweepOfALargeAccountInUseCounts(t *testing.T) {
	t.Parallel()
	certificates := 50_000
	if testing.Short() {
		certificates = 5_000
	}
	quiet := openAccount(t, 50, certificates, 0)
	if err := quiet.sweep(); err != nil {
		t.Fatal(err)
	}
	if most := certificates/50 + 5; quiet.calls > most {
		t.Errorf("%d calls for %d certificates at rest, more than %d", quiet.calls, certificates, most)
	}
	for order, place := range orders {
		for kind, bias := range map[string]float64{"half of them deletions": 0.5, "deletions alone": 0, "new ones alone": 1} {
			for pace, wait := range map[string]bool{"at leisure": false, "while others wait": true} {
				t.Run(order+", "+kind+", "+pace, func(t *testing.T) {
					t.Parallel()
					r := rand.New(rand.NewPCG(1, 14))
					a := openAccount(t, 50, certificates, 0)
					a.elapse = time.Second / 9
					since := time.Duration(0)
					a.afterDuration = func(a *account, d time.Duration) {
						for since += d; since >= time.Second; since -= time.Second {
							if length := len(a.lists[0]); r.Float64() < bias {
								a.add(place(r, length), false)
							} else {
								a.remove(0, r.IntN(length), false)
							}
						}
					}
					var err error
					if wait {
						a.swept(t)
					} else {
						err = a.sweep()
					}
					if err != nil {
						t.Error(err)
					}
					t.Logf("%d calls, %d at rest; it took %s", a.calls, quiet.calls, a.now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
					if a.calls*10 > quiet.calls*12 {
						t.Errorf("%d calls, more than 1.2 times the %d of an account at rest", a.calls, quiet.calls)
					}
				})
			}
		}
	}
}

// swept asks for a sweep as those do who wait for it.
func (a *account) swept(t *testing.T) {
	began := a.now
	if err := a.inventory.SweptSince(Source{Lister: a}, began); !alibaba.IsThrottled(err) {
		t.Errorf("got %v, want to be told when the sweep is at hand", err)
	}
	if err := a.inventory.SweptSince(Source{Lister: a}, began); err != nil {
		t.Errorf("the sweep does not count: %v", err)
	}
	a.check()
}
