// Copyright The cloudcert Authors.
// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloudcert-io/cloudcert/api/v1alpha1"
	"github.com/cloudcert-io/cloudcert/internal/verdict"
)

// The reasons for which an object waits that are no answer of the cloud and no verdict on a
// Secret. Their texts are for people: they name the object, the field or the id, and a fix.

// SuspendedError ends a reconcile of a suspended object. What has changed since the object was last
// handled is said as far as the caches show it.
type SuspendedError struct {
	// Moved reports whether the Secret is no longer the version that the status speaks of, and
	// Gone whether it is not there any more.
	Moved, Gone bool
	// Region is where the object belongs by now, and the status does not speak of; else empty.
	Region string
}

func (e *SuspendedError) Error() string { return e.text("the Secret") }

func (e *SuspendedError) text(secret string) string {
	var changes []string
	switch {
	case e.Gone:
		changes = append(changes, secret+" is gone")
	case e.Moved:
		changes = append(changes, secret+" has changed")
	}
	if e.Region != "" {
		changes = append(changes, "the region has become "+e.Region)
	}
	if len(changes) == 0 {
		return "suspended by spec.suspend"
	}
	return "suspended by spec.suspend, and since it was last handled " + strings.Join(changes, ", and ") + "; set spec.suspend to false to have that handled"
}

// Verdict leaves Ready as it is: nothing is asked of the cloud, and nothing is known to be wrong.
func (e *SuspendedError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{Ready: verdict.Unchanged, Reason: v1alpha1.ReasonSuspended, Message: e.text(fmt.Sprintf("Secret %q", s.Secret))}
}

// AccountError says that nothing may be uploaded to the account of the credentials.
type AccountError struct {
	// Account is empty where it could not be learned.
	Account string
	// Why says why it could not be learned.
	Why error
}

func (e *AccountError) Error() string {
	if e.Account != "" {
		return fmt.Sprintf("account %q is not one of --allowed-account-ids, and nothing is uploaded to it; "+
			"use credentials of another account, or have this one added to the operator's list", e.Account)
	}
	text := "the account of the credentials could not be learned"
	if e.Why != nil {
		text += ": " + verdict.Text(e.Why)
	}
	return text + "; the operator uploads to the accounts of --allowed-account-ids alone, and asks again " + verdict.Slowly.String()
}

// Verdict waits for other credentials or another spec. An account that could not be learned is
// asked for again, because nothing tells us when STS answers.
func (e *AccountError) Verdict(verdict.Subject) verdict.Verdict {
	v := verdict.Verdict{Reason: v1alpha1.ReasonAccountNotAllowed, Stalled: true, Message: e.Error(), Void: true}
	if e.Account == "" {
		v.Again.Pace = verdict.Slowly
	}
	return v
}

// NameTakenError says that a name of the object is taken, and that the list does not show by
// what.
type NameTakenError struct {
	Name  string
	Since time.Time
	// Unlisted reports whether a complete list that began since then does not show the
	// certificate.
	Unlisted bool
	// Unreadable is how many entries of that list cannot be read.
	Unreadable int
	// Exhausted reports whether every name that could stand in is held likewise.
	Exhausted bool
}

func (e *NameTakenError) Error() string {
	since := stamp(e.Since)
	switch {
	case e.Unreadable > 0:
		return fmt.Sprintf("name %q is taken in the cloud since %s, and the list does not show its certificate; "+
			"%d entries of the list cannot be read and may be it: nothing is uploaded until they can", e.Name, since, e.Unreadable)
	case e.Exhausted:
		return fmt.Sprintf("name %q is taken in the cloud since %s, as are the %d names before it, and the list shows none of them; "+
			"check that the credentials may list every resource group (yundun-cert:ListUserCertificateOrder on resource *)", e.Name, since, MaxNames-1)
	case e.Unlisted:
		return fmt.Sprintf("name %q is taken in the cloud since %s, but the complete list does not show its certificate; "+
			"unless it appears, the content is uploaded under another prefix after %s", e.Name, since, stamp(e.Since.Add(LagLimit)))
	}
	return fmt.Sprintf("name %q is taken in the cloud but not listed yet; waiting for the list since %s", e.Name, since)
}

// Verdict waits for the name to be listed or to become free: as long again as was waited before,
// but not past the moment at which the name is given up, and up to an hour after that. The list
// lags, and nothing tells us.
func (e *NameTakenError) Verdict(s verdict.Subject) verdict.Verdict {
	waited, longest := s.Now.Sub(e.Since), time.Hour
	if waited < LagLimit {
		longest = LagLimit - waited
	}
	return verdict.Verdict{
		Ready: verdict.Progressing, Reason: v1alpha1.ReasonProgressing, Message: e.Error(),
		Again: verdict.Again{Pace: verdict.About, After: max(min(waited, longest), firstLookAgain)},
	}
}

// firstLookAgain is when a taken name is looked up again that has just been taken.
const firstLookAgain = 2 * time.Second

