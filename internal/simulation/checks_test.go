// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/controller/certificate"
	"github.com/cloudcert-io/cloudcert/internal/emulator"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// checkAlive looks for two certificates of one identity and content.
func (w *world) checkAlive() {
	for _, account := range []string{ownAccount, otherAccount} {
		for _, region := range cas.Regions() {
			alive := map[string][]emulator.Certificate{}
			for _, c := range w.cloud.Certificates(account, region) {
				identity, _, ok := bundle.ParseName(c.Name)
				if !ok {
					continue
				}
				for _, other := range alive[identity] {
					if w.sameContent(c, other) {
						w.violatef("certificates %d and %d (%s) are the same content of one object", other.CertID, c.CertID, c.Name)
					}
				}
				alive[identity] = append(alive[identity], c)
			}
		}
	}
}

// sameContent reports whether two certificates are the same by what they are, not by what
// their names say: by all that was uploaded, else by the leaf.
func (w *world) sameContent(a, b emulator.Certificate) bool {
	if w.uploaded[idOf(a)] != "" && w.uploaded[idOf(b)] != "" {
		return w.uploaded[idOf(a)] == w.uploaded[idOf(b)]
	}
	return a.SHA256 == b.SHA256
}

// checkDeleted says whether a certificate might be deleted. The account is the one of the call, as
// far as the operator knows it.
func (w *world) checkDeleted(account string, call emulator.Call) {
	identity, _, _ := bundle.ParseName(call.Name)
	key, ours := w.identities[identity]
	object := w.api.objects[key]
	w.checkUnused(key, calledFor(call))
	switch {
	case !ours || w.foreign[calledFor(call)]:
		w.violatef("certificate %d (%s) is not ours and was deleted", call.CertID, call.Name)
	case object == nil:
		w.violatef("certificate %d (%s) was deleted after its object was gone", call.CertID, call.Name)
	case placeOf(object).DiffersFrom(protocol.Place{Account: account, Region: call.Region}):
		w.violatef("certificate %d (%s) was deleted in a place that its object does not live in", call.CertID, call.Name)
	case !object.DeletionTimestamp.IsZero():
		if keepsCertificates(object) {
			w.violatef("certificate %d (%s) was deleted against the will of its object", call.CertID, call.Name)
		}
	case object.Status.CertID == call.CertID:
		w.violatef("certificate %d (%s) was deleted while it was the current one", call.CertID, call.Name)
	case object.Spec.RevisionHistoryLimit == nil || object.Spec.Suspend:
		w.violatef("certificate %d (%s) was pruned although its object keeps it", call.CertID, call.Name)
	case w.lacks(call, object.Status.CertID):
		w.violatef("certificate %d (%s) was pruned although the current one, %d, is not there", call.CertID, call.Name, object.Status.CertID)
	case time.Since(w.published[key].at) < pruneDelay:
		w.violatef("certificate %d (%s) was pruned %s after its successor was published", call.CertID, call.Name, time.Since(w.published[key].at))
	case time.Since(w.replaced[calledFor(call)]) < pruneDelay:
		w.violatef("certificate %d (%s) was pruned %s after it was the current one", call.CertID, call.Name, time.Since(w.replaced[calledFor(call)]))
	}
}

// keepsCertificates reports whether the deletion of an object leaves the cloud alone.
func keepsCertificates(object *v1alpha1.CloudCertificate) bool {
	return object.Annotations[v1alpha1.AnnotationOrphan] == "true" || object.Spec.Suspend ||
		object.Spec.DeletionPolicy != v1alpha1.DeletionPolicyDelete
}

// lacks reports whether a certificate is not where a call deleted another, and every list
// that may still be believed says so.
func (w *world) lacks(call emulator.Call, certID int64) bool {
	there := slices.ContainsFunc(w.cloud.Certificates(call.Account, call.Region), func(c emulator.Certificate) bool { return c.CertID == certID })
	return !there && time.Since(w.vanished[certificateID{calledFor(call).Place, certID}]) > protocol.AtHand+time.Minute
}

// observe follows what the API server stores.
func (w *world) observe(key types.NamespacedName, old, object *v1alpha1.CloudCertificate) {
	w.identities[bundle.Identity(clusterID, key.Namespace, key.Name)] = key
	delete(w.gone, key)
	if object == nil {
		if !old.DeletionTimestamp.IsZero() && !keepsCertificates(old) {
			w.gone[key] = old
		}
		delete(w.published, key)
		return
	}
	if object.Status.CertID == 0 && meta.IsStatusConditionTrue(object.Status.Conditions, v1alpha1.ConditionReady) {
		w.violatef("%s is Ready without a certificate", key.Name)
	}
	if old != nil && old.Status.CertID != object.Status.CertID && w.isOwn(key, old.Status.Name) {
		w.replaced[certificateID{placeOf(old), old.Status.CertID}] = time.Now()
	}
	if id := object.Status.CertID; id != 0 && w.published[key].certID != id {
		w.published[key] = publication{certID: object.Status.CertID, at: time.Now()}
	}
}

