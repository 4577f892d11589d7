// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

var (
	now      = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	identity = bundle.Identity("cluster", "shop", "web")
	here     = Place{Account: "1", Region: "cn-hangzhou"}
	oldField = strings.Repeat("0", 13)
	newField = strings.Repeat("1", 13)
	oldest   = strings.Repeat("2", 13)
	digestA  = strings.Repeat("a", 64)
	digestB  = strings.Repeat("b", 64)
	errCloud = errors.New("the cloud is away")
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// named is the name of a content, under a prefix.
func named(prefix, field string) string { return bundle.Name(prefix, identity, field) }

// synced is an object whose certificate 10 has been in the cloud for an hour, with certificate
// 5 in history, and nothing to do.
func synced() Observed {
	return Observed{
		Now: now,
		Settings: Settings{
			Started: ago(48 * time.Hour), MaxVersionsPerHour: 30, PruneDelay: 24 * time.Hour, SettleDelay: 30 * time.Second,
			OrphanAfter: 24 * time.Hour, OwnWriteAge: 10 * time.Minute,
		},
		Object: Object{Identity: identity, Generation: 1, Created: ago(72 * time.Hour), Keep: -1},
		Status: Status{
			Place: here, Generation: 1, ContentHash: "sha256:old", Reason: v1alpha1.ReasonSynced, Ready: true, NamesSecret: true, AnswersSecret: true, SecretShown: true,
			Current: Version{CertID: 10, Name: named("web", oldField), Digest: digestA, NotAfter: now.Add(time.Hour), Became: ago(time.Hour)},
			History: []Version{{CertID: 5, Name: named("web", oldest), Digest: digestB, Became: ago(30 * time.Hour)}},
		},
		Place: here,
		Cloud: Cloud{
			Entries: []Entry{
				{CertID: 10, Name: named("web", oldField), Field: oldField, Digest: digestA, Seen: ago(time.Hour)},
				{CertID: 5, Name: named("web", oldest), Field: oldest, Digest: digestB, Seen: ago(time.Hour)},
			},
			Listed: ago(time.Hour / 2),
		},
	}
}

// renewed is synced, whose Secret has a new content that was read.
func renewed() Observed {
	o := synced()
	o.Status.AnswersSecret = false
	o.Content = &Content{Hash: "sha256:new", Field: newField, Digests: []string{digestB}}
	o.Object.Names = []string{named("web", newField), named("web_2", newField)}
	return o
}

// taken is renewed, whose upload was refused because its name is taken.
func taken(waited time.Duration) Observed {
	o := renewed()
	o.SoFar.Taken, o.SoFar.Looked = true, true
	o.Tried.Name, o.Tried.Taken, o.Tried.TakenSince = named("web", newField), named("web", newField), ago(waited)
	return o
}

// dueToPrune is synced, whose history has to go, with a list that shows everything.
func dueToPrune() Observed {
	o := synced()
	o.Object.Keep = 0
	o.Status.Current.Became = ago(25 * time.Hour)
	o.SoFar.Together = o.Cloud.Entries
	return o
}

// deleted is synced, which was deleted an hour ago and was listed since.
func deleted() Observed {
	o := synced()
	o.Object.DeletesCertificates, o.Object.Held, o.Object.Deleted = true, true, ago(time.Hour)
	o.Cloud.Listed, o.SoFar.Asked = ago(time.Minute), true
	return o
}

func with(o Observed, change func(*Observed)) Observed {
	change(&o)
	return o
}

// TestDecide has a row for each situation.
func TestDecide(t *testing.T) {
	t.Parallel()
	throttled := &Failure{Err: errCloud, Throttled: true}
	denied := &Failure{Err: errCloud, Denied: true, Refusal: true}
	away := &Failure{Err: errCloud}
	newName, second := named("web", newField), named("web_2", newField)
	entry := func(certID int64, field string) Entry {
		for _, e := range synced().Cloud.Entries {
			if e.CertID == certID {
				return e
			}
		}
		return Entry{CertID: certID, Name: named("web", field), Field: field, Seen: now}
	}
	fresh := Entry{CertID: 11, Name: newName, Field: newField, Digest: digestB, Seen: ago(time.Second)}
	for name, tc := range map[string]struct {
		o    Observed
		want Step
	}{
		"an object that is up to date waits for its expiry": {synced(), Nothing{Until: now.Add(time.Hour + time.Second)}},
		"a suspended object is left alone": {with(synced(), func(o *Observed) { o.Object.Suspended = true }),
			Wait{Err: &SuspendedError{}}},
		"a suspended object says that its Secret has moved on": {with(renewed(), func(o *Observed) { o.Object.Suspended = true }),
			Wait{Err: &SuspendedError{Moved: true}}},
		"a suspended object says that its Secret is gone": {with(synced(), func(o *Observed) {
			o.Object.Suspended, o.Status.SecretShown, o.Status.NamesSecret, o.Status.AnswersSecret = true, false, false, false
		}), Wait{Err: &SuspendedError{Gone: true}}},
		"a suspended object says that it belongs elsewhere": {with(synced(), func(o *Observed) { o.Object.Suspended, o.Place.Region = true, "ap-southeast-1" }),
			Wait{Err: &SuspendedError{Region: "ap-southeast-1"}}},
		"a suspended object that has nothing in the cloud has moved nowhere": {with(synced(), func(o *Observed) {
			o.Object.Suspended, o.Place.Region, o.Status = true, "ap-southeast-1", Status{}
		}), Wait{Err: &SuspendedError{}}},
		"an expired certificate is judged again": {with(synced(), func(o *Observed) { o.Status.Current.NotAfter = ago(time.Second) }),
			Read{}},
		"a changed spec is answered": {with(synced(), func(o *Observed) { o.Object.Generation = 2 }), Read{}},
		"a changed Secret is read with a slot for its upload": {with(synced(), func(o *Observed) { o.Status.AnswersSecret = false }),
			Read{Reserve: true}},
		"a new object is prompt": {with(Observed{Now: now, Settings: synced().Settings, Place: here}, func(o *Observed) {
			o.Status.SecretShown = true
			o.Object = Object{Identity: identity, Generation: 1, Created: ago(time.Second), Keep: -1}
		}), Read{Reserve: true}},
		"an object from before the start is backlog": {with(Observed{Now: now, Settings: synced().Settings, Place: here}, func(o *Observed) {
			o.Status.SecretShown = true
			o.Object = Object{Identity: identity, Generation: 1, Created: ago(72 * time.Hour), Keep: -1}
		}), Read{Reserve: true, Urgency: Backlog}},
		"a certificate that drift did not find is repaired last": {with(synced(), func(o *Observed) { o.Tried.Missing = true }),
			Read{Reserve: true, Urgency: Repair}},
		"our own verdict on a Secret stands": {with(synced(), func(o *Observed) {
			o.Status.Reason, o.Status.Ready, o.Status.Stalled = v1alpha1.ReasonInvalidCertificate, false, true
		}), Nothing{}},
		"a refusal of the cloud is tried again": {with(synced(), func(o *Observed) {
			o.Status.Reason, o.Status.Ready = v1alpha1.ReasonInvalidCertificate, false
		}), Read{}},
		"who deletes its certificates is held once it has one": {with(synced(), func(o *Observed) { o.Object.DeletesCertificates = true }),
			Hold{Want: true}},
		"who retains them is not held":            {with(synced(), func(o *Observed) { o.Object.Held = true }), Hold{Want: false}},
		"without credentials nothing is uploaded": {with(renewed(), func(o *Observed) { o.SoFar.NoCloud = &Failure{Err: errCloud} }), Wait{Err: errCloud}},
		"another account is another place":        {with(renewed(), func(o *Observed) { o.Place.Account = "2" }), StartAnew{}},
		"an unknown account is the same place": {with(renewed(), func(o *Observed) { o.Place.Account = "" }),
			Upload{Name: newName}},
		"an account on the list is uploaded to": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.SoFar.Asked = []string{"1", "2"}, true
		}), Upload{Name: newName}},
		"with a list the account is learned before any key is read": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.Content = []string{"1"}, nil
		}), Learn{}},
		"an account that is not on the list gets nothing": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.SoFar.Asked, o.Content = []string{"2"}, true, nil
		}), Wait{Err: &AccountError{Account: "1"}}},
		"nor does one that turns out to be another while a key is in memory": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.SoFar.Asked, o.Place.Account = []string{"1"}, true, "2"
		}), Wait{Err: &AccountError{Account: "2"}}},
		"an account that is not known is on no list": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.SoFar.Asked, o.Place.Account, o.SoFar.NoAccount = []string{"1"}, true, "", away
		}), Wait{Err: &AccountError{Why: errCloud}}},
		"a certificate in an account that is on the list needs no call": {with(synced(), func(o *Observed) {
			o.Settings.AllowedAccounts = []string{"1"}
		}), Nothing{Until: now.Add(time.Hour + time.Second)}},
		"one in an account that is no longer on it is looked at": {with(synced(), func(o *Observed) {
			o.Settings.AllowedAccounts = []string{"2"}
		}), Learn{}},
		"as is one of which the account is unknown": {with(synced(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.Status.Place.Account = []string{"1"}, ""
		}), Learn{}},
		"missing credentials are said to be missing": {with(renewed(), func(o *Observed) {
			o.Settings.AllowedAccounts, o.SoFar.Asked, o.SoFar.NoCloud, o.Place.Account = []string{"1"}, true, away, ""
		}), Wait{Err: errCloud}},
		"what is in an account that is not on the list may still be deleted": {with(deleted(), func(o *Observed) {
			o.Settings.AllowedAccounts = []string{"2"}
		}), Delete{[]Entry{entry(5, oldest), entry(10, oldField)}}},
		"another object's status is not believed": {with(synced(), func(o *Observed) {
			o.Status.Current.Name = bundle.Name("web", bundle.Identity("other", "shop", "web"), oldField)
		}), StartAnew{}},
		"an object that moves to and fro stops": {with(renewed(), func(o *Observed) {
			o.Place.Region = "ap-southeast-1"
			o.Tried.Moves = []time.Time{ago(50 * time.Minute), ago(2 * time.Minute), ago(time.Minute)}
		}), Brake{&MovesError{Count: 3, Until: now.Add(10 * time.Minute)}}},

		"new content is uploaded, and waits for no list": {renewed(), Upload{Name: newName}},
		"the same content is kept":                       {with(renewed(), func(o *Observed) { o.Content.Hash = "sha256:old" }), Keep{}},
		"content that was listed just now is adopted":    {with(renewed(), func(o *Observed) { o.Cloud.Entries = append([]Entry{fresh}, o.Cloud.Entries...) }), Adopt{fresh}},
		"content that was listed long ago is uploaded, and met by name": {with(renewed(), func(o *Observed) {
			stale := fresh
			stale.Seen = ago(time.Hour)
			o.Cloud.Entries = append([]Entry{stale}, o.Cloud.Entries...)
		}), Upload{Name: newName}},
		"our own upload whose status was lost is adopted": {with(renewed(), func(o *Observed) {
			own := fresh
			own.Fresh, own.Seen, own.Uploaded = true, ago(5*time.Minute), ago(5*time.Minute)
			o.Tried.Name = newName
			o.Cloud.Entries = append([]Entry{own}, o.Cloud.Entries...)
		}), Adopt{ofEntry(fresh, func(e *Entry) { e.Fresh, e.Seen, e.Uploaded = true, ago(5*time.Minute), ago(5*time.Minute) })}},
		"our own upload from before the current version became it is asked for": {with(renewed(), func(o *Observed) {
			own := fresh
			own.Fresh, own.Seen, own.Uploaded = true, ago(5*time.Minute), ago(5*time.Minute)
			o.Tried.Name, o.Status.Current.Became = newName, ago(4*time.Minute)
			o.Cloud.Entries = append([]Entry{own}, o.Cloud.Entries...)
		}), Upload{Name: newName}},
		"another digest under our name is a conflict": {with(renewed(), func(o *Observed) {
			foreign := fresh
			foreign.Digest = digestA
			o.Cloud.Entries = append([]Entry{foreign}, o.Cloud.Entries...)
		}), Wait{Err: &NameConflictError{Name: newName, CertID: 11}, Refuted: 11}},
		"a name is kept in lower case under the prefix that it has": {with(renewed(), func(o *Observed) {
			stale := fresh
			stale.Seen, stale.Name = ago(time.Hour), strings.ToUpper(named("old", newField))
			o.Cloud.Entries = append([]Entry{stale}, o.Cloud.Entries...)
		}), Upload{Name: named("OLD", newField)}},
		"other credentials of an unknown account are asked for the certificate": {with(renewed(), func(o *Observed) {
			o.Content.Hash, o.Tried.Elsewhere, o.Place.Account = "sha256:old", true, ""
		}), LookUp{}},
		"and are sent it where they do not list it": {with(renewed(), func(o *Observed) {
			o.Content.Hash, o.Tried.Elsewhere, o.Place.Account, o.SoFar.Looked = "sha256:old", true, "", true
			o.Content.Field, o.Object.Names = oldField, []string{named("web", oldField)}
		}), Upload{Name: named("web", oldField), Repair: true}},
		"a resync looks before it uploads": {with(renewed(), func(o *Observed) {
			o.Object.Resync, o.Content.Hash = true, "sha256:old"
		}), LookUp{}},
		"a resync that finds nothing sends the same upload": {with(renewed(), func(o *Observed) {
			o.Object.Resync, o.Content.Hash, o.SoFar.Looked = true, "sha256:old", true
			o.Content.Field, o.Object.Names = oldField, []string{named("web", oldField)}
		}), Upload{Name: named("web", oldField), Repair: true}},
		"what a look-up found is adopted": {with(renewed(), func(o *Observed) { o.SoFar.Looked, o.SoFar.Found = true, &fresh }), Adopt{fresh}},
		"what drift did not find is uploaded again": {with(renewed(), func(o *Observed) {
			o.Content.Hash, o.Tried.Missing = "sha256:old", true
			o.Content.Field, o.Object.Names = oldField, []string{named("web", oldField)}
			o.Cloud.Entries = nil
		}), Upload{Name: named("web", oldField), Repair: true}},
		"what keeps vanishing is not uploaded for ever": {with(renewed(), func(o *Observed) {
			o.Content.Hash, o.Tried.Missing = "sha256:old", true
			o.Tried.Recreated = []time.Time{ago(40 * time.Minute), ago(20 * time.Minute), ago(time.Minute)}
		}), Wait{Err: &RecreationError{CertID: 10, Count: 3, Until: now.Add(20 * time.Minute)}}},
		"too many versions wait": {with(renewed(), func(o *Observed) {
			o.Settings.MaxVersionsPerHour, o.Status.Current.Became = 1, ago(10*time.Minute)
		}), Wait{Err: &VersionRateError{Limit: 1, Until: now.Add(50 * time.Minute)}}},

		"after a change of the prefix the content is looked for first": {with(renewed(), func(o *Observed) {
			o.Object.Names, o.Cloud.Listed = []string{named("shop", newField)}, time.Time{}
		}), LookUp{}},
		"a miss by keyword is none": {with(renewed(), func(o *Observed) {
			o.Object.Names = []string{named("shop", newField)}
			o.SoFar.Looked, o.Cloud.Listed = true, time.Time{}
		}), List{Since: synced().Settings.Started}},
		"a complete list that does not show it is a miss": {with(renewed(), func(o *Observed) {
			o.Object.Names = []string{named("shop", newField)}
			o.SoFar.Looked = true
		}), Upload{Name: named("shop", newField)}},
		"who may not list uploads": {with(renewed(), func(o *Observed) {
			o.Object.Names = []string{named("shop", newField)}
			o.Cloud.Listed, o.SoFar.LookUp = time.Time{}, denied
		}), Upload{Name: named("shop", newField)}},
		"a list that is away is waited for": {with(renewed(), func(o *Observed) {
			o.Object.Names = []string{named("shop", newField)}
			o.Cloud.Listed, o.SoFar.LookUp = time.Time{}, away
		}), Wait{Err: errCloud}},

		"a name that is taken is looked up": {with(taken(0), func(o *Observed) { o.SoFar.Looked = false }), LookUp{}},
		"a name that was taken before is looked up first": {with(taken(time.Second), func(o *Observed) { o.SoFar.Looked, o.SoFar.Taken = false, false }),
			LookUp{}},
		"a taken name that is not listed yet is waited for": {taken(time.Second),
			Wait{Err: &NameTakenError{Name: newName, Since: ago(time.Second)}}},
		"a taken name that look-ups do not find takes a complete list": {taken(2 * time.Minute), List{Since: ago(2 * time.Minute)}},
		"a taken name that a complete list does not show is no certificate": {
			with(taken(2*time.Minute), func(o *Observed) { o.Cloud.Listed = now }),
			Wait{Err: &NameTakenError{Name: newName, Since: ago(2 * time.Minute), Unlisted: true}}},
		"after the lag limit the list is read once more": {with(taken(11*time.Minute), func(o *Observed) { o.Cloud.Listed = ago(5 * time.Minute) }),
			List{Since: ago(time.Minute)}},
		"then the content goes up under another name": {with(taken(11*time.Minute), func(o *Observed) { o.Cloud.Listed = now }),
			Upload{Name: second}},
		"unless an entry of the list cannot be read": {with(taken(11*time.Minute), func(o *Observed) { o.Cloud.Listed, o.Cloud.Unreadable = now, 1 }),
			Wait{Err: &NameTakenError{Name: newName, Since: ago(11 * time.Minute), Unlisted: true, Unreadable: 1}}},
		"or all names are held": {with(taken(11*time.Minute), func(o *Observed) {
			o.Cloud.Listed, o.Object.Names = now, []string{newName}
		}), Wait{Err: &NameTakenError{Name: newName, Since: ago(11 * time.Minute), Unlisted: true, Exhausted: true}}},
		"a name that the status names is there while lists may lag": {with(taken(0), func(o *Observed) {
			o.Status.Current.Name, o.Status.Current.Became = newName, ago(5*time.Minute)
		}), Keep{}},
		"a name that the status names is there if nobody may list": {with(taken(0), func(o *Observed) {
			o.Status.Current.Name, o.SoFar.Looked, o.SoFar.LookUp = newName, false, denied
		}), Keep{}},
		"a taken name that may not be looked up says so": {with(taken(0), func(o *Observed) { o.SoFar.Looked, o.SoFar.LookUp = false, denied }),
			Wait{Err: errCloud}},
		"a list that is busy is waited for": {with(taken(0), func(o *Observed) {
			o.Status.Current.Name, o.SoFar.Looked, o.SoFar.LookUp = newName, false, throttled
		}), Wait{Err: errCloud}},

		"superseded versions are kept for the delay": {with(dueToPrune(), func(o *Observed) { o.Status.Current.Became, o.SoFar.Together = ago(time.Hour), nil }),
			Nothing{Until: now.Add(time.Hour + time.Second)}},
		"then one list has to show all of them": {with(dueToPrune(), func(o *Observed) { o.SoFar.Together = nil }), ListTogether{Since: ago(AtHand)}},
		"a superseded version is deleted":       {dueToPrune(), Delete{[]Entry{entry(5, "")}}},
		"none is, while the current one is not in the same list": {with(dueToPrune(), func(o *Observed) { o.SoFar.Together = o.Cloud.Entries[1:] }),
			Pruned{&CurrentMissingError{CertID: 10, Name: named("web", oldField)}}},
		"none is, while a stranger shares the identity": {with(dueToPrune(), func(o *Observed) {
			o.Cloud.Entries = append([]Entry{{CertID: 12, Name: newName, Field: newField, Appeared: true}}, o.Cloud.Entries...)
		}), Pruned{&SharedError{CertID: 12, Name: newName, Appeared: true}}},
		"none is, whose digest is another": {with(dueToPrune(), func(o *Observed) { o.Status.History[0].Digest = digestA }),
			Pruned{&RemainingError{Left: []Undeleted{{CertID: 5, Name: named("web", oldest), Refusal: true, Err: &UnprovenError{Problem: "its digest is another than it was"}}}}}},
		"one that failed is named": {with(dueToPrune(), func(o *Observed) {
			o.SoFar.Left = []Undeleted{{CertID: 5, Name: named("web", oldest), Err: errCloud}}
		}), Pruned{&RemainingError{Left: []Undeleted{{CertID: 5, Name: named("web", oldest), Err: errCloud}}}}},
		"one that a binding uses is kept, without reading the list": {with(dueToPrune(), func(o *Observed) {
			o.SoFar.Together, o.Holders = nil, []Holder{{Name: "alb", CertIDs: []int64{5}}}
		}), Pruned{remaining(5, oldest, &HeldError{Users: []string{"alb"}}, true)}},
		"none is, while a binding was not read yet": {with(dueToPrune(), func(o *Observed) {
			o.Holders = []Holder{{Name: "alb", Unread: true}}
		}), Pruned{remaining(5, oldest, &HeldError{Unread: []string{"alb"}}, true)}},
		"one that a binding uses holds up no other": {with(dueToPrune(), func(o *Observed) {
			o.Status.History = append([]Version{{CertID: 6, Name: named("web", newField), Became: ago(40 * time.Hour)}}, o.Status.History...)
			o.SoFar.Together = append([]Entry{entry(6, "")}, o.SoFar.Together...)
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{6}}}
		}), Delete{[]Entry{entry(5, "")}}},
		"one that bindings kept is not waited for any longer than they do": {with(dueToPrune(), func(o *Observed) {
			o.Tried.PruneAfter, o.Tried.PruneHeld = now.Add(time.Hour), true
		}), Delete{[]Entry{entry(5, "")}}},
		"one that they still keep is": {with(dueToPrune(), func(o *Observed) {
			o.Tried.PruneAfter, o.Tried.PruneHeld, o.SoFar.Together = now.Add(time.Hour), true, nil
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{5}}}
		}), Nothing{Until: now.Add(time.Hour + time.Second)}},
		"one that failed for another reason is": {with(dueToPrune(), func(o *Observed) {
			o.Tried.PruneAfter, o.SoFar.Together = now.Add(time.Hour), nil
		}), Nothing{Until: now.Add(time.Hour + time.Second)}},
		"the delay begins when the last binding follows": {with(dueToPrune(), func(o *Observed) {
			o.SoFar.Together, o.Holders = nil, []Holder{{Name: "alb", CertIDs: []int64{10}, Bound: 10, Since: ago(time.Hour)}, {Name: "cdn", Bound: 10, Since: ago(30 * time.Hour)}}
		}), Nothing{Until: now.Add(time.Hour + time.Second)}},
		"a binding of another version does not put it off": {with(dueToPrune(), func(o *Observed) {
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{4}, Bound: 4, Since: ago(time.Hour)}}
		}), Delete{[]Entry{entry(5, "")}}},
		"when all are deleted that is published": {with(dueToPrune(), func(o *Observed) { o.Status.History = nil }), Pruned{}},

		"an object that is not held just goes": {with(deleted(), func(o *Observed) { o.Object.Held = false }), Nothing{}},
		"the annotation lets it go":            {with(deleted(), func(o *Observed) { o.Object.Orphan = true }), Release{Err: &UntouchedError{Why: "the annotation cloudcert.io/orphan asks for it"}}},
		"a policy that retains lets it go":     {with(deleted(), func(o *Observed) { o.Object.DeletesCertificates = false }), Release{Err: &UntouchedError{Why: "spec.deletionPolicy is Retain"}}},
		"uploads in flight are waited for": {with(deleted(), func(o *Observed) { o.Object.Deleted = ago(time.Second) }),
			Wait{Err: &SettlingError{Until: now.Add(29 * time.Second)}}},
		"a list from before that proves nothing": {with(deleted(), func(o *Observed) { o.Cloud.Listed = ago(2 * time.Hour) }),
			List{Since: ago(time.Hour).Add(30 * time.Second)}},
		"a deletion asks for the account before it asks for a list": {with(deleted(), func(o *Observed) {
			o.Cloud.Listed, o.SoFar.Asked = time.Time{}, false
		}), Learn{Urgency: Repair}},
		"everything goes, the current one last": {deleted(), Delete{[]Entry{entry(5, ""), entry(10, "")}}},
		"what was refuted before a restart is left alone": {with(deleted(), func(o *Observed) {
			o.Status.Foreign = []int64{12}
			o.Cloud.Entries = []Entry{{CertID: 12, Name: newName, Field: newField}}
			o.Status.Current, o.Status.History = Version{}, nil
		}), Release{Alone: []Entry{{CertID: 12, Name: newName, Field: newField}}}},
		"one whose last deletion got no answer comes last": {with(deleted(), func(o *Observed) {
			o.Tried.Unanswered = []int64{5}
		}), Delete{[]Entry{entry(10, ""), entry(5, "")}}},
		"what was refuted is left alone": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries = []Entry{{CertID: 12, Name: newName, Field: newField, Refuted: true}}
			o.Status.Current, o.Status.History = Version{}, nil
		}), Release{Alone: []Entry{{CertID: 12, Name: newName, Field: newField, Refuted: true}}}},
		"in a conflict only what the status names goes": {with(deleted(), func(o *Observed) {
			o.Status.Reason = v1alpha1.ReasonNameConflict
			o.Cloud.Entries = append([]Entry{{CertID: 12, Name: newName, Field: newField}}, o.Cloud.Entries...)
		}), Delete{[]Entry{entry(5, ""), entry(10, "")}}},
		"one that cannot be deleted holds up no other": {with(deleted(), func(o *Observed) {
			o.SoFar.Left = []Undeleted{{CertID: 5, Name: named("web", oldest), Err: errCloud}}
		}), Delete{[]Entry{entry(10, "")}}},
		"and is named": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries, o.Status.Current = o.Cloud.Entries[1:], Version{}
			o.SoFar.Left = []Undeleted{{CertID: 5, Name: named("web", oldest), Err: errCloud}}
		}), Wait{Err: &RemainingError{Left: []Undeleted{{CertID: 5, Name: named("web", oldest), Err: errCloud}}}}},
		"what a binding uses stays, and all others go": {with(deleted(), func(o *Observed) {
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{10}}}
		}), Delete{[]Entry{entry(5, "")}}},
		"and the binding is named": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries, o.Status.History = o.Cloud.Entries[:1], nil
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{10}}}
		}), Wait{Err: remaining(10, oldField, &HeldError{Users: []string{"alb"}}, true)}},
		"a binding that was not read yet holds all of them": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries, o.Status.History = o.Cloud.Entries[:1], nil
			o.Holders = []Holder{{Name: "alb", Unread: true}}
		}), Wait{Err: remaining(10, oldField, &HeldError{Unread: []string{"alb"}}, true)}},
		"a binding that holds on is given its time, and the object goes without": {with(deleted(), func(o *Observed) {
			o.Object.Deleted = ago(25 * time.Hour)
			o.Cloud.Entries, o.Status.History = o.Cloud.Entries[:1], nil
			o.Holders = []Holder{{Name: "alb", CertIDs: []int64{10}}}
		}), Release{Err: remaining(10, oldField, &HeldError{Users: []string{"alb"}}, true)}},
		"an entry that cannot be read holds the object": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries, o.Status.Current, o.Status.History, o.Cloud.Unreadable = nil, Version{}, nil, 2
		}), Wait{Err: &UnreadableError{Count: 2}}},
		"when nothing is left it is released": {with(deleted(), func(o *Observed) {
			o.Cloud.Entries, o.Status.Current, o.Status.History = nil, Version{}, nil
		}), Release{}},
		"a refusal that lasts releases": {with(deleted(), func(o *Observed) {
			o.Object.Deleted, o.SoFar.List = ago(25*time.Hour), denied
		}), Release{Err: errCloud}},
		"a refusal that does not is waited for": {with(deleted(), func(o *Observed) { o.SoFar.List = denied }), Wait{Err: errCloud}},
		"an outage never releases":              {with(deleted(), func(o *Observed) { o.Object.Deleted, o.SoFar.List = ago(25*time.Hour), away }), Wait{Err: errCloud}},
		"an account that is not known proves nothing": {with(deleted(), func(o *Observed) {
			o.Place.Account = ""
			o.Cloud.Entries = []Entry{{CertID: 12, Name: newName, Field: newField}}
			o.Cloud.DeletedCurrent = true
			o.Status.Current.CertID = 20
		}), Wait{Err: &RemainingError{Left: []Undeleted{{CertID: 12, Name: newName, Refusal: true, Err: &UnprovenError{
			Problem: "the account of the credentials cannot be learned, and its list shows nothing that the status names: it may be another account",
		}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Decide(tc.o), cmpopts.EquateEmpty(), cmp.Comparer(sameText)); diff != "" {
				t.Errorf("the step (-want +got):\n%s", diff)
			}
		})
	}
}

