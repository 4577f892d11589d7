// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
)

// act lets one thing happen that may happen at any time.
func (w *world) act() {
	if w.products != nil && w.random.IntN(6) == 0 {
		w.events++
		w.bind()
		return
	}
	switch dice := w.random.IntN(100); {
	case dice < 45:
		w.runSomething()
	case dice < 75:
		op := w.someOperator()
		if w.random.IntN(20) == 0 {
			op.relist()
			return
		}
		watches := op.watches()
		watch := watches[w.random.IntN(len(watches))]
		for range 1 + w.random.IntN(3) {
			watch.next()
		}
		watch.resyncDue()
	case dice < 78:
		op := w.someOperator()
		if keys := sortedKeys(op.objects.seen); len(keys) > 0 {
			op.queue.Add(reconcile.Request{NamespacedName: keys[w.random.IntN(len(keys))]}) // an event comes twice
		}
	case dice < 81:
		w.events++
		w.misfortune()
	default:
		w.events++
		w.user()
	}
}

func (w *world) someOperator() *operator {
	return w.operators[w.random.IntN(len(w.operators))]
}

func (w *world) runSomething() {
	op := w.someOperator()
	if due := op.due(); len(due) > 0 {
		op.run(due[w.random.IntN(len(due))])
	}
}

// top lets one thing happen that happens between reconciles only: time, kills, drift.
func (w *world) top() {
	for i, op := range slices.Backward(slices.Clone(w.operators)) {
		if op.dead {
			w.stop(op)
			w.notef("%s is gone (%d)", op.name, i)
		}
	}
	if len(w.operators) == 0 {
		w.start()
	}
	switch dice := w.random.IntN(100); {
	case dice < 25:
		w.wait()
	case dice < 28:
		w.events++
		w.inject()
	case dice < 31:
		w.events++
		w.cloud.ClearFaults()
		w.lie = ""
	case dice < 33:
		w.events++
		w.someOperator().dead = true
	case dice < 35 && len(w.operators) < 2:
		w.events++
		w.start()
	case dice < 38:
		w.someOperator().checkDrift()
	default:
		w.act()
	}
}

// wait lets time go by: mostly little, sometimes a day.
func (w *world) wait() {
	durations := []time.Duration{
		10 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second, 5 * time.Second, 31 * time.Second,
		time.Minute, 5 * time.Minute, 11 * time.Minute, time.Hour, 25 * time.Hour,
	}
	time.Sleep(durations[w.random.IntN(len(durations))])
}

// inject adds a fault of the cloud that ends after some calls.
func (w *world) inject() {
	// A list that hides a certificate and counts to match cannot be told from the
	// truth; what the check for drift does about it has a test of its own.
	kinds := slices.DeleteFunc(emulator.FaultKinds(), func(k emulator.FaultKind) bool { return k == emulator.FaultHide })
	f := emulator.Fault{
		Kind: kinds[w.random.IntN(len(kinds))], Count: 1 + w.random.IntN(6), AfterCommit: w.random.IntN(2) == 0,
		Skip: w.random.IntN(3), Delay: time.Duration(1+w.random.IntN(20)) * time.Second,
	}
	if w.products != nil {
		f.Product = w.served[w.random.IntN(len(w.served))]
	}
	if f.Kind == emulator.FaultListLag && !w.fixed {
		return
	}
	if f.Kind == emulator.FaultShortPage || f.Kind == emulator.FaultTotalCount {
		if w.lie != "" && w.lie != f.Kind {
			return // a short page and a wrong count may fit each other by chance, and hide one as well
		}
		w.lie = f.Kind
	}
	if f.Kind == emulator.FaultDenied && !w.fixed {
		f.Product, f.Action = "", string(cas.ActionUpload) // see prefix
	}
	if f.Kind == emulator.FaultNameTaken || f.Kind == emulator.FaultHang {
		f.Count = 1
	}
	w.notef("fault %s, %d times", f.Kind, f.Count)
	w.cloud.Inject(f)
}

func (w *world) pick(n int) int { return w.random.IntN(n) }

