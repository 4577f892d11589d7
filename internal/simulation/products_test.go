// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/alibaba"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/binding"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/ratelimit"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

const (
	albRegion = "cn-shanghai"
	// ourHost is covered by every content of the pool, and theirHost by the neighbours' certificates
	// alone.
	ourHost, theirHost = "example.com", "neighbour.example.org"
)

func listenerPlace(name, listener string, slot v1alpha1.TargetSlot) place {
	return place{
		venue: alb, name: name, product: targets.ALB, at: listener, shared: slot == v1alpha1.SlotAdditional,
		target: v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{RegionID: albRegion, ListenerID: listener, Slot: slot}},
	}
}

// places are those of two listeners and of a domain. Both listeners have a default of the
// neighbours at first, and one an additional certificate of theirs.
var places = []place{
	listenerPlace("sni", "lsn-one", v1alpha1.SlotAdditional),
	listenerPlace("default", "lsn-two", v1alpha1.SlotDefault),
	listenerPlace("both", "lsn-two", v1alpha1.SlotAdditional),
	{
		venue: network{}, name: "cdn", product: targets.CDN, at: ourHost,
		target: v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: ourHost}},
	},
}

// alb has both listeners.
var alb = &balancer{ids: []string{"lsn-one", "lsn-two"}, make: func(w *world) {
	w.must(w.products.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: "alb-one", Account: ownAccount, Region: albRegion}))
	w.must(w.products.AddListener(products.Listener{
		ID: "lsn-one", LoadBalancer: "alb-one", Protocol: "HTTPS", Port: 443, Default: w.neighbours[0], Additional: w.neighbours[1:2],
	}))
	w.must(w.products.AddListener(products.Listener{ID: "lsn-two", LoadBalancer: "alb-one", Protocol: "HTTPS", Port: 8443, Default: w.neighbours[2]}))
}}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// addNeighbour puts a certificate of somebody else into CAS. The last one is for a host of ours,
// too.
func (w *world) addNeighbour(i int) emulator.Certificate {
	c, err := w.cloud.AddForeign(ownAccount, cas.RegionChina, emulator.Foreign{Name: "neighbour_" + string(rune('a'+i)), PEM: string(neighbourContents(w.t)[i])})
	w.must(err)
	w.foreign[idOf(c)] = true
	return c
}

func identifierOf(c emulator.Certificate) string { return cas.CertIdentifier(c.CertID, c.Region) }

// newBindingReconciler is the second controller, as the manager makes it.
func (op *operator) newBindingReconciler(caller *alibaba.Caller) *binding.Reconciler {
	w := op.world
	endpoints := map[string]string{}
	for product, port := range ports {
		endpoints[string(product)] = "http://127.0.0.1:" + port
	}
	cloud, err := targets.New(caller, targets.Config{Endpoints: endpoints})
	w.must(err)
	return &binding.Reconciler{
		Client: op.r.Client, Live: op.r.Live, Recorder: op.r.Recorder, Credentials: op.r.Accounts, Clock: op.r.Clock, Jitter: op.r.Jitter,
		Adapter: func(p targets.Product, by alibaba.Provider, namespace string, check bool) (targets.Adapter, error) {
			urgency := ratelimit.Prompt
			if check {
				urgency = ratelimit.Repair
			}
			adapter, err := cloud.Adapter(p, by, namespace, urgency)
			if err == nil && w.adapt != nil {
				adapter = keepStore(adapter, w.adapt(op, adapter))
			}
			return adapter, err
		},
		Options: binding.Options{
			ClusterID: op.r.Options.ClusterID, Targets: w.switchedOn(),
			DriftInterval: 24 * time.Hour, OrphanAfter: 24 * time.Hour, MaxConcurrentReconciles: workersOfEach,
		},
	}
}

// keepStore leaves the adapter of CLB as it is where what is broken has no store: without one nothing of CLB
// would work, which breaks no rule.
func keepStore(adapter, broken targets.Adapter) targets.Adapter {
	_, had := adapter.(targets.Store)
	if _, has := broken.(targets.Store); had && !has {
		return adapter
	}
	return broken
}

