// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/emulator/products"
	"github.com/cloudcert-io/cloudcert/internal/targets"
)

// keysOf is a pair of keys in a ConfigMap.
type keysOf struct{ certID, identifier string }

// theConfigMap has both pairs of keys, and keys of others.
var theConfigMap = types.NamespacedName{Namespace: "a", Name: "certificates"}

func configMapPlace(name string, keys keysOf) place {
	target := &v1alpha1.ConfigMapTarget{Name: theConfigMap.Name}
	target.Keys.CertID, target.Keys.CertIdentifier = v1alpha1.ConfigMapKey(keys.certID), v1alpha1.ConfigMapKey(keys.identifier)
	return place{
		venue: inConfigMap{keys}, name: name, product: targets.ConfigMap, namespace: theConfigMap.Namespace, emptied: true,
		target: v1alpha1.BindingTarget{ConfigMap: target},
	}
}

// configMapPlaces are two pairs of keys of one ConfigMap. There is none at first: it is made.
var configMapPlaces = []place{
	configMapPlace("configmap", keysOf{"certId", "certIdentifier"}),
	configMapPlace("beside", keysOf{"id", "identifier"}),
}

// inConfigMap is a pair of keys.
type inConfigMap struct{ keys keysOf }

func (inConfigMap) open(*world) {}

func (c inConfigMap) holds(w *world, _ place) []products.AdditionalState {
	object := w.api.configMaps[theConfigMap]
	if object == nil {
		return nil
	}
	id, identifier := object.Data[c.keys.certID], object.Data[c.keys.identifier]
	if id == "" && identifier == "" {
		return nil
	}
	if number, _, _ := strings.Cut(identifier, "-"); number != id {
		identifier = fmt.Sprintf("%s=%q with %s=%q", c.keys.certID, id, c.keys.identifier, identifier)
	}
	return []products.AdditionalState{{CertIdentifier: identifier}}
}

// console is what a person does with kubectl.
func (c inConfigMap) console(w *world, _ place) {
	data := map[string]string{"color": strconv.Itoa(w.pick(3))}
	if object := w.api.configMaps[theConfigMap]; object != nil {
		maps.Copy(data, object.Data)
	}
	one := w.neighbours[w.pick(len(w.neighbours))]
	number, _, _ := strings.Cut(one, "-")
	switch dice := w.pick(10); {
	case dice < 2:
		data = nil
	case dice < 4:
		data[c.keys.certID], data[c.keys.identifier] = number, one
	case dice < 5: // of two certificates
		data[c.keys.certID], data[c.keys.identifier] = number+"1", one
	case dice < 6:
		delete(data, c.keys.certID)
		delete(data, c.keys.identifier)
	case dice < 7:
		delete(data, c.keys.identifier)
	default:
		data["color"] = strconv.Itoa(w.pick(100))
	}
	w.notef("user: ConfigMap %s becomes %v", theConfigMap, data)
	w.api.putConfigMap(theConfigMap, data)
	w.lookAnew()
}

func (c inConfigMap) interfere(w *world) {
	data := map[string]string{}
	if object := w.api.configMaps[theConfigMap]; object != nil {
		maps.Copy(data, object.Data)
	}
	number, _, _ := strings.Cut(w.neighbours[0], "-")
	data[c.keys.certID], data[c.keys.identifier] = number, w.neighbours[0]
	w.api.putConfigMap(theConfigMap, data)
}

func (inConfigMap) settles(*world, place, *v1alpha1.CloudCertificateBinding, string) []string {
	return nil
}

func (inConfigMap) rest(*world) {}

// configMapLifecycles are what can happen to ConfigMaps that certificates are carried to.
var configMapLifecycles = map[string]func(w *world){
	"bind to a ConfigMap, and renew": func(w *world) {
		w.givenBindings(configMapPlaces[:1], asIs)
		w.renew(1, 5*time.Second)
	},
	"bind to two pairs of keys of a ConfigMap": func(w *world) {
		both := w.givenBindings(configMapPlaces, unbinding)
		w.renew(1, 5*time.Second)
		w.api.removeBinding(both[1])
		w.work(2 * time.Minute)
	},
	"put right a ConfigMap that somebody changes": func(w *world) {
		w.givenBindings(configMapPlaces[:1], restoring)
		w.work(5 * time.Second)
		w.interfere()
		w.work(5 * time.Second)
		w.api.putConfigMap(theConfigMap, nil)
		w.lookAnew()
		w.work(5 * time.Second)
	},
	"adopt in a ConfigMap": func(w *world) {
		key := w.givenBindings(configMapPlaces[:1], asIs)[0]
		w.interfere()
		w.work(5 * time.Second)
		w.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) { b.Spec.Adopt = w.neighbours[:1] })
		w.work(5 * time.Second)
	},
}