// simulate plays one random schedule, and returns what was violated.
func simulate(t testing.TB, seed uint64, mutant func(*world)) (w *world, violations []string) {
	pick := rand.New(rand.NewPCG(seed, 1)).IntN
	options := emulator.Options{SameCertIDs: pick(2) == 0, Unknowns: emulator.Unknowns{
		NoDigests: pick(4) == 0, NamesCaseSensitive: pick(4) == 0, KeywordWithoutWildcards: pick(2) == 0,
		RevokedUploads: []emulator.RevokedAnswer{emulator.RevokedEmpty, emulator.RevokedIgnored, emulator.RevokedRefused}[pick(3)],
	}}
	fixed := pick(4) > 0
	if fixed && pick(2) == 0 {
		options.ListLag = time.Duration(pick(20)) * time.Second
	}
	switch pick(6) {
	case 0:
		options.NameHeldAfterDelete = time.Duration(pick(300)) * time.Second
	case 1:
		options.NameHeldAfterDelete = -1
	case 2:
		options.NamesSharedAcrossRegions = true
	}
	w = newWorld(t, seed, options, func(v string) { violations = append(violations, v) })
	defer w.close()
	if mutant != nil {
		mutant(w)
	}
	w.chaos, w.fixed = true, fixed
	if pick(2) == 0 {
		w.openPlaces(products.Options{Configuring: time.Duration(pick(20)) * time.Second, DomainLag: time.Duration(pick(60)) * time.Second, Unknowns: products.Unknowns{
			NLBFailsWith200: pick(2) == 0, CLBImportsOnce: pick(2) == 0,
		}}, w.somePlaces()...)
		w.admitAll()
	}
	w.start()
	for _, key := range keys[:2] {
		w.create(key)
	}
	for range 100 {
		w.top()
	}
	w.quiesce()
	w.checkRest()
	return w, violations
}

var (
	schedules = flag.Int("schedules", 200, "how many random schedules the simulation plays")
	first     = flag.Uint64("first", 1, "the first of these schedules")
	seed      = flag.Uint64("seed", 0, "the one schedule that the simulation plays, with everything that happens")
)

// TestSimulation plays the lifecycles with a disturbance at each step, and random
// schedules, and prints how many of them there were.
func TestSimulation(t *testing.T) {
	began := time.Now()
	var all tally
	if *seed == 0 {
		t.Run("crash points", func(t *testing.T) { testCrashPoints(t, &all) })
	}
	t.Run("schedules", func(t *testing.T) { testSchedules(t, &all) })
	fmt.Printf("simulation: %d crash points, %d schedules, %d changes of listeners and domains, %d foreign certificates removed, %d unserved hosts, %d violations, %.0f s\n",
		all.points.Load(), *schedules, all.changes.Load(), all.foreign.Load(), all.unserved.Load(), all.violations.Load(), time.Since(began).Seconds())
}

// tally is what is told of a run of the simulation.
type tally struct{ points, changes, foreign, unserved, violations atomic.Int64 }

// add counts a world at its end.
func (t *tally) add(w *world, violations []string) {
	t.changes.Add(int64(w.writes))
	t.foreign.Add(int64(w.lost.foreign))
	t.unserved.Add(int64(w.lost.unserved))
	t.violations.Add(int64(len(violations)))
}

// TestNothingThatIsRememberedIsNeeded plays schedules in which every operator forgets, before each
// reconcile, all that it remembers of objects from the ones before.
func TestNothingThatIsRememberedIsNeeded(t *testing.T) {
	t.Parallel()
	eachSeed(t, *schedules, func(t *testing.T, seed uint64) (w *world, violations []string) {
		return simulate(t, seed, func(w *world) { w.onReconcile = forgetEverything })
	})
}

// TestSchedulesReplayExactly plays schedules again, with contents that are made again: what failed once
// fails whenever it is looked into, and on every machine.
func TestSchedulesReplayExactly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			for i, again := range makeContents(t).all {
				if !reflect.DeepEqual(again, secretContents(t)[i]) {
					t.Errorf("content %d is another one when it is made again", i)
				}
			}
		})
		var traces [2][]string
		for i := range traces {
			synctest.Test(t, func(t *testing.T) {
				w, _ := simulate(t, seed+1, nil)
				traces[i] = w.trace
			})
		}
		if !slices.Equal(traces[0], traces[1]) {
			t.Errorf("seed %d goes another way when it is played again", seed+1)
		}
	}
}

// testSchedules plays random schedules.
func testSchedules(t *testing.T, all *tally) {
	eachSeed(t, *schedules, func(t *testing.T, seed uint64) (*world, []string) {
		w, violations := simulate(t, seed, nil)
		all.add(w, violations)
		return w, violations
	})
}

// eachSeed plays some schedules, one on each processor at a time, until five were violated; or else the one
// that the flag names, of which it tells everything.
func eachSeed(t *testing.T, count int, play func(t *testing.T, seed uint64) (w *world, violations []string)) {
	if *seed != 0 {
		synctest.Test(t, func(t *testing.T) {
			w, violations := play(t, *seed)
			t.Log(strings.Join(w.trace, "\n"))
			if len(violations) > 0 {
				t.Error(strings.Join(violations, "\n"))
			}
		})
		return
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	var played, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := played.Add(1); n <= int64(count) && failed.Load() < 5; n = played.Add(1) {
				seed := *first + uint64(n) - 1
				synctest.Test(t, func(t *testing.T) {
					if _, violations := play(t, seed); len(violations) > 0 {
						failed.Add(1)
						t.Errorf("seed %d: %s\nreplay it with go test ./internal/simulation -run '%s$' -seed=%d -v", seed, strings.Join(violations, "\n"), test, seed)
					}
				})
			}
		})
	}
	workers.Wait()
}
