// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Superseded are the versions that history shows, the newest first: "History is derived, not
// remembered: every certificate of this identity other than the current one, however it got
// there." They are what the status knew of and what the inventory does. One leaves when it is
// known to be gone, or to be none of ours.
func (o Observed) Superseded() []Version {
	current := o.Status.Current
	isCurrent := func(certID int64, name string) bool {
		// Names are unique: a namesake was gone before the current version was made.
		return certID == current.CertID || strings.EqualFold(name, current.Name)
	}
	notOurs := map[int64]bool{}
	for _, e := range o.Cloud.Entries {
		notOurs[e.CertID] = o.isNotOurs(e)
	}
	versions := slices.DeleteFunc(slices.Clone(o.Status.History), func(v Version) bool {
		return isCurrent(v.CertID, v.Name) || notOurs[v.CertID] || slices.Contains(o.Cloud.Gone, v.CertID)
	})
	for _, e := range o.Cloud.Entries {
		known := slices.ContainsFunc(versions, func(v Version) bool { return v.CertID == e.CertID })
		if !known && !notOurs[e.CertID] && !isCurrent(e.CertID, e.Name) {
			versions = append(versions, Version{CertID: e.CertID, ResourceID: e.ResourceID, Name: e.Name, Digest: e.Digest, NotAfter: e.NotAfter})
		}
	}
	slices.SortFunc(versions, func(a, b Version) int { return cmp.Compare(b.CertID, a.CertID) })
	return versions
}

// WasRestored reports whether an older version is the current one again without this process
// having made it that: its status was restored from a backup. The users of what was uploaded
// since then need time to follow.
func (o Observed) WasRestored() bool {
	became := o.Status.Current.Became.Add(time.Second) // a status knows whole seconds, cut off
	return slices.ContainsFunc(o.Cloud.Entries, func(e Entry) bool { return e.CertID != o.Status.Current.CertID && e.Uploaded.After(became) })
}
