// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// operator is one process of the operator, with its own view of the API server.
type operator struct {
	world   *world
	name    string
	r       *certificate.Reconciler
	b       *binding.Reconciler
	drift   *certificate.Drift
	cloud   *cas.Cloud
	objects *informer
	secrets *informer

	bindings *informer
	policies *informer
	// configMaps and services are watched where they are among the places.
	configMaps, services *informer

	indexes map[string]client.IndexerFunc
	// queue has the CloudCertificates to be reconciled, and bindingQueue the bindings.
	queue, bindingQueue *queue
	cancel              context.CancelFunc
	dead                bool

	checking bool              // the check for drift is under way
	found    map[string]string // by place, what it held when the operator started
	shown    map[string]shown  // by listener, what it was last shown
}

// start starts an operator, as a new process does: with a fresh list of everything.
func (w *world) start() *operator {
	w.started++
	op := &operator{
		world: w, name: fmt.Sprintf("op%d", w.started), indexes: map[string]client.IndexerFunc{},
		objects: newInformer(&w.api.objectLog, &v1alpha1.CloudCertificate{}),
		secrets: newInformer(&w.api.secretLog, &corev1.Secret{}),

		bindings: newInformer(&w.api.bindingLog, &v1alpha1.CloudCertificateBinding{}),
		policies: newInformer(&w.api.policyLog, &v1alpha1.CertificateTargetPolicy{}),

		configMaps: newInformer(&w.api.configMapLog, &corev1.ConfigMap{}),
		services:   newInformer(&w.api.serviceLog, &corev1.Service{}),
	}
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: "http://127.0.0.1:1", Transport: transport{op}})
	if err != nil {
		w.t.Fatal(err)
	}
	cloud, err := cas.New(caller, cas.Config{
		Endpoints:  map[string]string{cas.RegionChina: "http://127.0.0.1:1", cas.RegionInternational: "http://127.0.0.1:2"},
		ParseName:  bundle.ParseName,
		Background: func(f func()) { f() }, OwnWriteAge: w.ownWriteAge,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	own, err := alibaba.Static(alibaba.Credentials{AccessKeyID: "LTAIown", AccessKeySecret: "own-secret"})
	if err != nil {
		w.t.Fatal(err)
	}
	op.cloud = cloud
	kube, live := cachedClient{op: op}, liveReader{op: op}
	delay := pruneDelay
	if w.pruneDelayed != nil {
		delay = w.pruneDelayed(delay)
	}
	op.r = &certificate.Reconciler{
		Client: kube, Live: live, Recorder: recorder{op}, Clock: w.clock,
		Accounts: &certificate.Accounts{Cloud: cloud, Own: own, Metadata: kube, Live: live},
		Options: certificate.Options{
			ClusterID: clusterID, Region: cas.RegionChina, MaxVersionsPerHour: 30,
			PruneDelay: delay, SettleDelay: w.settleDelay, OrphanAfter: 24 * time.Hour, DriftInterval: 6 * time.Hour,
			MaxConcurrentReconciles: workersOfEach, AllowedAccounts: w.allowed, Bindings: !w.unasked,
		},
		Jitter: func(d time.Duration) time.Duration { return d },
	}
	op.b = op.newBindingReconciler(caller)
	op.found = map[string]string{}
	for _, p := range w.places {
		op.found[p.name] = string(encode(w.holds(p)))
	}
	op.begin()
	w.operators = append(w.operators, op)
	return op
}

// workersOfEach are enough for what happens while a reconcile is under way.
const workersOfEach = 5

// begin starts the real controller, which then waits for the simulation.
func (op *operator) begin() {
	w := op.world
	ctx, cancel := context.WithCancel(w.ctx)
	op.cancel = cancel
	mgr := &playedManager{op: op}
	if err := op.r.SetupWithManager(ctx, mgr, takeQueue(&op.queue, false)); err != nil {
		w.t.Fatal(err)
	}
	if err := op.b.SetupWithManager(ctx, mgr, takeQueue(&op.bindingQueue, true)); err != nil {
		w.t.Fatal(err)
	}
	for _, controller := range mgr.controllers {
		go func() { _ = controller.Start(ctx) }()
		synctest.Wait() // watches that both have tell the first of them first
	}
	if w.deaf {
		op.secrets.handlers = nil
	}
	if w.unseen {
		op.configMaps.handlers, op.services.handlers = nil, nil
	}
	for _, i := range op.watches() {
		i.list(true)
	}
}

// stop ends an operator, dead or alive.
func (w *world) stop(op *operator) {
	op.dead = true
	op.cancel()
	w.operators = slices.DeleteFunc(w.operators, func(o *operator) bool { return o == op })
}

// object is an object as the operator sees it, or nil.
func (op *operator) object(key types.NamespacedName) *v1alpha1.CloudCertificate {
	object, _ := op.objects.seen[key].(*v1alpha1.CloudCertificate)
	return object
}

// watches are all that an operator has.
func (op *operator) watches() []*informer {
	all := []*informer{op.objects, op.secrets, op.bindings, op.policies}
	if op.world.hasPlacesOf(targets.ConfigMap) {
		all = append(all, op.configMaps)
	}
	if op.world.hasPlacesOf(targets.Service) {
		all = append(all, op.services)
	}
	return all
}

// relist interrupts all watches.
func (op *operator) relist() {
	for _, i := range op.watches() {
		i.list(false)
	}
}

// deliver lets the watches show everything.
func (op *operator) deliver() {
	for _, i := range op.watches() {
		for i.next() {
		}
		i.resyncDue()
	}
}

// takeQueue has a controller take its work from a queue of the simulation.
func takeQueue(into **queue, byName bool) func(*controller.Options) {
	return func(options *controller.Options) {
		options.NewQueue = func(_ string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
			*into = newQueue(limiter, byName)
			return *into
		}
	}
}

// work is what one of the controllers may do next.
type work struct {
	queue *queue
	key   types.NamespacedName
}

// due is all that may be done now: first what is about CloudCertificates, then what is about
// bindings, each in the order of its queue.
func (op *operator) due() (all []work) {
	for _, queue := range []*queue{op.queue, op.bindingQueue} {
		for _, key := range queue.due() {
			all = append(all, work{queue, key})
		}
	}
	return all
}

// soonest is when something is due, at the latest at an end.
func (op *operator) soonest(end time.Time) time.Time {
	return op.bindingQueue.soonest(op.queue.soonest(end))
}

// run lets a controller do one reconcile, or what a mutant does in its place.
func (op *operator) run(next work) {
	if op.dead {
		return
	}
	w := op.world
	next.queue.hand(reconcile.Request{NamespacedName: next.key}, func() (done bool) {
		if next.queue == op.bindingQueue {
			w.notef("%s reconcile binding %s", op.name, next.key)
			return false
		}
		w.notef("%s reconcile %s", op.name, next.key.Name)
		return w.onReconcile != nil && w.onReconcile(op, next.key)
	})
}

// checkDrift has the check for drift look at every place. What it finds is in the queue then.
func (op *operator) checkDrift() {
	op.checking = true
	for _, p := range op.drift.Places(context.Background()) {
		op.drift.Check(context.Background(), p)
		synctest.Wait()
	}
	op.checking = false
	if op.world.onMissing == nil {
		return
	}
	for _, key := range op.queue.due() {
		object := op.object(key)
		if object == nil || object.Status.CertID == 0 {
			continue
		}
		if _, there := op.world.named(&object.Status, object.Status.CertID); !there {
			op.world.onMissing(op, key)
		}
	}
}

// step is one external step of an operator that has an effect. The first error keeps
// it from happening, the second follows it.
func (op *operator) step(what string) (before, after error) {
	w := op.world
	if op.dead {
		return errDead, nil
	}
	if op.checking {
		synctest.Wait() // what it has found so far gets into the queue
	}
	w.steps++
	w.taken = append(w.taken, what)
	w.notef("%s step %d: %s", op.name, w.steps, what)
	if w.steps == w.disturbAt && w.disturbance.applies(what) {
		return op.disturb()
	}
	if !w.chaos {
		return nil, nil
	}
	switch dice := w.random.IntN(1000); {
	case dice < 8:
		w.events++
		return op.kill(dice%2 == 0)
	case dice < 20 && strings.HasPrefix(what, "kube"):
		w.events++
		return errors.New("the API server is away"), nil
	case dice < 32 && strings.HasPrefix(what, "kube"):
		w.events++
		return nil, errors.New("the API server's answer was lost")
	case dice < 150 && w.depth < 3 && !strings.Contains(what, string(cas.ActionDelete)):
		w.depth++
		w.act()
		w.depth--
		if op.dead {
			return errDead, nil
		}
	}
	return nil, nil
}

// disturb is what happens at the step that is disturbed.
func (op *operator) disturb() (before, after error) {
	d := op.world.disturbance
	if d.meanwhile != nil {
		d.meanwhile(op.world)
		return nil, nil
	}
	if !d.lives {
		return op.kill(d.after)
	}
	op.world.notef("%s's call fails; it had its effect: %t", op.name, d.after)
	if d.after {
		return nil, errLost
	}
	return errLost, nil
}

func (op *operator) kill(after bool) (error, error) {
	op.dead = true
	op.world.notef("%s killed", op.name)
	if after {
		return nil, errDead
	}
	return errDead, nil
}

// read is a live read, which may fail.
func (op *operator) read() error {
	if op.dead {
		return errDead
	}
	if op.world.chaos && op.world.random.IntN(200) == 0 {
		return errors.New("the API server is away")
	}
	return nil
}

// account is the account of an access key as far as the operator could learn it. Where it
// could not, deletions rest on the list alone.
func (op *operator) account(accessKeyID string) string {
	return op.client(cas.RegionChina, accessKeyID).KnownAccount()
}

// client calls the cloud with an access key, as the operator does.
func (op *operator) client(region, accessKeyID string) *cas.Client {
	credentials, err := alibaba.Static(alibaba.Credentials{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecrets[accessKeyID]})
	if err != nil {
		op.world.t.Fatal(err)
	}
	cloud, err := op.cloud.Client(region, credentials)
	if err != nil {
		op.world.t.Fatal(err)
	}
	return cloud
}

// clientOf calls the cloud on behalf of an object.
func (op *operator) clientOf(object *v1alpha1.CloudCertificate) *cas.Client {
	key := "LTAIown"
	if ref := object.Spec.CredentialsSecretRef.Name; ref != "" {
		secret := op.world.api.secrets[types.NamespacedName{Namespace: object.Namespace, Name: ref}]
		if secret == nil {
			return nil
		}
		key = string(secret.Data["accessKeyId"])
	}
	return op.client(cmp.Or(object.Spec.Region, object.Status.Region, cas.RegionChina), key)
}

// recorder keeps what events announce.
type recorder struct{ op *operator }

func (r recorder) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	w := r.op.world
	text := fmt.Sprintf(note, args...)
	w.notef("%s event %s: %s", r.op.name, reason, text)
	w.checkText("an event", text)
	if reason != v1alpha1.ReasonReleased {
		return
	}
	object, ok := regarding.(*v1alpha1.CloudCertificate)
	if !ok {
		return // a binding tells what it leaves, which is kept anyway
	}
	w.announced[string(object.UID)] += text
}

// logSink is a log that is searched for secrets and forgotten.
type logSink struct{ op *operator }

func (logSink) Init(logr.RuntimeInfo) {}

func (logSink) Enabled(int) bool { return true }

func (l logSink) WithValues(...any) logr.LogSink { return l }

func (l logSink) WithName(string) logr.LogSink { return l }

func (l logSink) Info(_ int, text string, kv ...any) {
	l.op.world.checkText("the log", fmt.Sprint(append([]any{text}, kv...)...))
}

func (l logSink) Error(err error, text string, kv ...any) {
	l.op.world.notef("%s error: %s: %v", l.op.name, text, err)
	l.op.world.checkText("the log", fmt.Sprint(append([]any{err, text}, kv...)...))
}