// isOwn reports whether a name is one of the object's own. A status that was copied from another
// object names a certificate that never was this object's current one.
func (w *world) isOwn(key types.NamespacedName, name string) bool {
	identity, _, _ := bundle.ParseName(name)
	return w.identities[identity] == key
}

// checkText looks for key material.
func (w *world) checkText(where, text string) {
	if strings.Contains(text, "-----BEGIN") || strings.Contains(text, "own-secret") || strings.Contains(text, "other-secret") {
		w.violatef("%s holds a secret: %.60s", where, text)
		return
	}
	for _, content := range w.pool {
		for _, line := range bytes.Split(content.data["tls.key"], []byte("\n"))[1:3] {
			if len(line) > 20 && strings.Contains(text, string(line)) {
				w.violatef("%s holds a private key", where)
			}
		}
	}
}

// callsPerEvent bounds the uploads and deletes that one thing from outside may lead to.
const callsPerEvent = 12

// checkAwake lets an operator finish what it was woken for, without a resync that would
// hide what it missed, and says whether each object has come to its Secret.
func (w *world) checkAwake(op *operator) {
	for _, i := range op.watches() {
		i.resync = time.Now().Add(*certificate.CacheOptions(nil).SyncPeriod)
	}
	w.settle(op, 2*time.Hour)
	for _, key := range sortedKeys(w.api.objects) {
		if object := w.api.objects[key]; object.DeletionTimestamp.IsZero() {
			w.checkContent(key, object)
		}
	}
	w.checkSeen(op)
}

// checkContent says whether an object names what its spec and Secret ask for.
func (w *world) checkContent(key types.NamespacedName, object *v1alpha1.CloudCertificate) (reason string) {
	status := &object.Status
	want, content := w.wanted(object)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != want {
		w.violatef("%s: conditions %s, want %s", key.Name, encode(status.Conditions), want)
		return ""
	}
	if _, current, _ := bundle.ParseName(status.Name); want == v1alpha1.ReasonSynced && current != content && w.rename == nil {
		w.violatef("%s: %s is not the content of its Secret, %s", key.Name, status.Name, content)
	}
	return want
}

// checkRest compares the world at rest with what was promised.
func (w *world) checkRest() {
	writes, refused := 0, 0
	for _, call := range w.cloud.Journal() {
		switch {
		case w.used > 0 && call.Action == string(cas.ActionDelete) && slices.Contains(useCodes, call.Code):
			refused++
		case call.Action == string(cas.ActionUpload) || call.Action == string(cas.ActionDelete):
			writes++
		}
	}
	hours := time.Since(w.began).Hours()
	if most := float64(w.used) * (10 + 2*hours); float64(refused) > most { // soon at first, and hourly for as long as it takes
		w.violatef("%d tries in %.0f h to delete %d certificates that are in use", refused, hours, w.used)
	}
	if most := callsPerEvent * (w.events + len(w.api.objects) + 1); writes > most {
		w.violatef("%d uploads and deletes for %d things that happened", writes, w.events)
	}
	if there := len(w.all()) - len(w.ours()); there != len(w.foreign) {
		w.violatef("%d foreign certificates are left of %d", there, len(w.foreign))
	}
	for key, object := range w.api.objects {
		w.checkObject(key, object)
	}
	w.follow()
	w.checkBindings()
	for _, c := range w.ours() {
		identity, _, _ := bundle.ParseName(c.Name)
		if key, known := w.identities[identity]; known {
			w.checkAccounted(key, c)
		}
	}
}

