// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/bundle"
	"github.com/cloudcert-io/cloudcert/internal/cas"
)

// maxHistory is how many superseded versions a status shows.
const maxHistory = 50

// place is where certificates live: certificates of one account and site mean
// nothing in another.
type place struct {
	account string // empty where it could not be learned
	site    string
}

// speaksFor reports whether a status is the object's own: its name carries the identity of
// the object. One that was restored from another cluster or copied by hand names
// certificates of somebody else.
func (r *Reconciler) speaksFor(object *v1alpha1.CloudCertificate) bool {
	status := &object.Status
	if status.CertID == 0 && status.Name == "" {
		return true
	}
	identity, _, ok := bundle.ParseName(status.Name)
	return ok && identity == r.identity(object)
}

// disown empties a status that is not the object's own, and reports whether it was one:
// the object starts anew.
func (r *Reconciler) disown(next *v1alpha1.CloudCertificate) (bool, error) {
	if r.speaksFor(next) {
		return false, nil
	}
	if err := r.moveRate(next); err != nil {
		return false, err
	}
	next.Status = v1alpha1.CloudCertificateStatus{LastHandledResync: next.Status.LastHandledResync}
	return true, nil
}

// move is settleIn, unless the object has moved too often.
func (r *Reconciler) move(next *v1alpha1.CloudCertificate, p place) error {
	if moved(&next.Status, p) {
		if err := r.moveRate(next); err != nil {
			return err
		}
	}
	settleIn(next, p)
	return nil
}

// maxMoves is how often an object starts anew in an hour before somebody has to look who
// moves it back.
const maxMoves = 3

// moveRate refuses to start anew once more: two operators that do not agree to whom or
// where an object belongs would write its status without end.
func (r *Reconciler) moveRate(object *v1alpha1.CloudCertificate) error {
	recent := r.memory.movesSince(object, r.Clock.Now().Add(-time.Hour))
	if len(recent) < maxMoves {
		return nil
	}
	return &movesError{count: len(recent), until: recent[0].Add(time.Hour)}
}

// What departure returns.
const (
	departedIdentity = "identity"
	departedRegion   = "region"
	departedAccount  = "account"
)

// departure says why what a status names was left behind by the next one, empty if it was
// not.
func (r *Reconciler) departure(before, next *v1alpha1.CloudCertificate) string {
	was, is := placeOf(before), placeOf(next)
	switch {
	case !r.speaksFor(before):
		return departedIdentity
	case moved(&before.Status, place{site: is.site}):
		return departedRegion
	case moved(&before.Status, place{account: is.account, site: was.site}):
		return departedAccount
	}
	return ""
}

// settleIn makes the status speak of one place. An object whose account or site
// changed starts anew there; what it had in the old place stays as it is.
func settleIn(next *v1alpha1.CloudCertificate, p place) {
	status := &next.Status
	if moved(status, p) {
		*status = v1alpha1.CloudCertificateStatus{
			ObservedGeneration: status.ObservedGeneration,
			LastHandledResync:  status.LastHandledResync,
			Conditions:         status.Conditions,
		}
	}
	status.Region = p.site
	if p.account != "" {
		status.AccountID = p.account
	}
}

// moved says that a status speaks of another place. An account that could not be
// learned is taken for the same.
func moved(status *v1alpha1.CloudCertificateStatus, p place) bool {
	return status.Region != "" && p.site != "" && status.Region != p.site ||
		status.AccountID != "" && p.account != "" && status.AccountID != p.account
}

// announceLeft says which certificates of a status an object has left behind, in the log
// and a metric too: events may not reach anybody.
func (r *Reconciler) announceLeft(ctx context.Context, object *v1alpha1.CloudCertificate, before *v1alpha1.CloudCertificateStatus, why string) {
	names := leftBehind(before)
	if names == "" {
		return
	}
	leftCertificates.WithLabelValues(v1alpha1.ReasonLeftBehind).Add(float64(countNamed(before)))
	log.FromContext(ctx).Info("Certificates stay where the object was", "changed", why, "account", before.AccountID, "site", before.Region, "certificates", names)
	note := fmt.Sprintf("certificates stay in account %q, site %s: %s", before.AccountID, before.Region, names)
	if why == departedIdentity {
		note = "the status was another object's, by the identity in its name, and is not believed; the object starts anew, and " + note
	}
	r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, v1alpha1.ReasonLeftBehind, "Relocate", "%s", truncate(note))
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
		names = append(names, nameAndID(status.Name, status.CertID))
	}
	for _, v := range status.History {
		names = append(names, nameAndID(v.Name, v.CertID))
	}
	return few(names, max(0, int(status.HistoryTotal)-len(status.History)))
}

// nameAndID is how a certificate is named to a person.
func nameAndID(name string, certID int64) string { return fmt.Sprintf("%s (%d)", name, certID) }

