// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/controller/notes"
	"github.com/cloudcert-io/cloudcert/internal/controller/retries"
	rules "github.com/cloudcert-io/cloudcert/internal/protocol/binding"
)

// memory is what the operator remembers of bindings between reconciles. All of it may be lost at
// any time: it decides how soon something is tried again and spares calls, never what is done.
type memory struct {
	objects notes.Notes[recollection]
	retries retries.Retries
}

// recollection is what is remembered of one binding.
type recollection struct {
	checkAt        time.Time // when its target is looked at
	read           string    // the version of its object that was decided by last
	seen           string    // the version that a watch has shown since; empty for none
	decidedBy      time.Time // when the reading began that it was last decided by
	ownerKnown     bool
	owner          string // who else manages the resource
	certID         int64  // the version that was placed
	placed         []time.Time
	drift          string // how what was placed last had gone from there; empty if it had not
	throttledSince time.Time
	same           string // what the last check has come to, of what is under way
	sameSince      time.Time
	otherwise      time.Time // when a deletion last failed for another reason than a refusal
}

// forget drops everything about a binding that is gone.
func (m *memory) forget(key types.NamespacedName) {
	m.objects.Forget(key)
	m.retries.Forget(key)
}

// tried is what decisions go by. The first check for drift after a start is the next one that is
// due: a restart with nothing to do makes no call.
func (m *memory) tried(b *v1alpha1.CloudCertificateBinding, c *v1alpha1.CloudCertificate, now time.Time, next func() time.Time) (tried rules.Tried) {
	m.objects.Change(b, func(known *recollection) {
		if known.checkAt.IsZero() {
			known.checkAt = next()
		}
		check := !known.checkAt.IsZero() && !now.Before(known.checkAt) || known.isBehind()
		tried = rules.Tried{
			Check: check, CheckAt: known.checkAt, OwnerKnown: known.ownerKnown, Owner: known.owner,
			ThrottledSince: known.throttledSince, SameSince: known.sameSince, FailedOtherwise: known.otherwise,
		}
		if c != nil && c.Status.CertID == known.certID {
			tried.Placed = known.placed
		}
	})
	return tried
}

// isBehind reports whether a watch has shown another version of the object than was read. One that
// the operator has written itself was read afterwards.
func (known *recollection) isBehind() bool { return known.seen != "" && known.seen != known.read }

const (
	// unread is the version of no object: it was not read yet.
	unread = "unread"
	// gone is that of an object which is not there.
	gone = "deleted"
)

// seen notes that a watch has shown a version of a binding's object.
func (m *memory) seen(b *v1alpha1.CloudCertificateBinding, version string) {
	m.objects.Change(b, func(known *recollection) { known.seen = version })
}

// behind reports whether the last reading is behind the binding's object.
func (m *memory) behind(b *v1alpha1.CloudCertificateBinding) bool {
	known := m.objects.Of(b)
	return known.isBehind()
}

// begins notes that the object is about to be read: what is seen from now on may be newer than
// what comes of it.
func (m *memory) begins(b *v1alpha1.CloudCertificateBinding) {
	m.objects.Change(b, func(known *recollection) { known.seen = "" })
}

// hasRead notes which version of the object was decided by.
func (m *memory) hasRead(b *v1alpha1.CloudCertificateBinding, version string) {
	m.objects.Change(b, func(known *recollection) { known.read = cmp.Or(version, gone) })
}

// isNews reports whether a version of the object is not what was decided by last.
func (m *memory) isNews(b *v1alpha1.CloudCertificateBinding, version string) bool {
	return cmp.Or(version, gone) != m.objects.Of(b).read
}

// dueSince is since when a check of the target has been due; zero if none is.
func (m *memory) dueSince(b *v1alpha1.CloudCertificateBinding, now time.Time) (due time.Time) {
	m.objects.Change(b, func(known *recollection) {
		if !now.Before(known.checkAt) {
			due = known.checkAt
		}
	})
	return due
}

// checked notes that the target was read: the next check for drift is another one.
func (m *memory) checked(b *v1alpha1.CloudCertificateBinding, began time.Time) {
	m.objects.Change(b, func(known *recollection) { known.checkAt, known.decidedBy = time.Time{}, began })
}

// lastRead is when the reading began that a binding was last decided by.
func (m *memory) lastRead(b *v1alpha1.CloudCertificateBinding) time.Time {
	return m.objects.Of(b).decidedBy
}

// checkFrom notes when the target is checked again because something is under way.
func (m *memory) checkFrom(b *v1alpha1.CloudCertificateBinding, at time.Time) {
	m.objects.Change(b, func(known *recollection) { known.checkAt = at })
}

// inspected notes who else manages the resource; empty for nobody.
func (m *memory) inspected(b *v1alpha1.CloudCertificateBinding, owner string) {
	m.objects.Change(b, func(known *recollection) { known.ownerKnown, known.owner = true, owner })
}

// placed notes that a placement was accepted.
func (m *memory) placed(b *v1alpha1.CloudCertificateBinding, certID int64, now time.Time) {
	m.objects.Change(b, func(known *recollection) {
		if known.certID != certID {
			known.certID, known.placed = certID, nil
		}
		const most = rules.MaxRestores + 1
		known.placed = append(known.placed, now)
		known.placed = known.placed[max(0, len(known.placed)-most):]
	})
}

// restores notes how a version had gone that was placed again; empty if it had not.
func (m *memory) restores(b *v1alpha1.CloudCertificateBinding, drift string) {
	m.objects.Change(b, func(known *recollection) { known.drift = drift })
}

// restored returns what restores has noted, once.
func (m *memory) restored(b *v1alpha1.CloudCertificateBinding) (drift string) {
	m.objects.Change(b, func(known *recollection) { drift, known.drift = known.drift, "" })
	return drift
}

// throttled notes since when a binding waits for its turn; zero ends it.
func (m *memory) throttled(b *v1alpha1.CloudCertificateBinding, now time.Time) {
	m.objects.Change(b, func(known *recollection) {
		if now.IsZero() || known.throttledSince.IsZero() {
			known.throttledSince = now
		}
	})
}

// comesTo notes what a check of something that is under way has come to; empty is its end.
func (m *memory) comesTo(b *v1alpha1.CloudCertificateBinding, what string, now time.Time) {
	m.objects.Change(b, func(known *recollection) {
		switch {
		case what == "":
			known.same, known.sameSince = "", time.Time{}
		case what != known.same:
			known.same, known.sameSince = what, now
		}
	})
}

// failedOtherwise notes when a deletion failed for another reason than a refusal.
func (m *memory) failedOtherwise(b *v1alpha1.CloudCertificateBinding, now time.Time) {
	m.objects.Change(b, func(known *recollection) { known.otherwise = now })
}

// calm ends what was counted of failures, and who else manages the resource: it may be asked
// again.
func (m *memory) calm(b *v1alpha1.CloudCertificateBinding) {
	m.objects.Change(b, func(known *recollection) { known.ownerKnown, known.owner = false, "" })
	m.retries.Succeeded(b, retries.Reconcile, retries.CatchUp)
}
