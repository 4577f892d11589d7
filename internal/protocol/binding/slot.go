// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// decideSlot brings the current version into the slot that was read.
func decideSlot(o Observed) Step {
	if o.Slot.Incomplete != "" {
		return Wait{Verdict: verdict.Verdict{
			Reason: v1alpha1.ReasonBindFailed, Again: verdict.Again{Pace: verdict.Soon}, Ready: o.inPassing(),
			Message: fmt.Sprintf("%s was not read completely, and nothing is changed by a part of it: %s; it is read again %s", o.Target.Text, o.Slot.Incomplete, verdict.Soon),
		}}
	}
	holds := o.holds()
	switch {
	case o.Object.Suspended:
		message := "suspended by spec.suspend; " + o.inSlot()
		return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonSuspended, Message: message, Ready: verdict.Unchanged}, Holds: &holds}
	case o.Certificate.Problem != "":
		return o.notReady(&holds)
	}
	if unfit := o.unfit(); unfit != nil {
		return Wait{Verdict: *unfit, Holds: &holds}
	}
	switch {
	case o.Slot.Off != "":
		return o.failed(&Failure{Kind: Refused, Text: o.Slot.Off}, &holds)
	case o.serves(o.Certificate.Current):
		return decideServed(o, holds)
	case o.Slot.Busy:
		return o.progressing(fmt.Sprintf("waiting for %s, which is being changed (%s)", o.Target.Text, o.Slot.Doing), 0, &holds)
	case o.arrives(o.Certificate.Current), o.isUnclear():
		return o.progressing(fmt.Sprintf("waiting for %s to serve certificate %s", o.Target.Text, o.Certificate.Current), 0, &holds)
	}
	return decidePlacement(o, holds)
}

// serves reports whether a certificate is in use: in the slot, or, where the slot is one of
// several, as the default of the same listener.
func (o Observed) serves(id ID) bool {
	return slices.ContainsFunc(o.Slot.Entries, func(e Entry) bool {
		return e.ID == id && e.Progress == Serving && (e.InSlot || o.Target.Shared && e.Default)
	})
}

func (o Observed) arrives(id ID) bool {
	return slices.ContainsFunc(o.Slot.Entries, func(e Entry) bool { return e.ID == id && e.InSlot && e.Progress != Serving })
}

// isUnclear reports whether the only place of a slot is in a condition in which nothing is
// replaced.
func (o Observed) isUnclear() bool {
	holder, ok := o.holder()
	return ok && holder.Progress != Serving
}

// holder is the certificate in the only place of a slot.
func (o Observed) holder() (Entry, bool) {
	if o.Target.Shared {
		return Entry{}, false
	}
	i := slices.IndexFunc(o.Slot.Entries, func(e Entry) bool { return e.InSlot })
	if i < 0 {
		return Entry{}, false
	}
	return o.Slot.Entries[i], true
}

// holds are the versions of ours that the slot was read to hold, or may come to hold. What was
// on its way is kept until the current version is seen there.
func (o Observed) holds() Holds {
	served := o.serves(o.Certificate.Current)
	present := o.present()
	h := Holds{Bound: o.Status.Bound}
	switch {
	case served:
		h.Bound = o.Certificate.Current
	case len(present) > 0 && !slices.Contains(present, h.Bound):
		h.Bound = present[0]
	}
	if !served {
		if o.Status.Pending == o.Certificate.Current {
			h.Pending = o.Status.Pending
		}
		present = slices.Concat(present, []ID{o.Status.Pending}, o.Status.Leftover)
	}
	for _, id := range present {
		if id.CertID != 0 && id != h.Bound && id != h.Pending && !slices.Contains(h.Leftover, id) && !o.isDefault(id) {
			h.Leftover = append(h.Leftover, id)
		}
	}
	return h
}

// present are the versions of ours that were read in the slot, or, where the slot is one of
// several, as the default of the same listener; the newest first.
func (o Observed) present() []ID {
	var ids []ID
	for _, e := range o.Slot.Entries {
		if o.isOurs(e.ID) && (e.InSlot || o.Target.Shared && e.Default) {
			ids = append(ids, e.ID)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return cmp.Compare(b.CertID, a.CertID) })
	return ids
}

