// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// apiServer is an API server for one goroutine: resource versions, generations,
// optimistic locks, a status apart, finalizers, and a log of what happened to each
// kind. What it hands out is never changed afterwards.
type apiServer struct {
	version   int64
	uids      int64
	objects   map[types.NamespacedName]*v1alpha1.CloudCertificate
	secrets   map[types.NamespacedName]*corev1.Secret
	bindings  map[types.NamespacedName]*v1alpha1.CloudCertificateBinding
	objectLog logbook
	secretLog logbook

	bindingLog logbook
	policies   map[types.NamespacedName]*v1alpha1.CertificateTargetPolicy
	policyLog  logbook
	clusterObjects
	lacks  string // a field of the status that the installed CRD does not know
	stored func(key types.NamespacedName, old, object *v1alpha1.CloudCertificate)
}

// logbook is what watches of a kind show: what is there, and what happened.
type logbook struct {
	present  map[types.NamespacedName]client.Object
	events   []watchEvent
	restored int // watches that have not come so far have to list again
}

// watchEvent is a change of one object; nil is its deletion.
type watchEvent struct {
	key    types.NamespacedName
	object client.Object
}

// enter notes what became of an object.
func (l *logbook) enter(key types.NamespacedName, object client.Object) {
	object = cached(object)
	l.events = append(l.events, watchEvent{key: key, object: object})
	if object == nil {
		delete(l.present, key)
		return
	}
	l.present[key] = object
}

// cached is what the operator's cache keeps of an object.
func cached(object client.Object) client.Object {
	if _, ok := object.(*v1alpha1.CloudCertificate); !ok {
		return object
	}
	stripped, err := transformOf(object)(object.DeepCopyObject())
	if err != nil {
		panic(err)
	}
	return stripped.(client.Object)
}

// restart takes over what is there, of which no watch knows the way.
func restart[T client.Object](l *logbook, present map[types.NamespacedName]T) {
	clear(l.present)
	for key, object := range present {
		l.present[key] = cached(object)
	}
	l.events = append(l.events, watchEvent{}) // which nobody is shown
	l.restored = len(l.events)
}

func newAPIServer() *apiServer {
	return &apiServer{
		version: 100,
		objects: map[types.NamespacedName]*v1alpha1.CloudCertificate{},
		secrets: map[types.NamespacedName]*corev1.Secret{},

		bindings: map[types.NamespacedName]*v1alpha1.CloudCertificateBinding{},
		policies: map[types.NamespacedName]*v1alpha1.CertificateTargetPolicy{},

		clusterObjects: newClusterObjects(),

		objectLog:  logbook{present: map[types.NamespacedName]client.Object{}},
		secretLog:  logbook{present: map[types.NamespacedName]client.Object{}},
		bindingLog: logbook{present: map[types.NamespacedName]client.Object{}},
		policyLog:  logbook{present: map[types.NamespacedName]client.Object{}},
	}
}

func (a *apiServer) nextVersion() string {
	a.version++
	return strconv.FormatInt(a.version, 10)
}

func (a *apiServer) newUID() types.UID {
	a.uids++
	return types.UID(fmt.Sprintf("uid-%d", a.uids))
}

// store enters a new version of an object; nil removes it.
func (a *apiServer) store(key types.NamespacedName, object *v1alpha1.CloudCertificate) {
	old := a.objects[key]
	if object == nil {
		delete(a.objects, key)
		a.objectLog.enter(key, nil)
	} else {
		a.drop(object)
		object.ResourceVersion = a.nextVersion()
		a.objects[key] = object
		a.objectLog.enter(key, object)
	}
	if a.stored != nil {
		a.stored(key, old, object)
	}
}

// create makes an object; what status it carries is written after it, as a restore
// does.
func (a *apiServer) create(object *v1alpha1.CloudCertificate) {
	key := client.ObjectKeyFromObject(object)
	status := object.Status
	object.UID, object.Generation, object.CreationTimestamp = a.newUID(), 1, metav1.Now()
	object.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1}
	a.store(key, object)
	if status.ObservedGeneration != 0 {
		a.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = status })
	}
}

// change is what a user does to an object.
func (a *apiServer) change(key types.NamespacedName, do func(*v1alpha1.CloudCertificate)) {
	if object, ok := changed(a.objects[key], do); ok {
		a.update(key, a.objects[key], object)
	}
}

// update stores a changed object as an API server does.
func (a *apiServer) update(key types.NamespacedName, old, object *v1alpha1.CloudCertificate) {
	a.store(key, updated(object, string(encode(old.Spec)) != string(encode(object.Spec))))
}

// remove is a user's delete.
func (a *apiServer) remove(key types.NamespacedName) {
	if object, ok := removed(a.objects[key]); ok {
		a.store(key, object)
	}
}

// stored is an object of any kind that the API server has.
type stored[T any] interface {
	comparable
	client.Object
	DeepCopy() T
}

