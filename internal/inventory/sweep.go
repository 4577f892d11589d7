// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

const (
	// Look-ups by keyword go on until they have cost as many calls as a sweep would,
	// or this many where that is not known; those of longer ago than lookUpTime do
	// not count. What both cost together is at most twice the cheaper of the two.
	unknownCost = 10
	lookUpTime  = time.Minute
	// pageTimeout bounds how long a sweep waits for one page. There is no bound for all
	// of them: what is merely large takes its time.
	pageTimeout = 30 * time.Minute
	// rereads is how often the list of a status is read because a part of it may have been
	// missed, and pageReads how often a page because it is not as long as the list's count
	// says.
	rereads   = 3
	pageReads = 3
	// A reading that has taken fewPages, and busyPages times as many as the list holds, is
	// given up.
	fewPages  = 20
	busyPages = 4
	// A sweep that failed is not started again at once: after failureRest, which
	// doubles with each failure in a row up to maxRest, or after refusalRest where
	// somebody has to grant something first.
	failureRest = 10 * time.Second
	refusalRest = time.Minute
	maxRest     = 5 * time.Minute
	// pageTries is how often a page is asked for that fails for a reason that passes by
	// itself: of 2,000 pages one may, and the others were read in vain.
	pageTries = 4
	// patientShare is the part of the list budget that a sweep takes for which no
	// object waits.
	patientShare = 0.2
	// minHint and maxSweepHint bound when to ask for a sweep again that is under way.
	minSweepHint = time.Second
	maxSweepHint = 30 * time.Second
)

var (
	// errShifted says that a part of the list may have been missed because it changed.
	errShifted = errors.New("the list changed while it was read")
	// errCut says that a page is not as long as the list's count says.
	errCut = errors.New("the list was cut short")
)

// sweep is one reading of the whole list.
type sweep struct {
	credential string // with which it reads
	began      time.Time
	urgent     atomic.Bool  // objects wait for it
	left       atomic.Int64 // estimate of the pages to come
	calls      int
	// unreadable counts the entries of the list that could not be read.
	unreadable int
	// failure is why the list could not be read; it is set before done is closed.
	failure *alibaba.Error
	done    chan struct{}
}

// sweepFailure is how the last sweep failed.
type sweepFailure struct {
	err        *alibaba.Error
	credential string
	began      time.Time
	until      time.Time // it is not tried again before
	inARow     int
}

// SweptSince returns nil once a complete sweep is at hand that began at or after a
// time. Else it sees to it that one is under way, and returns an error of class
// Throttled whose RetryAfter says when to ask again: nobody waits in a worker. A
// sweep that failed meanwhile is reported as it failed, for a while. It reads.
func (v *Inventory) SweptSince(source Source, since time.Time) error {
	now := v.clock.Now()
	v.mu.Lock()
	if !v.swept.IsZero() && !v.swept.Before(since) {
		v.mu.Unlock()
		return nil
	}
	if err := v.failedSince(since, source.Credential, now); err != nil {
		v.mu.Unlock()
		return err
	}
	s, start := v.join(source.Credential, now)
	s.urgent.Store(true)
	hint := s.hint(v.config.QPS)
	v.mu.Unlock()
	if start {
		v.config.Background(func() { v.run(source, s) })
	}
	return &alibaba.Error{Action: v.config.Action, Class: alibaba.Throttled, RetryAfter: hint, Message: "the list is being read"}
}

// Sweep reads the whole list now, at a pace that leaves most of the budget to
// others, and returns when it is at hand or failed. Callers at the same time share
// one, but not the failure of a credential that others brought. It reads.
func (v *Inventory) Sweep(ctx context.Context, source Source) error {
	for {
		v.mu.Lock()
		s, start := v.join(source.Credential, v.clock.Now())
		v.mu.Unlock()
		if start {
			v.config.Background(func() { v.run(source, s) })
		}
		select {
		case <-ctx.Done():
			return alibaba.GivenUp(ctx, v.config.Action)
		case <-s.done:
		}
		if s.failure == nil {
			return nil // not the failure as it is: a nil *Error in an error is not nil
		}
		if s.credential == source.Credential || !alibaba.IsOfCredential(s.failure) {
			return s.failure
		}
	}
}

// join returns the sweep under way, or a new one that the caller starts. The caller
// holds the lock.
func (v *Inventory) join(credential string, now time.Time) (s *sweep, start bool) {
	if v.flight != nil {
		return v.flight, false
	}
	v.flight = &sweep{credential: credential, began: now, done: make(chan struct{})}
	return v.flight, true
}

