// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// place is one that certificates are carried to: a slot of a listener, or a domain.
type place struct {
	venue
	name    string
	product targets.Product
	target  v1alpha1.BindingTarget
	// at is the listener or domain that a client asks, and shared says that there is room in it
	// for several certificates.
	at     string
	shared bool
	// namespace is that of the object of the cluster which the place is in; empty for others.
	namespace string
	// emptied says that ours may be taken out although nothing is left then.
	emptied bool
}

// isObject reports whether a place is in an object of the cluster.
func (p place) isObject() bool {
	return p.product == targets.ConfigMap || p.product == targets.Service || p.product == targets.ALBConfig
}

// isOfChina reports whether a place takes certificates of that region of CAS alone, because the load
// balancer is in it that it is of.
func (p place) isOfChina() bool {
	switch p.product {
	case targets.ALB, targets.NLB, targets.ALBConfig:
		return true
	case targets.Service:
		return p.target.Service.Name == serviceOfNLB.Name
	}
	return false
}

// unseen is what a place is to the credentials of another account. Names of buckets are the world's.
func (p place) unseen() string {
	if p.product == targets.OSS {
		return v1alpha1.ReasonAccessDenied
	}
	return v1alpha1.ReasonTargetNotFound
}

// venue is what some places are in: load balancers, domains of a product.
type venue interface {
	// open makes it, with what the neighbours have there.
	open(w *world)
	// holds are the identifiers of the certificates in a place, and how far each has come.
	holds(w *world, p place) []products.AdditionalState
	// console is what the neighbours do to a place, as people do in a console. They take nothing
	// of ours from CAS, and put nothing of ours anywhere.
	console(w *world, p place)
	// settles says which reasons a binding may come to that may be placed and is not; none where
	// nothing speaks against it.
	settles(w *world, p place, b *v1alpha1.CloudCertificateBinding, current string) []string
	// rest ends what bindings may wait for without end.
	rest(w *world)
}

// isWatched reports whether what somebody changes there is seen at once.
func (p place) isWatched() bool {
	return p.product == targets.ConfigMap || p.product == targets.Service
}

// ports are those of the products' endpoints. CAS has the first two.
var ports = map[targets.Product]string{targets.ALB: "3", targets.CDN: "4", targets.CLB: "5", targets.NLB: "6", targets.FC: "7", targets.ESA: "8", targets.OSS: "9"}

// openPlaces makes places, and the products that they are of.
func (w *world) openPlaces(options products.Options, all ...place) {
	options.AdditionalQuota = fullQuota
	w.products, w.places, w.served = products.New(w.cloud, options), all, []string{""}
	for i := range 3 {
		w.neighbours = append(w.neighbours, identifierOf(w.addNeighbour(i)))
	}
	var opened []venue
	for _, p := range all {
		w.serve(p.product)
		if !slices.Contains(opened, p.venue) {
			opened = append(opened, p.venue)
			p.open(w)
		}
	}
	w.lookAnew()
}

// serve makes a product callable; of a Service that is the store of its load balancer.
func (w *world) serve(product targets.Product) {
	if product == targets.Service {
		product = targets.CLB
	}
	if port := ports[product]; port != "" && w.transports[port] == nil {
		w.transports[port] = w.products.Transport(string(product), "")
		w.served = append(w.served, string(product))
	}
}

// holds are the identifiers of the certificates in a place, and how far each has come.
func (w *world) holds(p place) []products.AdditionalState { return p.holds(w, p) }

// isIn reports whether a place holds a certificate.
func (w *world) isIn(p place, identifier string) bool {
	return slices.ContainsFunc(w.holds(p), func(a products.AdditionalState) bool { return a.CertIdentifier == identifier })
}

// hasPlacesOf reports whether there is a place of a kind.
func (w *world) hasPlacesOf(product targets.Product) bool {
	return slices.ContainsFunc(w.places, func(p place) bool { return p.product == product })
}

// changeable is a venue in which the operator overwrites nothing that it has not read: in an object of the
// cluster, or of a product that compares.
type changeable interface {
	// interfere is what somebody else writes between a read and a write of the operator.
	interfere(w *world)
}

// followed is a venue whose listener a controller of the cluster keeps as an object says. What a
// person writes there is followed at once, and what an operator writes at any time later.
type followed interface {
	follow(w *world)
}

// follow lets the controllers of the cluster bring their listeners and objects together.
func (w *world) follow() {
	for _, p := range w.places {
		if f, ok := p.venue.(followed); ok {
			f.follow(w)
		}
	}
	w.watchProducts()
	clear(w.pardoned)
}

// interfere has somebody else change every place in which nothing unread is overwritten.
func (w *world) interfere() {
	for _, p := range w.places {
		if c, ok := p.venue.(changeable); ok {
			c.interfere(w)
		}
		if f, ok := p.venue.(followed); ok {
			f.follow(w)
		}
	}
	w.lookAnew()
}

// isServed reports whether a client gets a certificate for a host that it can use.
func (w *world) isServed(p place, host string) bool {
	if p.at == "" {
		return false
	}
	if s, ok := p.venue.(interface {
		serves(w *world, host string) bool
	}); ok {
		return s.serves(w, host)
	}
	h, _ := w.products.Shake(p.at, host)
	return h.Valid(time.Now())
}

// placeOf is the place that a binding is for.
func (w *world) placeOf(b *v1alpha1.CloudCertificateBinding) place {
	return w.carriesTo[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}]
}

// bindingsAt are the bindings of a place.
func (w *world) bindingsAt(p place) (all []types.NamespacedName) {
	for _, key := range sortedKeys(w.api.bindings) {
		if w.carriesTo[key].name == p.name {
			all = append(all, key)
		}
	}
	return all
}

// console lets the neighbours do something to one of the places.
func (w *world) console() {
	p := w.places[w.pick(len(w.places))]
	p.console(w, p)
}

// switchedOn are the kinds of target of the places.
func (w *world) switchedOn() []targets.Product {
	kinds := []targets.Product{targets.ALB, targets.CDN}
	for _, p := range w.places {
		if !slices.Contains(kinds, p.product) {
			kinds = append(kinds, p.product)
		}
	}
	return kinds
}

// somePlaces are those of a schedule: of two kinds, so that no schedule costs more than another.
func (w *world) somePlaces() []place {
	first, second := w.pick(len(kindsOfPlaces)), w.pick(len(kindsOfPlaces)-1)
	if second >= first {
		second++
	}
	return slices.Concat(kindsOfPlaces[first], kindsOfPlaces[second])
}

// kindsOfPlaces are all places, those together that are one kind's.
var kindsOfPlaces = [][]place{places[:3], places[3:], configMapPlaces, servicePlaces, albConfigPlaces, classicPlaces, networkPlaces, functionPlaces, sitePlaces, bucketPlaces}
