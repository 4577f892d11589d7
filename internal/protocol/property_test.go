// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

// draw picks one of some values.
func draw[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// anyObserved is an observation at random: also ones that no operator will ever make.
func anyObserved(random *rand.Rand) Observed {
	flip := func() bool { return random.IntN(2) == 0 }
	when := func() time.Time {
		return draw(random, time.Time{}, ago(time.Second), ago(time.Minute), ago(9*time.Minute), ago(20*time.Minute), ago(2*time.Hour), ago(26*time.Hour), ago(60*time.Hour))
	}
	field := func() string { return draw(random, oldField, newField, oldest) }
	other := bundle.Identity("other", "shop", "web")
	name := func() string {
		return bundle.Name(draw(random, "web", "WEB", "shop"), draw(random, identity, identity, identity, other), field())
	}
	digest := func() string { return draw(random, "", digestA, digestB, "damaged") }
	version := func() Version {
		return Version{CertID: int64(random.IntN(6)), Name: name(), Digest: digest(), NotAfter: draw(random, when(), now.Add(time.Hour)), Became: when()}
	}
	o := Observed{
		Now:      now,
		Settings: Settings{AllowedAccounts: draw(random, nil, nil, []string{"1"}, []string{"1", "2"}, []string{"3"}), Started: when(), MaxVersionsPerHour: random.IntN(3), PruneDelay: 24 * time.Hour, SettleDelay: 30 * time.Second, OrphanAfter: draw(random, 0, 24*time.Hour), OwnWriteAge: 10 * time.Minute},
		Object: Object{
			Identity: identity, Prefixed: flip(), Generation: int64(1 + random.IntN(2)), Created: when(), Held: flip(), DeletesCertificates: flip(),
			Keep: random.IntN(3) - 1, Suspended: random.IntN(8) == 0, SM: flip(), Orphan: random.IntN(8) == 0, Resync: flip(),
		},
		Status: Status{
			Place: Place{Account: draw(random, "", "1", "2"), Region: draw(random, "", "cn-hangzhou", "ap-southeast-1")}, Generation: int64(random.IntN(3)),
			ContentHash: draw(random, "", "sha256:old", "sha256:new"), Ready: flip(), Stalled: flip(), NamesSecret: flip(), AnswersSecret: flip(), SecretShown: flip(),
			Reason: draw(random, "", v1alpha1.ReasonSynced, v1alpha1.ReasonProgressing, v1alpha1.ReasonInvalidCertificate, v1alpha1.ReasonNameConflict),
		},
		Place: Place{Account: draw(random, "", "1", "2"), Region: draw(random, "cn-hangzhou", "ap-southeast-1")},
		Cloud: Cloud{Listed: when(), Unreadable: random.IntN(2), DeletedCurrent: flip()},
		Tried: Tried{
			Name: draw(random, "", name()), Sent: when(), Lost: when(), Taken: draw(random, "", name()), TakenSince: when(), Missing: flip(), Outdated: flip(),
			Elsewhere: flip(), PruneAfter: when(), Proving: when(), ListAgain: when(), FailedOtherwise: when(),
		},
	}
	if flip() {
		o.Object.Deleted = when()
	}
	if flip() {
		o.Status.Current = version()
	}
	for range random.IntN(4) {
		o.Status.History = append(o.Status.History, version())
		o.Tried.Recreated, o.Tried.Moves = append(o.Tried.Recreated, when()), append(o.Tried.Moves, when())
	}
	for id := int64(6); id > 0; id-- {
		if flip() {
			field := field()
			o.Cloud.Entries = append(o.Cloud.Entries, Entry{
				CertID: id, Name: named(draw(random, "web", "WEB"), field), Field: field, Digest: digest(), Seen: when(), Uploaded: when(),
				Fresh: flip(), Appeared: flip(), Refuted: random.IntN(8) == 0,
			})
		}
	}
	if random.IntN(4) == 0 {
		o.Status.Foreign, o.Tried.Unanswered = []int64{1 + random.Int64N(6)}, []int64{1 + random.Int64N(6)}
	}
	for range random.IntN(3) {
		o.Holders = append(o.Holders, Holder{
			Name: "alb", CertIDs: []int64{int64(random.IntN(6))}, Unread: random.IntN(8) == 0, Bound: int64(random.IntN(6)), Since: when(),
		})
	}
	if random.IntN(8) == 0 {
		o.SoFar.Asked, o.SoFar.NoCloud = true, &Failure{Err: errCloud, Refusal: true}
	}
	return o
}

// world answers steps in a world that does not change: what is asked for is read, and shows
// what was known before; every name is taken, and nothing can be deleted.
func world(o Observed, step Step) Observed {
	switch step := step.(type) {
	case Hold:
		o.Object.Held = step.Want
	case Learn:
		o.SoFar.Asked = true
	case Read:
		o.Content = &Content{Hash: "sha256:new", Field: newField, Digests: []string{digestB}}
		o.Object.Names = []string{named("web", newField), named("web_2", newField)}
	case StartAnew:
		o.Status, o.SoFar.Anew = Status{Place: o.Place}, true
	case Adopt:
		o.Status.Current = Version{CertID: step.Entry.CertID, Name: step.Entry.Name, Became: now}
		o.Status.ContentHash, o.SoFar.Present = o.Content.Hash, true
	case LookUp:
		o.SoFar.Looked = true
	case List:
		o.Cloud.Listed = now
	case ListTogether:
		o.SoFar.Together = append([]Entry{}, o.Cloud.Entries...)
	case Upload:
		if step.Repair { // this one is there
			o.Status.Current.CertID, o.SoFar.Present, o.Tried.Missing, o.Status.AnswersSecret = 99, true, false, true
			return o
		}
		o.SoFar.Taken, o.Tried.Name, o.Tried.Taken, o.Tried.TakenSince = true, step.Name, step.Name, now
	case Delete:
		for i, e := range step.Entries {
			if i == 0 { // this one goes
				o.Status.History = slices.DeleteFunc(slices.Clone(o.Status.History), func(v Version) bool { return v.CertID == e.CertID })
				o.Cloud.Entries = slices.DeleteFunc(slices.Clone(o.Cloud.Entries), func(known Entry) bool { return known.CertID == e.CertID })
				continue
			}
			o.SoFar.Left = append(o.SoFar.Left, Undeleted{CertID: e.CertID, Name: e.Name, Err: errCloud})
		}
	}
	return o
}

// TestEveryObservationHasAnEnd plays reconciles from any observation in a world that does not
// change: each comes to an end, and no step is taken twice on the way.
func TestEveryObservationHasAnEnd(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) // the same every time
	for n := range 200000 {
		first := anyObserved(random)
		o := first
		var taken []Step
		for {
			step := Decide(o)
			if step == nil {
				t.Fatalf("observation %d: no step for %+v", n, o)
			}
			checkDelete(t, o, step)
			checkUpload(t, o, step)
			if Ends(step) {
				if _, kept := step.(Keep); o.SoFar.Present && !kept {
					t.Errorf("a new current version is not published: %T after %+v", step, taken)
				}
				if _, nothing := step.(Nothing); nothing && slices.ContainsFunc(taken, func(s Step) bool { _, ok := s.(Delete); return ok }) {
					t.Errorf("a deletion is not published, after %+v", taken)
				}
				break
			}
			if slices.ContainsFunc(taken, func(s Step) bool { return cmp.Equal(s, step, cmp.Comparer(sameText)) }) || len(taken) > 20 {
				t.Fatalf("observation %d: %T once more, after %+v, from %+v", n, step, taken, first)
			}
			taken = append(taken, step)
			o = world(o, step)
		}
		if t.Failed() {
			t.Fatalf("observation %d: %+v", n, first)
		}
	}
}

