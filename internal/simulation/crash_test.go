// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// disturbance is what happens at a step: the operator is killed, or lives on without
// what it asked for.
type disturbance struct {
	name  string
	after bool          // the step has its effect
	lives bool          // the operator lives on
	only  string        // which steps, by the beginning of their name
	lag   time.Duration // how late the list is
	// meanwhile is what somebody else does right before the step, which then goes on.
	meanwhile func(w *world)
}

// The list lags less than a deletion settles; more only where the operator knows what
// it uploaded.
var disturbances = []disturbance{
	{name: "killed before", lag: 20 * time.Second},
	{name: "killed after", lag: 20 * time.Second, after: true},
	{name: "failed before", lag: 20 * time.Second, lives: true},
	{name: "failed after", lag: 20 * time.Second, lives: true, after: true},
	{name: "not written before", lag: 3 * time.Minute, lives: true, only: "kube"},
	{name: "not written after", lag: 3 * time.Minute, lives: true, after: true, only: "kube"},
	{name: "an object changed meanwhile", lag: 20 * time.Second, lives: true, only: "kube object", meanwhile: (*world).interfere},
	{name: "a bucket changed meanwhile", lag: 20 * time.Second, lives: true, only: "cloud PutCname", meanwhile: (*world).interfere},
	{name: "status put back meanwhile", lag: 20 * time.Second, lives: true, only: "kube", meanwhile: (*world).putBack},
}

// applies reports whether a disturbance is one at a step.
func (d *disturbance) applies(step string) bool {
	if strings.HasPrefix(step, "read ") && d.after {
		return false // an answer that is lost is a call that failed
	}
	return strings.HasPrefix(step, d.only)
}

// putBack gives the object the first status with which it was synced, as a backup does.
func (w *world) putBack() {
	for _, e := range w.api.objectLog.events {
		if old, ok := e.object.(*v1alpha1.CloudCertificate); ok && e.key == theKey && old.Status.CertID != 0 {
			w.api.change(theKey, func(o *v1alpha1.CloudCertificate) { o.Status = old.Status })
			return
		}
	}
}

// crash plays a lifecycle that is disturbed at a step; step 0 is none. It returns the
// world at rest, and what was violated.
func crash(t testing.TB, play func(*world), step int, d disturbance, mutant func(*world)) (w *world, violations []string) {
	w = newWorld(t, 1, emulator.Options{ListLag: d.lag}, func(v string) { violations = append(violations, v) })
	defer w.close()
	if mutant != nil {
		mutant(w)
	}
	w.disturbAt, w.disturbance = step, d
	play(w)
	w.played = w.steps
	w.quiesce()
	w.checkRest()
	return w, violations
}

// point is a step of a lifecycle, of so many, with what happens there.
type point struct {
	disturbance disturbance
	step, last  int
}

func (p point) String() string {
	return fmt.Sprintf("%s step %d of %d", p.disturbance.name, p.step, p.last)
}

// crashPoints disturbs a lifecycle at each of its steps in each way, as long as report
// wants to go on.
func crashPoints(t testing.TB, play func(*world), mutant func(*world), report func(at point, w *world, violations []string) (goOn bool)) {
	for _, d := range disturbances {
		if _, goOn := d.everywhere(t, play, mutant, report); !goOn {
			return
		}
	}
}

// everywhere disturbs a lifecycle at each of its steps, as long as report wants to go on, and
// returns how many points there were.
func (d disturbance) everywhere(
	t testing.TB, play func(*world), mutant func(*world), report func(at point, w *world, violations []string) (goOn bool),
) (points int, goOn bool) {
	undisturbed, _ := crash(t, play, 0, d, mutant)
	last := undisturbed.played
	for step := 0; step <= last; step++ {
		if step > 0 && !d.applies(undisturbed.taken[step-1]) {
			continue
		}
		w, violations := crash(t, play, step, d, mutant)
		points++
		if !report(point{d, step, last}, w, violations) {
			return points, false
		}
	}
	return points, true
}

// allLifecycles are those of objects and of bindings.
func allLifecycles() map[string]func(*world) {
	all := maps.Clone(lifecycles)
	for _, of := range []map[string]func(*world){bindingLifecycles, configMapLifecycles, serviceLifecycles, albConfigLifecycles, classicLifecycles, siteLifecycles, bucketLifecycles, backupLifecycles} {
		maps.Copy(all, of)
	}
	return all
}

// testCrashPoints disturbs every lifecycle at every external step. Each disturbance of each is a
// test of its own: one lifecycle takes ten times as long as most, and would be alone at the end.
func testCrashPoints(t *testing.T, all *tally) {
	for name, play := range allLifecycles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var points atomic.Int64
			t.Cleanup(func() {
				// Each disturbance begins with a point at which nothing is disturbed.
				if n := points.Load() - int64(len(disturbances)); n < 8 && !t.Failed() {
					t.Errorf("only %d points: the lifecycle did not happen", n)
				}
				all.points.Add(points.Load())
			})
			for _, d := range disturbances {
				t.Run(d.name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						n, _ := d.everywhere(t, play, nil, func(at point, w *world, violations []string) bool {
							if all.add(w, violations); len(violations) > 0 {
								t.Errorf("%s: %s\n%s", at, strings.Join(violations, "\n"), strings.Join(w.trace, "\n"))
							}
							return len(violations) == 0
						})
						points.Add(int64(n))
					})
				})
			}
		})
	}
}
