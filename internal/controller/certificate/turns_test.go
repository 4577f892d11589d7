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

	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
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
						turns.occupy(fmt.Sprint(i), ratelimit.Prompt, workers, now)
					}
				}
			}
			for namespace := range turns.busy {
				if held := turns.busy.AtLeast(namespace, ratelimit.Repair); held < tc.least || held > tc.most {
					t.Errorf("namespace %s holds %d workers", namespace, held)
				}
			}
			if turns.total >= workers {
				t.Errorf("no worker of %d is left", workers)
			}
			if wait := turns.occupy("another", ratelimit.Repair, workers, now); wait != 0 {
				t.Errorf("another namespace has to wait %s for its first worker", wait)
			}
		})
	}
}

// A start finds a long backlog in one namespace: its renewals do not queue behind it, and other
// namespaces find workers beside both.
func TestABacklogLeavesWorkersToTheRenewalsOfItsNamespace(t *testing.T) {
	t.Parallel()
	const workers = 60
	var turns turns
	for range 3000 {
		turns.occupy("a", ratelimit.Backlog, workers, now)
	}
	renewals := 0
	for turns.occupy("a", ratelimit.Prompt, workers, now) == 0 {
		renewals++
	}
	if renewals != 12 {
		t.Errorf("%d renewals find a worker", renewals)
	}
	if wait := turns.occupy("a", ratelimit.Prompt, workers, now); wait > firstWorkerHint+workerHints {
		t.Errorf("the second renewal that finds no worker waits %s", wait)
	}
	for n := range 2 {
		if wait := turns.occupy(fmt.Sprint("b", n), ratelimit.Repair, workers, now); wait != 0 {
			t.Errorf("another namespace has to wait %s for a worker", wait)
		}
	}
}

func TestWorkersAreGivenBackAndHintsAreBounded(t *testing.T) {
	t.Parallel()
	var turns turns
	var last time.Duration
	for range lastWorkerHint / workerHints * 2 {
		last = turns.occupy("a", ratelimit.Prompt, 4, now)
	}
	if turns.busy.AtLeast("a", ratelimit.Repair) != 3 || last != lastWorkerHint {
		t.Errorf("%d workers of 4 are held, and the last object comes back in %s", turns.busy["a"], last)
	}
	for range 3 {
		turns.leave("a", ratelimit.Prompt)
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

// The pages of one list are many calls, and no reason to hold up a renewal for minutes.
func TestALongListCostsAnObjectNoMoreThanWhatIsSavedUp(t *testing.T) {
	t.Parallel()
	object, _ := synced()
	p := &reconciliation{Reconciler: testReconciler(), before: object, turn: turn{taken: true, calls: 40}}
	p.turns.occupy(object.Namespace, p.turn.urgency, 60, now)
	p.endTurn()
	if wait := p.turns.untilCall(client.ObjectKeyFromObject(object), now); wait != costOfCall*time.Second {
		t.Errorf("the next call waits for %s, want %d s", wait, costOfCall)
	}
}