// checkUpload holds an upload to what the design page says of the accounts that are allowed:
// one that is not on the list, or not known, gets nothing.
func checkUpload(t *testing.T, o Observed, step Step) {
	t.Helper()
	if _, ok := step.(Upload); !ok || o.Settings.AllowedAccounts == nil {
		return
	}
	if o.SoFar.NoCloud != nil || o.Place.Account == "" || !slices.Contains(o.Settings.AllowedAccounts, o.Place.Account) {
		t.Errorf("an upload to account %q, of %q: %+v", o.Place.Account, o.Settings.AllowedAccounts, step)
	}
}

// checkDelete holds a deletion to what the design page says of it, in other words than the
// rules do.
func checkDelete(t *testing.T, o Observed, step Step) {
	t.Helper()
	removal, ok := step.(Delete)
	if !ok {
		return
	}
	ending := !o.Object.Deleted.IsZero()
	sameRegion := o.Status.Place.Region == "" || o.Status.Place.Region == o.Place.Region
	sameAccount := o.Status.Place.Account == "" || o.Place.Account == "" || o.Status.Place.Account == o.Place.Account
	if o.Object.Suspended || o.SoFar.NoCloud != nil || !sameRegion || !sameAccount || len(removal.Entries) == 0 {
		t.Errorf("a deletion that may not be: %+v", step)
	}
	if ending && (!o.Object.DeletesCertificates || o.Object.Orphan || !o.Object.Held || o.Cloud.Listed.Before(o.Object.Deleted.Add(o.Settings.SettleDelay))) {
		t.Errorf("a deletion against the will of the object, or without a list: %+v", step)
	}
	for _, e := range removal.Entries {
		checkDeleted(t, o, e, ending)
	}
}

