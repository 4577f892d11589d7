// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package cas

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
)

// parseTestName takes names like web_<identity>_<content>.
func parseTestName(name string) (identity, content string, ok bool) {
	fields := strings.Split(name, "_")
	if len(fields) != 3 {
		return "", "", false
	}
	return fields[1], fields[2], true
}

// inventoryClient returns a client of an emulator in a bubble whose limiters are
// ready, and counts its list calls.
func inventoryClient(t *testing.T, o emulator.Options) (client *Client, server *emulator.Server, lists *atomic.Int64) {
	t.Helper()
	return inventoryClientAt(t, o, 0)
}

// inventoryClientAt is inventoryClient with a number of lists a second, 0 for the default.
func inventoryClientAt(t *testing.T, o emulator.Options, listQPS float64) (client *Client, server *emulator.Server, lists *atomic.Int64) {
	t.Helper()
	server, lists = newEmulator(t, o), &atomic.Int64{}
	cloud := newTestCloud(t, alibaba.Config{
		STSEndpoint: "http://127.0.0.1:1", Transport: server.Transport(RegionChina),
		Observe: func(_ context.Context, call alibaba.CallInfo) {
			if call.Action == ActionList {
				lists.Add(1)
			}
		},
	}, Config{Endpoints: map[string]string{RegionChina: "http://127.0.0.1:1"}, ParseName: parseTestName, ListQPS: listQPS})
	p, err := alibaba.Static(longLived())
	if err != nil {
		t.Fatal(err)
	}
	if client, err = cloud.Client(RegionChina, p); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Reserve(t.Context(), ActionList); !alibaba.IsThrottled(err) {
		t.Fatalf("a new limiter is not quiet at first: %v", err)
	}
	time.Sleep(2 * ratelimit.QuietStart)
	return client, server, lists
}

// fill puts n certificates of n/2 identities into the cloud.
func fill(t *testing.T, server *emulator.Server, n int) {
	t.Helper()
	upload, _ := newCertificate(t, "www.example.com")
	for i := range n {
		name := fmt.Sprintf("web_%05d_%d", i/2, i%2)
		if _, err := server.AddForeign(testAccount, RegionChina, emulator.Foreign{Name: name, PEM: upload.Certificate}); err != nil {
			t.Fatal(err)
		}
	}
}

func names(entries []inventory.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func TestASweepShowsWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, lists := inventoryClient(t, emulator.Options{})
		fill(t, server, 120)
		upload, _ := newCertificate(t, "other.example.com")
		if _, err := server.AddForeign(testAccount, RegionChina, emulator.Foreign{Name: "somebody", PEM: upload.Certificate}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := client.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := client.Inventory()
		if diff := cmp.Diff([]string{"web_00007_1", "web_00007_0"}, names(v.Entries("00007"))); diff != "" {
			t.Error("newest first:", diff)
		}
		if e, ok := v.Find("00059", "1"); !ok || e.SHA256 == "" || e.ResourceID == "" || e.NotAfter.IsZero() || e.Seen.Before(began) {
			t.Errorf("found %t: %+v", ok, e)
		}
		if _, ok := v.Find("00059", "2"); ok {
			t.Error("found what is not there")
		}
		for i := range 60 {
			if identity := fmt.Sprintf("%05d", i); len(v.Entries(identity)) != 2 {
				t.Errorf("%d certificates of identity %s", len(v.Entries(identity)), identity)
			}
		}
		if lists.Load() != 3+1 { // 121 certificates on three pages, no expired
			t.Errorf("%d calls, want 4", lists.Load())
		}
		if took := time.Since(began); took < 3*time.Second/2 {
			t.Errorf("a sweep that nobody waits for took %s: it leaves too little to others", took)
		}
	})
}

func TestWhoWaitsForASweepIsToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, lists := inventoryClient(t, emulator.Options{})
		fill(t, server, 500)
		since := time.Now()
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() {
				for tries := 0; ; tries++ {
					err := client.SweptSince(since)
					if err == nil {
						return
					}
					after, ok := alibaba.RetryAfter(err)
					if !ok || !alibaba.IsThrottled(err) || tries > 5 {
						t.Errorf("try %d: %v", tries, err)
						return
					}
					time.Sleep(after)
				}
			})
		}
		waiters.Wait()
		if lists.Load() != 11 {
			t.Errorf("%d calls for 100 who wait, want one sweep of 11", lists.Load())
		}
		if took := time.Since(since); took > 4*time.Second {
			t.Errorf("11 calls at 9 a second took %s", took)
		}
		if err := client.SweptSince(since); err != nil {
			t.Errorf("the sweep is at hand: %v", err)
		}
		if err := client.SweptSince(time.Now()); !alibaba.IsThrottled(err) {
			t.Errorf("a sweep from before is not enough: %v", err)
		}
		time.Sleep(time.Minute) // until the sweep that this began has ended
	})
}

func TestASweepThatDoesNotAddUpDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]emulator.Fault{
		"a short page":          {Kind: emulator.FaultShortPage},
		"a wrong count":         {Kind: emulator.FaultTotalCount, Size: 3},
		"a count that is below": {Kind: emulator.FaultTotalCount},
		"an error":              {Kind: emulator.FaultFail},
		"a refusal":             {Kind: emulator.FaultDenied},
		"an empty answer":       {Kind: emulator.FaultEmpty},
		"half an answer":        {Kind: emulator.FaultTruncated},
		"a page of HTML":        {Kind: emulator.FaultHTML},
		"no answer":             {Kind: emulator.FaultHang},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := inventoryClient(t, emulator.Options{})
				fill(t, server, 60)
				if err := client.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				v := client.Inventory()
				swept := v.Swept()
				fault.Action = string(ActionList)
				server.Inject(fault)
				began := time.Now()
				if err := client.Sweep(t.Context()); err == nil {
					t.Error("the sweep counts")
				}
				if !v.Swept().Equal(swept) || len(v.Entries("00001")) != 2 {
					t.Error("a sweep that failed changed the inventory")
				}
				if err := client.SweptSince(began); err == nil || alibaba.IsThrottled(err) {
					t.Errorf("the failure is not remembered: %v", err)
				}
				server.ClearFaults()
				time.Sleep(time.Minute) // the rest after a refusal
				if err := client.SweptSince(began); !alibaba.IsThrottled(err) {
					t.Errorf("it is not tried again: %v", err)
				}
				time.Sleep(time.Minute)
				if err := client.SweptSince(began); err != nil {
					t.Errorf("the next sweep did not count: %v", err)
				}
			})
		})
	}
}

func TestAShiftingListIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		fill(t, server, 60)
		server.Inject(emulator.Fault{Kind: emulator.FaultShortPage, Count: 1})
		if err := client.Sweep(t.Context()); err != nil {
			t.Errorf("a list that shifted once: %v", err)
		}
	})
}

// Of 2,000 pages one may fail: the others are not read in vain.
func TestASweepSurvivesAnErrorThatPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, lists := inventoryClient(t, emulator.Options{})
		fill(t, server, 120)
		server.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(ActionList), Count: 3})
		if err := client.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if want := int64(3 + 1 + 3); lists.Load() != want {
			t.Errorf("%d calls, want %d", lists.Load(), want)
		}
	})
}

// A sweep earns its trust itself: what it does not list is not gone because an older
// one was found plausible.
func TestOnlyATrustedSweepSaysWhatIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		fill(t, server, 2)
		before := time.Now()
		sweep := func() {
			time.Sleep(time.Minute)
			if err := client.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sweep()
		v := client.Inventory()
		v.Trust()
		entry := v.Entries("00000")[0]
		gone := func() bool { return v.Gone(entry.CertID, entry.Name, before) }
		if gone() {
			t.Error("what is listed is gone")
		}
		server.DeleteOutOfBand(testAccount, RegionChina, entry.CertID)
		sweep()
		if gone() {
			t.Error("a sweep that nobody found plausible says what is gone")
		}
		v.Trust()
		if !gone() {
			t.Error("a trusted sweep does not say what is gone")
		}
	})
}

func TestNoSweepUndoesOurOwnYoungWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{ListLag: time.Hour})
		fill(t, server, 4)
		v := client.Inventory()
		upload, _ := newCertificate(t, "new.example.com")
		upload.Name = "web_00009_0"
		uploaded, err := client.Upload(t.Context(), nil, upload)
		if err != nil {
			t.Fatal(err)
		}
		v.Uploaded(uploaded.CertID, uploaded.ResourceID, upload.Name)
		gone := server.Certificates(testAccount, RegionChina)[0]
		v.Deleted(gone.CertID, gone.Name) // the list will show it for a while
		sweep := func() {
			t.Helper()
			if err := client.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sweep()
		if len(v.Entries("00009")) != 1 || len(v.Entries("00000")) != 1 || !v.Wrote(uploaded.CertID) || !v.Gone(gone.CertID, gone.Name, time.Now()) {
			t.Error("a sweep undid what we wrote a moment ago")
		}
		time.Sleep(inventory.DefaultOwnWriteAge)
		sweep()
		if len(v.Entries("00009")) != 0 || len(v.Entries("00000")) != 2 || v.Wrote(uploaded.CertID) {
			t.Error("what we wrote long ago outweighs a sweep")
		}
		if v.Gone(uploaded.CertID, upload.Name, time.Now().Add(-time.Hour)) {
			t.Error("gone by a sweep that nobody trusts")
		}
		v.Trust()
		if !v.Gone(uploaded.CertID, upload.Name, time.Now().Add(-time.Hour)) {
			t.Error("a trusted sweep did not list it, and it is not gone")
		}
		if v.Gone(uploaded.CertID, upload.Name, time.Now()) {
			t.Error("gone, although it was there after the sweep")
		}
	})
}

// A sweep at a call a second reads 7,000 certificates for longer than our own writes
// stay young otherwise.
func TestNoLongSweepUndoesWhatWasWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClientAt(t, emulator.Options{}, 1)
		fill(t, server, 7000)
		all := server.Certificates(testAccount, RegionChina)
		oldest, newest := all[0], all[len(all)-1]
		v := client.Inventory()
		upload, _ := newCertificate(t, "new.example.com")
		write := func(name string, gone emulator.Certificate) int64 {
			made, err := server.AddForeign(testAccount, RegionChina, emulator.Foreign{Name: name, PEM: upload.Certificate})
			if err != nil {
				t.Error(err)
			}
			v.Uploaded(made.CertID, made.ResourceID, made.Name)
			server.DeleteOutOfBand(testAccount, RegionChina, gone.CertID)
			v.Deleted(gone.CertID, gone.Name)
			return made.CertID
		}
		began := time.Now()
		var early, late int64
		time.AfterFunc(30*time.Second, func() { early = write("web_early_1", newest) })
		time.AfterFunc(time.Minute, func() { late = write("web_late_1", oldest) })
		if err := client.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < inventory.DefaultOwnWriteAge+time.Minute {
			t.Fatalf("the sweep took only %s", took)
		}
		for name, certID := range map[string]int64{"early": early, "late": late} {
			if e, ok := v.Find(name, "1"); !ok || e.CertID != certID || e.Uploaded.IsZero() {
				t.Errorf("what was uploaded during the sweep is unknown: %+v", e)
			}
		}
		for _, gone := range []emulator.Certificate{oldest, newest} {
			identity, content, _ := parseTestName(gone.Name)
			if _, ok := v.Find(identity, content); ok {
				t.Errorf("certificate %s was deleted during the sweep and is back", gone.Name)
			}
		}
	})
}

