// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/test/testbed"
)

const (
	simCluster    = "sim"
	simOwn        = "1000000000000001" // the account of the operator's own credentials
	simOther      = "2000000000000002" // the account of the credentials Secrets
	simPruneDelay = 24 * time.Hour
)

var (
	errDead = errors.New("the operator was killed")
	errLost = errors.New("the connection was lost")
)

// simWorld is an API server, a cloud, operators and users in one goroutine of a
// synctest bubble. Every external step of an operator goes through step, where it
// may be killed, or others may act in between.
type simWorld struct {
	t          testing.TB
	ctx        context.Context // ends with the world
	cancel     context.CancelFunc
	random     *rand.Rand
	api        *simAPI
	cloud      *emulator.Server
	transports map[string]http.RoundTripper
	operators  []*simOperator
	pool       []simContent
	began      time.Time
	started    int // operators ever

	steps       int
	disturbAt   int // the step that is disturbed; 0 is none
	disturbance disturbance
	played      int  // steps before the world came to rest
	chaos       bool // random kills, failures and things in between
	fixed       bool // no prefix changes, but what is known may be lost
	depth       int
	events      int // what happened from outside: users, faults, kills

	report     func(violation string) // called at once: nobody can drop what was found
	trace      []string
	identities map[string]types.NamespacedName
	published  map[types.NamespacedName]simPublication
	announced  map[string]string // what was said when an object was released, by its UID
	foreign    map[simID]bool
	vanished   map[simID]time.Time // deleted in the console
	replaced   map[simID]time.Time // when a status last ceased to name it as the current one
	used       int                 // certificates that were made undeletable
	allowed    []string            // --allowed-account-ids of operators that start
	snapshots  []simSnapshot
	uploaded   map[simID]string                                    // the certificates that were sent, by the id they got
	gone       map[types.NamespacedName]*v1alpha1.CloudCertificate // as they were when their finalizer went
	served     map[types.NamespacedName][]simID                    // what the targets of bindings use, the newest last

	simMutant
}

// simMutant breaks the protocol on purpose.
type simMutant struct {
	unlocked     bool                                      // writes without optimistic lock
	unasked      bool                                      // deletes what bindings use
	deaf         bool                                      // Secrets wake nobody
	unnoticed    bool                                      // a call without an answer is taken for one with an error
	rename       func(op *simOperator, name string) string // another name for an upload
	lostAnswer   func(op *simOperator)                     // an upload's answer was lost
	ownWriteAge  time.Duration
	settleDelay  time.Duration
	onMissing    func(op *simOperator, key types.NamespacedName) // what drift does about an absent certificate
	onReconcile  func(op *simOperator, key types.NamespacedName) bool
	pruneDelayed func(d time.Duration) time.Duration
}

// simPublication is since when the status of an object has named a certificate.
type simPublication struct {
	certID int64
	at     time.Time
}

// simContent is one certificate that a Secret may hold.
type simContent struct {
	data    map[string][]byte
	content string // as in the name; empty for what cannot be uploaded
}

var simPool struct {
	once sync.Once
	all  []simContent
}

// simContents are certificates made once, in the first bubble: all bubbles begin at the
// same time.
func simContents(t testing.TB) []simContent {
	simPool.once.Do(func() {
		ca, err := testbed.NewCA("Simulated CA")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			pair, err := ca.Issue(10*365*24*time.Hour, nil, fmt.Sprintf("s%d.example.com", i%2), "example.com")
			if err != nil {
				t.Fatal(err)
			}
			simPool.all = append(simPool.all, newSimContent(t, pair.Certificate, pair.PrivateKey))
		}
		simPool.all = append(simPool.all, simContent{data: map[string][]byte{
			"tls.crt": simPool.all[0].data["tls.crt"], "tls.key": simPool.all[1].data["tls.key"],
		}})
	})
	return simPool.all
}

