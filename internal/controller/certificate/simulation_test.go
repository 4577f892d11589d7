// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

var simKeys = []types.NamespacedName{
	{Namespace: "a", Name: "one"}, {Namespace: "a", Name: "two"}, {Namespace: "b", Name: "one"},
}

// act lets one thing happen that may happen at any time.
func (w *simWorld) act() {
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
	case dice < 84:
		w.events++
		w.bind()
	default:
		w.events++
		w.user()
	}
}

func (w *simWorld) someOperator() *simOperator {
	return w.operators[w.random.IntN(len(w.operators))]
}

func (w *simWorld) runSomething() {
	op := w.someOperator()
	if due := op.queue.due(); len(due) > 0 {
		op.run(due[w.random.IntN(len(due))])
	}
}

// top lets one thing happen that happens between reconciles only: time, kills, drift.
func (w *simWorld) top() {
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
	case dice < 33:
		w.events++
		w.someOperator().dead = true
	case dice < 35 && len(w.operators) < 2:
		w.events++
		w.start()
	case dice < 38:
		op := w.someOperator()
		for _, p := range op.drift.places(context.Background()) {
			op.drift.round(context.Background(), p)
		}
	default:
		w.act()
	}
}

// wait lets time go by: mostly little, sometimes a day.
func (w *simWorld) wait() {
	durations := []time.Duration{
		10 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second, 5 * time.Second, 31 * time.Second,
		time.Minute, 5 * time.Minute, 11 * time.Minute, time.Hour, 25 * time.Hour,
	}
	time.Sleep(durations[w.random.IntN(len(durations))])
}

// inject adds a fault of the cloud that ends after some calls.
func (w *simWorld) inject() {
	// A list that hides a certificate and counts to match cannot be told from the
	// truth; what the check for drift does about it has a test of its own.
	kinds := slices.DeleteFunc(emulator.FaultKinds(), func(k emulator.FaultKind) bool { return k == emulator.FaultHide })
	f := emulator.Fault{
		Kind: kinds[w.random.IntN(len(kinds))], Count: 1 + w.random.IntN(6), AfterCommit: w.random.IntN(2) == 0,
		Skip: w.random.IntN(3), Delay: time.Duration(1+w.random.IntN(20)) * time.Second,
	}
	if f.Kind == emulator.FaultListLag && !w.fixed {
		return
	}
	if f.Kind == emulator.FaultDenied && !w.fixed {
		f.Action = string(cas.ActionUpload) // see prefix
	}
	if f.Kind == emulator.FaultNameTaken || f.Kind == emulator.FaultHang {
		f.Count = 1
	}
	w.notef("fault %s, %d times", f.Kind, f.Count)
	w.cloud.Inject(f)
}

func (w *simWorld) pick(n int) int { return w.random.IntN(n) }

func secretOf(key types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-tls"}
}

func (w *simWorld) putCredentials(namespace string) {
	w.useCredentials(namespace, "LTAIother", "other-secret")
}

func (w *simWorld) useCredentials(namespace, id, secret string) {
	w.api.putSecret(types.NamespacedName{Namespace: namespace, Name: "creds"}, map[string][]byte{
		keyAccessKeyID: []byte(id), keyAccessKeySecret: []byte(secret),
	})
}

func (w *simWorld) putContent(key types.NamespacedName, i int) {
	w.api.putSecret(secretOf(key), w.pool[i].data)
}

// user does what users and other tools do to objects, Secrets and the cloud.
func (w *simWorld) user() {
	key := simKeys[w.pick(len(simKeys))]
	object := w.api.objects[key]
	if object == nil {
		w.create(key)
		return
	}
	switch dice := w.pick(100); {
	case !w.fixed && dice >= 30 && dice < 65:
		w.edit(key)
	case dice < 25:
		i := w.pick(len(w.pool))
		w.notef("user: Secret of %s becomes content %d", key, i)
		w.putContent(key, i)
	case dice < 30:
		w.notef("user: Secret of %s deleted", key)
		w.api.putSecret(secretOf(key), nil)
	case dice < 42:
		w.notef("user: %s deleted", key)
		w.api.remove(key)
	case dice < 47:
		w.notef("user: status of %s wiped", key)
		w.api.change(key, func(o *v1alpha1.CloudCertificate) {
			o.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1}
		})
	case dice < 52:
		w.restore(key)
	case dice < 60:
		w.vandalize()
	case dice < 62:
		w.notef("user: credentials of %s deleted", key.Namespace)
		w.api.putSecret(types.NamespacedName{Namespace: key.Namespace, Name: "creds"}, nil)
	case dice < 65:
		w.notef("user: namespace %s deleted", key.Namespace)
		for _, k := range simKeys {
			if k.Namespace == key.Namespace {
				w.api.putSecret(secretOf(k), nil)
				w.api.remove(k)
			}
		}
		w.api.putSecret(types.NamespacedName{Namespace: key.Namespace, Name: "creds"}, nil)
	default:
		w.edit(key)
	}
}