// checkObject says whether an object has reached what its spec and Secret ask for.
func (w *world) checkObject(key types.NamespacedName, object *v1alpha1.CloudCertificate) {
	w.checkText("the status", string(encode(object.Status)))
	status := &object.Status
	if !object.DeletionTimestamp.IsZero() {
		w.violatef("%s is still being deleted: %s", key.Name, encode(status.Conditions))
		return
	}
	if w.checkContent(key, object) != v1alpha1.ReasonSynced {
		return // without its Secret nothing can be repaired, and absence alone changes no status
	}
	c, ok := w.named(status, status.CertID)
	if w.rename != nil {
		c.Name = status.Name // what is broken on purpose is no proof that a check can fail
	}
	if !ok || c.Name != status.Name {
		w.violatef("%s names certificate %d (%s), which does not exist", key.Name, status.CertID, status.Name)
	}
	if want := cas.CertIdentifier(status.CertID, status.Region); status.CertIdentifier != "" && status.CertIdentifier != want { // an older CRD has no room for it
		w.violatef("%s: certIdentifier %s, want %s", key.Name, status.CertIdentifier, want)
	}
	for _, name := range append([]string{status.Name}, versionNames(status.History)...) {
		if identity, _, _ := bundle.ParseName(name); identity != bundle.Identity(clusterID, key.Namespace, key.Name) {
			w.violatef("%s names %s, which is not its own", key.Name, name)
		}
	}
	for _, h := range status.History {
		if _, there := w.named(status, h.CertID); !there {
			w.violatef("%s: history names certificate %d, which does not exist", key.Name, h.CertID)
		}
	}
	if w.api.lacks != "historyTotal" && int(status.HistoryTotal) != len(status.History) {
		w.violatef("%s: %d versions in history, %d shown", key.Name, status.HistoryTotal, len(status.History))
	}
	limit := object.Spec.RevisionHistoryLimit
	kept := 0
	for i, h := range status.History {
		if c, _ := w.named(status, h.CertID); limit != nil && (i < int(*limit) || c.InUse != "" || w.isHeldBack(key, h.CertID)) {
			kept++
		}
	}
	shared := w.sharedAtRest(object)
	if limit != nil && len(status.History) > kept && !shared {
		w.violatef("%s: %d superseded versions were never pruned to %d: %s", key.Name, len(status.History), *limit, encode(status))
	}
}

func versionNames(versions []v1alpha1.CertificateVersion) (names []string) {
	for _, v := range versions {
		names = append(names, v.Name)
	}
	return names
}

// sharedAtRest says that a version is newer than the current one and not known to be
// ours: a crash after an upload and a rollback look like another cluster.
func (w *world) sharedAtRest(object *v1alpha1.CloudCertificate) bool {
	return slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool {
		return h.CertID > object.Status.CertID && h.UploadTime.IsZero()
	})
}

// wanted is the reason that an object must have come to, and the content.
func (w *world) wanted(object *v1alpha1.CloudCertificate) (reason, content string) {
	secret := w.api.secrets[types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.SecretRef.Name}]
	switch {
	case object.Spec.Suspend:
		return v1alpha1.ReasonSuspended, ""
	case secret == nil || len(secret.Data["tls.crt"]) == 0:
		return v1alpha1.ReasonSecretNotFound, ""
	}
	for _, c := range w.pool {
		if bytes.Equal(c.data["tls.crt"], secret.Data["tls.crt"]) && bytes.Equal(c.data["tls.key"], secret.Data["tls.key"]) && c.content != "" {
			return v1alpha1.ReasonSynced, c.content
		}
	}
	return v1alpha1.ReasonInvalidCertificate, ""
}

// checkAccounted says whether a certificate of ours is known to somebody.
func (w *world) checkAccounted(key types.NamespacedName, c emulator.Certificate) {
	object := w.api.objects[key]
	at := protocol.Place{Account: c.AccountID, Region: c.Region}
	if object != nil && placeOf(object) == at {
		named := object.Status.CertID == c.CertID || slices.ContainsFunc(object.Status.History, func(h v1alpha1.CertificateVersion) bool { return h.CertID == c.CertID })
		want, _ := w.wanted(object)
		if !named && want == v1alpha1.ReasonSynced {
			w.violatef("certificate %d (%s) is in nobody's status", c.CertID, c.Name)
		}
		return
	}
	if last := w.gone[key]; object == nil && last != nil && placeOf(last) == at && !w.isExcused(last, c) {
		w.violatef("certificate %d (%s) outlived its object, which promised to take it along", c.CertID, c.Name)
	}
}

// isExcused reports whether it was said that a certificate outlives its object. Where the
// cloud refused to delete one of the object's, the others have to be gone.
func (w *world) isExcused(last *v1alpha1.CloudCertificate, c emulator.Certificate) bool {
	said := w.announced[string(last.UID)]
	identity, _, _ := bundle.ParseName(c.Name)
	refused := slices.ContainsFunc(w.ours(), func(other emulator.Certificate) bool {
		owner, _, _ := bundle.ParseName(other.Name)
		return owner == identity && other.InUse != ""
	})
	kept := slices.ContainsFunc(strings.Split(said, "; "), func(reason string) bool { // a binding has it for longer than --orphan-after
		return strings.Contains(reason, fmt.Sprintf("(%d)", c.CertID)) && strings.Contains(reason, "CloudCertificateBinding")
	})
	if refused && !kept && c.InUse == "" && strings.Contains(said, "DeleteUserCertificate") {
		return false
	}
	return said != ""
}