// fullQuota is how many additional certificates the load balancer may have.
const fullQuota = 4

// balancer is a load balancer with some listeners.
type balancer struct {
	ids  []string
	make func(w *world)
}

func (l *balancer) open(w *world) { l.make(w) }

func (*balancer) holds(w *world, p place) []products.AdditionalState {
	is, _ := w.products.ListenerState(p.at)
	if p.shared {
		return is.Additional
	}
	if is.Default == "" {
		return nil
	}
	return []products.AdditionalState{{CertIdentifier: is.Default}}
}

func (*balancer) console(w *world, p place) {
	one := w.neighbours[w.pick(len(w.neighbours))]
	is, _ := w.products.ListenerState(p.at)
	var additional []string
	for _, a := range is.Additional {
		additional = append(additional, a.CertIdentifier)
	}
	standard := ""
	switch dice := w.pick(10); {
	case dice < 3 && len(additional) > 0: // somebody takes one out, of ours or not
		i := w.pick(len(additional))
		additional = slices.Delete(additional, i, i+1)
	case dice < 5:
		if standard = one; slices.Contains(additional, one) {
			return
		}
	case dice < 8:
		if slices.Contains(additional, one) || is.Default == one || len(additional) >= fullQuota {
			return
		}
		additional = append(additional, one)
	default:
		w.notef("neighbour: the next changes of %s fail", p.at)
		_ = w.products.FailJobs(p.at, 1+w.pick(2))
		return
	}
	w.notef("neighbour: %s gets default %q and additional %v", p.at, standard, additional)
	_ = w.products.Put(p.at, standard, additional) // refused while it is being changed
	w.lookAnew()
}

func (l *balancer) settles(w *world, p place, _ *v1alpha1.CloudCertificateBinding, current string) []string {
	switch {
	case p.shared && w.isIn(p.beside(false), current): // the default serves it
		return []string{v1alpha1.ReasonSynced}
	case p.shared && l.additional(w) >= fullQuota:
		return []string{v1alpha1.ReasonQuotaExceeded}
	case !p.shared && w.isIn(p.beside(true), current): // T13
		return []string{v1alpha1.ReasonBindFailed}
	}
	return nil
}

// beside is another slot of the same listener.
func (p place) beside(shared bool) place {
	p.shared = shared
	return p
}

// additional counts the additional certificates of the load balancer.
func (l *balancer) additional(w *world) (n int) {
	for _, id := range l.ids {
		is, _ := w.products.ListenerState(id)
		n += len(is.Additional)
	}
	return n
}

func (l *balancer) rest(w *world) {
	for _, id := range l.ids {
		w.must(w.products.FailJobs(id, 0))
	}
}

// network is a domain of CDN.
type network struct{}

func (network) open(w *world) {
	w.must(w.products.AddDomain(products.Domain{Product: "cdn", Name: ourHost, Account: ownAccount, Certificate: w.neighbours[2]}))
}

func (network) holds(w *world, p place) []products.AdditionalState {
	if h, ok := w.products.Shake(p.at, ourHost); ok && h.CertIdentifier != "" {
		return []products.AdditionalState{{CertIdentifier: h.CertIdentifier}}
	}
	return nil
}

func (network) console(w *world, p place) {
	one := w.neighbours[w.pick(len(w.neighbours))]
	w.notef("neighbour: domain %s gets %s", p.at, one)
	_ = w.products.PutDomain("cdn", p.at, w.neighbours[2])
	w.lookAnew()
}

func (network) settles(w *world, p place, _ *v1alpha1.CloudCertificateBinding, _ string) []string {
	if len(w.holds(p)) == 0 { // what was deleted in the console is served no longer, and still named
		return []string{v1alpha1.ReasonSynced, v1alpha1.ReasonOccupied}
	}
	return nil
}

func (network) rest(*world) {}