func TestWhatNoListTellsSurvivesSweepsAndLookUps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		fill(t, server, 4)
		v := client.Inventory()
		upload, _ := newCertificate(t, "www.example.com")
		upload.Name = "web_00000_9"
		uploaded, err := client.Upload(t.Context(), nil, upload)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		v.Uploaded(uploaded.CertID, uploaded.ResourceID, upload.Name)
		foreign := server.Certificates(testAccount, RegionChina)[0]
		check := func(when string) {
			t.Helper()
			for _, e := range append(v.Entries("00000"), v.Entries("00001")...) {
				if mine := e.CertID == uploaded.CertID; e.Uploaded.IsZero() == mine || mine && !e.Uploaded.Equal(at) {
					t.Errorf("%s: certificate %s was uploaded at %s", when, e.Name, e.Uploaded)
				}
				if e.Refuted != (e.CertID == foreign.CertID) {
					t.Errorf("%s: certificate %s is refuted: %t", when, e.Name, e.Refuted)
				}
			}
		}
		look := func() {
			t.Helper()
			if _, err := client.LookUp(t.Context(), "00000", "www.example.com", time.Now(), func(inventory.Entry) bool { return true }); err != nil {
				t.Fatal(err)
			}
		}
		look()
		v.Refute(foreign.CertID)
		v.Refute(12345) // is not known
		check("after the look-up that showed it")
		time.Sleep(2 * inventory.DefaultOwnWriteAge)
		look()
		check("after another look-up")
		for range 2 {
			if err := client.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			check("after a sweep")
		}
		server.DeleteOutOfBand(testAccount, RegionChina, foreign.CertID)
		if err := client.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e, ok := v.Find("00000", "0"); ok {
			t.Errorf("%+v is gone and still known", e)
		}
		if v.Unreadable() != 0 {
			t.Errorf("%d entries could not be read", v.Unreadable())
		}
	})
}

