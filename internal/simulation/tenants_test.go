// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

const (
	noisyObjects, farObjects = 20, 20
	// calmBound is within what time an object that does nothing wrong has to follow its Secret.
	// The simulation has one worker. Five calls that hang, before their place is probed alone,
	// are 22.5 s in which it does nothing else; and twenty objects that look their names up, at
	// nine calls a second, are another 7 s, before and after them.
	calmBound = 40 * time.Second
	// tickPause is the time between two misdeeds: four a second.
	tickPause = 250 * time.Millisecond
	// noisyBound is how many uploads one object may send within any minute.
	noisyBound = 12
)

// tenants is a world in which some tenants misbehave, and one does not.
type tenants struct {
	*world
	calm, noisy, far []types.NamespacedName
	renewed          map[types.NamespacedName]time.Time // Secrets that the status does not follow yet
	content          map[types.NamespacedName]int
	ticks            int
}

func (w *tenants) make(key types.NamespacedName, secret string, change func(*v1alpha1.CloudCertificate)) {
	object := &v1alpha1.CloudCertificate{}
	object.Namespace, object.Name = key.Namespace, key.Name
	object.Spec.SecretRef.Name = secret
	object.Spec.Type = v1alpha1.CertificateTypeTLS
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	change(object)
	w.api.create(object)
}

func newTenants(w *world) *tenants {
	s := &tenants{world: w, renewed: map[types.NamespacedName]time.Time{}, content: map[types.NamespacedName]int{}}
	keys := func(namespace string, n int) (all []types.NamespacedName) {
		for i := range n {
			all = append(all, types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("%s-%d", namespace, i)})
		}
		return all
	}
	s.calm, s.noisy, s.far = keys("calm", 3), keys("noisy", noisyObjects), keys("far", farObjects)
	w.api.putSecret(s.noisySecret(), w.pool[0].data)
	for _, key := range s.noisy {
		s.make(key, s.noisySecret().Name, func(*v1alpha1.CloudCertificate) {})
	}
	for _, key := range s.far {
		w.putContent(key, 0)
		s.make(key, secretOf(key).Name, func(o *v1alpha1.CloudCertificate) { o.Spec.Region = cas.RegionInternational })
	}
	for _, key := range s.calm {
		w.putContent(key, 0)
		s.make(key, secretOf(key).Name, func(*v1alpha1.CloudCertificate) {})
	}
	return s
}

func (w *tenants) noisySecret() types.NamespacedName {
	return types.NamespacedName{Namespace: "noisy", Name: "shared-tls"}
}

// someNoisy does something to some of the objects of the noisy tenant.
func (w *tenants) someNoisy(do func(key types.NamespacedName)) {
	for _, key := range w.noisy {
		if w.pick(3) == 0 {
			do(key)
		}
	}
}

// misbehaviours are what tenants, and the cloud, do to everybody else. One begins a spell of it
// and returns what happens four times a second.
var misbehaviours = map[string]func(w *tenants) (tick func()){
	"a Secret changes all the time": func(w *tenants) func() {
		return func() { w.api.putSecret(w.noisySecret(), w.pool[w.pick(5)].data) }
	},
	"uploads are refused": func(w *tenants) func() {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultFail, Action: string(cas.ActionUpload), NameContains: "noisy", Code: "InvalidParameter"})
		return func() { w.api.putSecret(w.noisySecret(), w.pool[w.ticks%5].data) }
	},
	"names are taken by nothing": func(w *tenants) func() {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultNameTaken, NameContains: "noisy"})
		return func() { w.api.putSecret(w.noisySecret(), w.pool[w.ticks%5].data) }
	},
	"checks are asked for all the time": func(w *tenants) func() {
		return func() {
			w.someNoisy(func(key types.NamespacedName) {
				w.api.change(key, func(o *v1alpha1.CloudCertificate) {
					o.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.ticks)}
				})
			})
		}
	},
	"objects are made anew all the time": func(w *tenants) func() {
		return func() {
			w.someNoisy(func(key types.NamespacedName) {
				w.api.remove(key)
				w.make(key, w.noisySecret().Name, func(o *v1alpha1.CloudCertificate) { o.Spec.NamePrefix = "noisy" + strconv.Itoa(w.pick(3)) })
			})
		}
	},
	"statuses are wiped all the time": func(w *tenants) func() {
		return func() {
			w.someNoisy(func(key types.NamespacedName) {
				w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1} })
			})
		}
	},
	"the other region hangs": func(w *tenants) func() {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultHang, Region: cas.RegionInternational})
		return func() { w.putContent(w.far[w.pick(farObjects)], w.pick(5)) }
	},
	"the other region refuses connections": func(w *tenants) func() {
		w.cloud.Inject(emulator.Fault{Kind: emulator.FaultReset, Region: cas.RegionInternational})
		return func() { w.putContent(w.far[w.pick(farObjects)], w.pick(5)) }
	},
}

