// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package certificate

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// Kinds of cloudcert_sync_duration_seconds.
const (
	kindNew     = "new"
	kindRenewal = "renewal"
	kindRepair  = "repair"
)

// changes remembers, for metrics alone, since when objects have had something to answer. The
// zero value is ready. What happened before this process started is not known.
type changes struct {
	mu     sync.Mutex
	open   map[types.UID]change
	misses map[types.UID]miss
}

// change is what an object has to answer.
type change struct {
	// version is that of the Secret, as versionOfSecret; empty where it is not known.
	version string
	// since is the first change that is not answered yet, and last the latest.
	since, last time.Time
}

// miss says when a certificate was not found in the cloud.
type miss struct {
	certID int64
	at     time.Time
}

// versionOfSecret names one version of one Secret.
func versionOfSecret(secret client.Object) string {
	return string(secret.GetUID()) + "/" + secret.GetResourceVersion()
}

// contentChanged notes that the Secret of some objects changed.
func (r *Reconciler) contentChanged(ctx context.Context, secret client.Object, version string) {
	now := r.Clock.Now()
	for _, object := range r.referring(ctx, secret) {
		if object.Spec.SecretRef.Name == secret.GetName() && versionInStatus(object) != version {
			r.changes.changed(object.UID, version, now)
		}
	}
}

// versionInStatus is the version of the Secret that a status answers; empty if it answers
// none.
func versionInStatus(object *v1alpha1.CloudCertificate) string {
	if object.Status.SecretUID == "" {
		return ""
	}
	return object.Status.SecretUID + "/" + object.Status.SecretResourceVersion
}

// changed notes that an object has something to answer: a version of its Secret, if it is
// known which.
func (c *changes) changed(uid types.UID, version string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[types.UID]change{}
	}
	since := now
	if before, ok := c.open[uid]; ok {
		since = before.since
	}
	c.open[uid] = change{version: version, since: since, last: now}
}

// missed notes that the certificate of an object was not found in the cloud.
func (c *changes) missed(object *v1alpha1.CloudCertificate, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.misses == nil {
		c.misses = map[types.UID]miss{}
	}
	c.misses[object.UID] = miss{certID: object.Status.CertID, at: now}
}

// since returns the first change that an object has not answered, zero if none is known.
func (c *changes) since(uid types.UID) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[uid].since
}

// forget drops what is known of an object that is gone.
func (c *changes) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, uid)
	delete(c.misses, uid)
}

// answered notes what a new status of an object answers. If it names another certificate
// than the one before, it returns of which kind that is and when it became due; the time is
// zero where this process did not see that.
func (c *changes) answered(before, after *v1alpha1.CloudCertificate) (kind string, due time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	renewed := after.Status.CertID != 0 && after.Status.CertID != before.Status.CertID
	open := c.open[after.UID]
	if !open.isAnswered(before, after, renewed) {
		open = change{}
	} else {
		delete(c.open, after.UID)
	}
	switch {
	case !renewed:
		return "", time.Time{}
	case before.Status.CertID == 0:
		return kindNew, open.last
	case before.Status.ContentHash != after.Status.ContentHash:
		return kindRenewal, open.last
	}
	missed := c.misses[after.UID]
	delete(c.misses, after.UID)
	if missed.certID != before.Status.CertID {
		return kindRepair, time.Time{}
	}
	return kindRepair, missed.at
}

// isAnswered reports whether a new status answers a change.
func (c change) isAnswered(before, after *v1alpha1.CloudCertificate, renewed bool) bool {
	named := versionInStatus(after)
	if named == "" || c.version == "" {
		return renewed || named != "" && named != versionInStatus(before) // a pair of certificates may name no version
	}
	return named == c.version
}
