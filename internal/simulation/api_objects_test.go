// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// clusterObjects are the objects of a cluster that bindings carry certificates to.
type clusterObjects struct {
	configMaps map[types.NamespacedName]*configMap
	services   map[types.NamespacedName]*corev1.Service
	albConfigs map[types.NamespacedName]*unstructured.Unstructured
	// configMapLog and serviceLog have metadata alone: that is what is watched.
	configMapLog, serviceLog logbook
}

func newClusterObjects() clusterObjects {
	return clusterObjects{
		configMaps:   map[types.NamespacedName]*configMap{},
		services:     map[types.NamespacedName]*corev1.Service{},
		albConfigs:   map[types.NamespacedName]*unstructured.Unstructured{},
		configMapLog: logbook{present: map[types.NamespacedName]client.Object{}},
		serviceLog:   logbook{present: map[types.NamespacedName]client.Object{}},
	}
}

// configMap is a ConfigMap with its managed fields: who wrote each key. It is never changed.
type configMap struct {
	corev1.ConfigMap
	managers map[string]map[string]bool // by key
}

func (c *configMap) copied() *configMap {
	next := &configMap{ConfigMap: *c.DeepCopy(), managers: map[string]map[string]bool{}}
	if next.Data == nil {
		next.Data = map[string]string{}
	}
	for key, managers := range c.managers {
		next.managers[key] = maps.Clone(managers)
	}
	return next
}

// metadataOf is what a watch of metadata shows of an object.
func metadataOf(kind string, object client.Object) *metav1.PartialObjectMetadata {
	shown := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(),
		ResourceVersion: object.GetResourceVersion(), Annotations: maps.Clone(object.GetAnnotations()),
	}}
	shown.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return shown
}

// storeConfigMap enters a new version of a ConfigMap; nil removes it.
func (a *apiServer) storeConfigMap(key types.NamespacedName, object *configMap) {
	if object == nil {
		delete(a.configMaps, key)
		a.configMapLog.enter(key, nil)
		return
	}
	object.Namespace, object.Name, object.ResourceVersion = key.Namespace, key.Name, a.nextVersion()
	if object.UID == "" {
		object.UID = a.newUID()
	}
	a.configMaps[key] = object
	a.configMapLog.enter(key, metadataOf("ConfigMap", object))
}

// aPerson is the manager of what is not applied.
const aPerson = "kubectl"

// putConfigMap is a person's write of all data, as kubectl edit does it; nil deletes the ConfigMap. Who
// changes a value has it from then on.
func (a *apiServer) putConfigMap(key types.NamespacedName, data map[string]string) {
	old := a.configMaps[key]
	if data == nil {
		if old != nil {
			a.storeConfigMap(key, nil)
		}
		return
	}
	if old == nil {
		old = &configMap{}
	}
	next := old.copied()
	for name := range next.Data {
		if _, kept := data[name]; !kept {
			delete(next.Data, name)
			delete(next.managers, name)
		}
	}
	for name, value := range data {
		if was, there := next.Data[name]; !there || was != value {
			next.Data[name], next.managers[name] = value, map[string]bool{aPerson: true}
		}
	}
	a.storeConfigMap(key, next)
}

// apply is a server-side apply of a ConfigMap: the manager has the keys that it names, and those that
// it had alone and does not name go.
func (a *apiServer) apply(manager string, force bool, object *corev1.ConfigMap) error {
	key := client.ObjectKeyFromObject(object)
	old := a.configMaps[key]
	switch {
	case object.UID != "" && (old == nil || object.UID != old.UID):
		return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, key.Name, errors.New("it is gone"))
	case old == nil:
		old = &configMap{}
	case object.ResourceVersion != "" && object.ResourceVersion != old.ResourceVersion:
		return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, key.Name, errors.New("changed"))
	}
	next := old.copied()
	for name, value := range object.Data {
		if was, there := next.Data[name]; there && was == value {
			next.managers[name][manager] = true
			continue
		}
		delete(next.managers[name], manager)
		if len(next.managers[name]) > 0 && !force {
			return apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data." + name}}, "a key is somebody else's")
		}
		next.Data[name], next.managers[name] = value, map[string]bool{manager: true}
	}
	next.release(manager, object.Data)
	if old.UID == "" || string(encode(next.Data)) != string(encode(old.Data)) || string(encode(next.managers)) != string(encode(old.managers)) {
		a.storeConfigMap(key, next)
	}
	return nil
}

// release takes from a manager what it names no more.
func (c *configMap) release(manager string, named map[string]string) {
	for name, managers := range c.managers {
		if _, kept := named[name]; kept || !managers[manager] {
			continue
		}
		delete(managers, manager)
		if len(managers) == 0 {
			delete(c.managers, name)
			delete(c.Data, name)
		}
	}
}

// putService makes a Service, or changes it; nil removes it.
func (a *apiServer) putService(key types.NamespacedName, object *corev1.Service) {
	if object == nil {
		delete(a.services, key)
		a.serviceLog.enter(key, nil)
		return
	}
	object.Namespace, object.Name, object.ResourceVersion = key.Namespace, key.Name, a.nextVersion()
	if object.UID == "" {
		object.UID = a.newUID()
	}
	a.services[key] = object
	a.serviceLog.enter(key, metadataOf("Service", object))
}

// patchService applies a JSON merge patch to a Service.
func (a *apiServer) patchService(key types.NamespacedName, patch []byte) error {
	old := a.services[key]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, key.Name)
	}
	patched := &corev1.Service{}
	if err := merge(old, patch, patched); err != nil {
		return err
	}
	if string(encode(patched.Annotations)) != string(encode(old.Annotations)) {
		a.putService(key, patched)
	}
	return nil
}

// putALBConfig makes an AlbConfig, or changes it. Nobody watches it.
func (a *apiServer) putALBConfig(name string, object *unstructured.Unstructured) {
	object.SetName(name)
	object.SetResourceVersion(a.nextVersion())
	a.albConfigs[types.NamespacedName{Name: name}] = object
}

// patchALBConfig applies a JSON patch to an AlbConfig. A test in it that fails is answered as the API
// server does: something is invalid, and neither a kind nor a field is named.
func (a *apiServer) patchALBConfig(name string, data []byte) error {
	old := a.albConfigs[types.NamespacedName{Name: name}]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "albconfigs"}, name)
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	patched, err := patch.Apply(encode(old))
	if err != nil {
		return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(patched); err != nil {
		return err
	}
	a.putALBConfig(name, object)
	return nil
}

// decodeInto gives an object the content of another one, as JSON carries it.
func decodeInto(from, into any) {
	if err := json.Unmarshal(encode(from), into); err != nil {
		panic(err)
	}
}