// NameConflictError says that a name of the object is held by another certificate.
type NameConflictError struct {
	Name   string
	CertID int64
}

func (e *NameConflictError) Error() string {
	return fmt.Sprintf("name %q is held by certificate %d, which is not the certificate of the Secret; delete it in the console, or change the Secret; it is checked hourly",
		e.Name, e.CertID)
}

// Verdict checks again hourly: nothing tells us when the other certificate goes.
func (e *NameConflictError) Verdict(verdict.Subject) verdict.Verdict {
	return verdict.Verdict{
		Reason: v1alpha1.ReasonNameConflict, Stalled: true, Message: e.Error(), Void: true, Again: verdict.Again{Pace: verdict.In, After: time.Hour},
	}
}

// VersionRateError says that the object uploaded too many versions in the last hour.
type VersionRateError struct {
	Limit int
	Until time.Time
}

func (e *VersionRateError) Error() string {
	return fmt.Sprintf("%d versions were uploaded within an hour, the limit of --max-versions-per-hour; "+
		"the next one waits until %s; look for what rewrites the Secret so often", e.Limit, stamp(e.Until))
}

// Verdict leaves what is served as it is.
func (e *VersionRateError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{Ready: s.WhileServed(), Reason: v1alpha1.ReasonThrottled, Message: e.Error(), Again: s.Until(e.Until, time.Second)}
}

// RecreationError says that a certificate vanishes from the cloud again and again.
type RecreationError struct {
	CertID int64
	Count  int
	Until  time.Time
}

func (e *RecreationError) Error() string {
	return fmt.Sprintf("certificate %d is gone from the cloud, after %d were uploaded again within an hour; "+
		"the next upload waits until %s; look for what deletes them", e.CertID, e.Count, stamp(e.Until))
}

// Verdict waits for the next upload.
func (e *RecreationError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{Reason: v1alpha1.ReasonUploadFailed, Message: e.Error(), Again: s.Until(e.Until, time.Second)}
}

// MovesError says that the object started anew too often.
type MovesError struct {
	Count int
	Until time.Time
}

func (e *MovesError) Error() string {
	return fmt.Sprintf("account, region or identity of the object changed %d times within an hour; the status is left as it is until %s; "+
		"look for a second operator that watches the same namespace with another --cluster-id, --region or account, or for what edits the object",
		e.Count, stamp(e.Until))
}

// SettlingError says that uploads may still be in flight, or not be listed yet.
type SettlingError struct{ Until time.Time }

func (e *SettlingError) Error() string {
	return "being deleted; waiting for uploads in flight until " + stamp(e.Until)
}

// Verdict waits until they have ended.
func (e *SettlingError) Verdict(s verdict.Subject) verdict.Verdict {
	return verdict.Verdict{Reason: v1alpha1.ReasonProgressing, Message: e.Error(), Again: s.Until(e.Until, 10*time.Millisecond)}
}

// UntouchedError says why a deletion leaves certificates in the cloud.
type UntouchedError struct{ Why string }

func (e *UntouchedError) Error() string { return e.Why }

// UnprovenError says why a certificate cannot be proven to be the object's.
type UnprovenError struct{ Problem string }

func (e *UnprovenError) Error() string { return e.Problem }

// Verdict waits for a person, or for another list.
func (e *UnprovenError) Verdict(verdict.Subject) verdict.Verdict { return undeleted(e) }

// CurrentMissingError says that a list does not show the current version: without it, no
// superseded one is deleted.
type CurrentMissingError struct {
	CertID int64
	Name   string
}

func (e *CurrentMissingError) Error() string {
	return fmt.Sprintf("the cloud does not list the current certificate %s, and they may be all that is left; "+
		"the next check for drift uploads it again, and a new value of the annotation %s does so now", NameAndID(e.Name, e.CertID), v1alpha1.AnnotationResync)
}

// Verdict waits for a person, or for another list.
func (e *CurrentMissingError) Verdict(verdict.Subject) verdict.Verdict { return undeleted(e) }

// HeldError says that bindings keep a version from being deleted.
type HeldError struct {
	// Users are the names of those whose targets use it, or may come to, and Unread of those whose
	// targets were not read yet; both are sorted.
	Users, Unread []string
}

func (e *HeldError) Error() string {
	var parts []string
	switch len(e.Users) {
	case 0:
	case 1:
		parts = append(parts, fmt.Sprintf("CloudCertificateBinding %q keeps it: its target uses it, or may come to; see its status", e.Users[0]))
	default:
		parts = append(parts, fmt.Sprintf("CloudCertificateBindings %s keep it: their targets use it, or may come to; see their status", quoted(e.Users)))
	}
	switch len(e.Unread) {
	case 0:
	case 1:
		parts = append(parts, fmt.Sprintf("the target of CloudCertificateBinding %q was not read yet, and may use it; see why in its status, or delete it", e.Unread[0]))
	default:
		parts = append(parts, fmt.Sprintf("the targets of CloudCertificateBindings %s were not read yet, and may use it; see why in their status, or delete them", quoted(e.Unread)))
	}
	return strings.Join(parts, "; ")
}