// readsOurs reports whether a version of ours was read in the slot: also one that the status does
// not name yet, because it was there before the binding, which then has nothing to place.
func (o Observed) readsOurs() bool {
	return o.Slot != nil && len(o.present()) > 0
}

// isDefault reports whether a certificate is a default of the resource, and in no other place
// of it.
func (o Observed) isDefault(id ID) bool {
	return o.Target.Shared && slices.ContainsFunc(o.Slot.Entries, func(e Entry) bool { return e.ID == id && e.Default })
}

// decideServed takes out what the current version has replaced, in a reconcile after the one
// that saw it served.
func decideServed(o Observed, holds Holds) Step {
	surplus, superseded := o.surplus(), o.superseded(holds)
	surplusLeft := len(surplus) > 0 || len(superseded) > 0
	switch {
	case o.SoFar.Remove != nil: // it never changes Ready: what should be served is
		return o.keptBack(holds, "what it replaced could not be taken out: ", o.SoFar.Remove)
	case o.SoFar.Discard != nil:
		return o.keptBack(holds, "copies of earlier versions could not be deleted: ", o.SoFar.Discard)
	case o.Status.Bound != o.Certificate.Current, o.Status.Pending.CertID != 0, !surplusLeft:
		return Keep{Holds: holds, Message: o.servedMessage(), Again: o.soonIf(surplusLeft || len(holds.Leftover) > 0)}
	case o.Slot.Busy, o.SoFar.Removed, o.SoFar.Discarded:
		return Keep{Holds: holds, Message: o.servedMessage(), Again: o.hint(0)}
	case len(surplus) > 0:
		return surplusStep(o, surplus)
	}
	return Discard{IDs: superseded}
}

// keptBack says that something the current version has replaced is still there.
func (o Observed) keptBack(holds Holds, what string, f *Failure) Step {
	return Keep{Holds: holds, Message: o.servedMessage() + "; " + what + f.Text, Again: o.againAfter(f)}
}

