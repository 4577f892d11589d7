// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// theALBConfig configures a listener for HTTPS, after one for HTTP.
const theALBConfig = "shop"

func albConfigPlace(name string, slot v1alpha1.TargetSlot) place {
	return place{
		venue: inALBConfig{}, name: name, product: targets.ALBConfig, at: "lsn-ingress", shared: slot == v1alpha1.SlotAdditional,
		target: v1alpha1.BindingTarget{ALBConfig: &v1alpha1.ALBConfigTarget{Name: theALBConfig, Port: 443, Slot: slot}},
	}
}

// albConfigPlaces are the slots of one listener of an AlbConfig.
var albConfigPlaces = []place{albConfigPlace("ingress", v1alpha1.SlotDefault), albConfigPlace("ingress-sni", v1alpha1.SlotAdditional)}

// inALBConfig is the list of certificates of a listener, which the ALB Ingress controller keeps as the
// list says.
type inALBConfig struct{}

func (a inALBConfig) open(w *world) {
	w.must(w.products.AddLoadBalancer(products.LoadBalancer{Product: "alb", ID: "alb-ingress", Account: ownAccount, Region: albRegion}))
	w.must(w.products.AddListener(products.Listener{ID: "lsn-ingress", LoadBalancer: "alb-ingress", Protocol: "HTTPS", Port: 443, Default: w.neighbours[2]}))
	a.put(w, w.neighbours[2], w.neighbours[1])
	a.follow(w)
}

// put is a person's write of the whole list.
func (inALBConfig) put(w *world, identifiers ...string) {
	certificates := []any{}
	for at, id := range identifiers {
		certificates = append(certificates, map[string]any{"CertificateId": id, "IsDefault": at == 0})
	}
	w.api.putALBConfig(theALBConfig, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "alibabacloud.com/v1", "kind": "AlbConfig", "metadata": map[string]any{},
		"spec": map[string]any{"listeners": []any{
			map[string]any{"port": int64(80), "protocol": "HTTP"},
			map[string]any{"port": int64(443), "protocol": "HTTPS", "certificates": certificates},
		}},
	}})
}

// list is what the list names, the default first.
func (inALBConfig) list(w *world) (identifiers []string) {
	listeners, _, err := unstructured.NestedSlice(w.api.albConfigs[types.NamespacedName{Name: theALBConfig}].Object, "spec", "listeners")
	w.must(err)
	for _, one := range listeners[1].(map[string]any)["certificates"].([]any) {
		identifiers = append(identifiers, one.(map[string]any)["CertificateId"].(string))
	}
	return identifiers
}

func (a inALBConfig) holds(w *world, p place) (held []products.AdditionalState) {
	list := a.list(w)
	switch {
	case len(list) == 0 && !p.shared:
		return []products.AdditionalState{{CertIdentifier: "discovery"}}
	case len(list) == 0:
		return nil
	case p.shared:
		list = list[1:]
	default:
		list = list[:1]
	}
	for _, id := range list {
		held = append(held, products.AdditionalState{CertIdentifier: id})
	}
	return held
}

// follow is what the ALB Ingress controller does. Where no certificate is named it looks some up, which
// is left out: the listener keeps what it has. That it does too where the default is another account's, which
// only the controller knows.
func (a inALBConfig) follow(w *world) {
	if list := a.list(w); len(list) > 0 && w.isInOwnAccount(list[0]) {
		w.must(w.products.Put("lsn-ingress", list[0], list[1:]))
	}
}

// console is what a person does with kubectl: he writes the list as he wants it.
func (a inALBConfig) console(w *world, _ place) {
	list := a.list(w)
	one := w.neighbours[w.pick(len(w.neighbours))]
	switch dice := w.pick(10); {
	case dice < 2 && len(list) > 1: // somebody takes one out, of ours or not
		list = slices.Delete(list, len(list)-1, len(list))
	case dice < 4 && len(list) > 0 && !slices.Contains(list, one):
		list[0] = one
	case dice < 7 && !slices.Contains(list, one) && len(list) < 2*fullQuota:
		list = slices.Insert(list, w.pick(len(list)+1), one)
	case dice < 8:
		slices.Reverse(list)
	case dice < 9:
		list = nil
	}
	w.notef("user: AlbConfig %s gets %v", theALBConfig, list)
	a.put(w, list...)
	a.follow(w)
	w.lookAnew()
}

// interfere puts a certificate before those that are there, so that every index is another one's.
func (a inALBConfig) interfere(w *world) {
	list := slices.DeleteFunc(a.list(w), func(id string) bool { return id == w.neighbours[0] })
	a.put(w, slices.Insert(list, min(1, len(list)), w.neighbours[0])...)
}

func (a inALBConfig) settles(w *world, p place, _ *v1alpha1.CloudCertificateBinding, current string) []string {
	switch {
	case p.shared && w.isIn(p.beside(false), current): // the default serves it
		return []string{v1alpha1.ReasonSynced}
	case p.shared && len(a.list(w)) == 0: // ours would become the default
		return []string{v1alpha1.ReasonBindFailed}
	}
	return nil
}

func (inALBConfig) rest(*world) {}

// albConfigLifecycles are what can happen to AlbConfigs that certificates are carried to.
var albConfigLifecycles = map[string]func(w *world){
	"bind to a default in an AlbConfig, and renew": func(w *world) {
		w.givenBindings(albConfigPlaces[:1], adoptAll)
		w.renew(1, 5*time.Second)
		w.follow()
	},
	"bind to an AlbConfig, renew, and unbind": func(w *world) {
		keys := w.givenBindings(albConfigPlaces[1:], unbinding)
		w.renew(2, 5*time.Second)
		w.follow()
		w.api.removeBinding(keys[0])
		w.work(2 * time.Minute)
	},
	"bind to both slots in an AlbConfig": func(w *world) {
		w.givenBindings(albConfigPlaces[1:], asIs)
		w.work(5 * time.Second)
		w.places = albConfigPlaces
		w.lookAnew()
		w.bindTo(albConfigPlaces[0], adoptAll)
		w.renew(1, 5*time.Second)
	},
	"take out what an AlbConfig names no more": func(w *world) {
		w.givenBindings(albConfigPlaces[1:], adoptAll)
		w.renew(1, 10*time.Second)
		w.follow()
	},
}
