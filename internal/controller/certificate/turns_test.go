// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

func TestAnObjectMayCallFiveTimesAtOnceAndThenOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "shop", Name: "web"}
	for name, tc := range map[string]struct {
		cost  int
		most  int           // in the first minute
		after time.Duration // of the last one in it, until the next
	}{
		"a call each":                  {costOfCall, 5 + 6, 10 * time.Second},
		"an upload and two look-ups":   {3 * costOfCall, 4, 30 * time.Second},
		"a Secret that is read alone":  {costOfRead, 41 + 60, time.Second},
		"nothing that anybody notices": {0, 600, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var turns turns
			made := 0
			for at := now; at.Before(now.Add(time.Minute)); at = at.Add(100 * time.Millisecond) {
				if turns.untilCall(key, at) == 0 {
					turns.spend(key, tc.cost, 0, at)
					made++
				}
			}
			if made != tc.most && made != tc.most-1 {
				t.Errorf("%d in a minute, want %d", made, tc.most)
			}
			if wait := turns.untilCall(key, now.Add(time.Minute)); wait > tc.after {
				t.Errorf("the next one in %s, want %s at most", wait, tc.after)
			}
		})
	}
}

func TestDeletionsThatFailDelayNoUpload(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "shop", Name: "web"}
	var turns turns
	turns.spend(key, costOfCall, 20, now)
	if wait := turns.untilCall(key, now); wait != 0 {
		t.Errorf("the next call in %s", wait)
	}
	if wait := turns.untilDeletion(key, now); wait != 16*deletionInterval {
		t.Errorf("the next deletion in %s, want %s", wait, 16*deletionInterval)
	}
}

func TestANamespaceLeavesWorkersToOthers(t *testing.T) {
	t.Parallel()
	const workers = 60
	for name, tc := range map[string]struct {
		namespaces, least, most int // workers of each
	}{
		"one alone gets three quarters":         {1, 45, 45},
		"two share, and leave some":             {2, 25, 27},
		"five share, and leave some":            {5, 10, 13},
		"of many each gets one while there are": {59, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var turns turns
			for range workers { // in turn, as if all had many objects
				for i := range tc.namespaces {
					if turns.total < workers {
						turns.occupy(fmt.Sprint(i), workers, now)
					}
				}
			}
			for namespace, held := range turns.busy {
				if held < tc.least || held > tc.most {
					t.Errorf("namespace %s holds %d workers", namespace, held)
				}
			}
			if turns.total >= workers {
				t.Errorf("no worker of %d is left", workers)
			}
			if wait := turns.occupy("another", workers, now); wait != 0 {
				t.Errorf("another namespace has to wait %s for its first worker", wait)
			}
		})
	}
}

func TestWorkersAreGivenBackAndHintsAreBounded(t *testing.T) {
	t.Parallel()
	var turns turns
	var last time.Duration
	for range 1000 {
		last = turns.occupy("a", 4, now)
	}
	if turns.busy["a"] != 3 || last != lastWorkerHint {
		t.Errorf("%d workers of 4 are held, and the last object comes back in %s", turns.busy["a"], last)
	}
	for range 3 {
		turns.leave("a")
	}
	if len(turns.busy) != 0 || turns.total != 0 {
		t.Errorf("workers are still held: %v", turns.busy)
	}
}

func TestWhatNobodyUsesIsForgotten(t *testing.T) {
	t.Parallel()
	var turns turns
	at := now
	for i := range 1000 {
		key := types.NamespacedName{Namespace: "shop", Name: strconv.Itoa(i)}
		turns.spend(key, costOfCall, i%2, at)
		turns.promise(key, cas.ActionUpload, at.Add(time.Second), at)
	}
	at = at.Add(2 * purgeInterval)
	turns.untilCall(types.NamespacedName{Namespace: "shop", Name: "other"}, at)
	if len(turns.objects) != 1 {
		t.Errorf("%d objects are remembered", len(turns.objects))
	}
}