// remaining says that one certificate could not be deleted.
func remaining(certID int64, field string, err error, refusal bool) error {
	return &RemainingError{Left: []Undeleted{{CertID: certID, Name: named("web", field), Err: err, Refusal: refusal}}}
}

// sameText compares errors by what they say.
func sameText(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

func ofEntry(e Entry, change func(*Entry)) Entry {
	change(&e)
	return e
}

func TestDigestsCanOnlyRefute(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 60)
	tls, sm := []string{"ab01" + zeros}, []string{"ab01" + zeros, "cd02" + zeros}
	for name, tc := range map[string]struct {
		listed string
		known  []string
		want   bool
	}{
		"absent":                         {"", tls, false},
		"too short to be one":            {"AB01", tls, false},
		"not hex":                        {strings.Repeat("x", 64), tls, false},
		"equal, in upper case":           {"AB01" + zeros, tls, false},
		"another one":                    {"AC01" + zeros, tls, true},
		"of the encryption certificate":  {"cd02" + zeros, sm, false},
		"of the signing certificate":     {"ab01" + zeros, sm, false},
		"of neither of the two":          {"ee02" + zeros, sm, true},
		"of an encryption part in a TLS": {zeros + "0000", tls, true},
	} {
		if got := refutes(tc.listed, tc.known); got != tc.want {
			t.Errorf("%s: refuted is %t, want %t", name, got, tc.want)
		}
	}
}
