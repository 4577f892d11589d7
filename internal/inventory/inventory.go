// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inventory keeps what is known of the certificates of one account and region: from
// our own writes, from look-ups and from sweeps of the whole list, which it reads by a
// Lister. It knows the classes of the cloud's errors, and no product.
package inventory

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/cloudcert-io/cloudcert/internal/alibaba"
)

// DefaultOwnWriteAge is the default of Config.OwnWriteAge.
const DefaultOwnWriteAge = 10 * time.Minute

// Clock tells the time; a test brings its own.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Config configures an Inventory.
type Config struct {
	// ParseName tells whose certificates are kept; without it none are.
	ParseName ParseName
	Clock     Clock
	// OwnWriteAge is how long what we wrote ourselves outweighs a list; default
	// DefaultOwnWriteAge.
	OwnWriteAge time.Duration
	// Action is the call that lists; it is named in errors.
	Action alibaba.Action
	// Statuses are listed one after the other, in the order in which a certificate moves.
	Statuses []string
	// PageSize is the number of certificates of a page.
	PageSize int
	// QPS is the number of pages a second that the account may read.
	QPS float64
	// Background runs what nobody waits for; default a goroutine of its own.
	Background func(func())
}

// ParseName reads from the name of a certificate whose it is and which content it
// holds; ok is false for a name that is not of our shape.
type ParseName func(name string) (identity, content string, ok bool)

// Entry is what an inventory keeps of a certificate.
type Entry struct {
	// CertID is at least 1.
	CertID int64
	// ResourceID may be empty where only our own upload is known.
	ResourceID string
	// Name is of our shape.
	Name string
	// SHA256 is the digest of the leaf's DER in lower-case hex; empty where the
	// list has none, or none that can be read.
	SHA256 string
	// NotAfter is exact to the day; zero where unreadable.
	NotAfter time.Time
	// Seen is when the certificate was last known to be there: listed or uploaded.
	Seen time.Time
	// Uploaded is when this process uploaded the certificate; zero if it did not. It
	// stays as long as the certificate is known.
	Uploaded time.Time
	// Refuted reports whether a digest has shown that the certificate is not what its
	// name says; see Inventory.Refute.
	Refuted bool
	// Appeared reports whether the certificate was first seen after the first complete
	// sweep of this process had begun, which would have listed an older one.
	Appeared bool
}

// with returns the entry with what an earlier one of the same certificate knew and no
// list tells.
func (e Entry) with(earlier Entry) Entry {
	e.Seen = later(e.Seen, earlier.Seen)
	e.Uploaded = later(e.Uploaded, earlier.Uploaded)
	e.Refuted = e.Refuted || earlier.Refuted
	e.Appeared = earlier.Appeared
	return e
}

// Inventory is what is known of the certificates of our shape in one account and
// region: from our own writes, from look-ups of single objects, and from sweeps of
// the whole list. It may be behind the cloud at any time: presence is a reason to
// adopt, absence alone never one to delete or to give up. It is safe for
// concurrent use, and takes about half a kilobyte for a certificate.
type Inventory struct {
	config Config
	parse  ParseName
	clock  Clock

	mu         sync.Mutex
	entries    map[string][]Entry // by identity, highest CertID first
	written    map[int64]write    // our own writes that outweigh a list
	purgeAt    int                // how many of them are worth a check
	swept      time.Time          // when the last complete sweep began
	unreadable int                // entries that this sweep could not read
	trusted    time.Time          // when the last sweep began that was found plausible
	attempts   attempts           // uploads that have not come to a certificate
	flight     *sweep             // nil: none is under way
	failure    sweepFailure
	spent      int // calls of look-ups since spentSince
	cost       int // calls of the last sweep
	spentSince time.Time
}

// write is an upload or a deletion of our own.
type write struct {
	at       time.Time
	identity string
	deleted  bool
	entry    Entry
}

// New makes an inventory that knows nothing yet.
func New(config Config) *Inventory {
	if config.ParseName == nil {
		config.ParseName = func(string) (string, string, bool) { return "", "", false }
	}
	if config.OwnWriteAge == 0 {
		config.OwnWriteAge = DefaultOwnWriteAge
	}
	if config.Background == nil {
		config.Background = func(f func()) { go f() }
	}
	return &Inventory{config: config, parse: config.ParseName, clock: config.Clock, entries: map[string][]Entry{}, written: map[int64]write{}}
}

