// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// leftBehind names the certificates of a status, the first few of them.
func leftBehind(status *v1alpha1.CloudCertificateStatus) string {
	const shown = 5
	names := []string{fmt.Sprintf("%s (%d)", status.Name, status.CertID)}
	for _, v := range status.History {
		names = append(names, fmt.Sprintf("%s (%d)", v.Name, v.CertID))
	}
	if more := len(names) - shown; more > 0 {
		names = append(names[:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// setCurrent makes v the current version. The one before goes into history, unless
// v has its name: names are unique, so it was gone before v could be made. v leaves
// history, should it have been there (a rollback).
func setCurrent(next *v1alpha1.CloudCertificate, v version, content *bundle.Bundle) {
	status := &next.Status
	if status.CertID == v.certID {
		status.ResourceID, status.Name, status.ContentHash = v.resourceID, v.name, content.Hash.String()
		return
	}
	history := slices.Clone(status.History)
	uploaded := metav1.NewTime(v.uploaded)
	if status.CertID != 0 && !strings.EqualFold(status.Name, v.name) {
		history = slices.Insert(history, 0, v1alpha1.CertificateVersion{
			CertID: status.CertID, ResourceID: status.ResourceID, CertIdentifier: status.CertIdentifier,
			Name: status.Name, FingerprintSHA256: status.Certificate.FingerprintSHA256,
			NotAfter: status.Certificate.NotAfter, UploadTime: status.LastUploadTime,
		})
		status.HistoryTotal++
	}
	if i := slices.IndexFunc(history, func(h v1alpha1.CertificateVersion) bool { return h.CertID == v.certID }); i >= 0 {
		uploaded = history[i].UploadTime
		history = slices.Delete(history, i, i+1)
		status.HistoryTotal--
	}
	slices.SortStableFunc(history, func(a, b v1alpha1.CertificateVersion) int { return cmp.Compare(b.CertID, a.CertID) })
	status.History = history[:min(len(history), maxHistory)]
	status.CertID, status.ResourceID, status.Name = v.certID, v.resourceID, v.name
	status.CertIdentifier = cas.CertIdentifier(v.certID, status.Region)
	status.ContentHash = content.Hash.String()
	status.LastUploadTime = uploaded
}

// hexDigest writes a digest as the cloud's list does, but in lower case.
func hexDigest(sum [32]byte) string {
	return hex.EncodeToString(sum[:])
}