// The behaviour of the whole: what one object costs the account in two minutes, whatever is
// done to it.
func TestCallsOfOneObjectAreBounded(t *testing.T) {
	t.Parallel()
	refuse := func(w *simWorld) {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(cas.ActionUpload), Code: "InvalidParameter"})
	}
	for name, tc := range map[string]struct {
		begin   func(w *simWorld)
		disturb func(w *simWorld, i int)
		least   int // calls a minute
		most    int
	}{
		"two controllers fight over its Secret": {func(*simWorld) {}, func(w *simWorld, i int) { w.putContent(simKey, (i+1)%2) }, 5, 12},
		"the cloud refuses every content":       {refuse, func(w *simWorld, i int) { w.putContent(simKey, 1+i%4) }, 5, 12},
		"a check is asked for all the time":     {func(*simWorld) {}, func(w *simWorld, i int) { w.resync(strconv.Itoa(i)) }, 2, 12},
		"its status is wiped all the time": {func(*simWorld) {}, func(w *simWorld, _ int) {
			w.api.change(simKey, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{} })
		}, 0, 12},
		"it is deleted and made again all the time": {func(*simWorld) {}, func(w *simWorld, i int) {
			w.putContent(simKey, i%4)
			w.api.remove(simKey)
			w.given(func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "p" })
		}, 5, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
				w.given(func(*v1alpha1.CloudCertificate) {})
				w.work(time.Minute)
				tc.begin(w)
				const minutes = 2
				before := len(w.cloud.Journal())
				for i := range minutes * 60 * 3 {
					tc.disturb(w, i)
					w.work(time.Second / 3)
				}
				calls := len(w.cloud.Journal()) - before
				if calls > minutes*tc.most || calls < minutes*tc.least {
					t.Errorf("%d calls in %d minutes, want %d to %d in each", calls, minutes, tc.least, tc.most)
				}
				w.cloud.ClearFaults()
				w.putContent(simKey, 3)
				w.work(time.Minute)
				if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
					t.Errorf("a minute after it ended: %s: %s", reason, message)
				}
			})
		})
	}
}

// Who was told when to try again is not asked for earlier by a change of the Secret; a request
// of the user ends the wait.
func TestAHintIsAPromise(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.given(func(*v1alpha1.CloudCertificate) {})
		w.work(time.Minute)
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultThrottle, Action: string(cas.ActionUpload), Count: 1, TimeLeft: 40 * time.Second})
		began := time.Now()
		w.putContent(simKey, 1)
		w.work(time.Second)
		first, _ := w.calls(cas.ActionUpload)
		for i := range 30 {
			w.putContent(simKey, 1+i%2)
			w.work(time.Second)
		}
		if calls, _ := w.calls(cas.ActionUpload); calls != first {
			t.Errorf("%d calls while the hint is kept", calls-first)
		}
		w.work(time.Until(began.Add(45 * time.Second)))
		if _, reason, message := w.ready(t); reason != v1alpha1.ReasonSynced {
			t.Errorf("after the hint: %s: %s", reason, message)
		}
	})
}

// Deletions that succeed are not held up: each is of another certificate.
func TestManyVersionsAreDeletedWithoutAWait(t *testing.T) {
	t.Parallel()
	inWorld(t, emulator.Options{}, func(t *testing.T, w *simWorld) {
		w.given(deleting)
		for content := range 4 {
			w.putContent(simKey, content)
			w.work(time.Minute)
		}
		w.api.remove(simKey)
		w.work(20 * time.Minute)
		if w.api.objects[simKey] != nil || len(w.ours()) != 0 {
			t.Errorf("%d certificates are left", len(w.ours()))
		}
	})
}

// The pages of one list are many calls, and no reason to hold up a renewal for minutes.
func TestALongListCostsAnObjectNoMoreThanWhatIsSavedUp(t *testing.T) {
	t.Parallel()
	object, _ := synced()
	p := &reconciliation{Reconciler: testReconciler(), before: object, turn: turn{taken: true, calls: 40}}
	p.turns.occupy(object.Namespace, 60, now)
	p.endTurn()
	if wait := p.turns.untilCall(client.ObjectKeyFromObject(object), now); wait != costOfCall*time.Second {
		t.Errorf("the next call waits for %s, want %d s", wait, costOfCall)
	}
}