func newSimContent(t testing.TB, certificate, key []byte) simContent {
	api := newSimAPI()
	name := types.NamespacedName{Namespace: "a", Name: "b"}
	api.putSecret(name, map[string][]byte{"tls.crt": certificate, "tls.key": key})
	content, err := bundle.Load(api.secrets[name], bundle.Options{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return simContent{data: api.secrets[name].Data, content: content.Hash.Content()}
}

// newSimWorld makes a world that reports each violation when it happens.
func newSimWorld(t testing.TB, seed uint64, options emulator.Options, report func(violation string)) *simWorld {
	options.Accounts = []emulator.Account{
		{ID: simOwn, AccessKeyID: "LTAIown", AccessKeySecret: "own-secret"},
		{ID: simOther, AccessKeyID: "LTAIother", AccessKeySecret: "other-secret"},
	}
	options.Seed = int64(seed)
	w := &simWorld{
		t: t, report: report, random: rand.New(rand.NewPCG(seed, 1)), api: newSimAPI(), cloud: emulator.New(options),
		transports: map[string]http.RoundTripper{}, pool: simContents(t),
		identities: map[string]types.NamespacedName{}, published: map[types.NamespacedName]simPublication{},
		announced: map[string]string{}, foreign: map[simID]bool{}, vanished: map[simID]time.Time{},
		uploaded: map[simID]string{}, replaced: map[simID]time.Time{},
		gone:   map[types.NamespacedName]*v1alpha1.CloudCertificate{},
		served: map[types.NamespacedName][]simID{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.began, w.settleDelay = time.Now(), 30*time.Second
	w.api.stored = w.observe
	for _, region := range cas.Regions() {
		w.transports[region] = w.cloud.Transport(region)
	}
	return w
}

// close ends every operator, and the cloud.
func (w *simWorld) close() {
	w.cancel()
	w.cloud.Close()
}

func (w *simWorld) violatef(format string, args ...any) {
	w.report(fmt.Sprintf(format, args...))
}

func (w *simWorld) notef(format string, args ...any) {
	w.trace = append(w.trace, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// simOperator is one process of the operator, with its own view of the API server.
type simOperator struct {
	world   *simWorld
	name    string
	r       *Reconciler
	drift   *drift
	cloud   *cas.Cloud
	objects *simInformer
	secrets *simInformer

	bindings *simInformer

	indexes map[string]client.IndexerFunc
	queue   *simQueue
	cancel  context.CancelFunc
	dead    bool
}

// start starts an operator, as a new process does: with a fresh list of everything.
func (w *simWorld) start() *simOperator {
	w.started++
	op := &simOperator{
		world: w, name: fmt.Sprintf("op%d", w.started), indexes: map[string]client.IndexerFunc{},
		objects: newSimInformer(&w.api.objectLog, &v1alpha1.CloudCertificate{}),
		secrets: newSimInformer(&w.api.secretLog, &corev1.Secret{}),

		bindings: newSimInformer(&w.api.bindingLog, &v1alpha1.CloudCertificateBinding{}),
	}
	caller, err := alibaba.New(alibaba.Config{STSEndpoint: "http://127.0.0.1:1", Transport: simTransport{op}})
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
	kube, live := simClient{op: op}, simLive{op: op}
	pruneDelay := simPruneDelay
	if w.pruneDelayed != nil {
		pruneDelay = w.pruneDelayed(pruneDelay)
	}
	op.r = &Reconciler{
		Client: kube, Live: live, Recorder: simRecorder{op}, Clock: clock.RealClock{},
		Accounts: &Accounts{Cloud: cloud, Own: own, Metadata: kube, Live: live},
		Options: Options{
			ClusterID: simCluster, Region: cas.RegionChina, MaxVersionsPerHour: 30,
			PruneDelay: pruneDelay, SettleDelay: w.settleDelay, OrphanAfter: 24 * time.Hour, DriftInterval: 6 * time.Hour,
			MaxConcurrentReconciles: simWorkers, AllowedAccounts: w.allowed, Bindings: !w.unasked,
		},
		Jitter: func(d time.Duration) time.Duration { return d },
	}
	op.begin()
	w.operators = append(w.operators, op)
	return op
}

// simWorkers are enough for what happens while a reconcile is under way.
const simWorkers = 5

// begin starts the real controller, which then waits for the simulation.
func (op *simOperator) begin() {
	w := op.world
	ctx, cancel := context.WithCancel(w.ctx)
	op.cancel = cancel
	options := op.r.controllerOptions()
	options.NewQueue = func(_ string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		op.queue = newSimQueue(limiter)
		return op.queue
	}
	mgr := &simManager{op: op}
	if err := op.r.setup(ctx, mgr, reconcile.Func(op.reconcile), options); err != nil {
		w.t.Fatal(err)
	}
	go func() { _ = mgr.controller.Start(ctx) }()
	synctest.Wait()
	send := op.drift.enqueue
	op.drift.enqueue = func(ctx context.Context, key client.ObjectKey) {
		if w.onMissing != nil && op.r.memory.findings.Of(op.object(key)).isMissing(op.object(key)) {
			w.onMissing(op, key)
			return
		}
		send(ctx, key)
		synctest.Wait()
	}
	if w.deaf {
		op.secrets.handler = toolscache.ResourceEventHandlerFuncs{}
	}
	for _, i := range op.watches() {
		i.list(true)
	}
}

// stop ends an operator, dead or alive.
func (w *simWorld) stop(op *simOperator) {
	op.dead = true
	op.cancel()
	w.operators = slices.DeleteFunc(w.operators, func(o *simOperator) bool { return o == op })
}

// object is an object as the operator sees it, or nil.
func (op *simOperator) object(key types.NamespacedName) *v1alpha1.CloudCertificate {
	object, _ := op.objects.seen[key].(*v1alpha1.CloudCertificate)
	return object
}

// watches are all that an operator has.
func (op *simOperator) watches() []*simInformer {
	if op.bindings.handler == nil {
		return []*simInformer{op.objects, op.secrets} // it serves none
	}
	return []*simInformer{op.objects, op.secrets, op.bindings}
}

// relist interrupts all watches.
func (op *simOperator) relist() {
	for _, i := range op.watches() {
		i.list(false)
	}
}

// deliver lets the watches show everything.
func (op *simOperator) deliver() {
	for _, i := range op.watches() {
		for i.next() {
		}
		i.resyncDue()
	}
}

// run lets the controller do one reconcile of an object.
func (op *simOperator) run(key types.NamespacedName) {
	if !op.dead {
		op.queue.hand(reconcile.Request{NamespacedName: key})
	}
}

// reconcile is the real reconcile, which is watched.
func (op *simOperator) reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	w := op.world
	if w.onReconcile != nil && w.onReconcile(op, request.NamespacedName) {
		return reconcile.Result{}, nil
	}
	result, err := op.r.reconcileRequest(ctx, request)
	w.notef("%s reconcile %s: after %s, %v", op.name, request.Name, result.RequeueAfter, err)
	w.checkText("an error", fmt.Sprint(err))
	return result, err
}

// step is one external step of an operator that has an effect. The first error keeps
// it from happening, the second follows it.
func (op *simOperator) step(what string) (before, after error) {
	w := op.world
	if op.dead {
		return errDead, nil
	}
	w.steps++
	w.notef("%s step %d: %s", op.name, w.steps, what)
	if w.steps == w.disturbAt && strings.HasPrefix(what, w.disturbance.only) {
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
func (op *simOperator) disturb() (before, after error) {
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

func (op *simOperator) kill(after bool) (error, error) {
	op.dead = true
	op.world.notef("%s killed", op.name)
	if after {
		return nil, errDead
	}
	return errDead, nil
}

// read is a live read, which may fail.
func (op *simOperator) read() error {
	if op.dead {
		return errDead
	}
	if op.world.chaos && op.world.random.IntN(200) == 0 {
		return errors.New("the API server is away")
	}
	return nil
}

// simTransport carries the calls of an operator to the cloud.
type simTransport struct{ op *simOperator }

func (t simTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	w, action := t.op.world, form.Get("Action")
	var after error
	if action != "GetCallerIdentity" { // asked for by a goroutine of its own, and without effect
		var before error
		if before, after = t.op.step("cloud " + action + " " + form.Get("Name") + form.Get("CertId")); before != nil {
			return nil, before
		}
		if action == string(cas.ActionUpload) && w.rename != nil {
			form.Set("Name", w.rename(t.op, form.Get("Name")))
			resign(form)
		}
	}
	region := cas.RegionChina
	if request.URL.Port() == "2" {
		region = cas.RegionInternational
	}
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(form.Encode())), -1
	response, err := w.transports[region].RoundTrip(request)
	if action != "GetCallerIdentity" {
		w.afterCall(t.op, form)
		if action == string(cas.ActionUpload) && (err != nil || after != nil) && w.lostAnswer != nil {
			w.lostAnswer(t.op)
		}
	}
	if after != nil {
		return nil, after
	}
	if err != nil && w.unnoticed {
		return &http.Response{StatusCode: http.StatusGatewayTimeout, Header: http.Header{}, Body: http.NoBody}, nil
	}
	return response, err
}

// afterCall compares the cloud with the journal: what was made, and what was deleted.
func (w *simWorld) afterCall(op *simOperator, form url.Values) {
	journal := w.cloud.Journal()
	if len(journal) == 0 {
		return
	}
	call := journal[len(journal)-1]
	if call.Committed && call.Action == string(cas.ActionDelete) {
		w.checkDeleted(op, call)
	}
	if call.Committed && call.Action == string(cas.ActionUpload) {
		w.uploaded[calledFor(call)] = form.Get("Cert") + form.Get("SignCert") + form.Get("EncryptCert")
		w.checkAlive()
	}
}

// calledFor is what a call made or deleted.
func calledFor(call emulator.Call) simID {
	return simID{protocol.Place{Account: call.Account, Region: call.Region}, call.CertID}
}

// checkAlive looks for two certificates of one identity and content.
func (w *simWorld) checkAlive() {
	for _, account := range []string{simOwn, simOther} {
		for _, region := range cas.Regions() {
			alive := map[string][]emulator.Certificate{}
			for _, c := range w.cloud.Certificates(account, region) {
				identity, _, ok := bundle.ParseName(c.Name)
				if !ok {
					continue
				}
				for _, other := range alive[identity] {
					if w.sameContent(c, other) {
						w.violatef("certificates %d and %d (%s) are the same content of one object", other.CertID, c.CertID, c.Name)
					}
				}
				alive[identity] = append(alive[identity], c)
			}
		}
	}
}

// sameContent reports whether two certificates are the same by what they are, not by what
// their names say: by all that was uploaded, else by the leaf.
func (w *simWorld) sameContent(a, b emulator.Certificate) bool {
	if w.uploaded[idOf(a)] != "" && w.uploaded[idOf(b)] != "" {
		return w.uploaded[idOf(a)] == w.uploaded[idOf(b)]
	}
	return a.SHA256 == b.SHA256
}

// checkDeleted says whether a certificate might be deleted.
func (w *simWorld) checkDeleted(op *simOperator, call emulator.Call) {
	identity, _, _ := bundle.ParseName(call.Name)
	key, ours := w.identities[identity]
	object := w.api.objects[key]
	w.checkUnused(key, calledFor(call))
	switch {
	case !ours || w.foreign[calledFor(call)]:
		w.violatef("certificate %d (%s) is not ours and was deleted", call.CertID, call.Name)
	case object == nil:
		w.violatef("certificate %d (%s) was deleted after its object was gone", call.CertID, call.Name)
	case placeOf(object).DiffersFrom(protocol.Place{Account: op.account(object), Region: call.Region}):
		w.violatef("certificate %d (%s) was deleted in a place that its object does not live in", call.CertID, call.Name)
	case !object.DeletionTimestamp.IsZero():
		if keepsCertificates(object) {
			w.violatef("certificate %d (%s) was deleted against the will of its object", call.CertID, call.Name)
		}
	case object.Status.CertID == call.CertID:
		w.violatef("certificate %d (%s) was deleted while it was the current one", call.CertID, call.Name)
	case object.Spec.RevisionHistoryLimit == nil || object.Spec.Suspend:
		w.violatef("certificate %d (%s) was pruned although its object keeps it", call.CertID, call.Name)
	case w.lacks(call, object.Status.CertID):
		w.violatef("certificate %d (%s) was pruned although the current one, %d, is not there", call.CertID, call.Name, object.Status.CertID)
	case time.Since(w.published[key].at) < simPruneDelay:
		w.violatef("certificate %d (%s) was pruned %s after its successor was published", call.CertID, call.Name, time.Since(w.published[key].at))
	case time.Since(w.replaced[calledFor(call)]) < simPruneDelay:
		w.violatef("certificate %d (%s) was pruned %s after it was the current one", call.CertID, call.Name, time.Since(w.replaced[calledFor(call)]))
	}
}

// keepsCertificates reports whether the deletion of an object leaves the cloud alone.
func keepsCertificates(object *v1alpha1.CloudCertificate) bool {
	return object.Annotations[v1alpha1.AnnotationOrphan] == "true" || object.Spec.Suspend ||
		object.Spec.DeletionPolicy != v1alpha1.DeletionPolicyDelete
}

// account is the account of an object as far as the operator could learn it. Where it
// could not, deletions rest on the list alone.
func (op *simOperator) account(object *v1alpha1.CloudCertificate) string {
	cloud, err := op.r.Accounts.lastClient(context.Background(), object, op.r.region(object))
	if err != nil {
		return ""
	}
	return cloud.KnownAccount()
}

// lacks reports whether a certificate is not where a call deleted another, and every list
// that may still be believed says so.
func (w *simWorld) lacks(call emulator.Call, certID int64) bool {
	there := slices.ContainsFunc(w.cloud.Certificates(call.Account, call.Region), func(c emulator.Certificate) bool { return c.CertID == certID })
	return !there && time.Since(w.vanished[simID{calledFor(call).Place, certID}]) > protocol.AtHand+time.Minute
}

// observe follows what the API server stores.
func (w *simWorld) observe(key types.NamespacedName, old, object *v1alpha1.CloudCertificate) {
	w.identities[bundle.Identity(simCluster, key.Namespace, key.Name)] = key
	delete(w.gone, key)
	if object == nil {
		if !old.DeletionTimestamp.IsZero() && !keepsCertificates(old) {
			w.gone[key] = old
		}
		delete(w.published, key)
		return
	}
	if object.Status.CertID == 0 && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
		w.violatef("%s is Ready without a certificate", key.Name)
	}
	if old != nil && old.Status.CertID != object.Status.CertID {
		w.replaced[simID{placeOf(old), old.Status.CertID}] = time.Now()
	}
	if id := object.Status.CertID; id != 0 && w.published[key].certID != id {
		w.published[key] = simPublication{certID: object.Status.CertID, at: time.Now()}
	}
}

// simRecorder keeps what events announce.
type simRecorder struct{ op *simOperator }

func (r simRecorder) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	w := r.op.world
	text := fmt.Sprintf(note, args...)
	w.notef("%s event %s: %s", r.op.name, reason, text)
	w.checkText("an event", text)
	if reason != v1alpha1.ReasonReleased {
		return
	}
	object := regarding.(*v1alpha1.CloudCertificate)
	w.announced[string(object.UID)] += text
}

// checkText looks for key material.
func (w *simWorld) checkText(where, text string) {
	if strings.Contains(text, "-----BEGIN") || strings.Contains(text, "own-secret") || strings.Contains(text, "other-secret") {
		w.violatef("%s holds a secret: %.60s", where, text)
		return
	}
	for _, content := range w.pool {
		for _, line := range bytes.Split(content.data["tls.key"], []byte("\n"))[1:3] {
			if len(line) > 20 && strings.Contains(text, string(line)) {
				w.violatef("%s holds a private key", where)
			}
		}
	}
}

// simLog is a log that is searched for secrets and forgotten.
type simLog struct{ op *simOperator }

func (simLog) Init(logr.RuntimeInfo)            {}
func (simLog) Enabled(int) bool                 { return true }
func (l simLog) WithValues(...any) logr.LogSink { return l }
func (l simLog) WithName(string) logr.LogSink   { return l }
func (l simLog) Info(_ int, text string, kv ...any) {
	l.op.world.checkText("the log", fmt.Sprint(append([]any{text}, kv...)...))
}
func (l simLog) Error(err error, text string, kv ...any) {
	l.op.world.checkText("the log", fmt.Sprint(append([]any{err, text}, kv...)...))
}

// simID tells certificates apart: each account and region counts for itself.
type simID struct {
	protocol.Place
	certID int64
}

func idOf(c emulator.Certificate) simID {
	return simID{protocol.Place{Account: c.AccountID, Region: c.Region}, c.CertID}
}

// all are the certificates in the cloud.
func (w *simWorld) all() (all []emulator.Certificate) {
	for _, account := range []string{simOwn, simOther} {
		for _, region := range cas.Regions() {
			all = append(all, w.cloud.Certificates(account, region)...)
		}
	}
	return all
}

// certificates are those in the cloud by id, for stories in which no two have the same.
func (w *simWorld) certificates() map[int64]emulator.Certificate {
	byID := map[int64]emulator.Certificate{}
	for _, c := range w.all() {
		byID[c.CertID] = c
	}
	return byID
}

// named is what a status means by an id, and whether it is there.
func (w *simWorld) named(status *v1alpha1.CloudCertificateStatus, certID int64) (emulator.Certificate, bool) {
	all := w.all()
	i := slices.IndexFunc(all, func(c emulator.Certificate) bool {
		return c.CertID == certID && c.Region == status.Region && (status.AccountID == "" || status.AccountID == c.AccountID)
	})
	if i < 0 {
		return emulator.Certificate{}, false
	}
	return all[i], true
}

// ours are the certificates that operators uploaded.
func (w *simWorld) ours() []emulator.Certificate {
	return slices.DeleteFunc(w.all(), func(c emulator.Certificate) bool { return w.foreign[idOf(c)] })
}

// addForeign puts a certificate of the pool that is nobody's into the cloud.
func (w *simWorld) addForeign(name string, content int) emulator.Certificate {
	c, err := w.cloud.AddForeign(simOwn, cas.RegionChina, emulator.Foreign{Name: name, PEM: string(w.pool[content].data["tls.crt"])})
	if err != nil {
		w.t.Fatal(err)
	}
	w.foreign[idOf(c)] = true
	return c
}

// quiesce ends every disturbance and lets the world come to rest: one operator, all
// events, all timers of more than a day, and drift rounds.
func (w *simWorld) quiesce() {
	w.chaos, w.disturbAt = false, 0
	w.cloud.ClearFaults()
	for _, key := range sortedKeys(w.api.objects) {
		creds := credentialsKey(w.api.objects[key])
		if creds.Name != "" && w.api.secrets[creds] == nil && w.api.objects[key].DeletionTimestamp.IsZero() {
			w.putCredentials(key.Namespace)
		}
	}
	for len(w.operators) > 1 {
		w.stop(w.operators[1])
	}
	if len(w.operators) == 0 || w.operators[0].dead {
		for _, op := range slices.Clone(w.operators) {
			w.stop(op)
		}
		w.start()
	}
	op := w.operators[0]
	w.checkAwake(op)
	if w.pick(2) == 0 { // else they are stuck for ever
		w.follow()
	}
	w.settle(op, 26*time.Hour)
	for range 3 {
		for _, p := range op.drift.places(context.Background()) {
			op.drift.round(context.Background(), p)
		}
		w.settle(op, 2*time.Hour)
	}
	w.settle(op, 26*time.Hour)
}

// settle runs an operator for a time.
func (w *simWorld) settle(op *simOperator, limit time.Duration) {
	end := time.Now().Add(limit)
	for reconciles := 0; ; reconciles++ {
		op.deliver()
		if op.dead {
			return
		}
		if due := op.queue.due(); len(due) > 0 {
			op.run(due[0])
			if reconciles > 20000 {
				w.violatef("no rest after %d reconciles", reconciles)
				return
			}
			continue
		}
		next := op.queue.soonest(end)
		for _, i := range op.watches() {
			if i.resync.Before(next) {
				next = i.resync
			}
		}
		time.Sleep(max(time.Until(next), 0))
		if !next.Before(end) {
			return
		}
	}
}

// callsPerEvent bounds the uploads and deletes that one thing from outside may lead to.
const callsPerEvent = 12

// checkAwake lets an operator finish what it was woken for, without a resync that would
// hide what it missed, and says whether each object has come to its Secret.
func (w *simWorld) checkAwake(op *simOperator) {
	for _, i := range op.watches() {
		i.resync = time.Now().Add(*CacheOptions(nil).SyncPeriod)
	}
	w.settle(op, 2*time.Hour)
	for _, key := range sortedKeys(w.api.objects) {
		if object := w.api.objects[key]; object.DeletionTimestamp.IsZero() {
			w.checkContent(key, object)
		}
	}
}

// checkContent says whether an object names what its spec and Secret ask for.
func (w *simWorld) checkContent(key types.NamespacedName, object *v1alpha1.CloudCertificate) (reason string) {
	status := &object.Status
	want, content := w.wanted(object)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != want {
		w.violatef("%s: conditions %s, want %s", key.Name, encode(status.Conditions), want)
		return ""
	}
	if _, current, _ := bundle.ParseName(status.Name); want == v1alpha1.ReasonSynced && current != content && w.rename == nil {
		w.violatef("%s: %s is not the content of its Secret, %s", key.Name, status.Name, content)
	}
	return want
}

// checkRest compares the world at rest with what was promised.
func (w *simWorld) checkRest() {
	writes, refused := 0, 0
	for _, call := range w.cloud.Journal() {
		switch {
		case w.used > 0 && call.Action == string(cas.ActionDelete) && slices.Contains(useCodes, call.Code):
			refused++
		case call.Action == string(cas.ActionUpload) || call.Action == string(cas.ActionDelete):
			writes++
		}
	}
	hours := time.Since(w.began).Hours()
	if most := float64(w.used) * (10 + 2*hours); float64(refused) > most { // soon at first, and hourly for as long as it takes
		w.violatef("%d tries in %.0f h to delete %d certificates that are in use", refused, hours, w.used)
	}
	if most := callsPerEvent * (w.events + len(w.api.objects) + 1); writes > most {
		w.violatef("%d uploads and deletes for %d things that happened", writes, w.events)
	}
	if there := len(w.all()) - len(w.ours()); there != len(w.foreign) {
		w.violatef("%d foreign certificates are left of %d", there, len(w.foreign))
	}
	for key, object := range w.api.objects {
		w.checkObject(key, object)
	}
	for _, c := range w.ours() {
		identity, _, _ := bundle.ParseName(c.Name)
		if key, known := w.identities[identity]; known {
			w.checkAccounted(key, c)
		}
	}
}

// checkObject says whether an object has reached what its spec and Secret ask for.
func (w *simWorld) checkObject(key types.NamespacedName, object *v1alpha1.CloudCertificate) {
	w.checkText("the status", string(encode(object.Status)))
	status := &object.Status
	if !object.DeletionTimestamp.IsZero() {
		w.violatef("%s is still being deleted: %s", key.Name, encode(status.Conditions))
		return
	}
	if w.checkContent(key, object) != v1alpha1.ReasonSynced {
		return // without its Secret nothing can be repaired, and absence alone changes no status
	}
	c, ok := w.named(status, status.CertID)
	if w.rename != nil {
		c.Name = status.Name // what is broken on purpose is no proof that a check can fail
	}
	if !ok || c.Name != status.Name {
		w.violatef("%s names certificate %d (%s), which does not exist", key.Name, status.CertID, status.Name)
	}
	if want := cas.CertIdentifier(status.CertID, status.Region); status.CertIdentifier != "" && status.CertIdentifier != want { // an older CRD has no room for it
		w.violatef("%s: certIdentifier %s, want %s", key.Name, status.CertIdentifier, want)
	}
	for _, name := range append([]string{status.Name}, versionNames(status.History)...) {
		if identity, _, _ := bundle.ParseName(name); identity != bundle.Identity(simCluster, key.Namespace, key.Name) {
			w.violatef("%s names %s, which is not its own", key.Name, name)
		}
	}
	for _, h := range status.History {
		if _, there := w.named(status, h.CertID); !there {
			w.violatef("%s: history names certificate %d, which does not exist", key.Name, h.CertID)
		}
	}
	if w.api.lacks != "historyTotal" && int(status.HistoryTotal) != len(status.History) {
		w.violatef("%s: %d versions in history, %d shown", key.Name, status.HistoryTotal, len(status.History))
	}
	limit := object.Spec.RevisionHistoryLimit
	kept := 0
	for i, h := range status.History {
		if c, _ := w.named(status, h.CertID); limit != nil && (i < int(*limit) || c.InUse != "" || w.isHeldBack(key, h.CertID)) {
			kept++
		}
	}
	shared := w.sharedAtRest(object)
	if limit != nil && len(status.History) > kept && !shared {
		w.violatef("%s: %d superseded versions were never pruned to %d: %s", key.Name, len(status.History), *limit, encode(status))
	}
}

func versionNames(versions []v1alpha1.CertificateVersion) (names []string) {
	for _, v := range versions {
		names = append(names, v.Name)
	}
	return names
}

// sharedAtRest says that a version is newer than the current one and not known to be
// ours: a crash after an upload and a rollback look like another cluster.
func (w *simWorld) sharedAtRest(object *v1alpha1.CloudCertificate) bool {
	return slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool {
		return h.CertID > object.Status.CertID && h.UploadTime.IsZero()
	})
}

// wanted is the reason that an object must have come to, and the content.
func (w *simWorld) wanted(object *v1alpha1.CloudCertificate) (reason, content string) {
	secret := w.api.secrets[types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.SecretRef.Name}]
	switch {
	case object.Spec.Suspend:
		return v1alpha1.ReasonSuspended, ""
	case secret == nil || len(secret.Data["tls.crt"]) == 0:
		return v1alpha1.ReasonSecretNotFound, ""
	}
	for _, c := range w.pool {
		if bytes.Equal(c.data["tls.crt"], secret.Data["tls.crt"]) && bytes.Equal(c.data["tls.key"], secret.Data["tls.key"]) && c.content != "" {
			return v1alpha1.ReasonSynced, c.content
		}
	}
	return v1alpha1.ReasonInvalidCertificate, ""
}

// checkAccounted says whether a certificate of ours is known to somebody.
func (w *simWorld) checkAccounted(key types.NamespacedName, c emulator.Certificate) {
	object := w.api.objects[key]
	at := protocol.Place{Account: c.AccountID, Region: c.Region}
	if object != nil && placeOf(object) == at {
		named := object.Status.CertID == c.CertID || slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool { return h.CertID == c.CertID })
		want, _ := w.wanted(object)
		if !named && want == v1alpha1.ReasonSynced {
			w.violatef("certificate %d (%s) is in nobody's status", c.CertID, c.Name)
		}
		return
	}
	if last := w.gone[key]; object == nil && last != nil && placeOf(last) == at && !w.isExcused(last, c) {
		w.violatef("certificate %d (%s) outlived its object, which promised to take it along", c.CertID, c.Name)
	}
}

// isExcused reports whether it was said that a certificate outlives its object. Where the
// cloud refused to delete one of the object's, the others have to be gone.
func (w *simWorld) isExcused(last *v1alpha1.CloudCertificate, c emulator.Certificate) bool {
	said := w.announced[string(last.UID)]
	identity, _, _ := bundle.ParseName(c.Name)
	refused := slices.ContainsFunc(w.ours(), func(other emulator.Certificate) bool {
		owner, _, _ := bundle.ParseName(other.Name)
		return owner == identity && other.InUse != ""
	})
	kept := slices.ContainsFunc(strings.Split(said, "; "), func(reason string) bool { // a binding has it for longer than --orphan-after
		return strings.Contains(reason, fmt.Sprintf("(%d)", c.CertID)) && strings.Contains(reason, "CloudCertificateBinding")
	})
	if refused && !kept && c.InUse == "" && strings.Contains(said, "DeleteUserCertificate") {
		return false
	}
	return said != ""
}