func (w *simWorld) create(key types.NamespacedName) {
	object := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	object.Spec.SecretRef.Name = secretOf(key).Name
	object.Spec.Type = v1alpha1.CertificateTypeTLS
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	if w.pick(2) == 0 {
		object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	}
	if w.pick(2) == 0 {
		object.Spec.RevisionHistoryLimit = new(int32(w.pick(3)))
	}
	if key == simKeys[0] {
		object.Spec.NamePrefix = "p"
	}
	if w.pick(6) == 0 {
		w.putCredentials(key.Namespace)
		object.Spec.CredentialsSecretRef.Name = "creds"
	}
	if w.pick(3) > 0 {
		w.putContent(key, w.pick(len(w.pool)))
	}
	w.notef("user: %s created with %s", key, encode(object.Spec))
	w.api.create(object)
}

// prefix sets a prefix. Content that another prefix hides can be missed where a status
// was lost, the list lags behind a crash, or may not be read: that limit is on the
// design page. So a schedule changes prefixes or loses what is known, not both; the
// lifecycles have what is promised of both.
func (w *simWorld) prefix(o *v1alpha1.CloudCertificate) {
	if !w.fixed {
		o.Spec.NamePrefix = fmt.Sprintf("p%d", w.pick(3))
	}
}

// edit changes a field of the spec, or an annotation.
func (w *simWorld) edit(key types.NamespacedName) {
	w.api.change(key, func(o *v1alpha1.CloudCertificate) {
		switch w.pick(12) {
		case 0:
			if o.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
				o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
			} else {
				o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
			}
		case 1:
			o.Spec.RevisionHistoryLimit = nil
		case 2:
			o.Spec.RevisionHistoryLimit = new(int32(w.pick(3)))
		case 3:
			o.Spec.Suspend = !o.Spec.Suspend
		case 4:
			w.prefix(o)
		case 5:
			o.Spec.Tags = []v1alpha1.Tag{{Key: "k", Value: strconv.Itoa(w.pick(3))}}
		case 6:
			o.Spec.Region = []string{"", cas.RegionChina, cas.RegionInternational}[w.pick(3)]
		case 7:
			if o.Spec.CredentialsSecretRef.Name = []string{"", "creds"}[w.pick(2)]; o.Spec.CredentialsSecretRef.Name != "" {
				w.putCredentials(key.Namespace)
			}
		case 8:
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.pick(1000))}
		case 9:
			o.Spec.SecretRef.Name = secretOf(simKeys[w.pick(2)]).Name
		case 10:
			o.Spec.ResourceGroupID = fmt.Sprintf("rg-%d", w.pick(3))
		case 11:
			if !o.DeletionTimestamp.IsZero() && w.pick(5) == 0 {
				o.Annotations = map[string]string{v1alpha1.AnnotationOrphan: "true"}
			}
		}
		w.notef("user: %s edited to %s %v", key, encode(o.Spec), o.Annotations)
	})
}

// restore puts an object back as a backup has it: an older status, or one that speaks
// of another account.
func (w *simWorld) restore(key types.NamespacedName) {
	var old []*v1alpha1.CloudCertificate
	for _, e := range w.api.objectLog.events {
		if object, _ := e.object.(*v1alpha1.CloudCertificate); object != nil && e.key == key && object.Status.CertID != 0 {
			old = append(old, object)
		}
	}
	if len(old) == 0 {
		return
	}
	status := old[w.pick(len(old))].DeepCopy().Status
	switch w.pick(6) {
	case 0:
		status.AccountID = "3000000000000003"
	case 1: // the ids mean something else where it is restored
		for id := range w.foreign {
			status.CertID = max(status.CertID, id.certID)
		}
	}
	w.notef("user: status of %s restored to certificate %d in account %s", key, status.CertID, status.AccountID)
	w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = status })
}

// vandalize deletes something of ours in the cloud, or adds something that is not.
func (w *simWorld) vandalize() {
	ours := w.ours()
	switch dice := w.pick(10); {
	case dice < 2 || len(ours) == 0:
		w.addForeign(fmt.Sprintf("foreign_%d", w.events), w.pick(4))
	default:
		w.deleteInConsole(ours[w.pick(len(ours))])
	}
}

