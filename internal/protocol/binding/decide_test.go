// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

const china = "cn-hangzhou"

var (
	now     = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	oldID   = ID{CertID: 10, Region: china}
	newID   = ID{CertID: 11, Region: china}
	foreign = ID{CertID: 99, Region: china}
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// entry is a certificate that is served in the slot.
func entry(id ID) Entry {
	return Entry{ID: id, Text: id.String(), InSlot: true, Progress: Serving}
}

// only is entry for a slot that has one place.
func only(id ID) Entry {
	e := entry(id)
	e.Default = true
	return e
}

// listenerDefault is the default of a listener, seen from its additional slots.
func listenerDefault(id ID) Entry {
	return Entry{ID: id, Text: id.String(), Default: true, Progress: Serving}
}

// in is an entry with another progress.
func in(progress Progress, e Entry) Entry {
	e.Progress = progress
	return e
}

// bound is a binding whose additional slot uses certificate 10, with nothing to do.
func bound() Observed {
	return Observed{
		Now: now, OrphanAfter: 24 * time.Hour,
		Object: Object{Name: "shop-alb", CertificateName: "web", Generation: 1},
		Status: Status{Generation: 1, Read: true, Bound: oldID, Reason: v1alpha1.ReasonSynced, Ready: true},
		Certificate: Certificate{
			Exists: true, Current: oldID, NotBefore: ago(time.Hour), NotAfter: now.Add(time.Hour),
			DNSNames: []string{"www.example.com", "*.shop.example.com"}, Versions: []ID{oldID},
		},
		Target: Target{Text: "alb/cn-shanghai/lsn-x Additional", Shared: true, Unbindable: true, Region: china},
		Tried:  Tried{CheckAt: now.Add(time.Hour), OwnerKnown: true},
	}
}

// renewed is bound, whose certificate was renewed as 11; the slot was read.
func renewed(entries ...Entry) Observed {
	o := bound()
	o.Certificate.Current, o.Certificate.Versions, o.Certificate.Since = newID, []ID{newID, oldID}, ago(9*time.Minute)
	o.Slot = &Slot{Entries: entries}
	return o
}

// recorded is renewed, where the intent to place 11 is in the status.
func recorded(entries ...Entry) Observed {
	o := renewed(entries...)
	o.Status.Pending, o.Status.PendingSince, o.Status.Reason = newID, ago(time.Minute), v1alpha1.ReasonProgressing
	return o
}

// fresh is a new binding of certificate 11, with what its slot holds.
func fresh(entries ...Entry) Observed {
	o := renewed(entries...)
	o.Status = Status{Generation: -1}
	return o
}

// single makes a slot of one place, such as a listener's default or a domain.
func single(o Observed) Observed {
	o.Target.Text, o.Target.Shared, o.Target.Unbindable = "alb/cn-shanghai/lsn-x Default", false, false
	return o
}

// deleted makes a binding that is being deleted and has to unbind.
func deleted(o Observed) Observed {
	o.Object.Deleted, o.Object.Unbinds, o.Object.Held = ago(time.Minute), true, true
	return o
}

// deletedWith makes one that placed certificate 10, and has heirs.
func deletedWith(heirs ...Heir) Observed {
	o := deleted(bound())
	o.Consent.Heirs = heirs
	return o
}

const inherited = `release left="another binding has the slot, or waits for it, and goes on with it"`

// copied is a slot of one place that was seen to serve certificate 11, of a product that keeps
// copies.
func copied(copies ...ID) Observed {
	o := single(renewed(only(newID)))
	o.Status.Bound, o.Slot.Copies = newID, copies
	return o
}

// referringAnew has a binding refer to another CloudCertificate than the one whose version 10 it
// placed, and serve version 11 of that.
func referringAnew(o *Observed) {
	o.Certificate.Current, o.Certificate.Versions = newID, []ID{newID}
	o.Status.Bound, o.Status.Leftover, o.Tried.Check = newID, []ID{oldID}, true
}

// with changes an observation.
func with(o Observed, change func(*Observed)) Observed {
	change(&o)
	return o
}

var paces = map[verdict.Pace]string{verdict.Never: "never", verdict.In: "hint", verdict.Soon: "soon", verdict.Slowly: "slowly"}

// brief says what a step is, as far as a row of the table is about it.
func brief(step Step) string {
	holds := func(h Holds) string {
		return fmt.Sprintf("bound=%d pending=%d leftover=%v", h.Bound.CertID, h.Pending.CertID, h.Leftover)
	}
	switch step := step.(type) {
	case Record:
		return fmt.Sprintf("record %s replaced=%q", holds(step.Holds), step.Replaced)
	case Remove:
		return fmt.Sprintf("remove %v replaced=%q", step.IDs, step.Replaced)
	case Discard:
		return fmt.Sprintf("discard %v", step.IDs)
	case Place:
		if step.Drift != "" {
			return fmt.Sprintf("place drift=%q", step.Drift)
		}
	case Keep:
		return fmt.Sprintf("keep %s again=%s", holds(step.Holds), paces[step.Again.Pace])
	case Wait:
		text := fmt.Sprintf("wait %s", step.Verdict.Reason)
		if step.Verdict.Quiet {
			text += " quietly"
		}
		if step.Verdict.Ready == verdict.Unchanged {
			text += " unchanged"
		}
		if step.Verdict.Stalled {
			text += " stalled"
		}
		return text + " again=" + paces[step.Verdict.Again.Pace]
	case Hold:
		return fmt.Sprintf("hold %v", step.Want)
	case Release:
		return fmt.Sprintf("release left=%q", step.Left)
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", step), "binding."))
}

// TestWaitingForATurnIsQuiet: a status says so after a minute, and never of a check for drift.
func TestWaitingForATurnIsQuiet(t *testing.T) {
	t.Parallel()
	throttled := func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{Kind: Throttled, After: time.Second} }
	for name, tc := range map[string]struct {
		observed Observed
		want     bool
	}{
		"at first":               {with(fresh(), throttled), true},
		"for less than a minute": {with(fresh(), func(o *Observed) { throttled(o); o.Tried.ThrottledSince = ago(time.Minute - 1) }), true},
		"for a minute":           {with(fresh(), func(o *Observed) { throttled(o); o.Tried.ThrottledSince = ago(time.Minute) }), false},
		"a check for drift": {with(bound(), func(o *Observed) {
			throttled(o)
			o.Tried.Check, o.Tried.ThrottledSince = true, ago(time.Hour)
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, ok := Decide(tc.observed).(Wait)
			if !ok || step.Verdict.Quiet != tc.want {
				t.Errorf("%#v, want one that is quiet: %t", step, tc.want)
			}
		})
	}
}

// TestWhatDoesNotEndIsCheckedLessOften: a certificate that never leaves must not take the reads of a
// whole account.
func TestWhatDoesNotEndIsCheckedLessOften(t *testing.T) {
	t.Parallel()
	stuck := renewed(in(Leaving, entry(oldID)), entry(newID))
	stuck.Status.Bound, stuck.Tried.Check = newID, true
	busy := with(fresh(), func(o *Observed) { o.Slot.Busy = true })
	removed := with(renewed(entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound, o.SoFar.Removed = newID, true })
	unbinding := with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{in(Leaving, entry(oldID))}} })
	for name, o := range map[string]Observed{"leaving": stuck, "busy": busy, "removed": removed, "unbinding": unbinding} {
		for since, want := range map[time.Duration]time.Duration{0: 2 * time.Second, time.Second: 2 * time.Second, 9 * time.Second: 9 * time.Second, time.Hour: 30 * time.Second} {
			if o.Tried.SameSince = (time.Time{}); since > 0 {
				o.Tried.SameSince = ago(since)
			}
			var again verdict.Again
			switch step := Decide(o).(type) {
			case Keep:
				again = step.Again
			case Wait:
				again = step.Verdict.Again
			}
			if again.Pace != verdict.In || again.After != want {
				t.Errorf("%s: what has been the same for %s is checked in %s, want %s", name, since, again.After, want)
			}
		}
	}
}

