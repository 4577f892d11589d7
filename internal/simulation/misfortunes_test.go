// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
)

// misfortunes are what befalls an operator by no doing of its objects' users. One of them
// happens at any time of a schedule.
var misfortunes = []func(*world){
	(*world).loseCurrent,
	(*world).changeAccount,
	(*world).loseSTS,
	(*world).useOne,
	(*world).backUpOrRestore,
	(*world).copyStatus,
	(*world).changeCRD,
}

func (w *world) misfortune() { misfortunes[w.pick(len(misfortunes))](w) }

// deleteInConsole deletes a certificate as a person in the console does.
func (w *world) deleteInConsole(c emulator.Certificate) {
	w.notef("console: certificate %d deleted", c.CertID)
	w.cloud.DeleteOutOfBand(c.AccountID, c.Region, c.CertID)
	w.vanished[idOf(c)] = time.Now()
	w.lookAnew()
}

// loseCurrent deletes the current version of an object that has others.
func (w *world) loseCurrent() {
	for _, key := range sortedKeys(w.api.objects) {
		status := &w.api.objects[key].Status
		if c, there := w.named(status, status.CertID); there && len(status.History) > 0 {
			w.deleteInConsole(c)
			return
		}
	}
}

// changeAccount puts the access key of another account into a credentials Secret that
// objects use.
func (w *world) changeAccount() {
	key := keys[w.pick(len(keys))]
	creds := types.NamespacedName{Namespace: key.Namespace, Name: "creds"}
	id, secret := "LTAIother", "other-secret"
	if known := w.api.secrets[creds]; known != nil && string(known.Data["accessKeyId"]) == id {
		id, secret = "LTAIown", "own-secret"
	}
	w.notef("admin: credentials of %s become %s", key.Namespace, id)
	w.useCredentials(key.Namespace, id, secret)
	w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Spec.CredentialsSecretRef.Name = creds.Name })
}

// useCodes are answers to the deletion of one that is in use; the operator knows the first.
var useCodes = []string{"InvalidStatus.DeleteProtection", "Certificate.InUse", "OperationDenied"}

// useOne makes one certificate undeletable for the operator, whatever it is to its object.
// It stays so.
func (w *world) useOne() {
	if ours := w.ours(); len(ours) > 0 {
		w.use(ours[w.pick(len(ours))], useCodes[w.pick(len(useCodes))])
	}
}

func (w *world) use(c emulator.Certificate, code string) {
	w.notef("cloud: certificate %d (%s) cannot be deleted: %s", c.CertID, c.Name, code)
	w.used++
	w.cloud.SetInUse(c.AccountID, c.Region, c.CertID, code)
}

// loseSTS takes away the service that tells whose an access key is.
func (w *world) loseSTS() {
	f := emulator.Fault{Kind: emulator.FaultFail, Action: "GetCallerIdentity", Count: 1 + w.pick(20)}
	w.notef("STS fails %d times", f.Count)
	w.cloud.Inject(f)
}

// copyStatus gives an object the status of another one, or that of its namesake in another
// cluster.
func (w *world) copyStatus() {
	key := keys[w.pick(len(keys))]
	from := w.api.objects[keys[w.pick(len(keys))]]
	if w.api.objects[key] == nil || from == nil || from.Status.CertID == 0 {
		return
	}
	if client.ObjectKeyFromObject(from) == key {
		w.cloneFrom(fmt.Sprintf("cluster-%d", w.events), key)
		return
	}
	w.notef("user: status of %s copied to %s", from.Name, key)
	w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = *from.Status.DeepCopy() })
}

// cloneFrom makes the status of an object that of its namesake in another cluster, whose
// certificate of the same content is in the cloud.
func (w *world) cloneFrom(cluster string, key types.NamespacedName) {
	status := w.api.objects[key].Status.DeepCopy()
	_, content, _ := bundle.ParseName(status.Name)
	i := slices.IndexFunc(w.pool, func(c secretContent) bool { return c.content == content })
	if i < 0 {
		return
	}
	c := w.addForeign(bundle.Name("a", bundle.Identity(cluster, key.Namespace, key.Name), content), i)
	status.CertID, status.ResourceID, status.Name, status.History = c.CertID, c.ResourceID, c.Name, nil
	status.AccountID, status.Region, status.HistoryTotal = c.AccountID, c.Region, 0
	w.notef("user: status of %s restored from %s, with certificate %d", key, cluster, c.CertID)
	w.api.change(key, func(o *v1alpha1.CloudCertificate) { o.Status = *status })
}

// changeCRD installs a CRD that is older than the operator, or the right one.
func (w *world) changeCRD() {
	w.api.lacks = []string{"", "historyTotal", "certIdentifier", "lastHandledResync"}[w.pick(4)]
	w.notef("admin: the CRD lacks %q", w.api.lacks)
}

// etcdSnapshot is what a snapshot of etcd holds.
type etcdSnapshot struct {
	objects  map[types.NamespacedName]*v1alpha1.CloudCertificate
	secrets  map[types.NamespacedName]*corev1.Secret
	bindings map[types.NamespacedName]*v1alpha1.CloudCertificateBinding

	published map[types.NamespacedName]publication
}

func (w *world) snapshot() etcdSnapshot {
	return etcdSnapshot{objects: maps.Clone(w.api.objects), secrets: maps.Clone(w.api.secrets), bindings: maps.Clone(w.api.bindings), published: maps.Clone(w.published)}
}

// backUpOrRestore takes a snapshot of etcd, or goes back to one.
func (w *world) backUpOrRestore() {
	if len(w.snapshots) == 0 || w.pick(2) == 0 {
		w.notef("etcd: snapshot %d", len(w.snapshots))
		w.snapshots = append(w.snapshots, w.snapshot())
		return
	}
	i := w.pick(len(w.snapshots))
	w.notef("etcd: restored to snapshot %d", i)
	w.restoreEtcd(w.snapshots[i])
}

// restoreEtcd brings etcd back to a snapshot under running operators, with its revision
// raised, as etcd's documentation asks: what is there has the resourceVersion that it
// had, and every watch lists again.
func (w *world) restoreEtcd(s etcdSnapshot) {
	a := w.api
	before := a.objects
	a.version += 1000
	a.objects, a.secrets, a.bindings = maps.Clone(s.objects), maps.Clone(s.secrets), maps.Clone(s.bindings)
	restart(&a.objectLog, a.objects)
	restart(&a.secretLog, a.secrets)
	restart(&a.bindingLog, a.bindings)
	for _, key := range sortedKeys(a.bindings) { // as docs/operations.md asks for
		a.changeBinding(key, func(b *v1alpha1.CloudCertificateBinding) {
			b.Annotations = map[string]string{v1alpha1.AnnotationResync: strconv.Itoa(w.steps)}
		})
	}
	w.published = maps.Clone(s.published)
	for key := range before {
		if a.objects[key] == nil { // as if it had never been
			delete(w.gone, key)
		}
	}
	for key, object := range a.objects {
		if before[key] != object {
			w.observe(key, before[key], object)
		}
	}
}