// superseded are the versions whose copies the product keeps for nothing: no binding of the
// CloudCertificate may come to need one. What else uses a copy only the product knows, which
// refuses then to delete it.
func (o Observed) superseded(holds Holds) []ID {
	var ids []ID
	for _, id := range o.Slot.Copies {
		needed := id == o.Certificate.Current || id == holds.Bound || id == holds.Pending || slices.Contains(holds.Leftover, id)
		if !needed && !slices.Contains(o.Certificate.Held, id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// surplusStep takes certificates out, and notes which of somebody else's are among them.
func surplusStep(o Observed, surplus []Entry) Step {
	step := Remove{}
	for _, e := range surplus {
		step.IDs = append(step.IDs, e.ID)
		if !o.isOurs(e.ID) {
			step.Replaced = e.Text
		}
	}
	return step
}

// surplus are the certificates in the slot that are to be taken out: ours, and those of others
// that the spec names. A default is none, and neither is what is leaving already.
func (o Observed) surplus() []Entry {
	if !o.Target.Shared {
		return nil
	}
	var surplus []Entry
	for _, e := range o.Slot.Entries {
		if e.InSlot && !e.Default && e.Progress == Serving && e.ID.CertID != 0 && e.ID != o.Certificate.Current &&
			(o.isOurs(e.ID) || o.adopts(e)) && !o.isDefault(e.ID) {
			surplus = append(surplus, e)
		}
	}
	return surplus
}

func (o Observed) servedMessage() string {
	message := fmt.Sprintf("%s uses certificate %s of CloudCertificate %q", o.Target.Text, o.Certificate.Current, o.Object.CertificateName)
	if o.servesElsewhere(o.Certificate.Current) {
		message += ", which is the listener's default and not an additional one"
	}
	return message
}

// servesElsewhere reports whether a certificate is the default of the listener, and not in the
// slot, which is one of several.
func (o Observed) servesElsewhere(id ID) bool {
	return o.Slot != nil && o.isDefault(id) && !slices.ContainsFunc(o.Slot.Entries, func(e Entry) bool { return e.ID == id && e.InSlot })
}

func (o Observed) soonIf(wanted bool) verdict.Again {
	if wanted {
		return o.hint(0)
	}
	return verdict.Again{}
}

// againAfter is when a call that failed is made again.
func (o Observed) againAfter(f *Failure) verdict.Again {
	switch f.Kind {
	case Progressing, Throttled:
		return o.hint(f.After)
	case Transient:
		return verdict.Again{Pace: verdict.Soon}
	}
	return verdict.Again{Pace: verdict.Slowly}
}

// decidePlacement puts the current version into a slot that does not have it.
func decidePlacement(o Observed, holds Holds) Step {
	if occupied := o.occupied(); occupied != "" {
		return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonOccupied, Message: occupied, Stalled: true}, Holds: &holds}
	}
	if until := o.brakedUntil(); !until.IsZero() {
		return o.braked(until, holds)
	}
	placing := fmt.Sprintf("certificate %s of CloudCertificate %q is being placed in %s", o.Certificate.Current, o.Object.CertificateName, o.Target.Text)
	switch {
	case o.SoFar.Place != nil:
		return o.failed(o.SoFar.Place, &holds)
	case o.SoFar.Placed:
		return o.progressing(placing, 0, &holds)
	case o.mayYetShow():
		return o.progressing(fmt.Sprintf("waiting for %s to show certificate %s, which it has accepted", o.Target.Text, o.Certificate.Current), 0, &holds)
	case o.Object.Unbinds && o.Target.Unbindable && !o.Object.Held:
		return Hold{Want: true} // before the first write
	case !o.Tried.OwnerKnown && o.SoFar.Inspect == nil:
		return Inspect{}
	case !o.Tried.OwnerKnown:
		return o.failed(o.SoFar.Inspect, &holds)
	case o.Tried.Owner != "":
		message := fmt.Sprintf("%s is managed by %s, which would undo what is placed; bind the object that it is configured from (albConfig, service)", o.Target.Text, o.Tried.Owner)
		return Wait{Verdict: verdict.Verdict{Reason: v1alpha1.ReasonManagedElsewhere, Message: message, Stalled: true}, Holds: &holds}
	case o.Status.Pending != o.Certificate.Current, !o.SoFar.Recorded && len(o.Tried.Placed) > 0: // what was accepted and is not there needs another token
		holds.Pending = o.Certificate.Current
		holds.Leftover = slices.DeleteFunc(holds.Leftover, func(id ID) bool { return id == holds.Pending })
		return Record{Holds: holds, Message: placing, Ready: o.whileServed(), Replaced: o.replaced()}
	}
	return Place{Drift: o.drift()}
}

// drift says how the version that the target was last seen to use has gone from there, where it was
// not the operator who replaced it; empty if it has not.
func (o Observed) drift() string {
	switch replaced := o.replaced(); {
	case o.isPlaced() && replaced != "":
		return fmt.Sprintf("somebody else had put certificate %s there", replaced)
	case o.Status.Bound == o.Certificate.Current:
		return "it had gone from there"
	}
	return ""
}

// occupied says that a foreign certificate is in the only place of a slot and stays there;
// empty where that is not so.
func (o Observed) occupied() string {
	holder, ok := o.holder()
	if !ok || o.isOurs(holder.ID) || o.adopts(holder) {
		return ""
	}
	switch {
	case !o.isPlaced() && slices.Contains(o.Object.Adopt, adoptAny) && o.Consent.AnyAdopted:
		return ""
	case !o.isPlaced() && slices.Contains(o.Object.Adopt, adoptAny):
		mended := "have one allow it"
		if nameable(holder.Text) {
			mended = "name the certificate in spec.adopt"
		}
		return fmt.Sprintf("%s holds certificate %s, which is not of CloudCertificate %q, and no CertificateTargetPolicy that admits this binding allows adopt \"*\"; %s",
			o.Target.Text, holder.Text, o.Object.CertificateName, mended)
	case !o.isPlaced():
		mended := `to replace it, name "*" in spec.adopt`
		if nameable(holder.Text) {
			mended = "to replace it, name it in spec.adopt"
		}
		return fmt.Sprintf("%s holds certificate %s, which is not of CloudCertificate %q; %s", o.Target.Text, holder.Text, o.Object.CertificateName, mended)
	case o.Object.Restores:
		return ""
	}
	mended := "set spec.onDrift to Restore"
	if nameable(holder.Text) {
		mended += ", or name that one in spec.adopt"
	}
	return fmt.Sprintf("somebody else put certificate %s into %s, where certificate %s was; to put ours back, %s", holder.Text, o.Target.Text, o.Status.Bound, mended)
}

// nameable reports whether spec.adopt can name a certificate: not one that has no name at the product or
// a bare number, nor what is no certificate at all.
func nameable(text string) bool {
	return names.MatchString(text) && strings.Trim(text, "0123456789") != ""
}

// names are what the API takes in spec.adopt, but for "*"; of bare numbers it takes none.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$`)

// mayYetShow reports whether a placement was accepted so lately that the product may not show it yet: it is
// not placed again before it has certainly come to nothing. What was seen in the slot and is gone was taken
// out, and is placed again at once.
func (o Observed) mayYetShow() bool {
	placed := o.Tried.Placed
	return !o.Target.Live && !o.SoFar.Recorded && o.Status.Pending == o.Certificate.Current && len(placed) > 0 && o.Now.Sub(placed[len(placed)-1]) < placementSettles
}

// replaced is the foreign certificate that a placement takes out; empty if it takes none.
func (o Observed) replaced() string {
	holder, ok := o.holder()
	if !ok || o.isOurs(holder.ID) {
		return ""
	}
	return holder.Text
}

// brakedUntil is when a version that was placed again and again is placed the next time; zero
// if it may be now.
func (o Observed) brakedUntil() time.Time {
	recent := slices.DeleteFunc(slices.Clone(o.Tried.Placed), func(t time.Time) bool { return !t.After(o.Now.Add(-time.Hour)) })
	if len(recent) <= MaxRestores {
		return time.Time{}
	}
	return recent[len(recent)-MaxRestores-1].Add(time.Hour)
}

// braked waits with a version that was placed too often and is not there: two that undo each
// other would go on without end.
func (o Observed) braked(until time.Time, holds Holds) Step {
	v := verdict.Verdict{
		Reason: v1alpha1.ReasonBindFailed, Again: verdict.Again{Pace: verdict.In, After: until.Sub(o.Now)},
		Message: fmt.Sprintf("certificate %s was placed in %s %d times within an hour, and is not there; the next try waits until %s; look for what takes it out, or for failed jobs of the listener",
			o.Certificate.Current, o.Target.Text, MaxRestores+1, until.UTC().Format(time.RFC3339)),
	}
	if holder := o.replaced(); holder != "" {
		v.Reason, v.Stalled = v1alpha1.ReasonOccupied, true
		v.Message = fmt.Sprintf("certificate %s was placed in %s %d times within an hour, and somebody else's certificate %s is there again; the next try waits until %s; look for what puts it there",
			o.Certificate.Current, o.Target.Text, MaxRestores+1, holder, until.UTC().Format(time.RFC3339))
	}
	return Wait{Verdict: v, Holds: &holds}
}

// inSlot says what is in the slot.
func (o Observed) inSlot() string {
	var ours, foreign []string
	for _, e := range o.Slot.Entries {
		switch {
		case !e.InSlot:
		case o.isOurs(e.ID):
			ours = append(ours, e.Text)
		default:
			foreign = append(foreign, e.Text)
		}
	}
	var parts []string
	if len(ours) > 0 {
		parts = append(parts, fmt.Sprintf("%s of CloudCertificate %q", few(ours), o.Object.CertificateName))
	}
	if len(foreign) > 0 {
		parts = append(parts, few(foreign)+" of somebody else")
	}
	message := o.Target.Text + " holds " + cmp.Or(strings.Join(parts, " and "), "no certificate")
	for _, e := range o.Slot.Entries {
		if o.isOurs(e.ID) && o.servesElsewhere(e.ID) {
			message += fmt.Sprintf("; the listener's default is %s of CloudCertificate %q", e.Text, o.Object.CertificateName)
		}
	}
	return message
}

// few joins the first few texts and counts the others.
func few(texts []string) string {
	const shown = 5
	if more := len(texts) - shown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:shown], ", "), more)
	}
	return strings.Join(texts, ", ")
}
