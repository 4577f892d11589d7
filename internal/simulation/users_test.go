// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

var keys = []types.NamespacedName{
	{Namespace: "a", Name: "one"}, {Namespace: "a", Name: "two"}, {Namespace: "b", Name: "one"},
}

func secretOf(key types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: key.Namespace, Name: key.Name + "-tls"}
}

func (w *world) putCredentials(namespace string) {
	w.useCredentials(namespace, "LTAIother", "other-secret")
}

func (w *world) useCredentials(namespace, id, secret string) {
	w.api.putSecret(types.NamespacedName{Namespace: namespace, Name: "creds"}, map[string][]byte{
		"accessKeyId": []byte(id), "accessKeySecret": []byte(secret),
	})
}

func (w *world) putContent(key types.NamespacedName, i int) {
	w.api.putSecret(secretOf(key), w.pool[i].data)
}

// user does what users and other tools do to objects, Secrets and the cloud.
func (w *world) user() {
	key := keys[w.pick(len(keys))]
	object := w.api.objects[key]
	if object == nil {
		w.create(key)
		return
	}
	switch dice := w.pick(100); {
	case !w.fixed && dice >= 30 && dice < 65:
		w.edit(key)
	case dice < 25:
		i := w.pick(len(w.pool))
		w.notef("user: Secret of %s becomes content %d", key, i)
		w.putContent(key, i)
	case dice < 30:
		w.notef("user: Secret of %s deleted", key)
		w.api.putSecret(secretOf(key), nil)
	case dice < 42:
		w.notef("user: %s deleted", key)
		w.api.remove(key)
	case dice < 47:
		w.notef("user: status of %s wiped", key)
		w.api.change(key, func(o *v1alpha1.CloudCertificate) {
			o.Status = v1alpha1.CloudCertificateStatus{ObservedGeneration: -1}
		})
	case dice < 52:
		w.restore(key)
	case dice < 60:
		w.vandalize()
	case dice < 62:
		w.notef("user: credentials of %s deleted", key.Namespace)
		w.api.putSecret(types.NamespacedName{Namespace: key.Namespace, Name: "creds"}, nil)
	case dice < 65:
		w.notef("user: namespace %s deleted", key.Namespace)
		for _, k := range keys {
			if k.Namespace == key.Namespace {
				w.api.putSecret(secretOf(k), nil)
				w.api.remove(k)
			}
		}
		w.api.putSecret(types.NamespacedName{Namespace: key.Namespace, Name: "creds"}, nil)
	default:
		w.edit(key)
	}
}

func (w *world) create(key types.NamespacedName) {
	object := &v1alpha1.CloudCertificate{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	object.Spec.SecretRef.Name = secretOf(key).Name
	object.Spec.Type = v1alpha1.CertificateTypeTLS
	object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
	if w.pick(2) == 0 {
		object.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	}
	if w.pick(2) == 0 {
		object.Spec.RevisionHistoryLimit = new(int32(w.pick(3)))
	}
	if key == keys[0] {
		object.Spec.NamePrefix = "p"
	}
	if w.pick(6) == 0 {
		w.putCredentials(key.Namespace)
		object.Spec.CredentialsSecretRef.Name = "creds"
	}
	if w.pick(3) > 0 {
		w.putContent(key, w.pick(len(w.pool)))
	}
	w.notef("user: %s created with %s", key, encode(object.Spec))
	w.api.create(object)
}

// prefix sets a prefix. Content that another prefix hides can be missed where a status
// was lost, the list lags behind a crash, or may not be read: that limit is on the
// design page. So a schedule changes prefixes or loses what is known, not both; the
// lifecycles have what is promised of both.
func (w *world) prefix(o *v1alpha1.CloudCertificate) {
	if !w.fixed {
		o.Spec.NamePrefix = fmt.Sprintf("p%d", w.pick(3))
	}
}

// edit changes a field of the spec, or an annotation.
func (w *world) edit(key types.NamespacedName) {
	w.api.change(key, func(o *v1alpha1.CloudCertificate) {
		switch w.pick(12) {
		case 0:
			if o.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
				o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain
			} else {
				o.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
			}
		case 1:
			o.Spec.RevisionHistoryLimit = nil
		case 2:
			o.Spec.RevisionHistoryLimit = new(int32(w.pick(3)))
		case 3:
			o.Spec.Suspend = !o.Spec.Suspend
		case 4:
			w.prefix(o)
		case 5:
			o.Spec.Tags = []v1alpha1.Tag{{Key: "k", Value: strconv.Itoa(w.pick(3))}}
		case 6:
			o.Spec.Region = []string{"", cas.RegionChina, cas.RegionInternational}[w.pick(3)]
		case 7:
			if o.Spec.CredentialsSecretRef.Name = []string{"", "creds"}[w.pick(2)]; o.Spec.CredentialsSecretRef.Name != "" {
				w.putCredentials(key.Namespace)
			}
		case 8:
			o.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.pick(1000))}
		case 9:
			o.Spec.SecretRef.Name = secretOf(keys[w.pick(2)]).Name
		case 10:
			o.Spec.ResourceGroupID = fmt.Sprintf("rg-%d", w.pick(3))
		case 11:
			if !o.DeletionTimestamp.IsZero() && w.pick(5) == 0 {
				o.Annotations = map[string]string{v1alpha1.AnnotationOrphan: "true"}
			}
		}
		w.notef("user: %s edited to %s %v", key, encode(o.Spec), o.Annotations)
	})
}

// restore puts an object back as a backup has it: an older status, or one that speaks
// of another account.
func (w *world) restore(key types.NamespacedName) {
	var old []*v1alpha1.CloudCertificate
	for _, e := range w.api.objectLog.events {
		if object, _ := e.object.(*v1alpha1.CloudCertificate); object != nil && e.key == key && object.Status.CertID != 0 {
			old = append(old, object)
		}
	}
	if len(old) == 0 {
		return
	}
	status := old[w.pick(len(old))].DeepCopy().Status
	switch w.pick(6) {
	case 0:
		status.AccountID, w.misled[key] = "3000000000000003", true
	case 1: // the ids mean something else where it is restored
		for id := range w.foreign {
			status.CertID = max(status.CertID, id.certID)
		}
	}
	w.notef("user: status of %s restored to certificate %d in account %s", key, status.CertID, status.AccountID)
	w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = status })
}

// vandalize deletes something of ours in the cloud, or adds something that is not.
func (w *world) vandalize() {
	ours := w.ours()
	switch dice := w.pick(10); {
	case dice < 2 || len(ours) == 0:
		w.addForeign(fmt.Sprintf("foreign_%d", w.events), w.pick(4))
	default:
		w.deleteInConsole(ours[w.pick(len(ours))])
	}
}
