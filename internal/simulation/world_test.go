// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package simulation plays operators, users and misfortunes in a time of its own, to prove what
// docs/design/2026-11-23-protocol.md promises. The controllers are the real ones, set up as in the
// manager, and the cloud is the emulator; the API server, informers and queues are played, so that
// everything happens in an order that follows from one number.
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
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

const (
	clusterID    = "sim"
	ownAccount   = "1000000000000001" // the account of the operator's own credentials
	otherAccount = "2000000000000002" // the account of the credentials Secrets
	pruneDelay   = 24 * time.Hour
)

// accessKeySecrets are the secrets of the access keys of both accounts.
var accessKeySecrets = map[string]string{"LTAIown": "own-secret", "LTAIother": "other-secret"}

var (
	errDead = errors.New("the operator was killed")
	errLost = errors.New("the connection was lost")
)

// world is an API server, a cloud, operators and users in one goroutine of a
// synctest bubble. Every external step of an operator goes through step, where it
// may be killed, or others may act in between.
type world struct {
	t          testing.TB
	ctx        context.Context // ends with the world
	cancel     context.CancelFunc
	random     *rand.Rand
	api        *apiServer
	cloud      *emulator.Server
	transports map[string]http.RoundTripper
	operators  []*operator
	pool       []secretContent
	began      time.Time
	started    int // operators ever

	steps       int
	taken       []string // the steps, in words
	disturbAt   int      // the step that is disturbed; 0 is none
	disturbance disturbance
	played      int                // steps before the world came to rest
	chaos       bool               // random kills, failures and things in between
	fixed       bool               // no prefix changes, but what is known may be lost
	lie         emulator.FaultKind // how the list may lie at present
	depth       int
	events      int // what happened from outside: users, faults, kills

	report     func(violation string) // called at once: nobody can drop what was found
	trace      []string
	identities map[string]types.NamespacedName
	published  map[types.NamespacedName]publication
	announced  map[string]string // what was said when an object was released, by its UID
	foreign    map[certificateID]bool
	vanished   map[certificateID]time.Time // deleted in the console
	replaced   map[certificateID]time.Time // when a status last ceased to name it as the current one
	used       int                         // certificates that were made undeletable
	allowed    []string                    // --allowed-account-ids of operators that start
	snapshots  []etcdSnapshot
	uploaded   map[certificateID]string                            // the certificates that were sent, by the id they got
	gone       map[types.NamespacedName]*v1alpha1.CloudCertificate // as they were when their finalizer went

	products   *products.Cloud                // nil where nothing is carried anywhere
	places     []place                        // to which certificates are carried
	served     []string                       // the products that are called, and an empty one for all and CAS
	carriesTo  map[types.NamespacedName]place // by binding
	neighbours []string                       // identifiers of somebody else's certificates
	seen       sight
	lost       losses
	writes     int                           // calls that would change a listener or a domain
	adopted    map[string]map[string]bool    // by place, what bindings have ever named in spec.adopt
	misled     map[types.NamespacedName]bool // whether a status has ever been made to name what is not the object's
	pardoned   map[string]bool               // by listener that follows an object, whether a host may go when it does
	restores   map[string]bool               // by place, whether one has ever been to put ours back

	breakage
}

// breakage breaks the protocol on purpose.
type breakage struct {
	unlocked     bool                                   // writes without optimistic lock
	unasked      bool                                   // deletes what bindings use
	deaf         bool                                   // Secrets wake nobody
	unseen       bool                                   // objects that certificates are carried to wake nobody
	forces       bool                                   // replaces whatever a bucket holds by now
	overwrites   string                                 // the kind of them that is written to whatever has become of it
	unnoticed    bool                                   // a call without an answer is taken for one with an error
	rename       func(op *operator, name string) string // another name for an upload
	lostAnswer   func(op *operator)                     // an upload's answer was lost
	ownWriteAge  time.Duration
	clock        clock.PassiveClock // the operators'
	settleDelay  time.Duration
	onMissing    func(op *operator, key types.NamespacedName)          // what drift does about an absent certificate
	adapt        func(op *operator, a targets.Adapter) targets.Adapter // another adapter of a product
	onReconcile  func(op *operator, key types.NamespacedName) bool
	pruneDelayed func(d time.Duration) time.Duration
}