// play has some misbehaviours go on for a time, while the calm objects are renewed.
func (w *tenants) play(d time.Duration) {
	var spell []func()
	for _, name := range slices.Sorted(maps.Keys(misbehaviours)) {
		if w.pick(3) == 0 {
			w.notef("spell: %s", name)
			spell = append(spell, misbehaviours[name](w))
		}
	}
	next := time.Now()
	for end := next.Add(d); next.Before(end); w.checkCalm() {
		if !time.Now().Before(next) {
			next = time.Now().Add(tickPause)
			w.tick(spell)
		}
		w.workOnce(next)
	}
	w.cloud.ClearFaults()
}

// tick lets every misbehaviour of the spell happen once, and now and then a renewal.
func (w *tenants) tick(spell []func()) {
	w.ticks++
	for _, misbehave := range spell {
		misbehave()
	}
	if key := w.calm[w.pick(len(w.calm))]; w.pick(20) == 0 && w.renewed[key].IsZero() {
		w.content[key] = (w.content[key] + 1) % 5
		w.notef("user: calm Secret of %s becomes content %d", key, w.content[key])
		w.putContent(key, w.content[key])
		w.renewed[key] = time.Now()
	}
}

// workOnce lets the operator do one reconcile, or waits for the next one, at most until then.
func (w *tenants) workOnce(until time.Time) {
	op := w.operator()
	op.deliver()
	if due := op.due(); len(due) > 0 {
		op.run(due[0])
		return
	}
	time.Sleep(time.Until(op.soonest(until)))
}

// checkCalm says whether the calm objects follow their Secrets in time.
func (w *tenants) checkCalm() {
	for _, key := range w.calm {
		since := w.renewed[key]
		if since.IsZero() {
			continue
		}
		_, field, _ := bundle.ParseName(w.api.objects[key].Status.Name)
		switch took := time.Since(since); {
		case field == w.pool[w.content[key]].content:
			w.renewed[key] = time.Time{}
		case took > calmBound:
			w.violatef("%s has not followed its Secret for %s", key, took)
			w.renewed[key] = time.Time{}
		}
	}
}

// checkNoisy says whether any object sent more uploads than it may.
func (w *tenants) checkNoisy() {
	byObject := map[string][]time.Time{}
	for _, call := range w.cloud.Journal() {
		if identity, _, ok := bundle.ParseName(call.Name); ok && call.Action == string(cas.ActionUpload) {
			byObject[identity] = append(byObject[identity], call.Received)
		}
	}
	for identity, times := range byObject {
		for i := noisyBound; i < len(times); i++ {
			if within := times[i].Sub(times[i-noisyBound]); within < time.Minute {
				w.violatef("%s sent %d uploads within %s", w.identities[identity], noisyBound+1, within)
				break
			}
		}
	}
}

// simulateTenants plays two spells of misbehaviour, and then peace, in which everybody comes to
// what he asks for.
func simulateTenants(t testing.TB, seed uint64, mutant func(*world)) (w *tenants, violations []string) {
	world := newWorld(t, seed, emulator.Options{JournalSize: -1}, func(v string) { violations = append(violations, v) })
	defer world.close()
	if mutant != nil {
		mutant(world)
	}
	w = newTenants(world)
	for range 2 {
		w.play(90 * time.Second)
	}
	w.work(2 * time.Hour)
	w.checkNoisy()
	for _, key := range sortedKeys(w.api.objects) {
		w.checkContent(key, w.api.objects[key])
	}
	return w, violations
}

// TestSimulationOfTenants shows that an object which does nothing wrong is served in time,
// whatever others do.
func TestSimulationOfTenants(t *testing.T) {
	var played atomic.Int64
	eachSeed(t, min(max(*schedules/20, 1), 40), func(t *testing.T, seed uint64) (*world, []string) {
		w, violations := simulateTenants(t, seed, nil)
		played.Add(int64(w.ticks))
		return w.world, violations
	})
	if played.Load() < 10 {
		t.Errorf("only %d ticks were played", played.Load())
	}
}

// brokenTurns break what is shared fairly, each in one way, and say what has to be noticed.
var brokenTurns = map[string]struct {
	mutant func(*world)
	want   string
}{
	"the calls of an object have no bound": {func(w *world) {
		w.clock = fastClock{} // by which ten seconds, until an object may call again, are two
	}, "uploads within"},
	"a region that does not answer is not noticed": {func(w *world) { w.unnoticed = true }, "has not followed its Secret"},
}

// fastClock runs five times as fast as time goes by.
type fastClock struct{ clock.RealClock }

// Now implements clock.PassiveClock.
func (fastClock) Now() time.Time { return dawn.Add(5 * time.Since(dawn)) }

// dawn is when every bubble begins.
var dawn = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestBrokenTurnsAreCaught shows that the checks can fail.
func TestBrokenTurnsAreCaught(t *testing.T) {
	t.Parallel()
	for name, tc := range brokenTurns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught := ""
			for seed := uint64(1); seed <= 50 && caught == ""; seed++ {
				synctest.Test(t, func(t *testing.T) {
					_, violations := simulateTenants(t, seed, tc.mutant)
					if i := slices.IndexFunc(violations, func(v string) bool { return strings.Contains(v, tc.want) }); i >= 0 {
						caught = fmt.Sprintf("seed %d: %s", seed, violations[i])
					}
				})
			}
			if caught == "" {
				t.Fatal("not caught")
			}
			t.Log(caught)
		})
	}
}