// resign signs the parameters of a request again, as the specification says.
func resign(form url.Values) {
	secret := map[string]string{"LTAIown": "own-secret", "LTAIother": "other-secret"}[form.Get("AccessKeyId")]
	form.Del("Signature")
	escape := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	var canonical []string
	for name := range form {
		canonical = append(canonical, escape(name)+"="+escape(form.Get(name)))
	}
	slices.Sort(canonical)
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte("POST&%2F&" + escape(strings.Join(canonical, "&"))))
	form.Set("Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// simulate plays one random schedule, and returns what was violated.
func simulate(t testing.TB, seed uint64, mutant func(*simWorld)) (w *simWorld, violations []string) {
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
	w = newSimWorld(t, seed, options, func(v string) { violations = append(violations, v) })
	defer w.close()
	if mutant != nil {
		mutant(w)
	}
	w.chaos, w.fixed = true, fixed
	w.start()
	for _, key := range simKeys[:2] {
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
	seed      = flag.Uint64("seed", 0, "the one schedule that the simulation plays, with everything that happens")
)

// TestSimulation plays the lifecycles with a disturbance at each step, and random
// schedules, and prints how many of them there were.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		replay(t, *seed)
		return
	}
	began := time.Now()
	points, violations := &atomic.Int64{}, &atomic.Int64{}
	t.Run("crash points", func(t *testing.T) { testCrashPoints(t, points, violations) })
	t.Run("schedules", func(t *testing.T) { testSchedules(t, violations) })
	fmt.Printf("simulation: %d crash points, %d schedules, %d violations, %.0f s\n",
		points.Load(), *schedules, violations.Load(), time.Since(began).Seconds())
}

// TestNothingThatIsRememberedIsNeeded plays schedules in which every operator forgets, before each
// reconcile, all that it remembers of objects from the ones before.
func TestNothingThatIsRememberedIsNeeded(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*schedules) {
		synctest.Test(t, func(t *testing.T) {
			_, violations := simulate(t, seed+1, func(w *simWorld) { w.onReconcile = forgetEverything })
			for _, v := range violations {
				t.Errorf("schedule %d: %s", seed+1, v)
			}
		})
	}
}

// forgetEverything leaves what has to have a beginning to have an end: what the check for drift has
// just found and handed to this reconcile, since when a key does not match, and since when a list is
// awaited, which would never be young enough. It leaves the counts of failures, of moves and of what
// vanished too: without them nothing waits, and the calls of a schedule have no bound.
func forgetEverything(op *simOperator, key types.NamespacedName) (done bool) {
	object, m := op.object(key), &op.r.memory
	if object == nil {
		return false
	}
	m.writes.Forget(key)
	m.pruning.Keep(object, func(p *pruning) bool { *p = pruning{proving: p.proving}; return true })
	m.waits.Keep(object, func(w *wait) bool {
		*w = wait{mismatch: w.mismatch, mismatchSince: w.mismatchSince, asked: w.asked, lasting: w.lasting}
		return true
	})
	return false
}

// replay plays one schedule and tells everything.
func replay(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		w, violations := simulate(t, seed, nil)
		for _, line := range w.trace {
			t.Log(line)
		}
		for _, v := range violations {
			t.Error(v)
		}
	})
}

// testSchedules plays random schedules, one on each processor at a time.
func testSchedules(t *testing.T, total *atomic.Int64) {
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed := next.Add(1); seed <= int64(*schedules) && failed.Load() < 5; seed = next.Add(1) {
				synctest.Test(t, func(t *testing.T) {
					if _, violations := simulate(t, uint64(seed), nil); len(violations) > 0 {
						failed.Add(1)
						total.Add(int64(len(violations)))
						t.Errorf("schedule %d (replay it with go test ./internal/controller/certificate -run TestSimulation -seed=%d -v): %s",
							seed, seed, strings.Join(violations, "\n"))
					}
				})
			}
		})
	}
	workers.Wait()
}

