// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
)

// forgetEverything drops what an operator remembers of an object and need not.
func forgetEverything(op *operator, key types.NamespacedName) (done bool) {
	if object := op.object(key); object != nil {
		op.r.Forget(object)
	}
	return false
}

// mutants break the protocol, each in one way.
var mutants = map[string]func(*world){
	"names from the status instead of the content": func(w *world) {
		w.rename = func(op *operator, name string) string {
			status := int64(0)
			if object := op.object(w.identities[name[len(name)-30:len(name)-14]]); object != nil {
				status = object.Status.CertID
			}
			return fmt.Sprintf("%s%013d", name[:len(name)-13], status)
		}
	},
	"a lost answer is a failure, and the next try has a new name": func(w *world) {
		lost := 0
		w.lostAnswer = func(*operator) { lost++ }
		w.rename = func(_ *operator, name string) string {
			if lost == 0 {
				return name
			}
			return fmt.Sprintf("%s%02d", name[:len(name)-2], lost%100)
		}
	},
	"a sweep overwrites newer writes": func(w *world) { w.ownWriteAge = time.Nanosecond },
	"absence is believed and deleted from the status": func(w *world) {
		w.onMissing = func(_ *operator, key types.NamespacedName) {
			w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status.CertID, o.Status.Name = 0, "" })
		}
	},
	"deletes without proof": func(w *world) {
		w.onReconcile = func(op *operator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.DeletionTimestamp.IsZero() || len(object.Finalizers) == 0 || object.Status.CertID == 0 {
				return false
			}
			if cloud := op.clientOf(object); cloud != nil {
				_ = cloud.Delete(context.Background(), object.Status.CertID)
			}
			return false
		}
	},
	"prunes though the current one is not listed": func(w *world) {
		w.onReconcile = func(op *operator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.Spec.Suspend || !object.DeletionTimestamp.IsZero() {
				return false
			}
			if cloud := op.clientOf(object); cloud != nil && time.Since(w.published[key].at) >= pruneDelay {
				for _, v := range surplus(object) {
					_ = cloud.Delete(context.Background(), v.CertID)
				}
			}
			return false
		}
	},
	"one undeletable certificate holds up the others": func(w *world) {
		w.onReconcile = func(op *operator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil {
				return false
			}
			return len(surplus(object)) > 0 && slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool {
				c, _ := w.named(&object.Status, h.CertID)
				return c.InUse != ""
			})
		}
	},
	"memory vetoes the API server": func(w *world) {
		latest := map[types.NamespacedName]int{}
		w.onReconcile = func(op *operator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil {
				return false
			}
			version, _ := strconv.Atoi(object.ResourceVersion)
			latest[key] = max(latest[key], version)
			return version < latest[key]
		}
	},
	"believes a foreign status": func(w *world) {
		w.onReconcile = func(op *operator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.Status.CertID == 0 {
				return false
			}
			identity, _, _ := bundle.ParseName(object.Status.Name)
			return identity != bundle.Identity(clusterID, key.Namespace, key.Name)
		}
	},
	"deletes what bindings use":                  func(w *world) { w.unasked = true },
	"writes without lock":                        func(w *world) { w.unlocked = true },
	"a Secret that changes wakes nobody":         func(w *world) { w.deaf = true },
	"the finalizer is removed without settling":  func(w *world) { w.settleDelay = 0 },
	"superseded versions are pruned immediately": func(w *world) { w.pruneDelayed = func(time.Duration) time.Duration { return 0 } },
}

// surplus are the versions of an object beyond its limit.
func surplus(object *v1alpha1.CloudCertificate) []v1alpha1.CertificateVersion {
	limit := object.Spec.RevisionHistoryLimit
	if limit == nil || len(object.Status.History) <= int(*limit) {
		return nil
	}
	return object.Status.History[*limit:]
}

// TestBrokenProtocolsAreCaught shows that the checks can fail.
func TestBrokenProtocolsAreCaught(t *testing.T) {
	t.Parallel()
	const most = 3000
	all := maps.Clone(mutants)
	maps.Copy(all, bindingMutants)
	for name, mutant := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught := catch(t, mutant, nearest[name], most)
			if caught == "" {
				t.Errorf("not caught at any point, nor in %d schedules", most)
				return
			}
			t.Log(caught)
		})
	}
}

// nearest are the lifecycles whose crash points are the first to be looked at for a mutant, where an
// undisturbed one shows nothing.
var nearest = map[string]string{
	"writes to a ConfigMap whatever has become of it":  "bind to a ConfigMap, and renew",
	"writes to a Service whatever has become of it":    "bind to a Service of an NLB, and renew",
	"writes to an AlbConfig whatever has become of it": "bind to an AlbConfig, renew, and unbind",
	"replaces whatever a bucket holds by now":          "adopt what a bucket held at first",
}

// catch returns the first violation of a mutant: without a disturbance, at a crash point,
// or in a schedule.
func catch(t *testing.T, mutant func(*world), nearest string, most uint64) (caught string) {
	c := &catcher{t: t, mutant: mutant}
	lifecycles := allLifecycles()
	names := slices.Sorted(maps.Keys(lifecycles))
	for _, name := range names {
		c.play(name, func(mutant func(*world)) []string {
			_, violations := crash(t, lifecycles[name], -1, disturbances[0], mutant)
			return violations
		})
	}
	if nearest != "" {
		c.crash(nearest, lifecycles[nearest])
	}
	for seed := uint64(1); seed <= most && c.caught == ""; seed++ {
		c.play(fmt.Sprintf("schedule %d", seed), func(mutant func(*world)) []string {
			_, violations := simulate(t, seed, mutant)
			return violations
		})
		if i := seed - 1; i%10 == 0 && i/10 < uint64(len(names)) {
			c.crash(names[i/10], lifecycles[names[i/10]])
		}
	}
	return c.caught
}

// catcher looks for what a mutant violates. What is violated without it as well proves nothing.
type catcher struct {
	t      *testing.T
	mutant func(*world)
	caught string
}

// play plays something with the mutant, and once more without it where something was violated.
func (c *catcher) play(what string, do func(mutant func(*world)) []string) {
	if c.caught != "" {
		return
	}
	var violations []string
	synctest.Test(c.t, func(*testing.T) { violations = do(c.mutant) })
	if len(violations) > 0 {
		c.control(what, violations[0], do)
	}
}

// control notes what was violated, unless that is so without the mutant too.
func (c *catcher) control(what, violation string, do func(mutant func(*world)) []string) {
	c.caught = what + ": " + violation
	synctest.Test(c.t, func(*testing.T) {
		if violations := do(nil); len(violations) > 0 {
			c.t.Errorf("%s proves nothing, for it is violated without the mutant too: %s", what, violations[0])
		}
	})
}

// crash looks at the crash points of a lifecycle.
func (c *catcher) crash(name string, play func(*world)) {
	if c.caught != "" {
		return
	}
	var found point
	violation := ""
	synctest.Test(c.t, func(t *testing.T) {
		crashPoints(t, play, c.mutant, func(at point, _ *world, violations []string) bool {
			if len(violations) > 0 {
				found, violation = at, violations[0]
			}
			return violation == ""
		})
	})
	if violation != "" {
		c.control(name+", "+found.String(), violation, func(mutant func(*world)) []string {
			_, violations := crash(c.t, play, found.step, found.disturbance, mutant)
			return violations
		})
	}
}