// Entries returns the known certificates of an identity, highest CertID first.
func (v *Inventory) Entries(identity string) []Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.entries[identity])
}

// Find returns the known certificate of an identity and content.
func (v *Inventory) Find(identity, content string) (Entry, bool) {
	for _, e := range v.Entries(identity) {
		if _, known, _ := v.parse(e.Name); known == content {
			return e, true
		}
	}
	return Entry{}, false
}

// Swept returns when the last complete sweep began; zero if there was none.
func (v *Inventory) Swept() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.swept
}

// Unreadable returns how many entries of the list the last complete sweep could not
// read. Whose they are is not known, so that what the sweep does not show may be there.
func (v *Inventory) Unreadable() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.unreadable
}

// Refute notes that a certificate's digest is not that of the content which its name
// stands for: somebody else's certificate holds a name of ours. The mark stays as long
// as the certificate is known.
func (v *Inventory) Refute(certID int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, entries := range v.entries {
		for i := range entries {
			if entries[i].CertID == certID {
				entries[i].Refuted = true
			}
		}
	}
}

// Retry forgets that the last sweep failed: the next one that is asked for begins at
// once.
func (v *Inventory) Retry() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failure = sweepFailure{}
}

// Crowded reports whether look-ups of single certificates have cost as much as a sweep
// by now, or one is under way for others already.
func (v *Inventory) Crowded() bool { return v.crowded() }

// Trust notes that the last complete sweep is plausible beside what else is known,
// so that what it does not list may be taken for gone.
func (v *Inventory) Trust() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.trusted = v.swept
}

// Gone says that a certificate which is known to have been there at a time is gone:
// we deleted it, or a trusted sweep that began later does not list it. It is a
// reason to stop showing a superseded certificate, and none to delete anything.
func (v *Inventory) Gone(certID int64, name string, last time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w, own := v.young(certID); own {
		return w.deleted
	}
	if v.trusted.IsZero() || !v.trusted.After(last) {
		return false
	}
	identity, _, _ := v.parse(name)
	return !slices.ContainsFunc(v.entries[identity], func(e Entry) bool { return e.CertID == certID })
}

// Wrote says whether a certificate was uploaded or deleted by us so recently that it
// outweighs a list.
func (v *Inventory) Wrote(certID int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.young(certID)
	return ok
}

// Uploaded enters a certificate that we uploaded.
func (v *Inventory) Uploaded(certID int64, resourceID, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	identity, _, ok := v.parse(name)
	if !ok {
		return
	}
	now := v.clock.Now()
	e := Entry{CertID: certID, ResourceID: resourceID, Name: name, Seen: now, Uploaded: now}
	delete(v.attempts.open, identity)
	v.forgetOldWrites()
	v.written[certID] = write{at: now, identity: identity, entry: e}
	v.insert(identity, e)
}

// manyWrites is how many writes of our own are kept before the old ones are looked for
// without a sweep, which forgets them too.
const manyWrites = 1000

// forgetOldWrites drops the writes that no list has to yield to any more, when they
// have become twice as many. The caller holds the lock.
func (v *Inventory) forgetOldWrites() {
	if len(v.written) < v.purgeAt || len(v.written) < manyWrites {
		return
	}
	v.dropOldWrites()
	v.purgeAt = 2 * len(v.written)
}

// dropOldWrites drops the writes that are not young any more. The caller holds the lock.
func (v *Inventory) dropOldWrites() {
	for id := range v.written {
		if _, young := v.young(id); !young {
			delete(v.written, id)
		}
	}
}

// Deleted removes a certificate that we deleted, or that the cloud says is gone.
func (v *Inventory) Deleted(certID int64, name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	identity, _, ok := v.parse(name)
	if !ok {
		return
	}
	v.written[certID] = write{at: v.clock.Now(), identity: identity, deleted: true}
	v.remove(identity, certID)
}

// seen enters and returns certificates that a look-up listed, without those that we
// deleted ourselves a moment ago.
func (v *Inventory) seen(listed []Certificate, now time.Time) []Entry {
	v.mu.Lock()
	defer v.mu.Unlock()
	var entries []Entry
	for _, c := range listed {
		identity, _, ok := v.parse(c.Name)
		if w, own := v.young(c.CertID); !ok || own && w.deleted {
			continue
		}
		e := entryOf(c, now)
		e.Appeared = !v.swept.IsZero()
		v.insert(identity, e)
		entries = append(entries, e)
	}
	return entries
}

