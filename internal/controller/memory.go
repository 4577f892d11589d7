// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
)

// memory is what the operator remembers of objects between passes: how long
// something has been going on, and what it wrote a moment ago. All of it may be
// lost at any time: it decides how soon something is tried again and spares
// calls, never what is done. An object takes some hundred bytes of it from its
// first call on until a pass finds nothing to do.
type memory struct {
	mu      sync.Mutex
	objects map[types.NamespacedName]*recollection
}

// recollection is what is remembered of one object.
type recollection struct {
	uid            types.UID
	failures       int // slow retries in a row
	throttledSince time.Time
	takenName      string
	takenSince     time.Time
	lastUpload     place
	last           version
	superseded     string // the resourceVersion that our last status write replaced
}

// of returns what is remembered of an object, and makes room for it. The caller
// holds the lock.
func (m *memory) of(object client.Object) *recollection {
	key := client.ObjectKeyFromObject(object)
	if known := m.objects[key]; known != nil && known.uid == object.GetUID() {
		return known
	}
	if m.objects == nil {
		m.objects = map[types.NamespacedName]*recollection{}
	}
	fresh := &recollection{uid: object.GetUID()}
	m.objects[key] = fresh
	return fresh
}

// forget drops everything about an object: it is at rest, or gone.
func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// remember notes an upload of our own, until the cache shows its status.
func (m *memory) remember(object *v1alpha1.CloudCertificate, v version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	known.last, known.lastUpload = v, placeOf(object)
}

// uploaded returns our own last upload, if it was made under this name and in the
// place that the object's status speaks of.
func (m *memory) uploaded(object *v1alpha1.CloudCertificate, name string) *version {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	if known.last.name != name || known.lastUpload != placeOf(object) {
		return nil
	}
	return new(known.last)
}

// failed counts one more slow retry and returns how many there were before it.
func (m *memory) failed(object *v1alpha1.CloudCertificate) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	known.failures++
	return known.failures - 1
}

// throttled returns since when the object has been waiting for a rate limit.
func (m *memory) throttled(object *v1alpha1.CloudCertificate, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	if known.throttledSince.IsZero() {
		known.throttledSince = now
	}
	return known.throttledSince
}

// taken says that the cloud refused this name as taken: the next pass looks for the
// certificate before it uploads again.
func (m *memory) taken(object *v1alpha1.CloudCertificate, name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(object).takenName == name
}

// nameTaken notes that this name is taken, and returns since when it has been.
func (m *memory) nameTaken(object *v1alpha1.CloudCertificate, name string, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	if known.takenName != name {
		known.takenName, known.takenSince = name, now
	}
	return known.takenSince
}

// moved ends a wait for a rate limit: the object got its turn.
func (m *memory) moved(object *v1alpha1.CloudCertificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(object).throttledSince = time.Time{}
}

// wrote notes which version of the object our own status write replaced.
func (m *memory) wrote(before *v1alpha1.CloudCertificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(before).superseded = before.ResourceVersion
}

// behind says that an object from the cache is the one that our own last status
// write replaced: whatever was decided from it would be a conflict.
func (m *memory) behind(object *v1alpha1.CloudCertificate) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.objects[client.ObjectKeyFromObject(object)]
	return known != nil && known.uid == object.UID && known.superseded == object.ResourceVersion
}

// succeeded ends every count, and keeps the last upload until the cache shows it.
func (m *memory) succeeded(object *v1alpha1.CloudCertificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(object)
	*known = recollection{uid: known.uid, last: known.last, lastUpload: known.lastUpload, superseded: known.superseded}
}

// placeOf is the place that an object's status speaks of.
func placeOf(object *v1alpha1.CloudCertificate) place {
	return place{account: object.Status.AccountID, site: object.Status.Region}
}