// mutants break the protocol, each in one way.
var mutants = map[string]func(*simWorld){
	"names from the status instead of the content": func(w *simWorld) {
		w.rename = func(op *simOperator, name string) string {
			status := int64(0)
			if object := op.object(w.identities[name[len(name)-30:len(name)-14]]); object != nil {
				status = object.Status.CertID
			}
			return fmt.Sprintf("%s%013d", name[:len(name)-13], status)
		}
	},
	"a lost answer is a failure, and the next try has a new name": func(w *simWorld) {
		lost := 0
		w.lostAnswer = func(*simOperator) { lost++ }
		w.rename = func(_ *simOperator, name string) string {
			if lost == 0 {
				return name
			}
			return fmt.Sprintf("%s%02d", name[:len(name)-2], lost%100)
		}
	},
	"a sweep overwrites newer writes": func(w *simWorld) { w.ownWriteAge = time.Nanosecond },
	"absence is believed and deleted from the status": func(w *simWorld) {
		w.onMissing = func(_ *simOperator, key types.NamespacedName) {
			w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status.CertID, o.Status.Name = 0, "" })
		}
	},
	"deletes without proof": func(w *simWorld) {
		w.onReconcile = func(op *simOperator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.DeletionTimestamp.IsZero() || len(object.Finalizers) == 0 || object.Status.CertID == 0 {
				return false
			}
			cloud, err := op.r.Accounts.client(context.Background(), object, op.r.region(object))
			if err != nil || cloud.Delete(context.Background(), object.Status.CertID) != nil {
				return false
			}
			return false
		}
	},
	"prunes though the current one is not listed": func(w *simWorld) {
		w.onReconcile = func(op *simOperator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.Spec.Suspend || !object.DeletionTimestamp.IsZero() {
				return false
			}
			cloud, err := op.r.Accounts.client(context.Background(), object, op.r.region(object))
			o := op.observe(object)
			if due := o.PruneAt(); err != nil || due.IsZero() || due.After(o.Now) {
				return false
			}
			for _, v := range o.Surplus() {
				_ = cloud.Delete(context.Background(), v.CertID)
			}
			return false
		}
	},
	"one undeletable certificate holds up the others": func(w *simWorld) {
		w.onReconcile = func(op *simOperator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil {
				return false
			}
			return !op.observe(object).PruneAt().IsZero() && slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool {
				c, _ := w.named(&object.Status, h.CertID)
				return c.InUse != ""
			})
		}
	},
	"memory vetoes the API server": func(w *simWorld) {
		latest := map[types.NamespacedName]int{}
		w.onReconcile = func(op *simOperator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil {
				return false
			}
			version, _ := strconv.Atoi(object.ResourceVersion)
			latest[key] = max(latest[key], version)
			return version < latest[key]
		}
	},
	"believes a foreign status": func(w *simWorld) {
		w.onReconcile = func(op *simOperator, key types.NamespacedName) bool {
			object := op.object(key)
			if object == nil || object.Status.CertID == 0 {
				return false
			}
			identity, _, _ := bundle.ParseName(object.Status.Name)
			return identity != op.r.identity(object)
		}
	},
	"deletes what bindings use":                  func(w *simWorld) { w.unasked = true },
	"writes without lock":                        func(w *simWorld) { w.unlocked = true },
	"a Secret that changes wakes nobody":         func(w *simWorld) { w.deaf = true },
	"the finalizer is removed without settling":  func(w *simWorld) { w.settleDelay = 0 },
	"superseded versions are pruned immediately": func(w *simWorld) { w.pruneDelayed = func(time.Duration) time.Duration { return 0 } },
}

// observe is what a reconcile of an object would begin with.
func (op *simOperator) observe(object *v1alpha1.CloudCertificate) protocol.Observed {
	p, err := op.r.begin(context.Background(), object)
	if err != nil {
		op.world.t.Fatal(err)
	}
	return p.observe()
}

// TestBrokenProtocolsAreCaught shows that the checks can fail.
func TestBrokenProtocolsAreCaught(t *testing.T) {
	t.Parallel()
	const most = 3000
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caught := catch(t, mutant, most)
			if caught == "" {
				t.Errorf("not caught at any point, nor in %d schedules", most)
				return
			}
			t.Log(caught)
		})
	}
}

// catch returns the first violation of a mutant: without a disturbance, at a crash point,
// or in a schedule.
func catch(t *testing.T, mutant func(*simWorld), most uint64) (caught string) {
	note := func(what string, violations []string) (goOn bool) {
		if len(violations) > 0 && caught == "" {
			caught = what + ": " + violations[0]
		}
		return caught == ""
	}
	names := slices.Sorted(maps.Keys(lifecycles))
	for _, name := range names {
		synctest.Test(t, func(t *testing.T) {
			_, violations := crash(t, lifecycles[name], -1, disturbances[0], mutant)
			note(name, violations)
		})
	}
	for seed := uint64(1); seed <= most && caught == ""; seed++ {
		synctest.Test(t, func(t *testing.T) {
			_, violations := simulate(t, seed, mutant)
			note(fmt.Sprintf("schedule %d", seed), violations)
		})
		if i := seed - 1; i%10 == 0 && i/10 < uint64(len(names)) && caught == "" {
			name := names[i/10]
			synctest.Test(t, func(t *testing.T) {
				crashPoints(t, lifecycles[name], mutant, func(what string, _ *simWorld, violations []string) bool {
					return note(name+", "+what, violations)
				})
			})
		}
	}
	return caught
}
