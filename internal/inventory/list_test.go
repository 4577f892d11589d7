// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// listerFunc is a list that is made up.
type listerFunc func(Query) (Page, error)

func (f listerFunc) ListPage(_ context.Context, q Query) (Page, error) { return f(q) }

func newTestInventory() *Inventory {
	return New(Config{
		ParseName: parseTestName, Clock: realClock{}, Action: "ListThings",
		Statuses: []string{"", "EXPIRED"}, PageSize: 50, QPS: 9,
	})
}

func listed(ids ...int64) (all []Certificate) {
	for _, id := range ids {
		all = append(all, Certificate{CertID: id})
	}
	return all
}

// library lists certificates by status.
func library(byStatus map[string][]int64) listerFunc {
	return func(q Query) (Page, error) {
		all := byStatus[q.Status]
		return Page{Total: int64(len(all)), Certificates: listed(all[min(len(all), (q.Page-1)*50):min(len(all), q.Page*50)]...)}, nil
	}
}

func numbers(from, to int64) (all []int64) {
	for id := from; id <= to; id++ {
		all = append(all, id)
	}
	return all
}

func TestFind(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		byStatus map[string][]int64
		wanted   []int64
		found    []int64
		calls    int
		fails    bool
	}{
		"on the first page":              {map[string][]int64{"": {1, 2, 3}}, []int64{2}, []int64{2}, 1, false},
		"more than one":                  {map[string][]int64{"": {1, 2, 3}}, []int64{1, 3}, []int64{1, 3}, 1, false},
		"on the last of several pages":   {map[string][]int64{"": numbers(1, 120)}, []int64{120}, []int64{120}, 3, false},
		"a last page that is full":       {map[string][]int64{"": numbers(1, 100)}, []int64{100}, []int64{100}, 2, false},
		"seen twice as pages shift":      {map[string][]int64{"": append(numbers(1, 50), 50, 51)}, []int64{50}, []int64{50}, 2, false},
		"among the expired":              {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{5}, []int64{5}, 2, false},
		"current ones before expired":    {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{1, 5}, []int64{1}, 1, false},
		"nowhere":                        {map[string][]int64{"": {1}, "EXPIRED": {5}}, []int64{9}, nil, 2, false},
		"an empty account":               {nil, []int64{9}, nil, 2, false},
		"more pages than can be read":    {map[string][]int64{"": numbers(1, 2000)}, []int64{1999}, nil, maxPages, true},
		"a match before too many others": {map[string][]int64{"": numbers(1, 2000)}, []int64{7}, []int64{7}, maxPages, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []Query
			lister := listerFunc(func(q Query) (Page, error) {
				asked = append(asked, q)
				return library(tc.byStatus)(q)
			})
			found, calls, err := newTestInventory().find(t.Context(), lister, "a.example", func(c Certificate) bool {
				return slices.Contains(tc.wanted, c.CertID)
			})
			if (err != nil) != tc.fails {
				t.Fatalf("got %v", err)
			}
			var ids []int64
			for _, c := range found {
				ids = append(ids, c.CertID)
			}
			if diff := cmp.Diff(tc.found, ids); diff != "" {
				t.Error(diff)
			}
			if len(asked) != tc.calls || calls != tc.calls {
				t.Errorf("%d calls, of which %d are counted; want %d", len(asked), calls, tc.calls)
			}
			for i, q := range asked {
				if q.Keyword != "a.example" || q.Begun != (i > 0) {
					t.Errorf("call %d asked for %+v", i, q)
				}
			}
		})
	}
}

func TestFindTakesNoShortListForAbsence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		page  Page
		found int
		fails bool
	}{
		"a list that is cut short":               {Page{Total: 2, Certificates: listed(1)}, 0, true},
		"no list in spite of a count":            {Page{Total: 2}, 0, true},
		"a match in a list that is cut short":    {Page{Total: 2, Certificates: listed(7)}, 1, false},
		"an entry without an id":                 {Page{Total: 2, Certificates: listed(1), Unreadable: 1}, 0, false},
		"entries that are none":                  {Page{Total: 4, Certificates: listed(1), Unreadable: 3}, 0, false},
		"the same entry twice instead of two":    {Page{Total: 2, Certificates: listed(1, 1)}, 0, true},
		"more than the count, by one just added": {Page{Total: 1, Certificates: listed(1, 2)}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lister := listerFunc(func(Query) (Page, error) { return tc.page, nil })
			found, _, err := newTestInventory().find(t.Context(), lister, "a", func(c Certificate) bool { return c.CertID == 7 })
			if len(found) != tc.found || (err != nil) != tc.fails || alibaba.ClassOf(err) != alibaba.Transient {
				t.Errorf("got %v, %v", found, err)
			}
		})
	}
}