// publication is since when the status of an object has named a certificate.
type publication struct {
	certID int64
	at     time.Time
}

// newWorld makes a world that reports each violation when it happens.
func newWorld(t testing.TB, seed uint64, options emulator.Options, report func(violation string)) *world {
	options.Accounts = []emulator.Account{
		{ID: ownAccount, AccessKeyID: "LTAIown", AccessKeySecret: "own-secret"},
		{ID: otherAccount, AccessKeyID: "LTAIother", AccessKeySecret: "other-secret"},
	}
	options.Seed = int64(seed)
	w := &world{
		t: t, report: report, random: rand.New(rand.NewPCG(seed, 1)), api: newAPIServer(), cloud: emulator.New(options),
		transports: map[string]http.RoundTripper{}, pool: secretContents(t),
		identities: map[string]types.NamespacedName{}, published: map[types.NamespacedName]publication{},
		announced: map[string]string{}, foreign: map[certificateID]bool{}, vanished: map[certificateID]time.Time{},
		uploaded: map[certificateID]string{}, replaced: map[certificateID]time.Time{},
		gone:      map[types.NamespacedName]*v1alpha1.CloudCertificate{},
		carriesTo: map[types.NamespacedName]place{}, adopted: map[string]map[string]bool{}, misled: map[types.NamespacedName]bool{}, pardoned: map[string]bool{}, restores: map[string]bool{},
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
func (w *world) close() {
	w.cancel()
	w.cloud.Close()
}

func (w *world) violatef(format string, args ...any) {
	w.report(fmt.Sprintf(format, args...))
}

func (w *world) notef(format string, args ...any) {
	w.trace = append(w.trace, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// calledFor is what a call made or deleted.
func calledFor(call emulator.Call) certificateID {
	return certificateID{protocol.Place{Account: call.Account, Region: call.Region}, call.CertID}
}

// certificateID tells certificates apart: each account and region counts for itself.
type certificateID struct {
	protocol.Place
	certID int64
}

// placeOf is the place that an object's status speaks of.
func placeOf(object *v1alpha1.CloudCertificate) protocol.Place {
	return protocol.Place{Account: object.Status.AccountID, Region: object.Status.Region}
}

func idOf(c emulator.Certificate) certificateID {
	return certificateID{protocol.Place{Account: c.AccountID, Region: c.Region}, c.CertID}
}

// all are the certificates in the cloud.
func (w *world) all() (all []emulator.Certificate) {
	for _, account := range []string{ownAccount, otherAccount} {
		for _, region := range cas.Regions() {
			all = append(all, w.cloud.Certificates(account, region)...)
		}
	}
	return all
}

// certificates are those in the cloud by id, for stories in which no two have the same.
func (w *world) certificates() map[int64]emulator.Certificate {
	byID := map[int64]emulator.Certificate{}
	for _, c := range w.all() {
		byID[c.CertID] = c
	}
	return byID
}

// named is what a status means by an id, and whether it is there.
func (w *world) named(status *v1alpha1.CloudCertificateStatus, certID int64) (emulator.Certificate, bool) {
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
func (w *world) ours() []emulator.Certificate {
	return slices.DeleteFunc(w.all(), func(c emulator.Certificate) bool { return w.foreign[idOf(c)] })
}

// addForeign puts a certificate of the pool that is nobody's into the cloud.
func (w *world) addForeign(name string, content int) emulator.Certificate {
	c, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{Name: name, PEM: string(w.pool[content].data["tls.crt"])})
	if err != nil {
		w.t.Fatal(err)
	}
	w.foreign[idOf(c)] = true
	return c
}