func checkDeleted(t *testing.T, o Observed, e Entry, ending bool) {
	t.Helper()
	listed := slices.ContainsFunc(o.Cloud.Entries, func(known Entry) bool { return known.CertID == e.CertID && known.Name == e.Name })
	if !listed || e.Refuted || slices.Contains(o.Status.Foreign, e.CertID) || !strings.Contains(strings.ToLower(e.Name), identity) {
		t.Errorf("certificate %d (%s) is not listed, not ours or refuted", e.CertID, e.Name)
	}
	for _, h := range o.Holders {
		followed := h.Bound == o.Status.Current.CertID && o.Now.Sub(h.Since) < o.Settings.PruneDelay
		if h.Unread || slices.Contains(h.CertIDs, e.CertID) || !ending && followed {
			t.Errorf("certificate %d is kept by %+v", e.CertID, h)
		}
	}
	for _, v := range append([]Version{o.Status.Current}, o.Status.History...) {
		known := len(v.Digest) == 64 && len(e.Digest) == 64
		if v.CertID == e.CertID && v.CertID != 0 && known && v.Digest != e.Digest && !o.Object.SM {
			t.Errorf("certificate %d has digest %.4s, want %.4s", e.CertID, e.Digest, v.Digest)
		}
	}
	if ending {
		return
	}
	together := slices.ContainsFunc(o.SoFar.Together, func(known Entry) bool { return known.CertID == o.Status.Current.CertID })
	position := slices.IndexFunc(o.Status.History, func(v Version) bool { return v.CertID == e.CertID })
	switch {
	case e.CertID == o.Status.Current.CertID, !together:
		t.Errorf("certificate %d is the current one, or the list does not show that one", e.CertID)
	case o.Object.Keep < 0, slices.IndexFunc(o.Status.History[o.Object.Keep:], func(v Version) bool { return v.CertID == e.CertID }) < 0:
		t.Errorf("certificate %d, number %d of history, is kept", e.CertID, position)
	case o.Now.Sub(o.Status.Current.Became) < o.Settings.PruneDelay:
		t.Errorf("certificate %d is pruned before its time", e.CertID)
	}
}