// A sweep that waits for its turn is not as dear as one that was throttled by the cloud.
func TestOnlyCallsThatWereSentCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refusals := []error{
			&alibaba.Error{Class: alibaba.Throttled, RetryAfter: time.Second},
			&alibaba.Error{Class: alibaba.Throttled, RetryAfter: time.Second, HTTPStatus: 400},
			&alibaba.Error{Class: alibaba.Transient},
		}
		lister := listerFunc(func(Query) (Page, error) {
			if len(refusals) == 0 {
				return Page{}, nil
			}
			err := refusals[0]
			refusals = refusals[1:]
			return Page{}, err
		})
		v := newTestInventory()
		if err := v.Sweep(t.Context(), Source{Lister: lister}); err != nil {
			t.Fatal(err)
		}
		if v.cost != 4 {
			t.Errorf("the sweep cost %d calls, want 4", v.cost)
		}
	})
}

// Who has no permission must not keep others of the account from the list.
func TestTheFailureOfACredentialIsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newTestInventory()
		denied := Source{Credential: "denied", Lister: listerFunc(func(Query) (Page, error) {
			return Page{}, &alibaba.Error{Class: alibaba.Denied}
		})}
		allowed := Source{Credential: "allowed", Lister: library(nil)}
		began := time.Now()
		if err := v.Sweep(t.Context(), denied); !alibaba.IsDenied(err) {
			t.Errorf("got %v", err)
		}
		if err := v.SweptSince(denied, began); !alibaba.IsDenied(err) {
			t.Errorf("the failure is not remembered: %v", err)
		}
		if err := v.SweptSince(allowed, began); !alibaba.IsThrottled(err) {
			t.Errorf("got %v, want to be told when to ask again", err)
		}
		time.Sleep(time.Minute)
		if err := v.SweptSince(allowed, began); err != nil {
			t.Error(err)
		}
	})
}

// Who joins a sweep that another credential may not make, makes one of his own.
func TestNobodyFailsByAnothersCredential(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failure *alibaba.Error
		calls   int64
	}{
		"it may not list":                      {&alibaba.Error{Class: alibaba.Denied}, 2},
		"it is not taken":                      {&alibaba.Error{Class: alibaba.Unauthenticated}, 2},
		"a failure that is not a credential's": {&alibaba.Error{Class: alibaba.Refused}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := newTestInventory()
				theirs := Source{Credential: "theirs", Lister: listerFunc(func(Query) (Page, error) {
					time.Sleep(time.Second)
					return Page{}, tc.failure
				})}
				var calls atomic.Int64
				ours := Source{Credential: "ours", Lister: listerFunc(func(q Query) (Page, error) {
					calls.Add(1)
					return library(nil)(q)
				})}
				done := make(chan error)
				go func() { done <- v.Sweep(t.Context(), theirs) }()
				synctest.Wait()
				err := v.Sweep(t.Context(), ours)
				if (err == nil) != (tc.calls > 0) || calls.Load() != tc.calls {
					t.Errorf("%d calls with our own credential, want %d: %v", calls.Load(), tc.calls, err)
				}
				if err := <-done; alibaba.ClassOf(err) != tc.failure.Class {
					t.Errorf("theirs ended with %v", err)
				}
			})
		})
	}
}

// A retry that is asked for right after a sweep has failed does not take its failure away from
// those who wait for that sweep.
func TestAFailureIsNotForgottenUnderThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var v *Inventory
		v = New(Config{ParseName: parseTestName, Clock: realClock{}, Statuses: []string{""}, PageSize: 50, QPS: 9, Action: "List", Background: func(run func()) { run(); v.Retry() }})
		failing := listerFunc(func(Query) (Page, error) { return Page{}, &alibaba.Error{Class: alibaba.Denied, Message: "no"} })
		if err := v.Sweep(t.Context(), Source{Lister: failing}); err == nil || !alibaba.IsDenied(err) {
			t.Errorf("the sweep ended with %v", err)
		}
	})
}

// Others upload while the pages of a keyword are read: what is not found then is looked for in a
// complete list, which may change while it is read.
func TestALookUpInAListThatGrowsBecomesASweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newTestInventory()
		made := int64(60)
		lister := listerFunc(func(q Query) (Page, error) {
			newestFirst := numbers(1, made)
			slices.Reverse(newestFirst)
			made += 2
			return library(map[string][]int64{"": newestFirst})(Query{Status: q.Status, Page: q.Page})
		})
		source := Source{Lister: lister}
		asked := time.Now()
		_, err := v.LookUp(t.Context(), source, "me", "example.com", asked, func(Entry) bool { return false })
		if after, hinted := alibaba.RetryAfter(err); !alibaba.IsThrottled(err) || !hinted || after > time.Minute {
			t.Fatalf("error %v, want to be told when to ask again", err)
		}
	})
}
