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

// place is one that certificates are carried to: a slot of a listener, or a domain.
type place struct {
	name   string
	target v1alpha1.BindingTarget
	// at is the listener or domain that a client asks, and shared says that there is room in it
	// for several certificates.
	at     string
	shared bool
}

const (
	albRegion = "cn-shanghai"
	// ourHost is covered by every content of the pool, and theirHost by the neighbours' certificates
	// alone.
	ourHost, theirHost = "example.com", "neighbour.example.org"
)

func listenerPlace(name, listener string, slot v1alpha1.TargetSlot) place {
	return place{
		name: name, at: listener, shared: slot == v1alpha1.SlotAdditional,
		target: v1alpha1.BindingTarget{ALB: &v1alpha1.ALBTarget{RegionID: albRegion, ListenerID: listener, Slot: slot}},
	}
}

// places are all that there are. Both listeners have a default of the neighbours at first, and one
// an additional certificate of theirs.
var places = []place{
	listenerPlace("sni", "lsn-one", v1alpha1.SlotAdditional),
	listenerPlace("default", "lsn-two", v1alpha1.SlotDefault),
	listenerPlace("both", "lsn-two", v1alpha1.SlotAdditional),
	{name: "cdn", at: ourHost, target: v1alpha1.BindingTarget{CDN: &v1alpha1.DomainTarget{Domain: ourHost}}},
}

// listenerIDs are the listeners among the places.
var listenerIDs = []string{"lsn-one", "lsn-two"}

// openProducts makes the products, with what the neighbours have in them.
func (w *world) openProducts(options products.Options) {
	options.AdditionalQuota = fullQuota
	w.products = products.New(w.cloud, options)
	for port, product := range map[string]string{"3": "alb", "4": "cdn"} {
		w.transports[port] = w.products.Transport(product, "")
	}
	for i := range 3 {
		w.neighbours = append(w.neighbours, identifierOf(w.addNeighbour(i)))
	}
	w.must(w.products.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: "alb-one", Account: ownAccount, Region: albRegion}))
	w.must(w.products.AddListener(products.Listener{
		ID: "lsn-one", LoadBalancer: "alb-one", Protocol: "HTTPS", Port: 443, Default: w.neighbours[0], Additional: w.neighbours[1:2],
	}))
	w.must(w.products.AddListener(products.Listener{ID: "lsn-two", LoadBalancer: "alb-one", Protocol: "HTTPS", Port: 8443, Default: w.neighbours[2]}))
	w.must(w.products.AddDomain(products.Domain{Product: "cdn", Name: ourHost, Account: ownAccount, Certificate: w.neighbours[2]}))
	w.lookAnew()
}

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
	cloud, err := targets.New(caller, targets.Config{Endpoints: map[string]string{"alb": "http://127.0.0.1:3", "cdn": "http://127.0.0.1:4"}})
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
				adapter = w.adapt(op, adapter)
			}
			return adapter, err
		},
		Options: binding.Options{
			ClusterID: op.r.Options.ClusterID, Targets: []targets.Product{targets.ALB, targets.CDN},
			DriftInterval: 24 * time.Hour, OrphanAfter: 24 * time.Hour, MaxConcurrentReconciles: workersOfEach,
		},
	}
}

// holds are the identifiers of the certificates in a place, and how far each has come.
func (w *world) holds(p place) []products.AdditionalState {
	if p.target.CDN != nil {
		if h, ok := w.products.Shake(p.at, ourHost); ok && h.CertIdentifier != "" {
			return []products.AdditionalState{{CertIdentifier: h.CertIdentifier}}
		}
		return nil
	}
	is, _ := w.products.ListenerState(p.at)
	if p.shared {
		return is.Additional
	}
	if is.Default == "" {
		return nil
	}
	return []products.AdditionalState{{CertIdentifier: is.Default}}
}

// isIn reports whether a place holds a certificate.
func (w *world) isIn(p place, identifier string) bool {
	return slices.ContainsFunc(w.holds(p), func(a products.AdditionalState) bool { return a.CertIdentifier == identifier })
}

// fullQuota is how many additional certificates the load balancer may have.
const fullQuota = 4

// console is what the neighbours do to a listener or the domain, as people do in a console. They
// take nothing of ours from CAS, and put nothing of ours anywhere.
func (w *world) console() {
	p := places[w.pick(len(places))]
	one := w.neighbours[w.pick(len(w.neighbours))]
	if p.target.CDN != nil {
		w.notef("neighbour: domain %s gets %s", p.at, one)
		_ = w.products.PutDomain("cdn", p.at, w.neighbours[2])
		w.lookAnew()
		return
	}
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
