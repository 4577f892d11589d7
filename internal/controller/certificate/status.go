// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
	"github.com/cloudcert-io/cloudcert/internal/inventory"
	"github.com/cloudcert-io/cloudcert/internal/protocol"
)

// speaksFor reports whether a status is the object's own.
func (r *Reconciler) speaksFor(object *v1alpha1.CloudCertificate) bool {
	return protocol.Owns(r.identity(object), object.Status.CertID, object.Status.Name)
}

// What departure returns.
const (
	departedIdentity = "identity"
	departedRegion   = "region"
	departedAccount  = "account"
)

// departure says why what a status names was left behind by the next one, empty if it was
// not. owned is whether the one before was the object's own.
func departure(owned bool, before, next *v1alpha1.CloudCertificate) string {
	was, is := placeOf(before), placeOf(next)
	switch {
	case !owned:
		return departedIdentity
	case was.DiffersFrom(protocol.Place{Region: is.Region}):
		return departedRegion
	case was.DiffersFrom(protocol.Place{Account: is.Account, Region: was.Region}):
		return departedAccount
	}
	return ""
}

// settleIn makes the status speak of one place. An object whose account or region
// changed starts anew there; what it had in the old place stays as it is.
func settleIn(next *v1alpha1.CloudCertificate, p protocol.Place) {
	status := &next.Status
	if placeOf(next).DiffersFrom(p) {
		*status = v1alpha1.CloudCertificateStatus{
			ObservedGeneration: status.ObservedGeneration,
			LastHandledResync:  status.LastHandledResync,
			Conditions:         status.Conditions,
		}
	}
	status.Region = p.Region
	if p.Account != "" {
		status.AccountID = p.Account
	}
}

// countNamed counts the certificates of a status.
func countNamed(status *v1alpha1.CloudCertificateStatus) int {
	count := int(status.HistoryTotal)
	if status.CertID != 0 {
		count++
	}
	return count
}

// leftBehind names the certificates of a status, the first few of them.
func leftBehind(status *v1alpha1.CloudCertificateStatus) string {
	var names []string
	if status.CertID != 0 {
		names = append(names, protocol.NameAndID(status.Name, status.CertID))
	}
	for _, v := range status.History {
		names = append(names, protocol.NameAndID(v.Name, v.CertID))
	}
	return protocol.Few(names, max(0, int(status.HistoryTotal)-len(status.History)))
}

// setCurrent makes a certificate in an account the current version. The
// one before goes into history. An account that could not be learned is empty: the one of
// the version before may be another.
func setCurrent(next *v1alpha1.CloudCertificate, account string, e inventory.Entry, content *bundle.Bundle, now time.Time) {
	status := &next.Status
	status.ContentHash = content.Hash.String()
	if status.CertID == e.CertID {
		status.Name, status.ResourceID = e.Name, cmp.Or(e.ResourceID, status.ResourceID)
		return
	}
	if status.CertID != 0 && !protocol.SameVersion(status.Name, e.Name) { // of one content there is one: the other was gone before
		status.History = append(status.History, v1alpha1.CertificateVersion{
			CertID: status.CertID, ResourceID: status.ResourceID, CertIdentifier: status.CertIdentifier,
			Name: status.Name, FingerprintSHA256: status.Certificate.FingerprintSHA256,
			NotAfter: status.Certificate.NotAfter, UploadTime: status.LastUploadTime,
		})
		status.HistoryTotal++
	}
	status.AccountID = account
	status.CertID, status.ResourceID, status.Name = e.CertID, e.ResourceID, e.Name
	status.CertIdentifier = cas.CertIdentifier(e.CertID, status.Region)
	status.LastUploadTime = metav1.NewTime(now)
}