// entryOf keeps of a listed certificate what is needed.
func entryOf(c Certificate, seen time.Time) Entry {
	return Entry{CertID: c.CertID, ResourceID: c.ResourceID, Name: c.Name, SHA256: c.SHA256, NotAfter: c.NotAfter, Seen: seen}
}

// young returns our own write of a certificate, if it is young enough to outweigh a
// list. A sweep under way has read its pages at any time since it began, so that the
// age counts from then: what is written meanwhile stays young until the sweep has
// ended. The caller holds the lock.
func (v *Inventory) young(certID int64) (write, bool) {
	w, ok := v.written[certID]
	read := v.clock.Now()
	if v.flight != nil {
		read = v.flight.began
	}
	return w, ok && read.Sub(w.at) <= v.config.OwnWriteAge
}

// wroteSince reports whether we uploaded or deleted anything at or after a time.
func (v *Inventory) wroteSince(since time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.written {
		if !w.at.Before(since) {
			return true
		}
	}
	return false
}

// insert enters an entry in its order, with what is already known of the certificate.
// The caller holds the lock.
func (v *Inventory) insert(identity string, e Entry) {
	entries := v.entries[identity]
	at, known := position(entries, e.CertID)
	if known {
		entries[at] = e.with(entries[at])
		return
	}
	v.entries[identity] = slices.Insert(entries, at, e)
}

// position returns where a certificate stands among the entries of an identity, or
// belongs.
func position(entries []Entry, certID int64) (at int, known bool) {
	return slices.BinarySearchFunc(entries, certID, func(e Entry, id int64) int { return cmp.Compare(id, e.CertID) })
}

// remove takes an entry out. The caller holds the lock.
func (v *Inventory) remove(identity string, certID int64) {
	entries := slices.DeleteFunc(v.entries[identity], func(e Entry) bool { return e.CertID == certID })
	if len(entries) == 0 {
		delete(v.entries, identity)
		return
	}
	v.entries[identity] = entries
}

// replace takes over what a complete sweep listed. Our own writes that were young when
// it began, or were made since, stay as we know them.
func (v *Inventory) replace(began time.Time, listed []Entry, unreadable int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dropOldWrites()
	before := v.entries
	v.entries = make(map[string][]Entry, len(before))
	enter := func(identity string, e Entry) {
		e.Appeared = !v.swept.IsZero()
		if at, known := position(before[identity], e.CertID); known {
			e = e.with(before[identity][at])
		}
		v.insert(identity, e)
	}
	for _, e := range listed {
		if identity, _, ok := v.parse(e.Name); ok && !v.written[e.CertID].deleted {
			enter(identity, e)
		}
	}
	for id, w := range v.written {
		if _, known := position(v.entries[w.identity], id); !known && !w.deleted {
			enter(w.identity, w.entry)
		}
	}
	v.swept, v.unreadable = began, unreadable
	v.trusted = time.Time{} // the entries are this sweep's: it has to earn its trust itself
}

// Merge takes over what another inventory of the same account and region wrote, and what
// it knows that no list tells; what it only saw, a sweep will see again.
func (v *Inventory) Merge(from *Inventory) {
	from.mu.Lock()
	defer from.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, w := range from.written {
		if _, known := v.written[id]; known {
			continue
		}
		v.written[id] = w
		if w.deleted {
			v.remove(w.identity, id)
			continue
		}
		v.insert(w.identity, w.entry)
	}
	v.attempts.merge(&from.attempts)
	for identity, entries := range from.entries {
		for _, e := range entries {
			v.mark(identity, e)
		}
	}
}

// mark takes over what another inventory knows of a certificate and no list tells,
// unless our last sweep, which is newer, does not list the certificate. The caller
// holds the lock.
func (v *Inventory) mark(identity string, e Entry) {
	if e.Uploaded.IsZero() && !e.Refuted || v.written[e.CertID].deleted {
		return
	}
	entries := v.entries[identity]
	at, known := position(entries, e.CertID)
	switch {
	case known:
		entries[at] = entries[at].with(e)
	case e.Seen.After(v.swept):
		v.insert(identity, e)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
