// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"time"
)

// Attempt is the last upload for an identity.
type Attempt struct {
	// Name is the name that it was sent under, whatever came of it.
	Name string
	// Sent is when it was last on its way.
	Sent time.Time
	// Taken is the name that the cloud refused as taken, and Since since when.
	Taken string
	Since time.Time
}

// attempts are the uploads that have not come to a certificate: those under way, refused, or
// whose answer was lost. The zero value has none. It is guarded by the lock of its inventory.
type attempts struct {
	open    map[string]Attempt // by identity
	purgeAt int
	lost    time.Time // when the last upload ended whose outcome is not known
}

const (
	// manyAttempts is how many are kept before old ones are looked for.
	manyAttempts = 1000
	// attemptAge is how long an attempt is remembered that nobody makes again: what fails is tried
	// again within an hour.
	attemptAge = 3 * time.Hour
)

// Sending notes that an upload for an identity is on its way, or was until now.
func (v *Inventory) Sending(identity, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a, now := &v.attempts, v.clock.Now()
	if len(a.open) >= max(a.purgeAt, manyAttempts) {
		maps.DeleteFunc(a.open, func(_ string, old Attempt) bool { return now.Sub(old.Sent) > attemptAge })
		a.purgeAt = 2 * len(a.open)
	}
	last := a.open[identity]
	last.Name, last.Sent = name, now
	a.set(identity, last)
}

// Taken notes that the cloud refused an upload because its name is taken.
func (v *Inventory) Taken(identity, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	last := v.attempts.open[identity]
	if last.Taken != name {
		last.Taken, last.Since = name, v.clock.Now()
	}
	v.attempts.set(identity, last)
}

func (a *attempts) set(identity string, last Attempt) {
	if a.open == nil {
		a.open = map[string]Attempt{}
	}
	a.open[identity] = last
}

// Lost notes that an upload ended whose outcome is not known.
func (v *Inventory) Lost() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.attempts.lost = v.clock.Now()
}

// LastLost returns when the answer to an upload for any identity was last lost; zero if none
// was.
func (v *Inventory) LastLost() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.attempts.lost
}

// Settled forgets the attempts for an identity: what they were for is in the cloud, or not wanted
// any more.
func (v *Inventory) Settled(identity string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.attempts.open, identity)
}

// LastAttempt returns the last upload for an identity: one that has not come to a certificate,
// else our own last one that still outweighs a list.
func (v *Inventory) LastAttempt(identity string) Attempt {
	v.mu.Lock()
	defer v.mu.Unlock()
	if last, ok := v.attempts.open[identity]; ok {
		return last
	}
	var last Attempt
	for _, e := range v.entries[identity] {
		if _, young := v.young(e.CertID); young && e.Uploaded.After(last.Sent) {
			last = Attempt{Name: e.Name, Sent: e.Uploaded}
		}
	}
	return last
}

// merge takes over the attempts that were made before it was known whose account it is.
func (a *attempts) merge(from *attempts) {
	for identity, attempt := range from.open {
		if attempt.Sent.After(a.open[identity].Sent) {
			a.set(identity, attempt)
		}
	}
	a.lost = later(a.lost, from.lost)
}
