// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rows makes a page of a list; 0 stands for an entry that cannot be read.
func rows(total int64, ids ...int64) Page {
	page := Page{Total: total}
	for row, id := range ids {
		if id == 0 {
			page.Unreadable++
			continue
		}
		page.Certificates = append(page.Certificates, Certificate{CertID: id, Row: row})
	}
	return page
}

// A list is read to its end only if each window reaches beyond the one before, in lists as
// long as any account can have.
func TestEachWindowReachesFurther(t *testing.T) {
	t.Parallel()
	for limit, most := range map[int]int{60: 1_000_000, 50: 1_000_000, 12: 100, 6: 24} {
		for overlap := 1; overlap <= max(2, limit/maxOverlapShare); overlap++ {
			calls := 0
			for reached := 0; reached <= most; calls++ {
				w := windowFrom(max(0, reached-overlap), limit)
				if w.start() > max(0, reached-overlap) || w.size > limit || w.end() <= reached {
					t.Fatalf("after %d entries and with an overlap of %d, the window is from %d to %d", reached, overlap, w.start(), w.end())
				}
				reached = w.end()
			}
			if limit == 60 && overlap == 1 && calls > most/50 {
				t.Errorf("%d calls for %d entries, more than of pages that meet", calls, most)
			}
		}
	}
}

func TestWhatAPageIsWorth(t *testing.T) {
	t.Parallel()
	first := rows(9, 9, 8, 7, 6, 5, 4)
	for name, tc := range map[string]struct {
		pages      []Page // each for the window that is asked for
		want       verdict
		listed     int
		unreadable int
	}{
		"a short page ends the list":                          {[]Page{rows(3, 3, 2, 1)}, complete, 3, 0},
		"no certificate at all":                               {[]Page{rows(0)}, complete, 0, 0},
		"a full page does not end it":                         {[]Page{rows(6, 6, 5, 4, 3, 2, 1)}, onward, 6, 0},
		"nothing follows a full page":                         {[]Page{rows(6, 6, 5, 4, 3, 2, 1), rows(6, 1)}, complete, 6, 0},
		"the next shows again where it ended":                 {[]Page{first, rows(9, 4, 3, 2, 1)}, complete, 9, 0},
		"the next shows nothing again":                        {[]Page{first, rows(8, 3, 2, 1)}, missed, 6, 0},
		"the list ends before the next":                       {[]Page{first, rows(4, 4, 3, 2, 1)}, missed, 6, 0},
		"more was put before it":                              {[]Page{first, rows(11, 6, 5, 4, 3, 2)}, onward, 8, 0},
		"a certificate is missing":                            {[]Page{rows(4, 3, 2, 1)}, uneven, 0, 0},
		"a certificate is too many":                           {[]Page{rows(2, 3, 2, 1)}, uneven, 0, 0},
		"a full page of the usual size":                       {[]Page{rows(9, 9, 8, 7, 6, 5)}, onward, 5, 0},
		"a later page of the usual size":                      {[]Page{rows(20, 20, 19, 18, 17, 16, 15), rows(20, 15, 14, 13, 12, 11), rows(20, 14, 13, 12, 11, 10)}, uneven, 10, 0},
		"more than the count, and a usual page":               {[]Page{rows(3, 5, 4, 3, 2, 1)}, uneven, 0, 0},
		"a new one stands before a known one":                 {[]Page{first, rows(10, 10, 4, 3, 2, 1)}, onward, 9, 0},
		"the same, and the list is no longer than before":     {[]Page{first, rows(9, 10, 4, 3, 2)}, shuffled, 6, 0},
		"more of them than the list became longer":            {[]Page{first, rows(10, 11, 10, 4, 3, 2)}, shuffled, 6, 0},
		"known ones stand in another order":                   {[]Page{first, rows(12, 4, 5, 3, 2, 1)}, shuffled, 6, 0},
		"all that was read before is gone":                    {[]Page{first, rows(3, 3, 2, 1), rows(3, 3, 2, 1)}, complete, 9, 0},
		"a certificate stands there twice":                    {[]Page{rows(3, 3, 2, 2)}, shuffled, 0, 0},
		"an entry that cannot be read":                        {[]Page{rows(3, 3, 0, 1)}, complete, 3, 1},
		"nothing that can be read":                            {[]Page{rows(3, 0, 0, 0)}, complete, 3, 3},
		"one at the end of a page is counted once":            {[]Page{rows(9, 9, 8, 7, 6, 0, 0), rows(9, 0, 3, 2, 1)}, missed, 6, 2},
		"one where pages meet is counted once":                {[]Page{rows(9, 9, 8, 7, 6, 0, 0), rows(9, 0, 3, 2, 1), rows(9, 7, 6, 0, 0, 3, 2)}, onward, 8, 2},
		"one that came between is counted":                    {[]Page{first, rows(10, 4, 0, 3, 2, 1)}, onward, 10, 1},
		"one whose neighbour was deleted is counted twice":    {[]Page{rows(10, 9, 8, 7, 6, 5, 0), rows(9, 4, 3, 2, 1), rows(9, 9, 8, 7, 6, 0, 4)}, onward, 8, 2},
		"a page of entries that cannot be read shows nothing": {[]Page{first, rows(9, 0, 0, 0, 0)}, missed, 6, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReading(5)
			var got verdict
			for _, page := range tc.pages {
				_, got = r.take(r.next(), page)
			}
			if got != tc.want || r.listed() != tc.listed || r.unreadable != tc.unreadable {
				t.Errorf("verdict %d of %d entries, of which %d cannot be read; want %d, %d, %d", got, r.listed(), r.unreadable, tc.want, tc.listed, tc.unreadable)
			}
		})
	}
}

// After a page that shows nothing known, an earlier one is read: earlier by as much as the
// list became shorter, then by twice as much each time, and at last from the begin.
func TestAMissLeadsBack(t *testing.T) {
	t.Parallel()
	r := newReading(50)
	page := func(w window, total, firstID int64) Page {
		ids := make([]int64, w.size)
		for row := range ids {
			ids[row] = firstID + int64(row)
		}
		return rows(total, ids...)
	}
	for r.reached < 300 {
		w := r.next()
		if _, got := r.take(w, page(w, 500, int64(w.start()+1))); got != onward {
			t.Fatalf("verdict %d", got)
		}
	}
	var before []int
	for w := r.next(); w.start() > 0; w = r.next() {
		before = append(before, r.reached-w.start())
		if _, got := r.take(w, page(w, 480, 1000)); got != missed {
			t.Fatalf("verdict %d", got)
		}
	}
	if diff := cmp.Diff([]int{6, 30, 45, 90, 165}, before); diff != "" {
		t.Error(diff)
	}
}

// Who sorts by a date that many share may show them in another order each time. Where
// nothing changes, the count tells.
func TestAListInNoOrderShowsEverythingOrDoesNotCount(t *testing.T) {
	t.Parallel()
	counted := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 14))
		a := openAccount(t, 10, 40, 0)
		alike := 2 + r.IntN(20)
		a.beforeAPage = func(a *account) {
			from := r.IntN(len(a.lists[0]) - alike)
			some := a.lists[0][from : from+alike]
			r.Shuffle(alike, func(i, j int) { some[i], some[j] = some[j], some[i] })
		}
		if a.sweep() == nil {
			counted++
		}
	}
	t.Logf("%d count", counted)
	if counted == 0 || counted == 2000 {
		t.Errorf("of 2,000 sweeps %d count", counted)
	}
}