// changed is a copy of what is stored that somebody has changed, if there is anything.
func changed[T stored[T]](old T, do func(T)) (object T, ok bool) {
	var none T
	if old == none {
		return none, false
	}
	object = old.DeepCopy()
	do(object)
	return object, true
}

// updated is what becomes of a changed object: another generation with another spec, and nothing
// once it is being deleted and no finalizer holds it.
func updated[T stored[T]](object T, otherSpec bool) T {
	if otherSpec {
		object.SetGeneration(object.GetGeneration() + 1)
	}
	if !object.GetDeletionTimestamp().IsZero() && len(object.GetFinalizers()) == 0 {
		var none T
		return none
	}
	return object
}

// removed is what becomes of an object that a user deletes, if that changes anything.
func removed[T stored[T]](old T) (object T, ok bool) {
	var none T
	switch {
	case old == none || !old.GetDeletionTimestamp().IsZero():
		return none, false
	case len(old.GetFinalizers()) == 0:
		return none, true
	}
	object = old.DeepCopy()
	object.SetDeletionTimestamp(new(metav1.Now()))
	object.SetGeneration(object.GetGeneration() + 1)
	return object, true
}

// putSecret makes or changes a Secret; nil data removes it.
func (a *apiServer) putSecret(key types.NamespacedName, data map[string][]byte) {
	old := a.secrets[key]
	if data == nil {
		if old != nil {
			delete(a.secrets, key)
			a.secretLog.enter(key, nil)
		}
		return
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: a.newUID()}, Data: data}
	if old != nil {
		secret.UID = old.UID
	}
	secret.ResourceVersion = a.nextVersion()
	a.secrets[key] = secret
	a.secretLog.enter(key, secret)
}

func encode(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

// drop takes out what the CRD does not know, as an API server does where it is not asked
// to be strict.
func (a *apiServer) drop(object *v1alpha1.CloudCertificate) {
	if a.lacks == "" {
		return
	}
	without := fmt.Appendf(nil, `{"status":{%q:null}}`, a.lacks)
	merged, err := jsonpatch.MergePatch(encode(object), without)
	if err != nil {
		panic(err)
	}
	*object = v1alpha1.CloudCertificate{}
	if err := json.Unmarshal(merged, object); err != nil {
		panic(err)
	}
}

// refuses says that a patch has a field that the CRD does not know, as strict field
// validation does.
func (a *apiServer) refuses(patch []byte) error {
	var fields struct{ Status map[string]any }
	if err := json.Unmarshal(patch, &fields); err != nil {
		return err
	}
	if _, has := fields.Status[a.lacks]; has {
		return apierrors.NewBadRequest(fmt.Sprintf("strict decoding error: unknown field %q", "status."+a.lacks))
	}
	return nil
}

// merge applies a JSON merge patch to an object, under the version that the patch names.
func merge(old client.Object, data []byte, into client.Object) error {
	var lock struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return err
	}
	if rv := lock.Metadata.ResourceVersion; rv != "" && rv != old.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group}, old.GetName(), errors.New("changed"))
	}
	merged, err := jsonpatch.MergePatch(encode(old), data)
	if err != nil {
		return err
	}
	return json.Unmarshal(merged, into)
}

// patchAny applies a JSON merge patch to an object of either kind, or to its status.
func (a *apiServer) patchAny(object client.Object, patch client.Patch, status, strict bool) error {
	if b, ok := object.(*v1alpha1.CloudCertificateBinding); ok {
		return a.patchBinding(b, patch, status)
	}
	return a.patch(object.(*v1alpha1.CloudCertificate), patch, status, strict)
}

// patch applies a JSON merge patch to an object or to its status.
func (a *apiServer) patch(object *v1alpha1.CloudCertificate, patch client.Patch, status, strict bool) error {
	key := client.ObjectKeyFromObject(object)
	old := a.objects[key]
	if old == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "cloudcertificates"}, key.Name)
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	if strict {
		if err := a.refuses(data); err != nil {
			return err
		}
	}
	patched := &v1alpha1.CloudCertificate{}
	if err := merge(old, data, patched); err != nil {
		return err
	}
	result := old.DeepCopy()
	if status {
		result.Status = patched.Status
	} else {
		result.Finalizers, result.Annotations = patched.Finalizers, patched.Annotations
	}
	if a.drop(result); string(encode(result)) != string(encode(old)) {
		a.update(key, old, result)
	}
	result.DeepCopyInto(object)
	return nil
}

func sortedKeys[V any](m map[types.NamespacedName]V) []types.NamespacedName {
	keys := make([]types.NamespacedName, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int {
		if a.Namespace != b.Namespace {
			return cmpString(a.Namespace, b.Namespace)
		}
		return cmpString(a.Name, b.Name)
	})
	return keys
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