// few joins the first few names, and counts the others and those that are not known by
// name.
func few(names []string, more int) string {
	const shown = 5
	if hidden := len(names) - shown; hidden > 0 {
		names, more = names[:shown:shown], more+hidden
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// setCurrent makes a certificate in the cloud the current version, from now on. The
// one before goes into history.
func (r *Reconciler) setCurrent(next *v1alpha1.CloudCertificate, e cas.Entry, content *bundle.Bundle) {
	status := &next.Status
	status.ContentHash = content.Hash.String()
	if status.CertID == e.CertID {
		status.Name, status.ResourceID = e.Name, cmp.Or(e.ResourceID, status.ResourceID)
		return
	}
	if status.CertID != 0 && !sameVersion(status.Name, e.Name) { // of one content there is one: the other was gone before
		status.History = append(status.History, v1alpha1.CertificateVersion{
			CertID: status.CertID, ResourceID: status.ResourceID, CertIdentifier: status.CertIdentifier,
			Name: status.Name, FingerprintSHA256: status.Certificate.FingerprintSHA256,
			NotAfter: status.Certificate.NotAfter, UploadTime: status.LastUploadTime,
		})
		status.HistoryTotal++
	}
	status.CertID, status.ResourceID, status.Name = e.CertID, e.ResourceID, e.Name
	status.CertIdentifier = cas.CertIdentifier(e.CertID, status.Region)
	status.LastUploadTime = metav1.NewTime(r.Clock.Now())
}

// deriveHistory makes history every certificate of this identity that is known to be
// in the cloud besides the current one, newest first, however it got there: what the
// status knew of, and what the inventory does. One leaves when it is known to be gone,
// or to be none of ours.
func (r *Reconciler) deriveHistory(next *v1alpha1.CloudCertificate, v *cas.Inventory) {
	status := &next.Status
	hidden := max(0, status.HistoryTotal-int32(len(status.History))) //nolint:gosec // at most 51
	if !v.Swept().IsZero() {
		hidden = 0 // the inventory knows them all
	}
	entries := v.Entries(r.identity(next))
	notOurs := map[int64]bool{}
	for _, e := range entries {
		notOurs[e.CertID] = isNotOurs(next, e)
	}
	versions := slices.DeleteFunc(slices.Clone(status.History), func(h v1alpha1.CertificateVersion) bool {
		// Names are unique: a namesake was gone before the current version was made.
		return h.CertID == status.CertID || strings.EqualFold(h.Name, status.Name) ||
			notOurs[h.CertID] || v.Gone(h.CertID, h.Name, h.UploadTime.Time)
	})
	for _, e := range entries {
		known := slices.ContainsFunc(versions, func(h v1alpha1.CertificateVersion) bool { return h.CertID == e.CertID })
		if known || notOurs[e.CertID] || e.CertID == status.CertID || strings.EqualFold(e.Name, status.Name) {
			continue
		}
		versions = append(versions, versionOf(e, status.Region))
	}
	slices.SortFunc(versions, func(a, b v1alpha1.CertificateVersion) int { return cmp.Compare(b.CertID, a.CertID) })
	status.HistoryTotal = hidden + int32(len(versions)) //nolint:gosec // far fewer
	status.History = nil
	if shown := min(len(versions), maxHistory); shown > 0 {
		status.History = versions[:shown]
	}
	r.noteReturn(next, entries)
}

// noteReturn notes that an older version is the current one again without this process
// having made it that: its status was restored from a backup. The users of what we
// uploaded since need time to follow.
func (r *Reconciler) noteReturn(next *v1alpha1.CloudCertificate, entries []cas.Entry) {
	became := next.Status.LastUploadTime.Add(time.Second) // a status knows whole seconds, cut off
	if slices.ContainsFunc(entries, func(e cas.Entry) bool { return e.CertID != next.Status.CertID && e.Uploaded.After(became) }) {
		next.Status.LastUploadTime = metav1.NewTime(r.Clock.Now())
	}
}

// versionOf describes a certificate that the cloud lists.
func versionOf(e cas.Entry, site string) v1alpha1.CertificateVersion {
	version := v1alpha1.CertificateVersion{
		CertID: e.CertID, ResourceID: e.ResourceID, CertIdentifier: cas.CertIdentifier(e.CertID, site),
		Name: e.Name, FingerprintSHA256: e.SHA256,
	}
	if !e.NotAfter.IsZero() {
		version.NotAfter = metav1.NewTime(e.NotAfter)
	}
	return version
}

// sharedWith returns an error if there is a version under the identity of an object that
// is newer than the current one, of other content, and not known to be our own. A
// version of ours is one that this process uploaded, or that history says when we did.
// One that a digest has refuted is nobody's version.
func (r *Reconciler) sharedWith(object *v1alpha1.CloudCertificate, v *cas.Inventory) *sharedError {
	status := &object.Status
	if status.CertID == 0 {
		return nil
	}
	for _, e := range v.Entries(r.identity(object)) {
		if e.CertID <= status.CertID || sameVersion(e.Name, status.Name) || !e.Uploaded.IsZero() || isNotOurs(object, e) {
			continue
		}
		if inConflict(object) && !e.Appeared {
			continue // it may well be the one that holds our name
		}
		ours := slices.ContainsFunc(status.History, func(h v1alpha1.CertificateVersion) bool {
			return h.CertID == e.CertID && !h.UploadTime.IsZero()
		})
		if !ours {
			return &sharedError{certID: e.CertID, name: e.Name, appeared: e.Appeared}
		}
	}
	return nil
}

// sameVersion says that two names are of the same identity and content.
func sameVersion(a, b string) bool {
	identity, content, ok := bundle.ParseName(a)
	otherIdentity, otherContent, otherOK := bundle.ParseName(b)
	return ok && otherOK && identity == otherIdentity && content == otherContent
}

// hexDigest writes a digest as the cloud's list does, but in lower case.
func hexDigest(sum [32]byte) string {
	return hex.EncodeToString(sum[:])
}

// placeOf is the place that an object's status speaks of.
func placeOf(object *v1alpha1.CloudCertificate) place {
	return place{account: object.Status.AccountID, site: object.Status.Region}
}
