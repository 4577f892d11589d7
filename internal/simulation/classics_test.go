// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

func classicPlace(name string, port int, domain string) place {
	return place{
		venue: inCLB{port, domain}, name: name, product: targets.CLB, at: classicAt(port),
		target: v1alpha1.BindingTarget{CLB: &v1alpha1.CLBTarget{RegionID: albRegion, LoadBalancerID: "lb-one", Port: int32(port), Domain: v1alpha1.Domain(domain)}},
	}
}

func classicAt(port int) string { return map[int]string{443: "lb-one:443", 8443: "lb-one:8443"}[port] }

// classicPlaces are the default and a domain of one listener of CLB, and the default of another one,
// which serve copies out of one store.
var classicPlaces = []place{classicPlace("clb", 443, ""), classicPlace("clb-domain", 443, ourHost), classicPlace("clb-other", 8443, "")}

// inCLB is what a listener of CLB serves by default, or for a domain.
type inCLB struct {
	port   int
	domain string
}

func (c inCLB) open(w *world) {
	if c.domain != "" {
		return // with the default of the listener, or without any extension
	}
	w.must(w.products.AddClassicListener(products.ClassicListener{
		LoadBalancer: "lb-one", Account: ownAccount, Region: albRegion, Port: c.port, Default: w.neighbours[2], Domains: map[string]string{theirHost: w.neighbours[0]},
	}))
}

func (c inCLB) holds(w *world, _ place) []products.AdditionalState {
	byDomain, _ := w.products.ServedCopies("lb-one", c.port)
	id := byDomain[c.domain]
	if id == "" {
		return nil
	}
	for _, one := range w.products.Copies(ownAccount, albRegion) {
		if one.ID == id {
			return []products.AdditionalState{{CertIdentifier: one.CertIdentifier}}
		}
	}
	return []products.AdditionalState{{CertIdentifier: id}}
}

// console is what people do in the console of CLB: they import certificates, of ours too, and have
// listeners serve theirs.
func (c inCLB) console(w *world, p place) {
	one := w.neighbours[w.pick(len(w.neighbours))]
	ours := slices.DeleteFunc(w.ours(), func(one emulator.Certificate) bool { return one.AccountID != ownAccount })
	switch dice := w.pick(10); {
	case dice < 3 && len(ours) > 0:
		one = identifierOf(ours[w.pick(len(ours))])
		w.notef("neighbour: CLB imports %s by hand", one)
		_, err := w.products.AddCopy(ownAccount, albRegion, one, "by_hand")
		w.must(err)
	case dice < 5: // as another cluster's operator does
		w.notef("neighbour: CLB imports %s", one)
		_, err := w.products.AddCopy(ownAccount, albRegion, one, copyPrefix+one)
		w.must(err)
	default:
		id, err := w.products.AddCopy(ownAccount, albRegion, one, "by_hand")
		w.must(err)
		w.notef("neighbour: %s gets %s for %q", p.at, one, c.domain)
		_ = w.products.UseCopyFor("lb-one", c.port, c.domain, id) // refused while it is being changed
	}
	w.lookAnew()
}

func (inCLB) settles(*world, place, *v1alpha1.CloudCertificateBinding, string) []string { return nil }

func (inCLB) rest(*world) {}

// copyPrefix begins the names of copies that operators import (T48).
const copyPrefix = "cas-"

// copies are what the store of CLB has, by id.
func (w *world) copies() map[string]products.Copy {
	byID := map[string]products.Copy{}
	for _, c := range w.products.Copies(ownAccount, albRegion) {
		byID[c.ID] = c
	}
	return byID
}

// checkCopies says whether copies might go out of the store of CLB: those of versions that an operator
// imported, that nobody needs and no Service names.
func (w *world) checkCopies(before, now map[string]products.Copy) {
	for id, c := range before {
		if _, there := now[id]; there {
			continue
		}
		key, needed := w.needsCopy(c)
		switch {
		case c.Name != copyPrefix+c.CertIdentifier || key == (types.NamespacedName{}):
			w.violatef("copy %s (%s) of %s in the store of CLB is somebody else's and was deleted", id, c.Name, c.CertIdentifier)
		case needed != "":
			w.violatef("copy %s of %s was deleted in the store of CLB, which is needed: %s", id, c.CertIdentifier, needed)
		}
	}
}