// deriveHistory makes history what is known to be in the cloud besides the current version.
func deriveHistory(next *v1alpha1.CloudCertificate, v *inventory.Inventory, identity string, now time.Time) {
	status := &next.Status
	hidden := max(0, status.HistoryTotal-int32(len(status.History))) //nolint:gosec // at most 51
	if !v.Swept().IsZero() {
		hidden = 0 // the inventory knows them all
	}
	o := protocol.Observed{
		Object: protocol.Object{SM: next.Spec.Type == v1alpha1.CertificateTypeSM},
		Status: observeStatus(next, nil), Cloud: cloudOf(v, identity, status),
	}
	versions := o.Superseded()
	status.HistoryTotal = hidden + int32(len(versions)) //nolint:gosec // far fewer
	status.History = nil
	for _, version := range versions[:min(len(versions), protocol.MaxHistory)] {
		status.History = append(status.History, versionOf(version, status.Region))
	}
	if o.WasRestored() {
		status.LastUploadTime = metav1.NewTime(now)
	}
}

// versionOf describes a superseded version in a status.
func versionOf(v protocol.Version, region string) v1alpha1.CertificateVersion {
	version := v1alpha1.CertificateVersion{
		CertID: v.CertID, ResourceID: v.ResourceID, CertIdentifier: cas.CertIdentifier(v.CertID, region),
		Name: v.Name, FingerprintSHA256: v.Digest,
	}
	if !v.NotAfter.IsZero() {
		version.NotAfter = metav1.NewTime(v.NotAfter)
	}
	if !v.Became.IsZero() {
		version.UploadTime = metav1.NewTime(v.Became)
	}
	return version
}

// hexDigest writes a digest as the cloud's list does, but in lower case.
func hexDigest(sum [32]byte) string {
	return hex.EncodeToString(sum[:])
}

// noteForeign notes that a certificate holds a name of the object and is another one, so that a
// restart does not forget it.
func noteForeign(status *v1alpha1.CloudCertificateStatus, certID int64) {
	if slices.Contains(status.ForeignCertIDs, certID) {
		return
	}
	foreign := append(slices.Clone(status.ForeignCertIDs), certID)
	slices.Sort(foreign)
	status.ForeignCertIDs = foreign[max(0, len(foreign)-protocol.MaxHistory):]
}

// placeOf is the place that an object's status speaks of.
func placeOf(object *v1alpha1.CloudCertificate) protocol.Place {
	return protocol.Place{Account: object.Status.AccountID, Region: object.Status.Region}
}

// dropCertificate takes a certificate out of a status.
func dropCertificate(status *v1alpha1.CloudCertificateStatus, certID int64) {
	before := len(status.History)
	status.History = slices.DeleteFunc(slices.Clone(status.History), func(h v1alpha1.CertificateVersion) bool { return h.CertID == certID })
	status.HistoryTotal -= int32(before - len(status.History)) //nolint:gosec // 0 or 1
	if certID != status.CertID {
		return
	}
	status.CertID, status.ResourceID, status.CertIdentifier, status.Name = 0, "", "", ""
	status.ContentHash, status.LastUploadTime = "", metav1.Time{}
	status.SecretUID, status.SecretResourceVersion = "", ""
	status.Certificate = v1alpha1.CertificateFacts{}
}

// namesVersion says that the status reached a verdict on just this version of the
// Secret. Versions are compared for equality only: they have no order.
func namesVersion(status *v1alpha1.CloudCertificateStatus, secret metav1.Object) bool {
	return status.SecretUID != "" && status.SecretUID == string(secret.GetUID()) &&
		status.SecretResourceVersion == secret.GetResourceVersion()
}

// recordVersion notes the version of the Secret that reached a verdict.
func recordVersion(object *v1alpha1.CloudCertificate, secret metav1.Object) {
	object.Status.SecretUID = string(secret.GetUID())
	object.Status.SecretResourceVersion = secret.GetResourceVersion()
}

// forgetVersion notes that no version of the Secret has a verdict that lasts.
func forgetVersion(object *v1alpha1.CloudCertificate) {
	object.Status.SecretUID, object.Status.SecretResourceVersion = "", ""
}

// resyncAsked reports whether the resync annotation has a value that was not handled yet.
// Its removal is no request.
func (r *Reconciler) resyncAsked(object *v1alpha1.CloudCertificate) bool {
	value := resyncRequest(object)
	return value != "" && value != object.Status.LastHandledResync && value != r.memory.waits.Of(object).resync
}