// quoted names the first few in quotes, and counts the others.
func quoted(names []string) string {
	var all []string
	for _, name := range names {
		all = append(all, strconv.Quote(name))
	}
	return Few(all, 0)
}

// Verdict waits for the binding, or for a person who looks at it.
func (e *HeldError) Verdict(verdict.Subject) verdict.Verdict { return undeleted(e) }

// UnreadableError says that a list holds entries of which it is unknown whose they are.
type UnreadableError struct{ Count int }

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%d entries of the account's list cannot be read, and may be certificates of this object; look for them in the console", e.Count)
}

// Verdict waits for a person, or for another list.
func (e *UnreadableError) Verdict(verdict.Subject) verdict.Verdict { return undeleted(e) }

// SharedError says that a newer version under the identity of the object was not uploaded by
// this process.
type SharedError struct {
	CertID int64
	Name   string
	// Appeared reports whether it came while this process was running.
	Appeared bool
}

func (e *SharedError) Error() string {
	if e.Appeared {
		return fmt.Sprintf("certificate %s is newer and was not uploaded by this operator: another cluster seems to use the same cluster id; "+
			"nothing of this object is deleted until that ends; give each cluster its own --cluster-id", NameAndID(e.Name, e.CertID))
	}
	return fmt.Sprintf("certificate %s is newer than the current one, and it is unknown who uploaded it: the status may have been restored from a backup, "+
		"or another cluster uses the same cluster id; nothing of this object is deleted until it is renewed the next time", NameAndID(e.Name, e.CertID))
}

// Verdict waits for a person, or for another list.
func (e *SharedError) Verdict(verdict.Subject) verdict.Verdict {
	v := undeleted(e)
	if e.Appeared {
		v.Reason = v1alpha1.ReasonIdentityShared
	}
	return v
}

// Undeleted is a certificate that could not be deleted, and why.
type Undeleted struct {
	CertID int64
	Name   string
	Err    error
	// Refusal reports whether waiting may never help.
	Refusal bool
}

// RemainingError says which certificates could not be deleted although all others were.
type RemainingError struct{ Left []Undeleted }

// Error names the certificates, those of one reason together.
func (e *RemainingError) Error() string {
	var reasons []string
	named := map[string][]string{}
	for _, u := range e.Left {
		reason := verdict.Text(u.Err)
		if named[reason] == nil {
			reasons = append(reasons, reason)
		}
		named[reason] = append(named[reason], NameAndID(u.Name, u.CertID))
	}
	var parts []string
	for _, reason := range reasons {
		parts = append(parts, Few(named[reason], 0)+": "+reason)
	}
	return strings.Join(parts, "; ")
}

// Plain is the text as it is: it says of each certificate what stays the same.
func (e *RemainingError) Plain() string { return e.Error() }

// Verdict is that of the certificate which may be deleted first.
func (e *RemainingError) Verdict(s verdict.Subject) verdict.Verdict {
	v := undeleted(e)
	for _, u := range e.Left {
		v.Refusal = v.Refusal && u.Refusal
		if verdict.Of(u.Err, s).Again.Pace != verdict.Slowly {
			v.Again.Pace = verdict.Soon
		}
	}
	return v
}

// undeleted is the verdict on certificates that stay until somebody looks at them, or at another
// operator.
func undeleted(err error) verdict.Verdict {
	return verdict.Verdict{Reason: v1alpha1.ReasonDeletionBlocked, Message: err.Error(), Refusal: true, Again: verdict.Again{Pace: verdict.Slowly}}
}

// Unwrap returns why each of them stays.
func (e *RemainingError) Unwrap() []error {
	var all []error
	for _, u := range e.Left {
		all = append(all, u.Err)
	}
	return all
}

// NameAndID is how a certificate is named to a person.
func NameAndID(name string, certID int64) string { return fmt.Sprintf("%s (%d)", name, certID) }

// Few joins the first few names, and counts the others and those that are not known by name.
func Few(names []string, more int) string {
	const shown = 5
	if hidden := len(names) - shown; hidden > 0 {
		names, more = names[:shown:shown], more+hidden
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Remaining is how many certificates could not be deleted although all others were; 0 where err
// says nothing of it.
func Remaining(err error) int {
	if remaining, ok := errors.AsType[*RemainingError](err); ok {
		return len(remaining.Left)
	}
	return 0
}

// DoubtsList reports whether a list was not good enough for a deletion: it may have been another
// account's, or held entries that cannot be read.
func DoubtsList(err error) bool {
	_, unproven := errors.AsType[*UnprovenError](err)
	_, unreadable := errors.AsType[*UnreadableError](err)
	return unproven || unreadable
}