// needsCopy says whose version a copy is of, and what needs it; empty for nothing.
func (w *world) needsCopy(c products.Copy) (key types.NamespacedName, why string) {
	identity, _, _ := bundle.ParseName(c.CertName)
	key = w.identities[identity]
	object := w.api.objects[key]
	for _, service := range w.api.services {
		if service.Annotations[annotationCertID] == c.ID {
			return key, "Service " + service.Name + " names it"
		}
	}
	number, region, _ := strings.Cut(c.CertIdentifier, "-")
	isVersion := func(certID int64) bool { return certID != 0 && number == strconv.FormatInt(certID, 10) }
	if object != nil && isVersion(object.Status.CertID) && object.Status.Region == region {
		return key, "it is the current version"
	}
	for name, b := range w.api.bindings {
		held := append([]int64{b.Status.BoundCertID, b.Status.PendingCertID}, b.Status.LeftoverCertIDs...)
		if name.Namespace == key.Namespace && slices.ContainsFunc(held, isVersion) {
			return key, "binding " + name.Name + " has it"
		}
	}
	return key, ""
}

// checkStore says whether copies were left behind of versions that a renewal has replaced. Whoever
// carries another object to CLB by now, or nothing, looks after none of them.
func (w *world) checkStore(key types.NamespacedName, b *v1alpha1.CloudCertificateBinding) {
	var served []string
	for _, at := range []struct {
		balancer string
		port     int
	}{{"lb-one", 443}, {"lb-one", 8443}, {"lb-service", 443}} {
		byDomain, _ := w.products.ServedCopies(at.balancer, at.port)
		for _, id := range byDomain {
			served = append(served, id)
		}
	}
	for id, c := range w.copies() {
		owner, needed := w.needsCopy(c)
		if c.Name == copyPrefix+c.CertIdentifier && owner == w.certificateOf(b) && needed == "" && !slices.Contains(served, id) {
			w.violatef("binding %s: copy %s of %s was left behind in the store of CLB: %s", key, id, c.CertIdentifier, encode(b.Status))
		}
	}
}

// classicLifecycles are what can happen to bindings of CLB and of NLB.
var classicLifecycles = map[string]func(w *world){
	"bind to a CLB, and renew": func(w *world) {
		w.givenBindings(classicPlaces[:1], adoptAll)
		w.renew(2, 20*time.Second)
	},
	"bind to a domain of a CLB, and renew": func(w *world) {
		w.open(classicPlaces)
		w.bindTo(classicPlaces[1], asIs)
		w.renew(1, 20*time.Second)
	},
	"bind to two listeners of a CLB, of which one is behind": func(w *world) {
		w.open(classicPlaces)
		w.bindTo(classicPlaces[0], adoptAll)
		behind := w.bindTo(classicPlaces[2], adoptAll)
		w.work(30 * time.Second)
		w.suspend(behind, true)
		w.renewTo(1, 30*time.Second)
		w.suspend(behind, false)
		w.work(time.Minute)
	},
	"bind to an NLB, and renew": func(w *world) {
		w.givenBindings(networkPlaces[1:], asIs)
		w.renew(1, 30*time.Second)
	},
	"bind to a default of an NLB, and renew": func(w *world) {
		w.givenBindings(networkPlaces[:1], adoptAll)
		w.renew(1, 30*time.Second)
	},
}

// renewTo gives the object another content, and lets the operator work.
func (w *world) renewTo(content int, d time.Duration) {
	w.putContent(theKey, content)
	w.work(d)
}

// nlb has one listener.
var nlb = &balancer{ids: []string{"lsn-nlb@443"}, make: func(w *world) {
	w.must(w.products.AddLoadBalancer(products.LoadBalancer{Product: "nlb", ID: "nlb-one", Account: ownAccount, Region: albRegion}))
	w.must(w.products.AddListener(products.Listener{
		ID: "lsn-nlb@443", LoadBalancer: "nlb-one", Protocol: "TCPSSL", Port: 443, Default: w.neighbours[0], Additional: w.neighbours[1:2],
	}))
}}

func networkPlace(name string, slot v1alpha1.TargetSlot) place {
	return place{
		venue: nlb, name: name, product: targets.NLB, at: "lsn-nlb@443", shared: slot == v1alpha1.SlotAdditional,
		target: v1alpha1.BindingTarget{NLB: &v1alpha1.NLBTarget{RegionID: albRegion, ListenerID: "lsn-nlb@443", Slot: slot}},
	}
}

// networkPlaces are both slots of a listener of NLB.
var networkPlaces = []place{networkPlace("nlb", v1alpha1.SlotDefault), networkPlace("nlb-sni", v1alpha1.SlotAdditional)}
