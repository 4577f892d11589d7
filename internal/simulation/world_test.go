// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

const (
	simCluster    = "sim"
	simOwn        = "1000000000000001" // the account of the operator's own credentials
	simOther      = "2000000000000002" // the account of the credentials Secrets
	simPruneDelay = 24 * time.Hour
)

// simKeySecrets are the secrets of the access keys of both accounts.
var simKeySecrets = map[string]string{"LTAIown": "own-secret", "LTAIother": "other-secret"}

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
	clock        clock.PassiveClock // the operators'
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
	w.began, w.settleDelay, w.clock = time.Now(), 30*time.Second, clock.RealClock{}
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

// calledFor is what a call made or deleted.
func calledFor(call emulator.Call) simID {
	return simID{protocol.Place{Account: call.Account, Region: call.Region}, call.CertID}
}

// simID tells certificates apart: each account and region counts for itself.
type simID struct {
	protocol.Place
	certID int64
}

// placeOf is the place that an object's status speaks of.
func placeOf(object *v1alpha1.CloudCertificate) protocol.Place {
	return protocol.Place{Account: object.Status.AccountID, Region: object.Status.Region}
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