// failedSince returns the failure of a sweep that began at or after a time with the
// same credential, while it is too early to try again. The caller holds the lock.
func (v *Inventory) failedSince(since time.Time, credential string, now time.Time) *alibaba.Error {
	f := v.failure
	if f.err == nil || f.credential != credential || f.began.Before(since) || !now.Before(f.until) {
		return nil
	}
	failure := *f.err
	failure.RetryAfter = f.until.Sub(now)
	return &failure
}

// hint estimates when the sweep will be at hand.
func (s *sweep) hint(qps float64) time.Duration {
	estimate := time.Duration(float64(s.left.Load()+3) / qps * float64(time.Second))
	return min(max(estimate, minSweepHint), maxSweepHint)
}

// run carries a sweep out, whoever gives up waiting for it: others may wait too.
func (v *Inventory) run(source Source, s *sweep) {
	entries, failure := v.readAll(source.Lister, s)
	if failure == nil {
		v.replace(s.began, entries, s.unreadable)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.flight = nil
	v.spent, v.cost = 0, s.calls
	s.failure = failure
	if failure == nil {
		v.failure = sweepFailure{}
	} else {
		v.failure.failed(failure, source.Credential, s.began, v.clock.Now())
	}
	close(s.done)
}

// failed notes a failure, and how long the sweep is not tried again.
func (f *sweepFailure) failed(err *alibaba.Error, credential string, began, now time.Time) {
	rest := min(failureRest<<min(f.inARow, 5), maxRest)
	if alibaba.IsOfCredential(err) {
		rest = max(rest, refusalRest)
	}
	*f = sweepFailure{err: err, credential: credential, began: began, until: now.Add(max(rest, err.RetryAfter)), inARow: f.inARow + 1}
}

// readAll reads the list of every status.
func (v *Inventory) readAll(lister Lister, s *sweep) ([]Entry, *alibaba.Error) {
	var all []Entry
	for _, status := range v.config.Statuses {
		var entries []Entry
		var unreadable int
		failure := &alibaba.Error{Action: v.config.Action, Cause: errShifted}
		for range rereads {
			entries, unreadable, failure = v.readStatus(lister, s, status)
			if failure == nil || !errors.Is(failure, errShifted) {
				break
			}
		}
		if failure != nil {
			return nil, failure
		}
		all = append(all, entries...)
		s.unreadable += unreadable
	}
	return all, nil
}

// readStatus reads the list of one status. It counts only if every page shows again where
// the one before it ended, so that nothing can have slipped through between them however
// the list changed, and if each is as long as the cloud's count says. An entry that cannot
// be read is one of the list: it must not keep the others from being known.
func (v *Inventory) readStatus(lister Lister, s *sweep, status string) (entries []Entry, unreadable int, failure *alibaba.Error) {
	r := newReading(v.config.PageSize)
	for again := 0; ; {
		if v.isHopeless(r) {
			return nil, 0, v.tooFast(status, r)
		}
		w := r.next()
		page, failure := v.sweepPage(lister, s, Query{Status: status, Page: w.page, Size: w.size})
		if failure != nil {
			return nil, 0, failure
		}
		fresh, verdict := r.take(w, page)
		for _, certificate := range fresh {
			entries = v.keep(entries, certificate, s.began)
		}
		s.left.Store(max(0, page.Total-int64(r.reached)) / int64(v.config.PageSize))
		switch verdict {
		case uneven:
			if again++; again == pageReads {
				return nil, 0, v.miscounted(status, w.start()+page.rows(), page.Total, errCut)
			}
			continue
		case shuffled:
			return nil, 0, v.shifted(status, r)
		case complete:
			if v.lacksSome(r, s) {
				return nil, 0, v.miscounted(status, r.listed(), r.total, errShifted)
			}
			return entries, r.unreadable, nil
		case onward, missed:
		}
		again = 0
	}
}

// lacksSome reports whether a list that stood still is not as long as the cloud's count says.
func (v *Inventory) lacksSome(r *reading, s *sweep) bool {
	return r.steady && int64(r.listed()) != r.total && !v.wroteSince(s.began)
}

// isHopeless reports whether a reading has taken several times as many pages as the list
// holds, and does not end. A list that is merely large is read to its end.
func (v *Inventory) isHopeless(r *reading) bool {
	return int64(r.pages) > fewPages+busyPages*r.total/int64(v.config.PageSize)
}

// tooFast is the error of a list that is given up.
func (v *Inventory) tooFast(status string, r *reading) *alibaba.Error {
	message := fmt.Sprintf("the list%s changes faster than it can be read: %d pages were read of %d certificates", ofStatus(status), r.pages, r.total)
	return &alibaba.Error{Action: v.config.Action, Message: message}
}

// shifted is the error of a list in which nothing tells whether a part of it was missed.
func (v *Inventory) shifted(status string, r *reading) *alibaba.Error {
	message := fmt.Sprintf("the list%s changed while it was read, so that a part of it may have been missed", ofStatus(status))
	if r.unreadable > 0 {
		message += fmt.Sprintf("; %d of its entries have no id that can be read", r.unreadable)
	}
	return &alibaba.Error{Action: v.config.Action, Message: message, Cause: errShifted}
}

// miscounted is the error of a list that is not as long as the cloud says.
func (v *Inventory) miscounted(status string, listed int, total int64, cause error) *alibaba.Error {
	message := fmt.Sprintf("the list%s holds %d certificates, but the cloud's TotalCount says %d", ofStatus(status), listed, total)
	return &alibaba.Error{Action: v.config.Action, Message: message, Cause: cause}
}

func ofStatus(status string) string {
	if status == "" {
		return ""
	}
	return " of status " + status
}

// keep adds a certificate of our shape; others only count.
func (v *Inventory) keep(entries []Entry, certificate Certificate, seen time.Time) []Entry {
	if _, _, ok := v.parse(certificate.Name); !ok {
		return entries
	}
	return append(entries, entryOf(certificate, seen))
}

// sweepPage reads one page when the list limit has a place for it. While nobody
// waits for the sweep it leaves most places to others.
func (v *Inventory) sweepPage(lister Lister, s *sweep, q Query) (Page, *alibaba.Error) {
	ctx, cancel := context.WithTimeout(context.Background(), pageTimeout)
	defer cancel()
	for tries := 1; ; {
		page, err := lister.ListPage(ctx, q)
		if wasSent(err) {
			s.calls++
		}
		pause := time.Duration(0)
		switch {
		case err != nil && alibaba.IsThrottled(err):
			pause, _ = alibaba.RetryAfter(err)
			pause = max(pause, 10*time.Millisecond)
		case err != nil && alibaba.ClassOf(err) == alibaba.Transient && tries < pageTries:
			pause = time.Second << tries
			tries++
		case err != nil:
			failure, _ := errors.AsType[*alibaba.Error](err)
			return Page{}, failure
		case !s.urgent.Load():
			pause = time.Duration(float64(time.Second) / (patientShare * v.config.QPS))
		}
		if pause > 0 {
			select {
			case <-ctx.Done():
				return Page{}, alibaba.GivenUp(ctx, v.config.Action)
			case <-v.clock.After(pause):
			}
		}
		if err == nil {
			return page, nil
		}
	}
}

// LookUp returns the known certificates of an identity that match: from a complete
// sweep that began at or after a time, if there is one, else by a keyword (a name of
// the leaf, or a resource id), one call. Where many ask at once they share a sweep,
// and are told when to ask again by an error of class Throttled. It reads.
func (v *Inventory) LookUp(ctx context.Context, source Source, identity, keyword string, since time.Time, match func(Entry) bool) ([]Entry, error) {
	known := func() []Entry {
		return slices.DeleteFunc(v.Entries(identity), func(e Entry) bool { return !match(e) })
	}
	if err := v.lookWhole(source, since, keyword); err != nil {
		return nil, err
	}
	if swept := v.Swept(); !swept.IsZero() && !swept.Before(since) {
		return known(), nil
	}
	now := v.clock.Now()
	var all []Certificate // of the identity, as long as they are under the keyword
	_, calls, err := v.find(ctx, source.Lister, keyword, func(listed Certificate) bool {
		id, _, ok := v.parse(listed.Name)
		if !ok || id != identity {
			return false
		}
		all = append(all, listed)
		return match(entryOf(listed, now))
	})
	v.lookedUp(calls, now)
	if errors.Is(err, errTooMany) || errors.Is(err, errCut) { // the pages of a keyword do not overlap: others may have changed what they show
		if err := v.SweptSince(source, since); err != nil {
			return nil, err
		}
		return known(), nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(v.seen(all, now), func(e Entry) bool { return !match(e) }), nil
}

// lookWhole asks for a sweep where too many look up single certificates.
func (v *Inventory) lookWhole(source Source, since time.Time, keyword string) error {
	if keyword != "" && !v.crowded() {
		return nil
	}
	return v.SweptSince(source, since)
}

// crowded says whether look-ups have cost as much as a sweep by now, or one is under
// way for others already.
func (v *Inventory) crowded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.flight != nil && v.flight.urgent.Load() {
		return true
	}
	if v.clock.Now().Sub(v.spentSince) > lookUpTime {
		return false
	}
	return v.spent >= max(v.cost, unknownCost)
}

// lookedUp counts the calls of a look-up.
func (v *Inventory) lookedUp(calls int, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Sub(v.spentSince) > lookUpTime {
		v.spent, v.spentSince = 0, now
	}
	v.spent += calls
}