// TestAPlacementIsCheckedByWhenItWasAccepted: the minutes before, in which there was no room for it, say
// nothing of how long it takes.
func TestAPlacementIsCheckedByWhenItWasAccepted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		placed []time.Time
		want   time.Duration
	}{
		"accepted a moment ago":       {[]time.Time{ago(time.Second)}, 2 * time.Second},
		"accepted a while ago":        {[]time.Time{ago(9 * time.Second)}, 9 * time.Second},
		"accepted again":              {[]time.Time{ago(time.Hour), ago(9 * time.Second)}, 9 * time.Second},
		"accepted before the attempt": {[]time.Time{ago(time.Hour)}, 30 * time.Second},
		"accepted by another process": {nil, 30 * time.Second},
	} {
		o := recorded(in(Arriving, entry(newID)))
		o.Status.PendingSince, o.Tried.Placed = ago(5*time.Minute), tc.placed
		step, ok := Decide(o).(Wait)
		if !ok || step.Verdict.Reason != v1alpha1.ReasonProgressing || step.Verdict.Again.After != tc.want {
			t.Errorf("%s: %#v, want another check in %s", name, step, tc.want)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	denied := &Failure{Kind: Denied, Text: "alb:ListListenerCertificates is missing"}
	unbind := func(o *Observed) { o.Object.Unbinds = true }
	for name, tc := range map[string]struct {
		observed Observed
		want     string
	}{
		// What needs no read.
		"what is up to date waits for the next check for drift": {bound(), "nothing"},
		"a check for drift reads":                               {with(bound(), func(o *Observed) { o.Tried.Check = true }), "read"},
		"a resync reads":                                        {with(bound(), func(o *Observed) { o.Object.Resync = true }), "read"},
		"another spec reads":                                    {with(bound(), func(o *Observed) { o.Object.Generation = 2 }), "read"},
		"a renewal reads":                                       {with(renewed(), func(o *Observed) { o.Slot = nil }), "read"},
		"a placement under way reads":                           {with(recorded(), func(o *Observed) { o.Slot = nil }), "read"},
		"a leftover reads":                                      {with(bound(), func(o *Observed) { o.Status.Leftover = []ID{{CertID: 9, Region: china}} }), "read"},
		"the same number of the other region is another certificate": {
			with(bound(), func(o *Observed) { o.Certificate.Current.Region = "ap-southeast-1" }), "read",
		},
		"without consent nothing is read":                      {with(fresh(), func(o *Observed) { o.Slot, o.Consent.Refused = nil, "no policy" }), "wait NotAllowed stalled again=never"},
		"consent that is lost stops changes, and no more":      {with(renewed(entry(oldID)), func(o *Observed) { o.Consent.Refused = "no policy" }), "wait NotAllowed stalled again=never"},
		"an older binding has the slot":                        {with(fresh(), func(o *Observed) { o.Consent.Rival = "taken" }), "wait Occupied stalled again=never"},
		"a certificate that does not exist":                    {with(fresh(), func(o *Observed) { o.Certificate = Certificate{} }), "wait CertificateNotReady again=never"},
		"a certificate that is gone keeps what is placed":      {with(bound(), func(o *Observed) { o.Certificate = Certificate{} }), "wait CertificateNotReady unchanged again=never"},
		"a certificate that is not ready":                      {with(renewed(), func(o *Observed) { o.Certificate.Problem, o.Slot = "not Synced", nil }), "wait CertificateNotReady unchanged again=never"},
		"a first read does not wait for the certificate":       {with(fresh(), func(o *Observed) { o.Certificate.Problem, o.Slot = "not Synced", nil }), "read"},
		"without credentials":                                  {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.NoCloud = nil, &Failure{Kind: NoCredentials} }), "wait CredentialsUnavailable again=slowly"},
		"a suspended binding that was read waits":              {with(bound(), func(o *Observed) { o.Object.Suspended, o.Status.Reason = true, v1alpha1.ReasonSuspended }), "nothing"},
		"a suspended binding that is new reads":                {with(fresh(), func(o *Observed) { o.Object.Suspended, o.Slot = true, nil }), "read"},
		"a target that cannot be read":                         {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, denied }), "wait AccessDenied again=slowly"},
		"a target that does not exist":                         {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{Kind: TargetNotFound} }), "wait TargetNotFound again=slowly"},
		"a failure that nobody knows":                          {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{} }), "wait BindFailed again=soon"},
		"a call that begins to wait for its turn says nothing": {with(renewed(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{Kind: Throttled} }), "wait Throttled quietly unchanged again=hint"},
		"a call that waits for less than a minute says nothing": {with(renewed(), func(o *Observed) {
			o.Slot, o.SoFar.Read, o.Tried.ThrottledSince = nil, &Failure{Kind: Throttled}, ago(59*time.Second)
		}), "wait Throttled quietly unchanged again=hint"},
		"a call that waits for its turn changes no Ready": {with(renewed(), func(o *Observed) {
			o.Slot, o.SoFar.Read, o.Tried.ThrottledSince = nil, &Failure{Kind: Throttled}, ago(time.Minute)
		}), "wait Throttled unchanged again=hint"},
		"a product that does not answer is asked again when it said": {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{After: 3 * time.Second} }), "wait BindFailed again=hint"},
		"Unbind on what is bound is held":                            {with(bound(), unbind), "hold true"},
		"Unbind that is taken back is let go":                        {with(bound(), func(o *Observed) { o.Object.Held = true }), "hold false"},
		"Unbind on what was there already is held":                   {with(fresh(entry(newID)), unbind), "hold true"},
		"Unbind on what is there, and held, goes on":                 {with(fresh(entry(newID)), func(o *Observed) { o.Object.Unbinds, o.Object.Held = true, true }), "keep bound=11 pending=0 leftover=[] again=never"},
		"Unbind of a slot of one place holds nothing":                {with(single(bound()), unbind), "nothing"},
		"Unbind on what never placed anything is not held":           {with(fresh(), func(o *Observed) { o.Object.Unbinds, o.Slot = true, nil }), "read"},

		// Copies that a product keeps.
		"a copy of a superseded version is deleted":               {copied(newID, oldID, oldID), "discard [10-cn-hangzhou]"},
		"a copy of the current version stays":                     {copied(newID), "keep bound=11 pending=0 leftover=[] again=never"},
		"the copy of a version that another binding holds stays":  {with(copied(oldID), func(o *Observed) { o.Certificate.Held = []ID{oldID} }), "keep bound=11 pending=0 leftover=[] again=never"},
		"no copy is deleted before the switch was published":      {with(copied(oldID), func(o *Observed) { o.Status.Bound = oldID }), "keep bound=11 pending=0 leftover=[] again=hint"},
		"no copy is deleted before the new version serves":        {with(copied(oldID), func(o *Observed) { o.Slot.Entries = []Entry{only(oldID)}; o.Status.Bound = oldID }), "record bound=10 pending=11 leftover=[] replaced=\"\""},
		"no copy is deleted while the listener is being changed":  {with(copied(oldID), func(o *Observed) { o.Slot.Busy = true }), "keep bound=11 pending=0 leftover=[] again=hint"},
		"a suspended binding deletes no copy":                     {with(copied(oldID), func(o *Observed) { o.Object.Suspended = true }), "wait Suspended unchanged again=never"},
		"copies that are deleted are looked for again":            {with(copied(oldID), func(o *Observed) { o.SoFar.Discarded = true }), "keep bound=11 pending=0 leftover=[] again=hint"},
		"a copy that something uses is tried again, and no fault": {with(copied(oldID), func(o *Observed) { o.SoFar.Discard = &Failure{Kind: InUse} }), "keep bound=11 pending=0 leftover=[] again=slowly"},
		"copies that may not be deleted are no fault":             {with(copied(oldID), func(o *Observed) { o.SoFar.Discard = denied }), "keep bound=11 pending=0 leftover=[] again=slowly"},
		"a deletion leaves copies alone":                          {with(deleted(copied(oldID)), func(o *Observed) { o.Target.Unbindable = true }), "remove [11-cn-hangzhou] replaced=\"\""},

		// What a suspended binding says.
		"a suspended binding shows what is there, and writes nothing": {with(fresh(entry(oldID), entry(foreign)), func(o *Observed) { o.Object.Suspended = true }), "wait Suspended unchanged again=never"},

		// Never worse.
		"the wrong region":          {with(fresh(), func(o *Observed) { o.Target.Region = "ap-southeast-1" }), "wait RegionMismatch stalled again=never"},
		"an SM pair for TLS":        {with(fresh(), func(o *Observed) { o.Certificate.SM = true }), "wait NotAllowed stalled again=never"},
		"a domain that it is for":   {with(fresh(), func(o *Observed) { o.Target.Domain, o.Status.Read = "a.shop.example.com", true }), "record bound=0 pending=11 leftover=[] replaced=\"\""},
		"a domain that it is not":   {with(fresh(), func(o *Observed) { o.Target.Domain = "api.example.com" }), "wait DomainMismatch stalled again=never"},
		"a wildcard is one label":   {with(fresh(), func(o *Observed) { o.Target.Domain = "a.b.shop.example.com" }), "wait DomainMismatch stalled again=never"},
		"a wildcard domain":         {with(fresh(), func(o *Observed) { o.Target.Domain = "*.example.com" }), "wait DomainMismatch stalled again=never"},
		"names that are cut off":    {with(fresh(), func(o *Observed) { o.Target.Domain, o.Certificate.NamesCut = "api.example.com", true }), "record bound=0 pending=11 leftover=[] replaced=\"\""},
		"an expired one":            {with(renewed(entry(oldID)), func(o *Observed) { o.Certificate.NotAfter = ago(time.Second) }), "wait CertificateNotReady unchanged again=slowly"},
		"one that is not valid yet": {with(fresh(), func(o *Observed) { o.Certificate.NotBefore = now.Add(time.Second) }), "wait CertificateNotReady again=slowly"},

		// What was read.
		"a list that is not complete leads to nothing":   {with(renewed(entry(oldID)), func(o *Observed) { o.Slot.Incomplete = "41 of 42" }), "wait BindFailed unchanged again=soon"},
		"a slot that cannot be used":                     {with(fresh(), func(o *Observed) { o.Slot.Off = "HTTPS is off" }), "wait BindFailed again=slowly"},
		"a listener that is being changed is waited for": {with(renewed(entry(oldID)), func(o *Observed) { o.Slot.Busy = true }), "wait Progressing unchanged again=hint"},
		"a placement that takes long": {
			with(recorded(entry(oldID)), func(o *Observed) { o.Slot.Busy, o.Status.PendingSince = true, ago(10*time.Minute) }), "wait Progressing again=hint",
		},
		"one that arrives":                        {recorded(entry(oldID), in(Arriving, entry(newID))), "wait Progressing unchanged again=hint"},
		"a first one that arrives":                {with(fresh(in(Arriving, entry(newID))), func(o *Observed) { o.Status.Pending = newID }), "wait Progressing again=hint"},
		"the only place in an unclear condition":  {single(recorded(in(Unknown, only(oldID)))), "wait Progressing unchanged again=hint"},
		"a foreign one beside ours is left alone": {with(renewed(entry(foreign), entry(newID)), func(o *Observed) { o.Status.Bound = newID }), "keep bound=11 pending=0 leftover=[] again=never"},

		// A check.
		"a check that fails in passing changes no Ready": {with(bound(), func(o *Observed) { o.Tried.Check, o.SoFar.Read = true, &Failure{} }), "keep bound=10 pending=0 leftover=[] again=soon"},
		"a check that is asked for and fails": {with(bound(), func(o *Observed) {
			o.Object.Resync, o.SoFar.Read, o.Status.Leftover = true, &Failure{}, []ID{newID}
		}), "wait BindFailed unchanged again=soon"}, // which is not Synced: a restart forgets no check that was asked for
		"a check that is denied":                {with(bound(), func(o *Observed) { o.Tried.Check, o.SoFar.Read = true, denied }), "wait AccessDenied again=slowly"},
		"a target that is gone":                 {with(bound(), func(o *Observed) { o.Tried.Check, o.SoFar.Read = true, &Failure{Kind: TargetNotFound} }), "wait TargetNotFound again=slowly"},
		"a renewal that cannot read its target": {with(renewed(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{} }), "wait BindFailed unchanged again=soon"},
		"a renewal that cannot for ten minutes": {with(renewed(), func(o *Observed) {
			o.Slot, o.SoFar.Read, o.Certificate.Since = nil, &Failure{}, ago(10*time.Minute)
		}), "wait BindFailed again=soon"},
		"a renewal that cannot be placed in passing":     {with(recorded(entry(oldID)), func(o *Observed) { o.SoFar.Place = &Failure{} }), "wait BindFailed unchanged again=soon"},
		"a first placement that cannot be placed":        {with(fresh(), func(o *Observed) { o.SoFar.Place = &Failure{} }), "wait BindFailed again=soon"},
		"a renewal by a part of a list, for ten minutes": {with(renewed(entry(oldID)), func(o *Observed) { o.Slot.Incomplete, o.Certificate.Since = "41 of 42", ago(10*time.Minute) }), "wait BindFailed again=soon"},
		"a change that cannot read its target":           {with(bound(), func(o *Observed) { o.Object.Generation, o.SoFar.Read = 2, &Failure{} }), "wait BindFailed unchanged again=soon"},
		"a first placement that cannot read its target":  {with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{} }), "wait BindFailed again=soon"},

		// Placing.
		"an empty slot is taken":                          {single(fresh()), `record bound=0 pending=11 leftover=[] replaced=""`},
		"ours in the slot is replaced":                    {single(renewed(only(oldID))), `record bound=10 pending=11 leftover=[] replaced=""`},
		"ours beside others is joined":                    {renewed(entry(foreign), entry(oldID)), `record bound=10 pending=11 leftover=[] replaced=""`},
		"a version that was found there is bound":         {fresh(entry(oldID)), `record bound=10 pending=11 leftover=[] replaced=""`},
		"the intent is written before the placement":      {with(recorded(entry(oldID)), func(o *Observed) { o.SoFar.Recorded, o.Tried.Placed = true, minutes(1) }), "place"},
		"an intent that was written is not written again": {recorded(entry(oldID)), "place"},
		"who else manages the listener is asked before":   {with(renewed(entry(oldID)), func(o *Observed) { o.Tried.OwnerKnown = false }), "inspect"},
		"a listener that a controller manages is refused": {with(renewed(entry(oldID)), func(o *Observed) { o.Tried.Owner = "the ALB Ingress controller" }), "wait ManagedElsewhere stalled again=never"},
		"a listener of which nobody can say":              {with(renewed(entry(oldID)), func(o *Observed) { o.Tried.OwnerKnown, o.SoFar.Inspect = false, denied }), "wait AccessDenied again=slowly"},
		"Unbind is held before the first placement":       {with(fresh(), unbind), "hold true"},
		"a placement that was accepted waits for a read":  {with(recorded(entry(oldID)), func(o *Observed) { o.SoFar.Placed = true }), "wait Progressing unchanged again=hint"},
		"a full listener":                                 {with(recorded(entry(oldID)), func(o *Observed) { o.SoFar.Place = &Failure{Kind: QuotaExceeded} }), "wait QuotaExceeded again=slowly"},
		"a listener that says it is being changed":        {with(recorded(entry(oldID)), func(o *Observed) { o.SoFar.Place = &Failure{Kind: Progressing} }), "wait Progressing unchanged again=hint"},
		"what was accepted a moment ago may yet show":     {with(recorded(entry(oldID)), func(o *Observed) { o.Tried.Placed = []time.Time{ago(30 * time.Second)} }), "wait Progressing unchanged again=hint"},
		"an object of the cluster shows at once": {with(recorded(entry(oldID)), func(o *Observed) {
			o.Target.Live, o.Tried.Placed = true, []time.Time{ago(30 * time.Second)}
		}), `record bound=10 pending=11 leftover=[] replaced=""`},
		"what was seen and taken out is placed at once": {with(recorded(entry(oldID)), func(o *Observed) {
			o.SoFar.Recorded, o.Tried.Placed = true, []time.Time{ago(30 * time.Second)}
		}), "place"},
		"what was accepted and is not there gets another attempt": {with(recorded(entry(oldID)), func(o *Observed) { o.Tried.Placed = []time.Time{ago(time.Minute)} }), `record bound=10 pending=11 leftover=[] replaced=""`},
		"a version that superseded one under way keeps that": {
			with(recorded(entry(oldID)), func(o *Observed) {
				o.Certificate.Current = ID{CertID: 12, Region: china}
				o.Certificate.Versions = append(o.Certificate.Versions, o.Certificate.Current)
			}), `record bound=10 pending=12 leftover=[11-cn-hangzhou] replaced=""`,
		},
		"a rollback takes out the newer one": {
			with(bound(), func(o *Observed) {
				o.Certificate.Versions, o.Status.Leftover = []ID{oldID, newID}, []ID{newID}
				o.Slot = &Slot{Entries: []Entry{entry(oldID), entry(newID)}}
			}), `remove [11-cn-hangzhou] replaced=""`,
		},
		"the listener's default serves as well": {with(recorded(listenerDefault(newID)), func(o *Observed) { o.Status.Bound = ID{} }), "keep bound=11 pending=0 leftover=[] again=never"},

		// What is foreign.
		"a foreign certificate in the only place":      {single(fresh(only(foreign))), "wait Occupied stalled again=never"},
		"a foreign one that is named":                  {single(with(fresh(only(foreign)), func(o *Observed) { o.Object.Adopt = []string{"99-cn-hangzhou"} })), `record bound=0 pending=11 leftover=[] replaced="99-cn-hangzhou"`},
		"another one than the one that is named":       {single(with(fresh(only(foreign)), func(o *Observed) { o.Object.Adopt = []string{"98-cn-hangzhou"} })), "wait Occupied stalled again=never"},
		"whatever is there, where no policy allows it": {single(with(fresh(only(foreign)), func(o *Observed) { o.Object.Adopt = []string{"*"} })), "wait Occupied stalled again=never"},
		"whatever is there, where a policy allows it":  {single(with(fresh(only(foreign)), func(o *Observed) { o.Object.Adopt, o.Consent.AnyAdopted = []string{"*"}, true })), `record bound=0 pending=11 leftover=[] replaced="99-cn-hangzhou"`},
		"whatever is there is for the first placement": {single(with(renewed(only(foreign)), func(o *Observed) { o.Object.Adopt, o.Consent.AnyAdopted = []string{"*"}, true })), "wait Occupied stalled again=never"},
		"a certificate that is none of CAS":            {single(fresh(Entry{Text: "an upload of CDN's own", InSlot: true, Default: true, Progress: Serving})), "wait Occupied stalled again=never"},
		"drift is reported":                            {single(with(bound(), func(o *Observed) { o.Slot, o.Tried.Check = &Slot{Entries: []Entry{only(foreign)}}, true })), "wait Occupied stalled again=never"},
		"drift is restored where that is asked for": {single(with(bound(), func(o *Observed) {
			o.Slot, o.Tried.Check, o.Object.Restores = &Slot{Entries: []Entry{only(foreign)}}, true, true
		})), `record bound=10 pending=10 leftover=[] replaced="99-cn-hangzhou"`},
		"and it is known what had been there": {single(with(bound(), func(o *Observed) {
			o.Slot, o.Tried.Check, o.Object.Restores = &Slot{Entries: []Entry{only(foreign)}}, true, true
			o.Status.Pending, o.SoFar.Recorded = oldID, true
		})), `place drift="somebody else had put certificate 99-cn-hangzhou there"`},
		"also where the certificate was renewed meanwhile": {single(with(recorded(only(foreign)), func(o *Observed) { o.Object.Restores = true })),
			`place drift="somebody else had put certificate 99-cn-hangzhou there"`},
		"that ours was gone is known": {with(bound(), func(o *Observed) {
			o.Slot, o.Tried.Check, o.Status.Pending, o.SoFar.Recorded = &Slot{}, true, oldID, true
		}), `place drift="it had gone from there"`},
		"a foreign one that is adopted at first is no drift": {single(with(recorded(only(foreign)), func(o *Observed) {
			o.Status.Bound, o.Object.Adopt = ID{}, []string{"99-cn-hangzhou"}
		})), "place"},
		"ours that is gone is put back":                     {with(bound(), func(o *Observed) { o.Slot, o.Tried.Check = &Slot{Entries: []Entry{entry(foreign)}}, true }), `record bound=10 pending=10 leftover=[] replaced=""`},
		"adopt any takes nothing out of an additional slot": {with(renewed(entry(foreign), entry(newID)), func(o *Observed) { o.Object.Adopt, o.Consent.AnyAdopted, o.Status.Bound = []string{"*"}, true, newID }), "keep bound=11 pending=0 leftover=[] again=never"},
		"two that undo each other stop": {single(with(bound(), func(o *Observed) {
			o.Slot, o.Tried.Check, o.Object.Restores, o.Tried.Placed = &Slot{Entries: []Entry{only(foreign)}}, true, true, minutes(4)
		})), "wait Occupied stalled again=hint"},
		"jobs that fail in silence stop": {with(recorded(entry(oldID)), func(o *Observed) { o.Tried.Placed = minutes(4) }), "wait BindFailed again=hint"},
		"placements of long ago do not count": {with(recorded(entry(oldID)), func(o *Observed) {
			o.Tried.Placed = []time.Time{ago(3 * time.Hour), ago(2 * time.Hour), ago(90 * time.Minute), ago(61 * time.Minute)}
		}), `record bound=10 pending=11 leftover=[] replaced=""`},

		// What is served, and what it replaced.
		"what is seen there is published first":      {recorded(entry(oldID), entry(newID)), "keep bound=11 pending=0 leftover=[10-cn-hangzhou] again=hint"},
		"what it replaced goes in a later reconcile": {with(renewed(entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound, o.Status.Leftover = newID, []ID{oldID} }), `remove [10-cn-hangzhou] replaced=""`},
		"not while the listener is being changed":    {with(renewed(entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound, o.Slot.Busy = newID, true }), "keep bound=11 pending=0 leftover=[10-cn-hangzhou] again=hint"},
		"what was removed is looked at again":        {with(renewed(entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound, o.SoFar.Removed = newID, true }), "keep bound=11 pending=0 leftover=[10-cn-hangzhou] again=hint"},
		"what is leaving is waited for":              {with(renewed(in(Leaving, entry(oldID)), entry(newID)), func(o *Observed) { o.Status.Bound = newID }), "keep bound=11 pending=0 leftover=[10-cn-hangzhou] again=hint"},
		"what is gone is forgotten":                  {with(renewed(entry(newID)), func(o *Observed) { o.Status.Bound, o.Status.Leftover = newID, []ID{oldID} }), "keep bound=11 pending=0 leftover=[] again=never"},
		"a removal that fails changes no Ready":      {with(renewed(entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound, o.SoFar.Remove = newID, denied }), "keep bound=11 pending=0 leftover=[10-cn-hangzhou] again=slowly"},
		"an old version that is the default stays":   {with(renewed(listenerDefault(oldID), entry(newID)), func(o *Observed) { o.Status.Bound = newID }), "keep bound=11 pending=0 leftover=[] again=never"},
		"also where it is an additional one besides": {with(renewed(listenerDefault(oldID), entry(oldID), entry(newID)), func(o *Observed) { o.Status.Bound = newID }), "keep bound=11 pending=0 leftover=[] again=never"},
		"a foreign one that is named goes afterwards": {with(renewed(entry(foreign), entry(newID)), func(o *Observed) {
			o.Status.Bound, o.Object.Adopt, o.Tried.Check = newID, []string{"99-cn-hangzhou"}, true
		}), `remove [99-cn-hangzhou] replaced="99-cn-hangzhou"`},
		"what it placed for another CloudCertificate goes afterwards": {with(renewed(entry(oldID), entry(newID)), referringAnew), `remove [10-cn-hangzhou] replaced=""`},
		"but for what another binding has by now": {with(renewed(entry(oldID), entry(newID)), func(o *Observed) {
			referringAnew(o)
			o.Consent.Needed = []ID{oldID}
		}), "keep bound=11 pending=0 leftover=[] again=never"},
		"a version of its own goes, whoever has it": {with(renewed(entry(oldID), entry(newID)), func(o *Observed) {
			o.Status.Bound, o.Consent.Needed, o.Tried.Check = newID, []ID{oldID}, true
		}), `remove [10-cn-hangzhou] replaced=""`},
		"a slot of one place leaves nothing over": {single(recorded(only(newID))), "keep bound=11 pending=0 leftover=[] again=never"},

		// Deletion.
		"Leave needs no finalizer":                   {with(deleted(bound()), func(o *Observed) { o.Object.Held = false }), "nothing"},
		"Unbind reads":                               {deleted(bound()), "read"},
		"Unbind takes ours out":                      {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{entry(oldID), entry(foreign)}} }), `remove [10-cn-hangzhou] replaced=""`},
		"Unbind waits until it is gone":              {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{in(Leaving, entry(oldID)), entry(foreign)}} }), "wait Progressing again=hint"},
		"Unbind waits while the listener is changed": {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{entry(oldID)}, Busy: true} }), "wait Progressing again=hint"},
		"Unbind ends when nothing is left":           {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{entry(foreign)}} }), `release left=""`},
		"Unbind waits for a placement in flight": {with(deleted(bound()), func(o *Observed) {
			o.Slot, o.Status.Pending, o.Status.PendingSince = &Slot{Entries: []Entry{entry(foreign)}}, newID, ago(70*time.Second)
			o.Object.Deleted = ago(20 * time.Second)
		}), "wait Progressing again=hint"},
		"Unbind ends when a placement has come to nothing": {with(deleted(bound()), func(o *Observed) {
			o.Slot, o.Status.Pending, o.Status.PendingSince = &Slot{Entries: []Entry{entry(foreign)}}, newID, ago(2*time.Minute)
			o.Object.Deleted = ago(70 * time.Second)
		}), `release left=""`},
		"Unbind never takes a default":     {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{listenerDefault(oldID)}} }), `release left=""`},
		"Unbind by a part of a list":       {with(deleted(bound()), func(o *Observed) { o.Slot = &Slot{Entries: []Entry{entry(oldID)}, Incomplete: "1 of 2"} }), "wait DeletionBlocked again=soon"},
		"Unbind of a target that is gone":  {with(deleted(bound()), func(o *Observed) { o.SoFar.Read = &Failure{Kind: TargetNotFound} }), `release left=""`},
		"Unbind that is denied":            {with(deleted(bound()), func(o *Observed) { o.SoFar.Read = denied }), "wait DeletionBlocked again=slowly"},
		"Unbind that was denied for a day": {with(deleted(bound()), func(o *Observed) { o.SoFar.Read, o.Object.Deleted = denied, ago(25*time.Hour) }), `release left="alb:ListListenerCertificates is missing"`},
		"Unbind that failed otherwise in between": {with(deleted(bound()), func(o *Observed) {
			o.SoFar.Read, o.Object.Deleted, o.Tried.FailedOtherwise = denied, ago(25*time.Hour), ago(time.Hour)
		}), "wait DeletionBlocked again=slowly"},
		"Unbind without credentials":               {with(deleted(bound()), func(o *Observed) { o.SoFar.NoCloud = &Failure{Kind: NoCredentials} }), "wait CredentialsUnavailable again=slowly"},
		"Unbind for which another binding waits":   {deletedWith(Heir{Same: true}), inherited},
		"Unbind for one that may adopt it":         {deletedWith(Heir{}, Heir{Adopt: []string{"10-cn-hangzhou"}}), inherited},
		"Unbind for one that may adopt anything":   {deletedWith(Heir{Adopt: []string{"*"}, AnyAdopted: true}), inherited},
		"Unbind for one that no policy lets adopt": {deletedWith(Heir{Adopt: []string{"*"}}), "read"},
		"Unbind for one that could not use it":     {deletedWith(Heir{}, Heir{Adopt: []string{"99-cn-hangzhou"}}), "read"},
		"Unbind without consent":                   {with(deleted(bound()), func(o *Observed) { o.Consent.Refused = "no policy" }), `release left="no policy"`},
		"Unbind that is to leave the target alone": {with(deleted(bound()), func(o *Observed) { o.Object.Orphan = true }), `release left="the annotation cloudcert.io/orphan asks for it"`},
		"Unbind of a suspended binding":            {with(deleted(bound()), func(o *Observed) { o.Object.Suspended = true }), `release left="spec.suspend is true"`},
		"Unbind that became Leave":                 {with(deleted(bound()), func(o *Observed) { o.Object.Unbinds = false }), `release left="spec.onDelete is Leave"`},
		"Unbind of what another binding has by now": {with(deleted(bound()), func(o *Observed) {
			referringAnew(o)
			o.Slot, o.Consent.Needed = &Slot{Entries: []Entry{entry(oldID), entry(newID)}}, []ID{oldID}
		}), `remove [11-cn-hangzhou] replaced=""`},
		"Unbind of what never placed anything":         {deleted(fresh()), `release left=""`},
		"Unbind of the fields of an object":            {with(deleted(single(bound())), func(o *Observed) { o.Target.Unbindable, o.Slot = true, &Slot{Entries: []Entry{only(oldID)}} }), `remove [10-cn-hangzhou] replaced=""`},
		"Unbind of an object that somebody else wrote": {with(deleted(single(bound())), func(o *Observed) { o.Target.Unbindable, o.Slot = true, &Slot{Entries: []Entry{only(foreign)}} }), `release left=""`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, brief(Decide(tc.observed))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// minutes are some times within the last minutes.
func minutes(n int) (times []time.Time) {
	for i := range n {
		times = append(times, ago(time.Duration(n-i)*time.Minute))
	}
	return times
}

// slotText is how messages name the slot of these tests.
const slotText = "alb/cn-shanghai/lsn-x Additional"

// readFailed is a new binding whose target could not be read.
func readFailed(kind Kind) Observed {
	return with(fresh(), func(o *Observed) { o.Slot, o.SoFar.Read = nil, &Failure{Kind: kind, Text: "no such listener"} })
}

// TestMessagesNameObjectReasonAndFix: what a person is told.
func TestMessagesNameObjectReasonAndFix(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		observed Observed
		want     []string // the object, field or id, the reason, and who mends it how
	}{
		"nobody admits it": {
			with(fresh(), func(o *Observed) { o.Consent.Refused = `no CertificateTargetPolicy admits it; ask for one` }), []string{"no CertificateTargetPolicy", "ask for one"},
		},
		"another has the slot": {
			with(fresh(), func(o *Observed) { o.Consent.Rival = `CloudCertificateBinding "first" has it; delete one of the two` }), []string{`"first"`, "delete one"},
		},
		"a target that is not there": {readFailed(TargetNotFound), []string{slotText, "no such listener", "tried again after 5 minutes"}},
		"a missing permission":       {readFailed(Denied), []string{slotText, "no such listener", "tried again after 5 minutes"}},
		"no room":                    {readFailed(QuotaExceeded), []string{slotText, "no such listener", "tried again after 5 minutes"}},
		"what the product refuses":   {readFailed(Refused), []string{slotText, "no such listener", "tried again after 5 minutes"}},
		"no credentials":             {readFailed(NoCredentials), []string{slotText, "no such listener", "tried again after 5 minutes"}},
		"an outage":                  {readFailed(Transient), []string{slotText, "no such listener", "tried again within seconds"}},
		"a full limit":               {readFailed(Throttled), []string{slotText, "no such listener", "goes on by itself"}},
		"a listener that is changed": {readFailed(Progressing), []string{slotText, "no such listener", "goes on when that has ended"}},
		"a check in an outage": {
			with(bound(), func(o *Observed) { o.Tried.Check, o.SoFar.Read = true, &Failure{Text: "no such listener"} }),
			[]string{slotText, "10-cn-hangzhou", `"web"`, "could not be checked again: no such listener", "tried again within seconds"},
		},
		"a certificate that has ended": {
			with(fresh(), func(o *Observed) { o.Certificate.NotAfter = ago(time.Minute) }), []string{"11-cn-hangzhou", `"web"`, "2026-11-26T11:59:00Z", "renew it"},
		},
		"what is placed again and again": {
			with(recorded(entry(oldID)), func(o *Observed) { o.Tried.Placed = minutes(4) }), []string{"11-cn-hangzhou", slotText, "4 times", "look for what takes it out"},
		},
		"what somebody puts there again and again": {
			single(with(recorded(entry(foreign)), func(o *Observed) { o.Object.Restores, o.Tried.Placed = true, minutes(4) })),
			[]string{"11-cn-hangzhou", "4 times", "99-cn-hangzhou is there again", "look for what puts it there"},
		},
		"occupied": {single(fresh(only(foreign))), []string{"alb/cn-shanghai/lsn-x Default", "99-cn-hangzhou", `"web"`, "spec.adopt"}},
		"what nobody can name": {
			single(fresh(Entry{Text: `certId="5" with certIdentifier=""`, InSlot: true, Progress: Serving})), []string{`certId="5"`, `name "*" in spec.adopt`},
		},
		"what is a bare number": {
			single(fresh(Entry{Text: "24410517", InSlot: true, Progress: Serving})), []string{"24410517", `name "*" in spec.adopt`},
		},
		"what has too long a name": {
			single(fresh(Entry{Text: strings.Repeat("x", 129), InSlot: true, Progress: Serving})), []string{`name "*" in spec.adopt`},
		},
		"no certificate":    {with(fresh(), func(o *Observed) { o.Certificate = Certificate{} }), []string{`no CloudCertificate "web"`, "spec.certificateRef.name"}},
		"the wrong region":  {with(fresh(), func(o *Observed) { o.Target.Region = "ap-southeast-1" }), []string{"ap-southeast-1", china, "spec.region"}},
		"the wrong domain":  {with(fresh(), func(o *Observed) { o.Target.Domain = "api.example.com" }), []string{"www.example.com", "api.example.com"}},
		"what is suspended": {with(fresh(entry(oldID), entry(foreign)), func(o *Observed) { o.Object.Suspended = true }), []string{"10-cn-hangzhou", "99-cn-hangzhou of somebody else"}},
		"an empty one":      {with(fresh(), func(o *Observed) { o.Object.Suspended = true }), []string{"holds no certificate"}},
		"an empty one, and ours is the listener's default": {
			with(fresh(listenerDefault(newID)), func(o *Observed) { o.Object.Suspended = true }),
			[]string{"holds no certificate; the listener's default is 11-cn-hangzhou of CloudCertificate \"web\""},
		},
		"what the listener's default serves": {
			renewed(listenerDefault(newID)), []string{"11-cn-hangzhou of CloudCertificate \"web\", which is the listener's default and not an additional one"},
		},
		"managed elsewhere": {with(fresh(), func(o *Observed) { o.Tried.Owner = "the ALB Ingress controller" }), []string{"the ALB Ingress controller", "albConfig"}},
		"a partial list":    {with(fresh(), func(o *Observed) { o.Slot.Incomplete = "41 of 42" }), []string{slotText, "41 of 42", "read again"}},
		"an unbind without credentials": {
			with(deleted(bound()), func(o *Observed) {
				o.SoFar.NoCloud = &Failure{Kind: NoCredentials, Text: `Secret "keys" does not exist`}
			}), []string{"alb/cn-shanghai/lsn-x Additional", `Secret "keys" does not exist`, v1alpha1.AnnotationOrphan, "2026-11-27T11:59:00Z"},
		},
		"an unbind without credentials, for ever": {
			with(deleted(bound()), func(o *Observed) {
				o.SoFar.NoCloud, o.OrphanAfter = &Failure{Kind: NoCredentials, Text: "no credentials"}, 0
			}), []string{"no credentials", v1alpha1.AnnotationOrphan},
		},
		"a blocked unbind": {with(deleted(bound()), func(o *Observed) { o.SoFar.Read = &Failure{Kind: Denied, Text: "denied"} }), []string{"denied", v1alpha1.AnnotationOrphan, "2026-11-27T11:59:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := ""
			switch step := Decide(tc.observed).(type) {
			case Wait:
				message = step.Verdict.Message
			case Keep:
				message = step.Message
			default:
				t.Fatalf("got %#v, which tells nobody anything", step)
			}
			for _, want := range tc.want {
				if !strings.Contains(message, want) {
					t.Errorf("message %q does not say %q", message, want)
				}
			}
		})
	}
}