// An order of another kind, or whatever else the cloud may mix into its list.
func TestEntriesThatCannotBeReadEndNoSweep(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an entry without an id": `{"TotalCount":2,"CertificateOrderList":[{"CertificateId":7,"Name":"web_a_1"},{"Name":"an order that is being checked"}]}`,
		"an entry that is none":  `{"TotalCount":2,"CertificateOrderList":["?",{"CertificateId":7,"Name":"web_a_1"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				lists := 0
				client := newBubbleClient(t, func(*http.Request) (*http.Response, error) {
					if lists++; lists > 1 { // no expired ones; and in the second sweep, none at all
						return answerWith(`{"TotalCount":0,"CertificateOrderList":[]}`), nil
					}
					return answerWith(body), nil
				})
				client.cloud.parseName = parseTestName
				_, _ = client.Reserve(t.Context(), ActionList)
				time.Sleep(2 * ratelimit.QuietStart)
				if err := client.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
				v := client.Inventory()
				if _, ok := v.Find("a", "1"); !ok || v.Unreadable() != 1 {
					t.Errorf("found %t, %d unreadable", ok, v.Unreadable())
				}
				if err := client.Sweep(t.Context()); err != nil || v.Unreadable() != 0 {
					t.Errorf("the next sweep reads everything: %v, %d unreadable", err, v.Unreadable())
				}
			})
		})
	}
}

// What the cloud answers to that is unknown: a refusal would end every sweep.
func TestRevokedUploadsAreNotAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newBubbleClient(t, func(r *http.Request) (*http.Response, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			if status := r.PostForm.Get("Status"); status != statusCurrent && status != statusExpired {
				t.Errorf("asked for uploads of status %q", status)
			}
			return answerWith(`{"TotalCount":0,"CertificateOrderList":[]}`), nil
		})
		_, _ = client.Reserve(t.Context(), ActionList)
		time.Sleep(2 * ratelimit.QuietStart)
		if err := client.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := client.LookUp(t.Context(), "a", "www.example.com", time.Now(), func(inventory.Entry) bool { return true }); err != nil {
			t.Error(err)
		}
	})
}

func TestAListThatIsMiscountedSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		fill(t, server, 60)
		server.Inject(emulator.Fault{Kind: emulator.FaultTotalCount, Size: 3})
		err := client.Sweep(t.Context())
		if err == nil || !strings.Contains(err.Error(), "holds 60 certificates") || !strings.Contains(err.Error(), "TotalCount says 63") {
			t.Errorf("got %v, want both counts", err)
		}
		if !client.Inventory().Swept().IsZero() {
			t.Error("the sweep counts")
		}
	})
}

func TestLookUpsShareASweepWhenTheyAreMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, lists := inventoryClient(t, emulator.Options{})
		fill(t, server, 400)
		one := func(identity string) ([]inventory.Entry, error) {
			since := time.Now()
			for {
				found, err := client.LookUp(t.Context(), identity, "www.example.com", since, func(e inventory.Entry) bool { return strings.HasSuffix(e.Name, "_1") })
				after, ok := alibaba.RetryAfter(err)
				if !ok {
					return found, err
				}
				time.Sleep(after)
			}
		}
		found, err := one("00003")
		if diff := cmp.Diff([]string{"web_00003_1"}, names(found)); diff != "" || err != nil {
			t.Error(err, diff)
		}
		if found, err := one("99999"); len(found) != 0 || err != nil {
			t.Errorf("found %v, %v", found, err)
		}
		before := lists.Load()
		var all sync.WaitGroup
		for i := range 150 {
			all.Go(func() {
				if found, err := one(fmt.Sprintf("%05d", i)); len(found) != 1 || err != nil {
					t.Errorf("look-up %d: %v, %v", i, found, err)
				}
			})
		}
		all.Wait()
		if calls := lists.Load() - before; calls > 3*10+2*10 {
			t.Errorf("150 look-ups at once took %d calls", calls)
		}
	})
}

func TestALookUpWithTooManyMatchesBecomesASweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := inventoryClient(t, emulator.Options{})
		fill(t, server, 20*PageSize+200)
		since := time.Now()
		look := func() ([]inventory.Entry, error) {
			return client.LookUp(t.Context(), "99999", "www.example.com", since, func(inventory.Entry) bool { return true })
		}
		if _, err := look(); !alibaba.IsThrottled(err) {
			t.Fatalf("%v, want to be told when the sweep is at hand", err)
		}
		time.Sleep(time.Minute)
		if found, err := look(); err != nil || len(found) != 0 {
			t.Errorf("found %v, %v; want to know that it is not there", found, err)
		}
	})
}

// otherProvider is another credential of the same account.
type otherProvider struct{ alibaba.Provider }

func (otherProvider) ID() string { return "other" }

func TestInventoriesMeetInTheirAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := inventoryClient(t, emulator.Options{})
		client.Inventory().Uploaded(7, "r7", "web_a_0")
		client.Inventory().Uploaded(8, "r8", "not ours")
		before := client.Inventory()
		if _, err := client.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		if client.Inventory() != before {
			t.Error("what was known was lost when the account became known")
		}
		provider, err := alibaba.Static(longLived())
		if err != nil {
			t.Fatal(err)
		}
		second, err := client.cloud.Client(RegionChina, otherProvider{provider})
		if err != nil {
			t.Fatal(err)
		}
		second.Inventory().Uploaded(9, "r9", "web_a_1")
		second.Inventory().Deleted(7, "web_a_0")
		if _, err := second.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		if second.Inventory() != client.Inventory() {
			t.Fatal("one account, two inventories")
		}
		if diff := cmp.Diff([]string{"web_a_1", "web_a_0"}, names(client.Inventory().Entries("a"))); diff != "" {
			t.Error(diff) // what both wrote; each knows its own best
		}
	})
}

// Each region counts for itself: one CertId can be two certificates.
func TestCertIDsAreOfOneRegion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		china, _, _ := inventoryClient(t, emulator.Options{})
		provider, err := alibaba.Static(longLived())
		if err != nil {
			t.Fatal(err)
		}
		international, err := china.cloud.Client(RegionInternational, provider)
		if err != nil {
			t.Fatal(err)
		}
		china.Inventory().Uploaded(7, "r", "web_a_0")
		international.Inventory().Uploaded(7, "r", "web_b_0")
		china.Inventory().Refute(7)
		if _, err := china.Account(t.Context()); err != nil {
			t.Fatal(err)
		}
		china.Inventory().Deleted(7, "web_a_0")
		if e, ok := international.Inventory().Find("b", "0"); !ok || e.Refuted || international.Inventory().Gone(7, "web_b_0", time.Now()) {
			t.Errorf("what was done to certificate 7 in one region was done to the other's: %t %+v", ok, e)
		}
	})
}
